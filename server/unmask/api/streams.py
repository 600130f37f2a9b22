"""Events of several requests, merged into batches; the requests are aborted together."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import TypeVar

from unmask.api.deadline import Deadline
from unmask.api.errors import FAILURE_STATUS, RequestFailed
from unmask.client import EngineClient, EventStream, PushedStream, UnconfirmedStream
from unmask.types import Delta, Event, Failure, FinishReason, Refinement, Request, is_last

logger = logging.getLogger(__name__)

SUBMITTED_AT_ONCE = 16  # requests between two turns of the event loop

T = TypeVar("T")
Batch = list[tuple[int, Event]]


async def submit_all(client: EngineClient, requests: Iterable[Request]) -> list[EventStream]:
    """Submit every request or none: when one is refused, those before it are aborted."""
    streams: list[EventStream] = []
    try:
        for request in requests:
            streams.append(client.submit(request))
            if len(streams) % SUBMITTED_AT_ONCE == 0:
                await asyncio.sleep(0)  # let other tasks run
        for stream in streams:
            if isinstance(stream, UnconfirmedStream):
                await stream.confirmed()
    except BaseException:
        for stream in streams:
            await stream.aclose()
        raise
    return streams


class Merger:
    """Reads many streams at once, fairly; use it in `contextlib.aclosing`.

    Few events are buffered here: a slow reader leaves them in the client, which drops refinements.
    """

    def __init__(
        self,
        streams: Sequence[EventStream],
        deadline: Deadline | None = None,
        num_choices: int | None = None,
    ) -> None:
        """The first `num_choices` write answers, by default all; the others read prompts."""
        self.num_tokens = 0  # of answers so far
        self._streams = streams
        self._num_choices = len(streams) if num_choices is None else num_choices
        self._deadline = deadline
        self._late: asyncio.TimerHandle | None = None
        self._arrived: Batch = []
        self._reader: asyncio.Future[None] | None = None
        self._has_space = asyncio.Event()
        self._silence = _Silence(self._wake_reader)
        self._open = set(range(len(streams)))
        self._error: RequestFailed | None = None
        self._pushed: dict[int, PushedStream] = {}
        for i, stream in enumerate(streams):
            if isinstance(stream, PushedStream):
                self._pushed[i] = stream
                stream.listen(self._note)
        self._tasks = [
            asyncio.create_task(self._pump(i, stream))
            for i, stream in enumerate(streams)
            if i not in self._pushed
        ]
        self._watch_deadline()

    async def batches(self, ping_s: float | None = None) -> AsyncGenerator[Batch, None]:
        """Events since the last batch, by stream index; an empty one after `ping_s` of silence.

        Silence is what a client hears: events that are held back do not end it, `sent` does.
        Raises `RequestFailed` for a `Failure`, an abort that was not ours, after `give_up`, and if
        it is late.
        """
        loop = asyncio.get_running_loop()
        if ping_s is not None:
            self._silence.begin(loop, ping_s)
        while self._open:
            if self._error is not None:
                raise self._error
            self._check_deadline()
            if self._silence.is_over:
                self.sent()
                yield []
                continue
            batch = self._take()
            if not batch:
                self._reader = loop.create_future()
                await self._reader
                continue
            for index, event in batch:
                if isinstance(event, Delta):
                    if index < self._num_choices:
                        self.num_tokens += len(event.token_ids)
                    if event.finish is None:
                        continue
                elif isinstance(event, Refinement):
                    continue
                if (error := failure_of(index, event)) is not None:
                    raise error
                self._open.discard(index)
            yield _without_stale(batch) if len(batch) > 1 else batch

    def sent(self) -> None:
        """Note that the client has been sent something."""
        self._silence.restart()

    def held_bytes(self) -> int:
        """About the memory of events that nobody has read."""
        return sum(stream.held_bytes() for stream in self._streams)

    async def give_up(self, error: RequestFailed) -> None:
        """Abort the requests, and raise an error in place of their other events."""
        self._error, self._arrived = error, []
        await self.aclose()
        self._wake_reader()

    async def aclose(self) -> None:
        """Abort the requests that have not ended."""
        self._silence.end()
        if self._late is not None:
            self._late.cancel()
        tasks, self._tasks = self._tasks, []  # cancelled ones have frames, which have this
        await close_all(self._streams, tasks)

    def _watch_deadline(self) -> None:
        """Wake the reader once it is late; timers may ring a little early."""
        left_s = None if self._deadline is None else self._deadline.left_s
        if left_s:
            loop = asyncio.get_running_loop()
            self._late = loop.call_later(left_s, self._watch_deadline)
        elif left_s is not None:
            self._wake_reader()

    def _check_deadline(self) -> None:
        if self._deadline is not None and self._deadline.is_past:
            raise self._deadline.error()

    def _take(self) -> Batch:
        """All events that have arrived."""
        batch, self._arrived = self._arrived, []
        if self._tasks:
            self._has_space.set()
        for index, stream in self._pushed.items():
            if index in self._open:
                batch += [(index, event) for event in stream.take()]
        return batch

    def _note(self, event: Event) -> None:
        """Wake the reader: a pushed stream has an event."""
        self._wake_reader()

    async def _pump(self, index: int, stream: EventStream) -> None:
        async for event in events_of(stream):
            await self._put(index, event)

    async def _put(self, index: int, event: Event) -> None:
        while len(self._arrived) >= 2 * len(self._streams):
            self._has_space.clear()
            await self._has_space.wait()
        self._arrived.append((index, event))
        self._wake_reader()

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


class _Silence:
    """Calls back after some seconds without a restart; one timer serves any number of waits."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.is_over = False
        self._call: Callable[[], None] | None = call
        self._loop: asyncio.AbstractEventLoop | None = None
        self._length_s = self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, loop: asyncio.AbstractEventLoop, length_s: float) -> None:
        """Wait for the first time."""
        self._loop, self._length_s = loop, length_s
        self.restart()

    def restart(self) -> None:
        """Wait anew, once it has begun."""
        if self._loop is None or self._call is None:
            return
        self.is_over, self._due_s = False, self._loop.time() + self._length_s
        if self._timer is None:
            self._timer = self._loop.call_at(self._due_s, self._ring, self._loop)

    def end(self) -> None:
        """Cancel the timer for good, and forget whom it calls, who has this."""
        self._call = None
        if self._timer is not None:
            self._timer.cancel()

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if loop.time() < self._due_s:
            self._timer = loop.call_at(self._due_s, self._ring, loop)
        elif self._call is not None:
            self.is_over = True
            self._call()


