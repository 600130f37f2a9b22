"""How far the loading of a model has got: a bar on a terminal, one log line elsewhere."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from unmask.cli.console import err
from unmask.config import Config

if TYPE_CHECKING:
    from unmask.llm import LLM

logger = logging.getLogger(__name__)


@contextmanager
def loading() -> Iterator[Callable[[str, int, int], None]]:
    """Yields a function of what is loaded, the bytes done and all bytes."""
    started_s = time.perf_counter()
    columns = (TextColumn("loading {task.description}"), BarColumn(), DownloadColumn())
    total = 0
    with Progress(
        *columns, TimeElapsedColumn(), console=err, transient=True, disable=not err.is_terminal
    ) as bar:
        task = bar.add_task("model", total=None)

        def progress(name: str, done_bytes: int, total_bytes: int) -> None:
            nonlocal total
            total = total_bytes
            bar.update(task, description=name, completed=done_bytes, total=total_bytes)

        yield progress
    logger.info("loaded %.1f MiB in %.2f s", total / 2**20, time.perf_counter() - started_s)


def load_llm(config: Config) -> "LLM":
    """A model in this process; raises `InvalidCheckpoint`."""
    from unmask.llm import LLM

    with loading() as progress:
        return LLM(config=config, progress=progress)
