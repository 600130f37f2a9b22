"""Middleware around every route: request ids, logs, unexpected errors, hosts and API keys."""

import logging
import time
import uuid
from collections.abc import Iterable
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unmask.api.errors import CLIENT_CLOSED_REQUEST, error_response, internal_error
from unmask.api.key_file import KeyScope
from unmask.api.keys import AUTH, KeyStore
from unmask.metrics import Metrics

logger = logging.getLogger(__name__)
access_logger = logging.getLogger("unmask.access")

REQUEST_ID = "x-request-id"
MAX_REQUEST_ID_LEN = 128
HEALTH_PATHS = frozenset({"/health", "/health/live", "/health/ready"})
OPEN_PATHS = HEALTH_PATHS | {"/", "/metrics"}
ADMIN_PREFIX = "/admin/"
SCHEMA_PATH = "/openapi.json"
NO_HANDLER = "none"  # the label of unknown paths, and of requests refused before routing


class RequestContext:
    """Gives every response an `x-request-id`, and turns an unexpected exception into a 500.

    Each request is counted when its response has ended, and logged with `logs_access`.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, *, logs_access: bool = False) -> None:
        self.app = app
        self._metrics = metrics
        self._logs_access = logs_access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = Headers(scope=scope).get(REQUEST_ID, "")
        if not (0 < len(request_id) <= MAX_REQUEST_ID_LEN and request_id.isprintable()):
            request_id = uuid.uuid4().hex
        status: int | None = None
        started_s = time.monotonic()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except Exception:
            logger.exception("request %s failed: %s", request_id, quote(scope["path"]))
            if status is not None:
                raise
            await internal_error()(scope, receive, send_with_id)
        finally:
            elapsed_s = time.monotonic() - started_s
            self._metrics.record_answer(
                scope["method"], _handler(scope), status or CLIENT_CLOSED_REQUEST, elapsed_s
            )
            if self._logs_access:
                _log_access(scope, status, elapsed_s, request_id)


def _handler(scope: Scope) -> str:
    """The path template of a request's route: metrics need few label values."""
    route = scope.get("route")
    if route is None and scope["path"] == SCHEMA_PATH:
        return SCHEMA_PATH  # FastAPI sets no route for it
    return getattr(route, "path", NO_HANDLER)


def _log_access(scope: Scope, status: int | None, elapsed_s: float, request_id: str) -> None:
    """Log one line; paths are quoted, so that no client can forge another."""
    caller, key = scope.get("client"), scope.get(AUTH)
    access_logger.info(
        "%s %s %s: %s in %.1f ms, request %s%s",
        caller[0] if caller else "-",
        scope["method"],
        quote(scope["path"]),
        "no answer" if status is None else status,
        elapsed_s * 1e3,
        request_id,
        "" if key is None else f", key {key.name}",
    )


class AllowedHosts:
    """Refuses requests for other host names than `hosts`, which prevents DNS rebinding.

    Health checks are answered under any name.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self.app = app
        self._hosts = {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in HEALTH_PATHS or self._is_known(scope):
            await self.app(scope, receive, send)
            return
        response = error_response(
            403, "this host name is not served; see server.allowed_hosts", code="host_not_allowed"
        )
        await response(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        host = Headers(scope=scope).get("host", "").strip().lower()
        name, colon, port = host.rpartition(":")
        return (name if colon and port.isdecimal() else host) in self._hosts


class ApiKey:
    """Refuses requests without a key that has the right to their path.

    Page and health need none. The key is in the scope then, as `AUTH`.
    """

    def __init__(self, app: ASGIApp, keys: KeyStore) -> None:
        self.app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        needed = self._needed(scope["path"]) if scope["type"] == "http" else None
        refusal = None if needed is None else self._refusal(scope, needed)
        await (refusal or self.app)(scope, receive, send)

    def _needed(self, path: str) -> KeyScope | None:
        if path.startswith(ADMIN_PREFIX):
            return "admin"
        if path == "/metrics":
            return "metrics" if self._keys.asks_for_metrics_key else None
        return "inference" if self._keys.asks_for_key and path not in OPEN_PATHS else None

    def _refusal(self, scope: Scope, needed: KeyScope) -> Response | None:
        key = self._keys.find(scope)
        if key is None:
            return error_response(
                401,
                "a valid API key is needed, as `Authorization: Bearer KEY`",
                code="invalid_api_key",
                headers={"www-authenticate": "Bearer"},
            )
        scope[AUTH] = key
        if key.allows(needed):
            return None
        message = f"this API key has no scope {needed}"
        return error_response(403, message, code="insufficient_scope")