async def close_all(streams: Sequence[EventStream], tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel the tasks that read streams, and abort the requests that have not ended."""
    try:
        if tasks:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        for stream in streams:
            await stream.aclose()


async def events_of(stream: EventStream) -> AsyncGenerator[Event, None]:
    """Events up to the last one; a `Failure` is in its place if there is none."""
    message = "the engine ended it without a reason"
    try:
        async for event in stream:
            yield event
            if is_last(event):
                return
    except Exception:
        logger.exception("the events of a request could not be read")
        message = "the server failed; its log says why"
    yield Failure("", message)


def failure_of(index: int, event: Event) -> RequestFailed | None:
    """The error of a choice's last event; None if it ended well."""
    if isinstance(event, Failure):
        status, message = FAILURE_STATUS[event.code], f"choice {index} failed: {event.message}"
        return RequestFailed(message, status=status, code=event.code)
    finish = event.finish if isinstance(event, Delta) else None
    if finish is None or finish.reason is not FinishReason.ABORT:
        return None
    return RequestFailed(f"choice {index} was aborted by the server", status=503, code="aborted")


def _without_stale(batch: Batch) -> Batch:
    """The batch with only the latest refinement of each stream."""
    latest = {i: event for i, event in batch if isinstance(event, Refinement)}
    return [
        (i, event) for i, event in batch if not isinstance(event, Refinement) or latest[i] is event
    ]
