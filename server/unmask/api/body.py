"""A request's bytes, bounded and checked, as a pydantic model; every mistake names its field."""

from typing import Any, TypeVar

from fastapi import Request
from pydantic import ValidationError

from unmask.api.errors import BodyTooLarge
from unmask.api.fields import Body
from unmask.api.neutral import refuse_unsupported, shorten
from unmask.errors import InvalidRequest

MAX_BODY_BYTES = 16 * 2**20

BodyT = TypeVar("BodyT", bound=Body)


async def read_body(request: Request, kind: type[BodyT]) -> BodyT:
    """Read and validate a JSON body; raises `InvalidRequest` and `BodyTooLarge`."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json" and not media.endswith("+json"):
        raise InvalidRequest(
            f"the Content-Type header must be application/json, got {shorten(media)}"
        )
    body = parse(await _read_bytes(request), kind)
    refuse_unsupported(body)
    return body


def parse(content: bytes, kind: type[BodyT]) -> BodyT:
    """Validate a JSON body; raises `InvalidRequest` for the first thing wrong with it."""
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise _as_invalid(error.errors(include_url=False)[0]) from None


async def _read_bytes(request: Request) -> bytes:
    too_large = BodyTooLarge(f"the body is longer than {MAX_BODY_BYTES} bytes")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > MAX_BODY_BYTES:
        raise too_large
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            raise too_large
    return bytes(content)


def _as_invalid(error: Any) -> InvalidRequest:
    if error["type"] == "json_invalid":
        return InvalidRequest(f"the body is not JSON: {error['ctx']['error']}", code="invalid_json")
    path = ""
    for part in error["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    if not path:
        return InvalidRequest("the body must be a JSON object")
    if error["type"] == "missing":
        return InvalidRequest(f"{path} is required", field=path, code="missing_required_parameter")
    reason = error["msg"].removeprefix("Value error, ")
    return InvalidRequest(f"{path}: {reason}, got {shorten(error['input'])}", field=path)
