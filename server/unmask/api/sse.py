"""Server-sent events: their encoding, and a response that sends them as they come."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing, suppress
from functools import partial

import pydantic_core
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from unmask.api.connection import WhileConnected
from unmask.api.dialect import AnswerWriter
from unmask.api.gate import Visit
from unmask.api.streams import Merger
from unmask.api.unread import UnreadLimit
from unmask.client import EventStream

PING = b": ping\n\n"
DONE = b"data: [DONE]\n\n"
# JSON does not escape these, and clients that use `splitlines` would break events there.
LINE_BREAKS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}

to_json = partial(pydantic_core.to_json, inf_nan_mode="null")


def encode(value: Mapping[str, object]) -> bytes:
    """One event."""
    return frame(to_json(value))


def frame(text: bytes) -> bytes:
    """One event whose data is JSON already."""
    if not text.isascii():
        text = text.decode().translate(LINE_BREAKS).encode()
    return b"data: %b\n\n" % text


class EventStreamResponse(Response):
    """Sends events as they come; when the client disconnects, its requests are aborted."""

    def __init__(
        self,
        writer: AnswerWriter,
        streams: Sequence[EventStream],
        ping_s: float,
        max_unread_bytes: int,
        visit: Visit | None = None,
        num_choices: int | None = None,
    ) -> None:
        super().__init__(media_type="text/event-stream")
        del self.headers["content-length"]
        self.headers["cache-control"] = "no-cache"
        self.headers["x-accel-buffering"] = "no"
        self._writer = writer
        self._streams = streams
        self._ping_s = ping_s
        self._max_unread_bytes = max_unread_bytes
        self._visit = visit
        self._num_choices = num_choices

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        deadline = None if self._visit is None else self._visit.deadline
        async with aclosing(Merger(self._streams, deadline, self._num_choices)) as merger:
            try:
                with (
                    suppress(ClientDisconnect),
                    UnreadLimit(merger, self._max_unread_bytes),
                    WhileConnected(scope, receive),
                ):
                    await self._send_all(merger, send)
            finally:
                if self._visit is not None:
                    self._visit.leave(merger.num_tokens)

    async def _send_all(self, merger: Merger, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with aclosing(self._writer.frames(merger, self._ping_s)) as frames:
            async for data in frames:
                await send({"type": "http.response.body", "body": data, "more_body": True})
                merger.sent()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
