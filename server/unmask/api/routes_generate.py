"""`/v1/completions`, `/v1/chat/completions` and `/v1/responses`."""

from collections.abc import Iterator
from contextlib import aclosing, contextmanager

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from unmask.api.answer import gather
from unmask.api.answers import ChatCompletion, Completion
from unmask.api.backend import Backend
from unmask.api.body import read_body
from unmask.api.formats import format_of
from unmask.api.job import Job, prepare
from unmask.api.logprobs import TokenTexts
from unmask.api.openapi import Responses, answers, errors, json_body
from unmask.api.requests import ChatBody, CompletionBody
from unmask.api.responses import (
    NAMES,
    ResponseFormat,
    ResponsesBody,
    ResponseWriter,
    gather_response,
)
from unmask.api.sampling import field_names, renamed
from unmask.api.stream import EventStreamResponse, Writer
from unmask.api.streams import Merger, submit_all, while_connected
from unmask.errors import EngineStarting, UnmaskError

FAILURES = errors(400, 401, 404, 413, 500, 503)
COMPLETIONS: Responses = answers(Completion, streams=True) | FAILURES
CHATS: Responses = answers(ChatCompletion, streams=True) | FAILURES


def generation_routes(backend: Backend) -> APIRouter:
    """The routes that make the engine work."""
    router = APIRouter()
    client = backend.client
    texts = TokenTexts(lambda token_id: client.tokenizer.token_text(token_id))

    @contextmanager
    def counting_refusals() -> Iterator[None]:
        try:
            yield
        except UnmaskError as error:
            reason = "loading" if isinstance(error, EngineStarting) else "invalid"
            backend.metrics.refused.labels(reason).inc()
            raise

    async def generate(request: Request, body: CompletionBody | ChatBody, job: Job) -> Response:
        with renamed(field_names(body)):
            streams = await submit_all(client, job.requests)
        form = format_of(job, body, texts)
        if body.stream:
            return EventStreamResponse(Writer(job, form), streams, backend.config.ping_interval_s)
        async with aclosing(Merger(streams)) as merger:
            answer = await while_connected(request.receive, gather(job, merger, form))
        return JSONResponse(answer)

    @router.post("/v1/completions", openapi_extra=json_body(CompletionBody), responses=COMPLETIONS)
    async def completions(request: Request) -> Response:
        """Continue a prompt, or many."""
        with counting_refusals():
            body = await read_body(request, CompletionBody, backend)
            job = await prepare(body, backend, "cmpl")
        return await generate(request, body, job)

    @router.post("/v1/chat/completions", openapi_extra=json_body(ChatBody), responses=CHATS)
    async def chat(request: Request) -> Response:
        """Answer a conversation."""
        with counting_refusals():
            body = await read_body(request, ChatBody, backend)
            job = await prepare(body, backend, "chatcmpl")
        return await generate(request, body, job)

    @router.post("/v1/responses", include_in_schema=False)
    async def responses(request: Request) -> Response:
        """Answer a conversation in the words of OpenAI's newer API."""
        with counting_refusals():
            body = await read_body(request, ResponsesBody, backend)
            asked = body.to_chat()
            with renamed(NAMES):
                job = await prepare(asked, backend, "resp")
        with renamed(NAMES), renamed(field_names(asked)):
            streams = await submit_all(client, job.requests)
        answer = ResponseFormat(job, body)
        if body.stream:
            writer = ResponseWriter(job, answer)
            return EventStreamResponse(writer, streams, backend.config.ping_interval_s)
        async with aclosing(Merger(streams)) as merger:
            told = await while_connected(request.receive, gather_response(job, merger, answer))
        return JSONResponse(told)

    return router
