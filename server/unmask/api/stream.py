"""Server-sent events: final text as chunks, drafts beside them, one write per batch of events."""

import json
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from typing import Any, Protocol

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from unmask.api.answer import head
from unmask.api.errors import RequestFailed, stream_error
from unmask.api.formats import Format
from unmask.api.job import Job
from unmask.api.streams import Batch, Merger, while_connected
from unmask.api.usage import UsageTally
from unmask.client import EventStream
from unmask.types import Delta, RefinedToken, Refinement

PING = b": ping\n\n"
DONE = b"data: [DONE]\n\n"
_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
# JSON leaves these as they are, and clients that split text into lines would break on them.
LINE_BREAKS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


class Frames(Protocol):
    """Bytes of a stream."""

    def frames(self, merger: Merger, ping_s: float) -> AsyncGenerator[bytes, None]:
        """The body of the response."""
        ...


class EventStreamResponse(Response):
    """Sends events as they come; when the caller goes away, their requests are aborted."""

    def __init__(self, writer: Frames, streams: Sequence[EventStream], ping_s: float) -> None:
        super().__init__(media_type="text/event-stream")
        del self.headers["content-length"]
        self.headers["cache-control"] = "no-cache"
        self.headers["x-accel-buffering"] = "no"
        self._writer = writer
        self._streams = streams
        self._ping_s = ping_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        async with aclosing(Merger(self._streams)) as merger:
            with suppress(ClientDisconnect):
                await while_connected(receive, self._send_all(merger, send))

    async def _send_all(self, merger: Merger, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with aclosing(self._writer.frames(merger, self._ping_s)) as frames:
            async for frame in frames:
                await send({"type": "http.response.body", "body": frame, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class Writer:
    """Turns batches of events into bytes."""

    def __init__(self, job: Job, form: Format) -> None:
        self._job = job
        self._form = form
        self._tally = UsageTally(job)
        self._begun: set[int] = set()
        self._opening = _json(head(job, form.chunk))[:-1] + ',"choices":['

    async def frames(self, merger: Merger, ping_s: float) -> AsyncGenerator[bytes, None]:
        """The body of the response, an error in the middle included."""
        async with aclosing(merger.batches(ping_s)) as batches:
            try:
                async for batch in batches:
                    data = self._batch(batch) if batch else PING
                    if data:
                        yield data
            except RequestFailed as error:
                yield encode(stream_error(error)) + DONE
                return
        yield self._end()

    def _batch(self, batch: Batch) -> bytes:
        parts: list[bytes] = []
        for index, event in batch:
            assert isinstance(event, Delta | Refinement), "failures were raised"
            if index not in self._begun:
                self._begun.add(index)
                opening = self._form.opening(index)
                if opening is not None:
                    parts.append(self._chunk(opening, self._form.extra(index)))
            if isinstance(event, Refinement):
                extra = {"diffusion": diffusion(index, event)}
                parts.append(self._chunk(self._form.empty(index), extra))
                continue
            self._tally.add(index, event)
            if event.text or event.logprobs or event.finish or self._job.return_token_ids:
                parts.append(self._chunk(self._form.piece(index, event), {}))
        return b"".join(parts)

    def _chunk(self, choice: dict[str, Any], extra: dict[str, Any]) -> bytes:
        if self._job.include_usage:
            usage = self._tally.so_far() if self._job.continuous_usage else None
            extra = {**extra, "usage": usage}
        rest = "," + _json(extra)[1:] if extra else "}"
        return _event(f"{self._opening}{_json(choice)}]{rest}")

    def _end(self) -> bytes:
        if not self._job.include_usage:
            return DONE
        last = {**head(self._job, self._form.chunk), "choices": [], "usage": self._tally.total()}
        return encode(last) + DONE


def diffusion(index: int, event: Refinement) -> dict[str, Any]:
    """A refinement as clients see it."""
    told: dict[str, Any] = {
        "event": "refinement",
        "index": index,
        "block": event.block,
        "step": event.step,
        "max_steps": event.max_steps,
        "span": event.span,
        "unresolved": event.unresolved,
        "text": event.text,
    }
    if event.tokens is not None:
        told["tokens"] = [_token(token) for token in event.tokens]
    return told


def _token(token: RefinedToken) -> dict[str, Any]:
    confidence = round(token.confidence, 4) if math.isfinite(token.confidence) else None
    return {
        "id": token.token_id,
        "text": token.text,
        "confidence": confidence,
        "resolved": token.resolved,
    }


def encode(chunk: dict[str, Any]) -> bytes:
    """One event of a stream."""
    return _event(_json(chunk))


def _event(text: str) -> bytes:
    if not text.isascii():
        text = text.translate(LINE_BREAKS)
    return f"data: {text}\n\n".encode()
