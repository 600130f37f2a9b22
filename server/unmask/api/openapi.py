"""`/openapi.json`: answers, and the bodies and errors that FastAPI does not see."""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, get_args

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from unmask.api.fields import Body
from unmask.api.response_models import ErrorType
from unmask.api.unsupported import ignored_patterns

REF = "#/components/schemas/{model}"
OPTIONAL_TEXT = {"type": ["string", "null"]}
FASTAPI_ERRORS = ("HTTPValidationError", "ValidationError")  # never sent
RETRY_AFTER = {"schema": {"type": "integer"}, "description": "seconds to wait"}
EVENT = {
    "type": "object",
    "description": "each event; its data is a chunk as JSON, and [DONE] at the end",
    "required": ["data"],
    "properties": {"data": {"type": "string"}},
}
EVENTS = {"text/event-stream": {"schema": EVENT}}
ResponseDocs = dict[int | str, dict[str, Any]]  # as FastAPI takes them, by status


def document_body(model: type[Body]) -> dict[str, Any]:
    """The body of a route that reads it with `read_body`."""
    schema = {"$ref": REF.format(model=model.__name__)}
    content = {"application/json": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


def document(answer: type, *, streams: bool = False) -> ResponseDocs:
    """A route's answer with status 200; with `streams`, it may also be events."""
    schema = {"$ref": REF.format(model=answer.__name__)}
    return {
        200: {"content": {"application/json": {"schema": schema}} | (EVENTS if streams else {})}
    }


def error_schema(types: Iterable[str]) -> dict[str, Any]:
    """Schema of an envelope whose error is of one of some types."""
    error = {
        "type": "object",
        "required": ["message", "type", "param", "code"],
        "properties": {
            "message": {"type": "string"},
            "type": {"enum": list(types)},
            "param": OPTIONAL_TEXT | {"description": "path of the field that is wrong"},
            "code": OPTIONAL_TEXT,
        },
    }
    return {"type": "object", "required": ["error"], "properties": {"error": error}}


def document_errors(*statuses: int, model: str = "Error") -> ResponseDocs:
    """Errors that a route may answer with; 401 is for requests without the key, if one is set."""
    responses: ResponseDocs = {}
    for status in statuses:
        schema = {"$ref": REF.format(model=model)}
        responses[status] = {
            "description": HTTPStatus(status).phrase,
            "content": {"application/json": {"schema": schema}},
        }
        if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
            responses[status]["headers"] = {"Retry-After": RETRY_AFTER}
    return responses


def install_schema(app: FastAPI, bodies: Sequence[type[Body]], answers: Sequence[type]) -> None:
    """Describe `bodies`, `answers` and errors in the schema of `app`.

    FastAPI would derive the schema of each route's answer whenever an application is made, which
    takes longer than all the rest.
    """

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                routes=app.routes,
                separate_input_output_schemas=False,
            )
            _, models = models_json_schema([(b, "validation") for b in bodies], ref_template=REF)
            for model in models["$defs"].values():
                close(model)
            schemas = schema["components"]["schemas"]
            schemas |= _answer_schemas(answers) | models["$defs"]
            schemas["Error"] = error_schema(get_args(ErrorType))
            for name in FASTAPI_ERRORS:
                schemas.pop(name, None)
            for path in schema["paths"].values():
                for operation in path.values():
                    operation["responses"].pop(
                        "422", None
                    )  # FastAPI's status of invalid bodies; here it is 400
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _answer_schemas(answers: Sequence[type]) -> dict[str, Any]:
    """Schemas of answers and of all types in them, by name."""
    _, models = TypeAdapter.json_schemas(
        [(answer, "serialization", TypeAdapter(answer)) for answer in answers], ref_template=REF
    )
    schemas: dict[str, Any] = models["$defs"]
    return schemas


def close(schema: dict[str, Any]) -> None:
    """Refuse fields of a body that are unknown and not null, as `refuse_unsupported` does."""
    if schema.get("additionalProperties") is True:
        schema["additionalProperties"] = {"type": "null"}
        schema["patternProperties"] = ignored_patterns(schema["properties"])
