"""Responses to requests that fail, in the envelope of the API that their path belongs to."""

from collections.abc import Mapping

from fastapi.responses import JSONResponse
from starlette._utils import get_route_path
from starlette.types import Receive, Scope, Send

from unmask.api.response_models import ErrorDetail, ErrorEnvelope
from unmask.log_context import REQUEST_ID

ANTHROPIC_PATH = "/v1/messages"
ANTHROPIC_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
"""Types of errors with these statuses, in mid-stream too; of others there are `OTHER_TYPES`."""
OTHER_TYPES = ("invalid_request_error", "api_error")  # below 500, and from there


class ErrorResponse(JSONResponse):
    """OpenAI's envelope, or Anthropic's for paths of its API."""

    def __init__(
        self, error: ErrorEnvelope, status_code: int, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(error, status_code, headers)
        self._error, self._given = error, headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = super().__call__
        if is_anthropic(scope):
            fields = anthropic_fields(self.status_code, self._error["error"])
            content = {"type": "error", **fields}
            response = JSONResponse(content, self.status_code, self._given).__call__
        await response(scope, receive, send)


def is_anthropic(scope: Scope) -> bool:
    """True for requests to Anthropic's API."""
    return get_route_path(scope).startswith(ANTHROPIC_PATH)


def anthropic_fields(status: int, error: ErrorDetail) -> dict[str, object]:
    """The error as Anthropic's clients read it, with the code where they look for one.

    The same in a body and in a stream's event, whose `type` is `error`.
    """
    kind = ANTHROPIC_TYPES.get(status, OTHER_TYPES[status >= 500])
    details = {"error_code": error["code"]} if error["code"] else None
    return {
        "error": {**error, "type": kind, "details": details},
        "request_id": REQUEST_ID.get() or None,
    }
