"""Errors as OpenAI's envelope: one table from exception to status, for bodies and for streams."""

import json
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from unmask.api.error_responses import ErrorResponse
from unmask.api.request_record import current_record
from unmask.api.response_models import ErrorEnvelope
from unmask.errors import (
    EngineStarting,
    EngineStopped,
    InvalidRequest,
    QueueFull,
    RateLimited,
    UnmaskError,
)
from unmask.types import FailureCode

STOPPED_RETRY_AFTER_S = 5
MAX_PATH = 200  # characters of a path in a message
MIN_ALIKE, MAX_ALIKE = 4, 40  # characters of names that are compared
ALIKE = 0.7  # share of a name that is the same in one that is meant, as difflib counts it
MAX_VALUE = 80  # characters of a value in a message
READING = frozenset({"GET", "HEAD"})  # a path has both of them or neither
CLIENT_CLOSED_REQUEST = 499  # nginx's code, for access logs and metrics only


FAILURE_STATUS: dict[FailureCode, int] = {"engine_failure": 500, "engine_stopped": 503}


class ModelNotFound(UnmaskError):
    """A request names a model that is not the one being served."""


class BodyTooLarge(UnmaskError):
    """A request body is longer than the server reads."""


class RequestFailed(UnmaskError):
    """A request failed after it was accepted; `status` is the HTTP status."""

    def __init__(self, message: str, *, status: int = 500, code: str = "engine_failure") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def envelope(
    status: int, message: str, *, param: str | None = None, code: str | None = None
) -> ErrorEnvelope:
    """The JSON object that OpenAI's clients turn into an exception.

    A message may tell of halves of surrogate pairs, which a JSON text in a field can spell and
    UTF-8 cannot.
    """
    return {
        "error": {
            "message": message.encode("utf-8", "backslashreplace").decode(),
            "type": "invalid_request_error" if status < 500 else "server_error",
            "param": param,
            "code": code,
        }
    }


def error_response(
    status: int,
    message: str,
    *,
    param: str | None = None,
    code: str | None = None,
    headers: dict[str, str] | None = None,
) -> ErrorResponse:
    return ErrorResponse(envelope(status, message, param=param, code=code), status, headers)


def respond(error: Exception) -> ErrorResponse:
    """The response to an `UnmaskError`; others are internal errors."""
    match error:
        case InvalidRequest():
            return error_response(400, error.message, param=error.field, code=error.code)
        case ModelNotFound():
            return error_response(404, str(error), param="model", code="model_not_found")
        case BodyTooLarge():
            return error_response(413, str(error), code="body_too_large")
        case QueueFull():
            headers = {"retry-after": str(error.retry_after_s)}
            return error_response(503, error.message, code="queue_full", headers=headers)
        case RateLimited():
            return rate_limited(error)
        case EngineStarting():
            headers = {"retry-after": str(STOPPED_RETRY_AFTER_S)}
            return error_response(503, str(error), code="model_loading", headers=headers)
        case EngineStopped():
            headers = {"retry-after": str(STOPPED_RETRY_AFTER_S)}
            return error_response(503, str(error), code="engine_stopped", headers=headers)
        case RequestFailed():
            note_failure(error)
            later = {"retry-after": str(STOPPED_RETRY_AFTER_S)} if error.status == 503 else None
            return error_response(error.status, str(error), code=error.code, headers=later)
    return internal_error()


def rate_limited(error: RateLimited) -> ErrorResponse:
    """The response to a client over one of its limits; the type is that limit, as at OpenAI."""
    body = envelope(429, error.message, code="rate_limit_exceeded")
    body["error"]["type"] = error.kind
    return ErrorResponse(body, 429, {"retry-after": str(error.retry_after_s)})


def internal_error() -> ErrorResponse:
    """The response to an unexpected exception; details are in the log only."""
    return error_response(500, "the server failed; its log says why", code="internal_error")


def note_failure(error: RequestFailed) -> None:
    """Note in the request's record, and in the log, that it failed after it was accepted."""
    current_record().fail(str(error), error.status, error.code)


