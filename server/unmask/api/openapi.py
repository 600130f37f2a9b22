"""Bodies and errors in `/openapi.json`, which routes make unknown to FastAPI, and answers."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from unmask.api.answers import Answer
from unmask.api.requests import Body, ChatBody, CompletionBody, DetokenizeBody, TokenizeBody

REF = "#/components/schemas/{model}"
OPTIONAL_TEXT = {"type": ["string", "null"]}
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"enum": ["invalid_request_error", "server_error"]},
                "param": OPTIONAL_TEXT | {"description": "path of the field that is wrong"},
                "code": OPTIONAL_TEXT,
            },
        }
    },
}
OWN_ERRORS = ("HTTPValidationError", "ValidationError")  # FastAPI's, which no route answers with
RETRY_AFTER = {"schema": {"type": "integer"}, "description": "seconds to wait"}
EVENTS = {"text/event-stream": {"schema": {"type": "string"}}}
Responses = dict[int | str, dict[str, Any]]
BODIES: tuple[type[Body], ...] = (CompletionBody, ChatBody, TokenizeBody, DetokenizeBody)


def json_body(kind: type[Body]) -> dict[str, Any]:
    """What a route says of the body it reads."""
    schema = {"$ref": REF.format(model=kind.__name__)}
    content = {"application/json": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


def answers(kind: type[Answer], *, streams: bool = False) -> Responses:
    """What a route answers with, as events too if it `streams`."""
    return {200: {"model": kind, "content": EVENTS if streams else {}}}


def errors(*statuses: int) -> Responses:
    """Errors that a route may answer with; 401 is what callers get without a key that is set."""
    told: Responses = {}
    for status in statuses:
        schema = {"$ref": REF.format(model="Error")}
        told[status] = {
            "description": HTTPStatus(status).phrase,
            "content": {"application/json": {"schema": schema}},
        }
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            told[status]["headers"] = {"Retry-After": RETRY_AFTER}
    return told


def install_schema(app: FastAPI) -> None:
    """Let `app` describe its bodies, answers and errors."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                routes=app.routes,
                separate_input_output_schemas=False,
            )
            _, bodies = models_json_schema([(b, "validation") for b in BODIES], ref_template=REF)
            known = schema["components"]["schemas"]
            known |= bodies["$defs"] | {"Error": ERROR}
            for name in OWN_ERRORS:
                known.pop(name, None)
            for path in schema["paths"].values():
                for operation in path.values():
                    operation["responses"].pop("422", None)  # FastAPI's own; here it is 400
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
