"""Streams of events, read on the event loop that their request came from."""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Self

from unmask.types import Event, Failure, Refinement

logger = logging.getLogger(__name__)

SHUTTING_DOWN = "the server is shutting down"
THREAD_ENDED = "the engine's thread ended; see the server's log"


class RequestStream:
    """The events of one request, for the event loop it was submitted from."""

    def __init__(self, loop: asyncio.AbstractEventLoop, abort: Callable[[], None]) -> None:
        self.loop = loop
        self._abort = abort
        self._pending: deque[Event] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False  # the last event has arrived
        self._closed = False

    def push(self, event: Event) -> None:
        """Take an event, on the loop's thread; a refinement that nobody read yet is replaced."""
        if isinstance(event, Refinement):
            self._pending = deque(e for e in self._pending if not isinstance(e, Refinement))
        elif isinstance(event, Failure) or event.finish is not None:
            self._ended = True
        self._pending.append(event)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._pending:
            if self._ended or self._closed:
                raise StopAsyncIteration
            self._waiter = self.loop.create_future()
            await self._waiter
        return self._pending.popleft()

    async def aclose(self) -> None:
        """Stop listening; a request that has not ended is aborted."""
        self._pending.clear()
        self._closed = True
        if not self._ended:
            self._ended = True
            self._abort()

    def __del__(self) -> None:
        if not self._ended:
            self._abort()


def is_last(event: Event) -> bool:
    """True if no event follows in its stream."""
    if isinstance(event, Refinement):
        return False
    return isinstance(event, Failure) or event.finish is not None


def push(pairs: Iterable[tuple[RequestStream, Event]]) -> None:
    """Hand events to their streams, from any thread: one wake-up for each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[RequestStream, Event]]]
    by_loop = defaultdict(list)
    for stream, event in pairs:
        by_loop[stream.loop].append((stream, event))
    for loop, its_own in by_loop.items():
        try:
            loop.call_soon_threadsafe(_push_all, its_own)
        except RuntimeError:  # the loop was closed: nobody is left to listen
            logger.debug("events of %d requests had no listener", len(its_own))


def _push_all(pairs: list[tuple[RequestStream, Event]]) -> None:
    for stream, event in pairs:
        stream.push(event)
