"""Threads for what would hold up the event loop, apart by how long it takes."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from unmask.errors import QueueFull

T = TypeVar("T")

ITEM = 100  # the cost of a prompt, a message or a part, in characters
SHORT = 8_000  # characters, up to which work is done at once: some three milliseconds
LONG = 400_000  # characters, above which work has a thread of its own
MAX_PENDING = 64  # pieces of work that may wait for each thread


class Workers:
    """Two threads: one for long work and one for the longest, so that neither waits for the other.

    Work is measured in characters, an item counting as `ITEM` of them. Threads start when needed.
    """

    def __init__(self) -> None:
        self._long = _Lane("prepare-long")
        self._longest = _Lane("prepare-longest")

    async def run(self, work: Callable[[], T], cost: int) -> T:
        """The result of `work`, on the event loop if it is short; raises `QueueFull`."""
        if cost <= SHORT:
            return work()
        return await (self._long if cost <= LONG else self._longest).run(work)


class _Lane:
    """One thread and the work that waits for it."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._num_pending = 0

    async def run(self, work: Callable[[], T]) -> T:
        if self._num_pending >= MAX_PENDING:
            raise QueueFull("too many long requests are being prepared", retry_after_s=1)
        self._num_pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._num_pending -= 1
