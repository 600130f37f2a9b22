"""What happens around every route: request ids, unexpected errors, and API keys."""

import hmac
import logging
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unmask.api.errors import error_response, internal_error

logger = logging.getLogger(__name__)

REQUEST_ID = "x-request-id"
MAX_REQUEST_ID_LEN = 128
OPEN_PATHS = frozenset({"/", "/health", "/health/live", "/health/ready", "/metrics"})


class RequestContext:
    """Gives every response an `x-request-id`, and turns an unexpected exception into a 500."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = Headers(scope=scope).get(REQUEST_ID, "")
        if not (0 < len(request_id) <= MAX_REQUEST_ID_LEN and request_id.isprintable()):
            request_id = uuid.uuid4().hex
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except Exception:
            logger.exception("request %s failed: %s", request_id, scope["path"])
            if started:
                raise
            await internal_error()(scope, receive, send_with_id)


class ApiKey:
    """Refuses requests that do not carry the key; the page, health and metrics are open."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self.app = app
        self._key = key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or self._is_known(scope):
            await self.app(scope, receive, send)
            return
        response = error_response(
            401,
            "a valid API key is needed, as `Authorization: Bearer KEY`",
            code="invalid_api_key",
            headers={"www-authenticate": "Bearer"},
        )
        await response(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        right = hmac.compare_digest(given.strip().encode("latin-1"), self._key)
        return right and scheme.lower() == "bearer"
