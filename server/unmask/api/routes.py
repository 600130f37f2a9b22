"""All routes: one for each dialect, and those for models, tokens, health, metrics and the page."""

import functools
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from unmask import __version__
from unmask.api.anthropic_bodies import CountBody
from unmask.api.backend import MAX_BODY_MIB, Backend
from unmask.api.body import read_body
from unmask.api.chat import CHAT
from unmask.api.completions import COMPLETIONS
from unmask.api.dialect import Dialect
from unmask.api.errors import STOPPED_RETRY_AFTER_S, ModelNotFound
from unmask.api.fields import Body
from unmask.api.fim import FIM
from unmask.api.generation import GenerationEndpoint
from unmask.api.images import images_of, read_images
from unmask.api.infill import INFILL
from unmask.api.logprobs import TokenTexts
from unmask.api.messages import MESSAGES, count_prompt_tokens
from unmask.api.openapi import RETRY_AFTER, ResponseDocs, document, document_body, document_errors
from unmask.api.playground import playground_page
from unmask.api.prompts import (
    check_messages,
    check_model,
    check_special_tokens,
    decode,
    encode_chat,
    encode_prompts,
    template_options,
)
from unmask.api.requests import DetokenizeBody, TemplateBody, TokenizeBody
from unmask.api.response_models import (
    CountedTokens,
    DetokenizedPrompt,
    Liveness,
    ModelCard,
    ModelList,
    Readiness,
    RenderedPrompt,
    TokenizedPrompt,
    TokenizerInfo,
    Version,
)
from unmask.api.responses import RESPONSES
from unmask.api.tools.grammar import tools_to_render
from unmask.errors import EngineStarting, InvalidRequest
from unmask.types import ModelInfo

DIALECTS: Sequence[Dialect[Any]] = (
    CHAT,
    COMPLETIONS,
    RESPONSES,
    MESSAGES,
    FIM,
    INFILL,
)
OPERATIONS = {
    dialect.path: "text_completion" if dialect in (COMPLETIONS, FIM, INFILL) else "chat"
    for dialect in DIALECTS
}
"""Operations of paths that generate, in OpenTelemetry's words."""
PATHS = (
    *(dialect.path for dialect in DIALECTS),
    "/v1/models",
    "/tokenize",
    "/detokenize",
    "/apply-template",
    "/tokenizer_info",
    "/health",
    "/metrics",
)
"""Paths that a 404 lists."""
BODIES: Sequence[type[Body]] = (
    *(dialect.body for dialect in DIALECTS if dialect.answer is not None),
    TokenizeBody,
    DetokenizeBody,
    TemplateBody,
)
"""Bodies in /openapi.json."""
ANSWERS: Sequence[type] = (
    *(dialect.answer for dialect in DIALECTS if dialect.answer is not None),
    ModelList,
    ModelCard,
    TokenizedPrompt,
    DetokenizedPrompt,
    RenderedPrompt,
    TokenizerInfo,
    Version,
    Readiness,
    Liveness,
)
"""Answers in /openapi.json."""

Endpoint = Callable[[Request], Awaitable[Response]]
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def generation_endpoints(backend: Backend) -> list[tuple[Dialect[Any], Endpoint]]:
    """The endpoint of each dialect."""
    # Looked up late: there is no tokenizer before the model is loaded.
    texts = TokenTexts(
        lambda token_id: backend.client.tokenizer.token_text(token_id),
        lambda token_id: backend.client.tokenizer.token_bytes(token_id),
    )
    return [(d, GenerationEndpoint(d, backend, texts).respond) for d in DIALECTS]


def generation_routes(endpoints: Iterable[tuple[Dialect[Any], Endpoint]]) -> APIRouter:
    router = APIRouter()
    for dialect, endpoint in endpoints:
        responses: ResponseDocs = {}
        if dialect.answer is not None:
            responses = document(dialect.answer, streams=True)
            responses |= document_errors(400, 401, 404, 413, 429, 500, 503, 504)
        router.add_api_route(
            dialect.path,
            endpoint,
            methods=["POST"],
            name=dialect.name,
            description=dialect.description,
            response_model=None,
            openapi_extra=document_body(dialect.body),
            responses=responses,
            include_in_schema=dialect.answer is not None,
        )
    return router


