"""A request's bytes, bounded and checked, as a pydantic model; every error names its field."""

import codecs
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from fastapi import Request
from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json
from starlette.requests import ClientDisconnect

from unmask.api.backend import Backend
from unmask.api.body_budget import HeldBody
from unmask.api.errors import BodyTooLarge, json_excerpt
from unmask.api.fields import Body
from unmask.api.headers import header
from unmask.api.requests import MAX_CHOICES
from unmask.api.unsupported import refuse_unsupported
from unmask.errors import InvalidRequest, context_exceeded
from unmask.types import MAX_STOP_STRINGS, ModelInfo

BodyT = TypeVar("BodyT", bound=Body)

MAX_MESSAGES = 4096  # of a conversation, their parts included
PARTS = ("content", "tool_calls", "output", "summary")
CONTAINERS = (list, dict)
JSON_TYPES = {
    "tuple_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "must be a whole number of fewer digits",
    "finite_number": "must be a finite number",
}
"""Messages for errors that pydantic tells in words of Python, or with the value in them."""
MAX_TOOLS = 512
MAX_FIELDS = 200  # of an object
NAMES_PER_NODE = 4  # four names of fields parse as fast as one list or object
LIMITED: Mapping[str, tuple[Callable[[ModelInfo], int], str]] = {
    "stop": (lambda _: MAX_STOP_STRINGS, "strings"),
    "stop_token_ids": (lambda info: info.vocab_size, "token ids"),
    "allowed_token_ids": (lambda info: info.vocab_size, "token ids"),
    "logit_bias": (lambda info: info.vocab_size, "token ids"),
    "messages": (lambda _: MAX_MESSAGES, "messages"),
    "tools": (lambda _: MAX_TOOLS, "tools"),
    "tokens": (lambda info: max(info.max_model_len, MAX_CHOICES), "token ids"),
}
"""Most items of fields by model, and their names."""
MAX_NODES = 200_000  # lists and objects, some 50 ms of parsing
NODES_PER_TOKEN = 4


async def read_body(request: Request, model: type[BodyT], backend: Backend) -> BodyT:
    """Read and validate a JSON body; raises `InvalidRequest` and `BodyTooLarge`."""
    media = header(request.scope, b"content-type").partition(";")[0].strip().lower()
    if media != "application/json" and not media.endswith("+json"):
        raise InvalidRequest(
            f"the Content-Type header must be application/json, got {json_excerpt(media)}"
        )
    coding = header(request.scope, b"content-encoding")
    if coding and coding.lower() != "identity":
        raise InvalidRequest(
            f"the body must not be compressed, got Content-Encoding {json_excerpt(coding)}"
        )
    with backend.bodies.body() as held:
        content = await _read_bytes(request, backend.max_body_bytes, held)
        # Two bytes count as a character: bodies have many small items, slower to parse than text.
        return await backend.workers.run(
            lambda: _parse(content, model, backend.client.model), len(content) // 2
        )


async def _read_bytes(request: Request, max_bytes: int, held: HeldBody) -> bytes:
    announced = header(request.scope, b"content-length")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    content: bytes | bytearray = b""
    has_more = True
    while has_more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        content = _joined(content, message.get("body", b""))
        if len(content) > max_bytes:
            raise _too_large(max_bytes)
        held.grow(len(content))
        has_more = message.get("more_body", False)
    return bytes(content)


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"the body is longer than {max_bytes} bytes, which server.max_body_mib allows"
    )


def _joined(content: bytes | bytearray, chunk: bytes) -> bytes | bytearray:
    """Bytes and those behind them; most bodies come in one piece, which is not copied."""
    if not content:
        return chunk
    if isinstance(content, bytes):
        content = bytearray(content)
    content += chunk
    return content


def _parse(content: bytes, model: type[BodyT], info: ModelInfo) -> BodyT:
    """Validate a JSON body; raises `InvalidRequest` for the first error in it."""
    _check_density(content, info)
    try:
        value = from_json(content.removeprefix(codecs.BOM_UTF8))
    except ValueError as error:
        raise InvalidRequest(f"the body is not JSON: {error}", code="invalid_json") from None
    _check_counts(value, info)
    try:
        body: BodyT = model.__pydantic_validator__.validate_python(value)
    except ValidationError as error:
        raise _as_invalid(error.errors(include_url=False)[0]) from None
    refuse_unsupported(body)
    return body


def _as_invalid(error: ErrorDetails) -> InvalidRequest:
    path = ""
    for part in error["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    if not path:
        return InvalidRequest("the body must be a JSON object")
    if error["type"] == "missing":
        return InvalidRequest(f"{path} is required", field=path, code="missing_required_parameter")
    reason = JSON_TYPES.get(error["type"]) or error["msg"].removeprefix("Value error, ")
    if error["type"] == "literal_error":
        reason = f"must be {error['ctx']['expected']}"
    return InvalidRequest(f"{path}: {reason}, got {json_excerpt(error['input'])}", field=path)


def _check_density(content: bytes, info: ModelInfo) -> None:
    """Raise `InvalidRequest` for JSON with more lists, objects and names than parse in time.

    Brackets within a string count too, but a string with that many exceeds the context anyway.
    """
    number = content.count(b"[") + content.count(b"{") + content.count(b'":') // NAMES_PER_NODE
    limit = max(MAX_NODES, NODES_PER_TOKEN * info.max_model_len)
    if number > limit:
        raise InvalidRequest(
            f"the body may have at most {limit} lists, objects and names, got {number}"
        )


def _check_counts(value: Any, info: ModelInfo) -> None:
    """Raise `InvalidRequest` for more items than any request of this model may have.

    `value` is not validated yet: other types where a list belongs are skipped here.
    """
    if not isinstance(value, dict):
        return
    _check(len(value), MAX_FIELDS, "the body", "fields", None)
    for field, (most, items) in LIMITED.items():
        if field in value:
            _check(_length(value[field]), most(info), field, items, field)
    _check_prompt(value.get("prompt"), info.max_model_len)
    for field in ("messages", "input"):
        _check_messages(value.get(field), field)


def _check_prompt(prompt: Any, max_model_len: int) -> None:
    if not isinstance(prompt, list) or not prompt:
        return
    if isinstance(prompt[0], str | list):
        _check(len(prompt), MAX_CHOICES, "prompt", "prompts", "prompt")
        longest = max((len(ids) for ids in prompt if isinstance(ids, list)), default=0)
    else:
        longest = len(prompt)
    if longest >= max_model_len:
        raise context_exceeded(max_model_len, f"a prompt has {longest} tokens", "prompt")


def _check_messages(messages: Any, field: str) -> None:
    if not isinstance(messages, list):
        return
    turns = [message for message in messages if isinstance(message, dict)]
    parts = sum([_length(turn[name]) for turn in turns for name in PARTS if name in turn])
    _check(len(messages) + parts, MAX_MESSAGES, field, "messages and parts", field)
    for turn in turns:
        _check(len(turn), MAX_FIELDS, "a message", "fields", field)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, CONTAINERS) else 0


def _check(number: int, limit: int, subject: str, items: str, field: str | None) -> None:
    if number > limit:
        raise InvalidRequest(
            f"{subject} may have at most {limit} {items}, got {number}", field=field
        )
