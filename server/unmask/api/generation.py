"""Endpoint of a path that generates: from a request of one dialect to its answer or stream."""

from collections.abc import Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Generic

from starlette.requests import Request
from starlette.responses import Response

from unmask.api.backend import Backend
from unmask.api.body import read_body
from unmask.api.clients import client_of
from unmask.api.connection import WhileConnected
from unmask.api.deadline import header_timeout_s
from unmask.api.dialect import BodyT, Dialect
from unmask.api.gate import Visit
from unmask.api.gathering import Gathering
from unmask.api.logprobs import TokenTexts
from unmask.api.preparation import prepare
from unmask.api.sampling import renamed
from unmask.api.sse import EventStreamResponse, to_json
from unmask.api.streams import submit_all
from unmask.errors import EngineStarting, QueueFull, RateLimited, UnmaskError
from unmask.metrics import Metrics
from unmask.types import Delta
from unmask.usage import ClientLimits

REASONS: dict[type, str] = {
    EngineStarting: "loading",
    QueueFull: "queue_full",
    RateLimited: "rate_limited",
}
"""Reasons of refusals by their error; all others are invalid requests."""


class GenerationEndpoint(Generic[BodyT]):
    """Answers requests of one dialect; made once, with all that it needs at hand."""

    def __init__(self, dialect: Dialect[BodyT], backend: Backend, texts: TokenTexts) -> None:
        config = backend.config
        self._dialect, self._backend, self._texts = dialect, backend, texts
        self._limits = ClientLimits.of_settings(config)
        self._refusals = _Refusals(backend.metrics)
        self._ping_s, self._max_unread_bytes = config.ping_interval_s, config.max_unread_mib * 2**20

    async def respond(self, request: Request) -> Response:
        """The answer to a request, or a response that streams it."""
        scope, gate = request.scope, self._backend.gate
        with self._refusals:
            timeout_s = header_timeout_s(scope)
            visit = gate.enter(client_of(scope, self._limits))
        visit.deadline.limit(timeout_s)
        try:
            with visit.deadline:
                return await self._respond(request, visit)
        except BaseException:
            visit.leave()
            raise

    async def _respond(self, request: Request, visit: Visit) -> Response:
        dialect, backend = self._dialect, self._backend
        with self._refusals:
            body = await read_body(request, dialect.body, backend)
            visit.deadline.limit(body.timeout)
            job = await prepare(dialect, body, backend, visit)
        writer = dialect.writer(job, body, backend.client.tokenizer, self._texts)
        streams_answer = bool(body.stream)
        del body  # it may have images of many megabytes
        with renamed(job.field_names):
            streams = await submit_all(backend.client, job.submitted)
        visit.submitted(job.num_prompt_tokens)
        num_choices = len(job.requests) if job.generates else 0
        if streams_answer:
            limits = self._ping_s, self._max_unread_bytes
            return EventStreamResponse(writer, streams, *limits, visit, num_choices)
        gathering = Gathering(streams, num_choices)
        whole = writer.whole(await self._gathered(request, gathering, visit))
        return Response(to_json(whole), media_type="application/json")

    async def _gathered(
        self, request: Request, gathering: Gathering, visit: Visit
    ) -> Sequence[Delta]:
        """All of each stream, unless the client leaves before its end."""
        async with aclosing(gathering):
            try:
                with WhileConnected(request.scope, request.receive):
                    return await gathering.answers()
            finally:
                visit.leave(gathering.num_tokens)


class _Refusals:
    """Counts requests that are refused before they are submitted; the engine counts the rest."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, UnmaskError):
            self._metrics.refused.labels(REASONS.get(type(error), "invalid")).inc()