def model_routes(backend: Backend) -> APIRouter:
    """Routes for the served model, its tokenizer and the version."""
    router = APIRouter()
    client = backend.client

    @router.get(
        "/v1/models", response_model=None, responses=document(ModelList) | document_errors(401, 503)
    )
    @router.head("/v1/models", response_model=None, include_in_schema=False)
    async def models() -> ModelList:
        """The one model that is served."""
        return {"object": "list", "data": [_card(client.model)]}

    @router.get(
        "/v1/models/{name:path}",
        response_model=None,
        responses=document(ModelCard) | document_errors(401, 404, 503),
    )
    @router.head("/v1/models/{name:path}", response_model=None, include_in_schema=False)
    async def model(name: str) -> ModelCard:
        """The model of that name."""
        if not name:
            raise ModelNotFound("no model is named; GET /v1/models lists the one that is served")
        check_model(name, client)
        return _card(client.model)

    refusals = document_errors(400, 401, 404, 413, 503)

    @router.post(
        "/tokenize",
        response_model=None,
        openapi_extra=document_body(TokenizeBody),
        responses=document(TokenizedPrompt) | refusals,
    )
    async def tokenize(request: Request) -> Response:
        """Token ids of a prompt or a conversation, as the engine would see them."""
        body = await read_body(request, TokenizeBody, backend)
        check_model(body.model, client)
        if (body.prompt is None) == (body.messages is None):
            raise InvalidRequest("send either prompt or messages", field="prompt")
        if body.messages is not None:
            check_messages(body.messages)
            check_special_tokens(body)
            tools = tools_to_render(body.tools or (), client.tokenizer.chat_template)
            images = await read_images(backend, images_of(body.messages))
            options = template_options(body, tools)
            ids = (await encode_chat(backend, body.messages, options, images)).token_ids
        else:
            (ids,) = await encode_prompts(
                backend,
                [body.prompt or ""],
                add_special_tokens=body.add_special_tokens is not False,
            )
        answer: TokenizedPrompt = {
            "count": len(ids),
            "max_model_len": client.model.max_model_len,
            "tokens": ids,
        }
        if body.return_token_strs:
            pieces = client.tokenizer.pieces
            answer["token_strs"] = await backend.workers.run(lambda: pieces(ids), len(ids))
        return JSONResponse(answer)  # skips FastAPI's encoder, which visits each id

    @router.post(
        "/detokenize",
        response_model=None,
        openapi_extra=document_body(DetokenizeBody),
        responses=document(DetokenizedPrompt) | refusals,
    )
    async def detokenize(request: Request) -> DetokenizedPrompt:
        """Text of token ids, special tokens spelled out."""
        body = await read_body(request, DetokenizeBody, backend)
        check_model(body.model, client)
        client.model.check_ids(body.tokens, "tokens")
        return {"prompt": await decode(backend, body.tokens)}

    @router.post(
        "/apply-template",
        response_model=None,
        openapi_extra=document_body(TemplateBody),
        responses=document(RenderedPrompt) | refusals,
    )
    async def apply_template(request: Request) -> RenderedPrompt:
        """Text of a conversation as the engine would see it; llama.cpp's."""
        body = await read_body(request, TemplateBody, backend)
        check_model(body.model, client)
        check_messages(body.messages)
        tools = tools_to_render(body.tools or (), client.tokenizer.chat_template)
        images = await read_images(backend, images_of(body.messages))
        chat = await encode_chat(backend, body.messages, template_options(body, tools), images)
        return {"prompt": await decode(backend, chat.token_ids)}

    @router.post("/v1/messages/count_tokens", response_model=None, include_in_schema=False)
    async def count_tokens(request: Request) -> CountedTokens:
        """Prompt tokens of a conversation; Anthropic's."""
        body = await read_body(request, CountBody, backend)
        check_model(body.model, client)
        return {"input_tokens": await count_prompt_tokens(body, backend)}

    @router.get(
        "/tokenizer_info",
        response_model=None,
        responses=document(TokenizerInfo) | document_errors(401, 503),
    )
    @router.head("/tokenizer_info", response_model=None, include_in_schema=False)
    async def tokenizer_info() -> TokenizerInfo:
        """Special tokens and chat template of the tokenizer; vLLM's, which lm-eval asks for."""
        tokenizer, model = client.tokenizer, client.model
        return {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": model.max_model_len,
            "vocab_size": model.vocab_size,
            "bos_token": tokenizer.text_of("bos_token"),
            "eos_token": tokenizer.text_of("eos_token"),
            "pad_token": tokenizer.text_of("pad_token"),
            "unk_token": tokenizer.text_of("unk_token"),
            "mask_token": tokenizer.text_of("mask_token"),
            "chat_template": tokenizer.text_of("chat_template"),
        }

    @router.get("/version", response_model=None, responses=document(Version) | document_errors(401))
    @router.head("/version", response_model=None, include_in_schema=False)
    async def version() -> Version:
        """The version of this package."""
        return {"version": __version__}

    return router


