"""Progress of loading a model: a bar in a terminal, and one log line."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from unmask.cli.output import err
from unmask.config import Config

if TYPE_CHECKING:
    from unmask.llm import LLM

logger = logging.getLogger(__name__)


@contextmanager
def loading(
    note: Callable[[str, int, int], None] | None = None,
) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a progress function of label, amount done and total; it calls `note` as well.

    Weights are counted in bytes, CUDA graphs one by one.
    """
    started_s = time.perf_counter()
    columns = (
        TextColumn("loading {task.description}"),
        BarColumn(),
        TextColumn("{task.fields[amount]}"),
    )
    weights_bytes = 0
    with Progress(
        *columns, TimeElapsedColumn(), console=err, transient=True, disable=not err.is_terminal
    ) as bar:
        task = bar.add_task("model", total=None, amount="")

        def progress(name: str, done: int, total: int) -> None:
            nonlocal weights_bytes
            if note is not None:
                note(name, done, total)
            amount = f"{done}/{total}"
            if name == "weights":
                weights_bytes = total
                amount = f"{done / 2**20:.1f}/{total / 2**20:.1f} MiB"
            bar.update(task, description=name, completed=done, total=total, amount=amount)

        yield progress
    elapsed_s = time.perf_counter() - started_s
    logger.info("model loaded: %.1f MiB in %.2f s", weights_bytes / 2**20, elapsed_s)


def load_llm(config: Config) -> "LLM":
    """Load an in-process `LLM` with a progress bar; raises `InvalidCheckpoint`."""
    from unmask.llm import LLM

    with loading() as progress:
        return LLM(config=config, progress=progress)
