"""Events of several requests gathered until all have ended, for answers in one piece."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from unmask.api.errors import RequestFailed
from unmask.api.request_record import current_record
from unmask.api.streams import close_all, events_of, failure_of
from unmask.client import EventStream, PushedStream
from unmask.types import Delta, Event


class Gathering:
    """Takes the events of requests as they come; use it in `contextlib.aclosing`."""

    def __init__(self, streams: Sequence[EventStream], num_choices: int | None = None) -> None:
        """The first `num_choices` write answers, by default all; the others read prompts."""
        self._streams = streams
        self._num_choices = len(streams) if num_choices is None else num_choices
        self._record = current_record()
        self._deltas: list[list[Delta]] = [[] for _ in streams]
        self._num_open, self._has_token = len(streams), False
        self._error: RequestFailed | None = None
        self._end = asyncio.get_running_loop().create_future()
        self._tasks: list[asyncio.Task[None]] = []
        for i, stream in enumerate(streams):
            take = partial(self._take, i)
            if isinstance(stream, PushedStream):
                stream.forward(take)
            else:
                self._tasks.append(asyncio.create_task(_read(stream, take)))

    @property
    def num_tokens(self) -> int:
        """Tokens of answers so far, and those that are held back."""
        answers, streams = self._deltas[: self._num_choices], self._streams[: self._num_choices]
        told = sum([len(delta.token_ids) for deltas in answers for delta in deltas])
        return told + sum(s.num_held for s in streams if isinstance(s, PushedStream))

    async def answers(self) -> list[Delta]:
        """All deltas of each request as a single one; raises `RequestFailed`."""
        try:
            if self._num_open and self._error is None:
                await self._end
            if self._error is not None:
                raise self._error
        except BaseException:
            self._record.num_tokens = self.num_tokens  # an answer notes its own
            raise
        return [Delta.joined(deltas) for deltas in self._deltas]

    async def aclose(self) -> None:
        """Abort the requests that have not ended."""
        tasks, self._tasks = self._tasks, []  # cancelled ones have frames, which have this
        await close_all(self._streams, tasks)

    def _take(self, index: int, event: Event) -> None:
        if isinstance(event, Delta):
            self._deltas[index].append(event)
            if not self._has_token and event.token_ids and index < self._num_choices:
                self._has_token = True
                self._record.note_token()
            if event.finish is None:
                return
        self._error = self._error or failure_of(index, event)
        self._num_open -= 1
        if not self._end.done() and (self._error is not None or not self._num_open):
            self._end.set_result(None)


async def _read(stream: EventStream, take: Callable[[Event], None]) -> None:
    async for event in events_of(stream):
        take(event)