def _card(model: ModelInfo) -> ModelCard:
    return {
        "id": model.name,
        "object": "model",
        "created": model.created_s,
        "owned_by": "unmask",
        "max_model_len": model.max_model_len,
        "modes": model.modes,
        "input_modalities": ["text"] if model.images is None else ["text", "image"],
    }


def health_routes(backend: Backend) -> APIRouter:
    """Routes for probes and scrapers, without an API key."""
    router = APIRouter()
    readiness = document(Readiness)
    readiness[503] = {
        **readiness[200],
        "description": "no requests are taken; the same body",
        "headers": {"Retry-After": RETRY_AFTER},
    }

    @router.get("/health", responses=readiness)
    @router.head("/health", include_in_schema=False)
    @router.get("/health/ready", responses=readiness)
    @router.head("/health/ready", include_in_schema=False)
    async def ready() -> JSONResponse:
        """200 while requests are taken, 503 otherwise."""
        status = backend.client.status()
        body: Readiness = {
            "state": status.state,
            "detail": status.detail,
            "running": status.num_running,
            "waiting": status.num_waiting,
            "engines": len(status.loads),
            "engines_up": sum(load.is_up for load in status.loads),
        }
        if status.state == "ready":
            return JSONResponse(body)
        headers = {"retry-after": str(STOPPED_RETRY_AFTER_S)}
        return JSONResponse(body, status_code=503, headers=headers)

    liveness = document(Liveness)
    liveness[503] = {**liveness[200], "description": "the engine was given up; the same body"}

    @router.get("/health/live", responses=liveness)
    @router.head("/health/live", include_in_schema=False)
    async def live() -> JSONResponse:
        """200 while this process answers, 503 once its engine was given up: start it again."""
        failed = backend.client.status().state == "failed"
        body: Liveness = {"state": "failed" if failed else "live"}
        return JSONResponse(body, status_code=503 if failed else 200)

    @router.get("/metrics", response_class=PlainTextResponse)
    @router.head("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        """All metrics in the text format of Prometheus."""
        scrape = backend.scrape
        text = backend.metrics.render() if scrape is None else await scrape()
        return Response(text, headers={"content-type": METRICS_TYPE})

    return router


def page_routes(backend: Backend) -> APIRouter:
    """The playground: one page, no other files."""
    router = APIRouter()
    pages = functools.cache(playground_page)  # by the longest body

    @router.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def playground() -> HTMLResponse:
        try:
            most = backend.max_body_bytes
        except EngineStarting:
            most = MAX_BODY_MIB * 2**20
        return HTMLResponse(pages(most), headers={"content-security-policy": PAGE_POLICY})

    return router
