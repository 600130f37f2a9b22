"""Bound on the part of a stream that its client has not read."""

import asyncio
from typing import Self

from unmask.api.errors import RequestFailed
from unmask.api.streams import Merger

INTERVAL_S = 1.0


class UnreadLimit:
    """Gives a stream up at more than `max_bytes` of unread events, while its context is open.

    Its requests are aborted. A client that reads on gets an error in place of the rest.
    """

    def __init__(self, merger: Merger, max_bytes: int, interval_s: float = INTERVAL_S) -> None:
        self._merger = merger
        self._max_bytes = max_bytes
        self._interval_s = interval_s
        self._timer: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._interval_s, self._check)

    def _check(self) -> None:
        if self._merger.held_bytes() <= self._max_bytes:
            self._wait()
            return
        error = RequestFailed("the stream was not read in time", status=408, code="slow_reader")
        self._ending = asyncio.create_task(self._merger.give_up(error))