def stream_error(error: RequestFailed) -> ErrorEnvelope:
    """The last event of a stream that failed."""
    return envelope(error.status, str(error), code=error.code)


def install_handlers(app: FastAPI, paths: Sequence[str]) -> None:
    """Make every error that leaves `app` an envelope; a 404 suggests one of `paths`."""

    async def on_known(request: Request, error: Exception) -> Response:
        return respond(error)

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        path = request.url.path
        shown = path if len(path) <= MAX_PATH else f"{path[:MAX_PATH]}..."
        message = f"{request.method} {shown}: {HTTPStatus(error.status_code).phrase}"
        if error.status_code == HTTPStatus.NOT_FOUND:
            nearest = _nearest(path, paths)
            message += (
                f"; did you mean {nearest}?" if nearest else f"; there are {', '.join(paths)}"
            )
        headers = dict(error.headers) if error.headers else {}
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["allow"] = _allowed(headers.pop("Allow", ""))
            message += f"; allowed: {headers['allow']}"
        return error_response(error.status_code, message, headers=headers)

    async def on_validation(request: Request, error: Exception) -> Response:
        return error_response(400, str(error))

    async def on_disconnect(request: Request, error: Exception) -> Response:
        return Response(status_code=CLIENT_CLOSED_REQUEST)

    app.add_exception_handler(UnmaskError, on_known)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(ClientDisconnect, on_disconnect)


def _allowed(methods: str) -> str:
    """All methods of a path, of which Starlette tells those of one route, in a set's order."""
    allowed = {method.strip() for method in methods.split(",")}
    if allowed & READING:
        allowed |= READING
    return ", ".join(sorted(allowed))


def _nearest(path: str, paths: Sequence[str]) -> str | None:
    """The longest of `paths` that `path` ends with, as clients often get the base URL wrong."""
    ending = path.rstrip("/")
    candidates = (known for known in paths if ending.endswith(known.removeprefix("/v1")))
    return max(candidates, key=len, default=None)


def unknown_field(path: str, name: str, known: Iterable[str]) -> InvalidRequest:
    """The error for a field by its path and name; suggests one of `known` that is spelled alike.

    Names with a word more or less are meant before others: `max_output_tokens` by `max_tokens`.
    """
    compares = MIN_ALIKE <= len(name) <= MAX_ALIKE
    names = sorted(each for each in known if len(each) >= MIN_ALIKE) if compares else []
    nested = [each for each in names if _is_nested(set(each.split("_")), set(name.split("_")))]
    close = get_close_matches(name, nested or names, n=1, cutoff=ALIKE)
    hint = f"; did you mean {close[0]}?" if close else ""
    return InvalidRequest(f"unknown field: {path}{hint}", field=path, code="unknown_parameter")


def _is_nested(one: set[str], other: set[str]) -> bool:
    return len(one & other) > 1 and (one <= other or other <= one)


def json_excerpt(value: Any) -> str:
    """The value as JSON, cut to `MAX_VALUE` characters, in a time that does not grow with it."""
    text = _json_prefix(value, MAX_VALUE + 1)
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 3]}..."


def _json_prefix(value: Any, length: int) -> str:
    """At least the first `length` characters of a value's JSON."""
    if isinstance(value, str):
        return json.dumps(value[:length], ensure_ascii=False)
    if isinstance(value, dict):
        pairs = ((f"{_json_prefix(str(key), length)}: ", item) for key, item in value.items())
        return _join_prefixes("{", pairs, "}", length)
    if isinstance(value, list | tuple):
        return _join_prefixes("[", (("", item) for item in value), "]", length)
    return json.dumps(value, default=str)


def _join_prefixes(
    opening: str, items: Iterable[tuple[str, Any]], closing: str, length: int
) -> str:
    text = opening
    for i, (name, item) in enumerate(items):
        if len(text) > length:
            return text
        text += (", " if i else "") + name
        text += _json_prefix(item, max(1, length - len(text)))
    return text + closing
