"""A request's bytes, bounded and checked, as a pydantic model; every mistake names its field."""

from typing import Any, TypeVar

from fastapi import Request
from pydantic import ValidationError
from pydantic_core import from_json

from unmask.api.backend import Backend
from unmask.api.counts import check_counts, check_density
from unmask.api.errors import BodyTooLarge
from unmask.api.fields import Body
from unmask.api.neutral import refuse_unsupported
from unmask.api.spelling import spell
from unmask.errors import InvalidRequest
from unmask.types import ModelInfo

BodyT = TypeVar("BodyT", bound=Body)


async def read_body(request: Request, kind: type[BodyT], backend: Backend) -> BodyT:
    """Read and validate a JSON body; raises `InvalidRequest` and `BodyTooLarge`."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json" and not media.endswith("+json"):
        raise InvalidRequest(
            f"the Content-Type header must be application/json, got {spell(media)}"
        )
    content = await _read_bytes(request, backend.config.max_body_mib * 2**20)
    # Two bytes a character: items are small, and each takes longer than its text.
    return await backend.workers.run(
        lambda: parse(content, kind, backend.client.model), len(content) // 2
    )


def parse(content: bytes, kind: type[BodyT], model: ModelInfo) -> BodyT:
    """Validate a JSON body; raises `InvalidRequest` for the first thing wrong with it."""
    check_density(content, model)
    try:
        value = from_json(content)
    except ValueError as error:
        raise InvalidRequest(f"the body is not JSON: {error}", code="invalid_json") from None
    check_counts(value, model)
    try:
        body = kind.model_validate(value)
    except ValidationError as error:
        raise _as_invalid(error.errors(include_url=False)[0]) from None
    refuse_unsupported(body)
    return body


async def _read_bytes(request: Request, max_bytes: int) -> bytes:
    too_large = BodyTooLarge(f"the body is longer than {max_bytes} bytes")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise too_large
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > max_bytes:
            raise too_large
    return bytes(content)


def _as_invalid(error: Any) -> InvalidRequest:
    path = ""
    for part in error["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    if not path:
        return InvalidRequest("the body must be a JSON object")
    if error["type"] == "missing":
        return InvalidRequest(f"{path} is required", field=path, code="missing_required_parameter")
    reason = error["msg"].removeprefix("Value error, ")
    return InvalidRequest(f"{path}: {reason}, got {spell(error['input'])}", field=path)
