"""Streams of events, read on the event loop that their request came from."""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Self

from unmask.client import PushedStream
from unmask.types import Delta, Event, Failure, Refinement, is_last

logger = logging.getLogger(__name__)

# Memory of events, of an id and of an alternative with its log-probability; roughly.
EVENT_BYTES, ID_BYTES, TOP_BYTES, DRAFT_BYTES = 250, 40, 120, 200
SHUTTING_DOWN = "the server is shutting down"
THREAD_ENDED = "the engine's thread ended; see the server's log"


class RequestStream(PushedStream):
    """The events of one request, for the event loop it was submitted from."""

    def __init__(self, loop: asyncio.AbstractEventLoop, abort: Callable[[], None]) -> None:
        self.loop = loop
        self._abort = abort
        self._pending: deque[Delta | Failure] = deque()
        self._refinement: Refinement | None = None  # the latest that nobody read
        self._num_before = 0  # pending events that came before it
        self._held_bytes = 0  # about, of pending events since there were none
        self._waiter: asyncio.Future[None] | None = None
        self._call: Callable[[Event], None] | None = None
        self._keeps = True  # events until they are read
        self._ended = False  # the last event has arrived
        self._closed = False

    def push(self, event: Event) -> None:
        """Take an event, on the loop's thread; a refinement that nobody read yet is replaced.

        A closed stream takes none.
        """
        if self._closed:
            return
        if isinstance(event, Delta) and event.finish is not None:
            self.num_held = 0  # it has them
        if not self._keeps:
            if not isinstance(event, Delta) or event.finish is not None:
                self._ended |= is_last(event)
            if self._call is not None:
                self._call(event)
            return
        if isinstance(event, Refinement):
            self._refinement, self._num_before = event, len(self._pending)
        else:
            self._ended |= is_last(event)
            if self._pending:
                self._held_bytes += _num_bytes(event)
            self._pending.append(event)
        if self._call is not None:
            self._call(event)
        else:
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def listen(self, call: Callable[[Event], None]) -> None:
        """See `PushedStream.listen`."""
        self._call = call

    def forward(self, call: Callable[[Event], None]) -> None:
        """See `PushedStream.forward`."""
        for event in self.take():
            call(event)
        self._call, self._keeps = call, False

    def take(self) -> Sequence[Event]:
        """See `PushedStream.take`."""
        taken: list[Event] = list(self._pending)
        if self._refinement is not None:
            taken.insert(max(self._num_before, 0), self._refinement)
            self._refinement = None
        self._pending.clear()
        self._held_bytes = 0
        return taken

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._pending and self._refinement is None:
            if self._ended or self._closed:
                raise StopAsyncIteration
            self._waiter = self.loop.create_future()
            await self._waiter
        if self._refinement is not None and self._num_before <= 0:
            refinement, self._refinement = self._refinement, None
            return refinement
        self._num_before -= 1
        event = self._pending.popleft()
        if not self._pending:
            self._held_bytes = 0
        return event

    def held_bytes(self) -> int:
        """See `EventStream.held_bytes`."""
        refinement = self._refinement
        drafts = () if refinement is None else refinement.tokens or ()
        return self._held_bytes + DRAFT_BYTES * len(drafts)

    async def aclose(self) -> None:
        """Stop listening; a request that has not ended is aborted."""
        self._pending.clear()
        self._refinement, self._held_bytes = None, 0
        self._closed, self._call = True, None
        self._wake()
        if not self._ended:
            self._ended = True
            self._abort()


def _num_bytes(event: Delta | Failure) -> int:
    """About the memory of an event."""
    if isinstance(event, Failure):
        return EVENT_BYTES
    logprobs = sum(TOP_BYTES * (len(item.top) + 1) for item in event.logprobs)
    return EVENT_BYTES + len(event.text) + ID_BYTES * len(event.token_ids) + logprobs


def stopped(request_id: str, message: str) -> Failure:
    """The end of a request whose engine stops; `message` says why."""
    return Failure(
        request_id, message, "engine_stopped" if message == SHUTTING_DOWN else "engine_failure"
    )


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
