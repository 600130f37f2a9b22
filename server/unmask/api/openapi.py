"""Bodies in `/openapi.json`: the routes read them by themselves, so FastAPI does not know them."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from unmask.api.fields import Body
from unmask.api.schemas import ChatBody, CompletionBody, DetokenizeBody, TokenizeBody

REF = "#/components/schemas/{model}"
BODIES: tuple[type[Body], ...] = (CompletionBody, ChatBody, TokenizeBody, DetokenizeBody)


def json_body(kind: type[Body]) -> dict[str, Any]:
    """What a route says of the body it reads."""
    schema = {"$ref": REF.format(model=kind.__name__)}
    content = {"application/json": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


def install_schema(app: FastAPI) -> None:
    """Let `app` describe its bodies."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
            _, bodies = models_json_schema([(b, "validation") for b in BODIES], ref_template=REF)
            schema.setdefault("components", {})["schemas"] = bodies["$defs"]
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
