"""What is served, and its tokenizer."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from unmask import __version__
from unmask.api.answers import (
    DetokenizedPrompt,
    ModelCard,
    ModelList,
    TokenizedPrompt,
    Version,
)
from unmask.api.backend import Backend
from unmask.api.body import read_body
from unmask.api.errors import ModelNotFound
from unmask.api.openapi import answers, errors, json_body
from unmask.api.prompts import (
    check_messages,
    check_model,
    decode,
    encode_chat,
    encode_prompts,
    template_options,
)
from unmask.api.requests import DetokenizeBody, TokenizeBody
from unmask.errors import InvalidRequest
from unmask.types import ModelInfo

REFUSALS = errors(400, 401, 404, 413, 503)


def model_routes(backend: Backend) -> APIRouter:
    """The routes that tell about the model."""
    router = APIRouter()
    client = backend.client

    @router.get("/v1/models", response_model=None, responses=answers(ModelList) | errors(401, 503))
    async def models() -> dict[str, Any]:
        """The one model that is served."""
        return {"object": "list", "data": [_card(client.model)]}

    found = answers(ModelCard) | errors(401, 404, 503)

    @router.get("/v1/models/{name:path}", response_model=None, responses=found)
    async def model(name: str) -> dict[str, Any]:
        """The model of that name."""
        if not name:
            raise ModelNotFound("no model is named; GET /v1/models lists the one that is served")
        check_model(name, client)
        return _card(client.model)

    @router.post(
        "/tokenize",
        response_model=None,
        openapi_extra=json_body(TokenizeBody),
        responses=answers(TokenizedPrompt) | REFUSALS,
    )
    async def tokenize(request: Request) -> Response:
        """Token ids of a prompt or a conversation, as the engine would see them."""
        body = await read_body(request, TokenizeBody, backend)
        check_model(body.model, client)
        if (body.prompt is None) == (body.messages is None):
            raise InvalidRequest("send either prompt or messages", field="prompt")
        if body.messages is not None:
            check_messages(body.messages)
            ids = await encode_chat(backend, body.messages, template_options(body))
        else:
            (ids,) = await encode_prompts(
                backend,
                [body.prompt or ""],
                add_special_tokens=body.add_special_tokens is not False,
            )
        told = {"count": len(ids), "max_model_len": client.model.max_model_len, "tokens": ids}
        return JSONResponse(told)

    @router.post(
        "/detokenize",
        response_model=None,
        openapi_extra=json_body(DetokenizeBody),
        responses=answers(DetokenizedPrompt) | REFUSALS,
    )
    async def detokenize(request: Request) -> dict[str, Any]:
        """Text of token ids, special tokens spelled out."""
        body = await read_body(request, DetokenizeBody, backend)
        check_model(body.model, client)
        client.model.check_ids(body.tokens, "tokens")
        return {"prompt": await decode(backend, body.tokens)}

    @router.get("/version", response_model=None, responses=answers(Version) | errors(401))
    async def version() -> dict[str, str]:
        """The version of this package."""
        return {"version": __version__}

    return router


def _card(model: ModelInfo) -> dict[str, Any]:
    return {
        "id": model.name,
        "object": "model",
        "created": model.created_s,
        "owned_by": "unmask",
        "max_model_len": model.max_model_len,
    }
