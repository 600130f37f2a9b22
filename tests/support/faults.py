"""Faults of an engine in a process of its own, switched on as the process sets itself up."""

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NoReturn

from unmask.engine.engine import Engine
from unmask.types import Event

POISON = 66  # the first token of a prompt that an engine cannot bear


def _before_each_step(fault: Callable[[Engine], None]) -> None:
    step = Engine.step

    def faulty(engine: Engine) -> list[Event]:
        fault(engine)
        return step(engine)

    Engine.step = faulty  # type: ignore[method-assign]


def _is_poisoned(engine: Engine) -> bool:
    scheduler = engine.scheduler
    running = islice(scheduler.sequences, scheduler.num_running)
    return any(sequence.request.prompt_token_ids[0] == POISON for sequence in running)


def hang_once(mark: Path, after: int) -> None:
    """Let the first process hang before step `after`; the file `mark` tells later ones."""
    steps = iter(range(after))

    def fault(_: Engine) -> None:
        if next(steps, None) is None and not mark.exists():
            mark.touch()
            time.sleep(10_000)

    _before_each_step(fault)


def stand_still_once(mark: Path, after: int) -> None:
    """Let all threads of the first process stop before step `after`."""
    steps = iter(range(after))

    def fault(_: Engine) -> None:
        if next(steps, None) is None and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGSTOP)

    _before_each_step(fault)


def die_later_each_time(deaths: Path, most: int) -> None:
    """Let `most` processes die, each some steps later than the one before; a file counts them."""
    num_deaths = int(deaths.read_text()) if deaths.exists() else 0
    steps = iter(range(20 + 15 * num_deaths))

    def fault(_: Engine) -> None:
        if next(steps, None) is None and num_deaths < most:
            deaths.write_text(str(num_deaths + 1))
            os._exit(9)

    _before_each_step(fault)


def raise_on_poison() -> None:
    """Let steps raise while a poisoned request is there."""

    def fault(engine: Engine) -> None:
        if _is_poisoned(engine):
            raise RuntimeError("poison")

    _before_each_step(fault)


def raise_late_on_poison(begun: Path, proceed: Path) -> None:
    """Let steps raise as `raise_on_poison`, the first one once there is a file `proceed`."""

    def fault(engine: Engine) -> None:
        if _is_poisoned(engine):
            begun.touch()
            while not proceed.exists():
                time.sleep(0.01)
            raise RuntimeError("poison")

    _before_each_step(fault)


def die_on_poison() -> None:
    """Let the process die of a poisoned request."""

    def fault(engine: Engine) -> None:
        if _is_poisoned(engine):
            os._exit(9)

    _before_each_step(fault)


def no_start_beside(mark: Path) -> None:
    """Let processes fail as they load once there is a file `mark`."""
    if not mark.exists():
        return

    def fail(*_: object) -> NoReturn:
        raise RuntimeError("there is no other start")

    Engine.load = partial(fail)  # type: ignore[method-assign, assignment]
