"""Middleware around every route: request ids, logs, unexpected errors, hosts and API keys."""

import ipaddress
import logging
import time
from collections.abc import Iterable
from urllib.parse import quote

from starlette._utils import get_route_path
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unmask.api.access_log import log_access
from unmask.api.error_responses import is_anthropic
from unmask.api.errors import CLIENT_CLOSED_REQUEST, error_response, internal_error
from unmask.api.headers import header
from unmask.api.key_file import KeyScope
from unmask.api.keys import AUTH, KeyStore
from unmask.api.random_ids import RANDOM_IDS
from unmask.api.request_record import RequestRecord, follow
from unmask.api.tracing import Tracing
from unmask.log_context import REQUEST_ID
from unmask.metrics import Metrics

logger = logging.getLogger(__name__)

REQUEST_ID_HEADER = "x-request-id"
RAW_REQUEST_ID = REQUEST_ID_HEADER.encode()
ANTHROPIC_REQUEST_ID_HEADER = "request-id"  # where Anthropic's clients look for it
RAW_ANTHROPIC_REQUEST_ID = ANTHROPIC_REQUEST_ID_HEADER.encode()
MAX_REQUEST_ID_LEN = 128
HEALTH_PATHS = frozenset({"/health", "/health/live", "/health/ready"})
METRICS_PATH = "/metrics"
OPEN_PATHS = HEALTH_PATHS | {"/", METRICS_PATH}
ADMIN_PREFIX = "/admin/"
SCHEMA_PATH = "/openapi.json"
NO_HANDLER = "none"  # the label of unknown paths, and of requests refused before routing


class RequestContext:
    """Gives every response an `x-request-id`, and turns an unexpected exception into a 500.

    Each request is counted when its response has ended, logged with `logs_access`, and traced with
    `tracing`.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        *,
        logs_access: bool = False,
        tracing: Tracing | None = None,
    ) -> None:
        self.app = app
        self._metrics = metrics
        self._logs_access = logs_access
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = header(scope, RAW_REQUEST_ID)
        if not (0 < len(request_id) <= MAX_REQUEST_ID_LEN and request_id.isprintable()):
            request_id = RANDOM_IDS.draw()
        status: int | None = None

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], (RAW_REQUEST_ID, request_id.encode("latin-1"))]
                if is_anthropic(scope):
                    headers.append((RAW_ANTHROPIC_REQUEST_ID, request_id.encode("latin-1")))
                message = {**message, "headers": headers}
            await send(message)

        record = RequestRecord(request_id, time.monotonic())
        follow(record)
        naming = REQUEST_ID.set(request_id)
        try:
            await self.app(scope, receive, send_with_id)
        except Exception:
            logger.exception("request %s failed: %s", request_id, quote(scope["path"]))
            record.failure_code = "internal_error"
            if status is not None:
                raise
            await internal_error()(scope, receive, send_with_id)
        finally:
            self._end(scope, status, record)
            REQUEST_ID.reset(naming)

    def _end(self, scope: Scope, status: int | None, record: RequestRecord) -> None:
        """Count a request that has ended, log and trace it."""
        elapsed_s = time.monotonic() - record.received_s
        handler, code = _handler(scope), status or CLIENT_CLOSED_REQUEST
        self._metrics.record_answer(scope["method"], handler, code, elapsed_s)
        record.key_name = getattr(scope.get(AUTH), "name", None)
        if record.failure_code is not None:
            self._metrics.failed.labels(record.failure_code).inc()
        if self._logs_access:
            log_access(scope, status, elapsed_s, record)
        if self._tracing is not None:
            self._tracing.record(scope, handler, code, record)


def _handler(scope: Scope) -> str:
    """The path template of a request's route: metrics need few label values."""
    route = scope.get("route")
    if route is None and get_route_path(scope) == SCHEMA_PATH:
        return SCHEMA_PATH  # FastAPI sets no route for it
    return getattr(route, "path", NO_HANDLER)


class AllowedHosts:
    """Refuses requests for other host names than `hosts`, which prevents DNS rebinding.

    IPv6 addresses may be in brackets, as they are in the header. Health checks are answered under
    any name, and metrics under any address, by which Prometheus reaches pods: no name is rebound
    where there is none.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self.app = app
        self._hosts = {host.lower().strip("[]") for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._answers(get_route_path(scope), _host(scope)):
            await self.app(scope, receive, send)
            return
        response = error_response(
            403, "this host name is not served; see server.allowed_hosts", code="host_not_allowed"
        )
        await response(scope, receive, send)

    def _answers(self, path: str, host: str) -> bool:
        if host in self._hosts or path in HEALTH_PATHS:
            return True
        return path == METRICS_PATH and _is_address(host)


def _host(scope: Scope) -> str:
    """Name or address in the Host header, without port and brackets."""
    host = header(scope, b"host").strip().lower()
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).strip("[]")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class ApiKey:
    """Refuses requests without a key that has the right to their path.

    Page and health need none. The key is in the scope then, as `AUTH`.
    """

    def __init__(self, app: ASGIApp, keys: KeyStore) -> None:
        self.app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        needed = self._needed(get_route_path(scope)) if scope["type"] == "http" else None
        refusal = None if needed is None else self._refusal(scope, needed)
        await (refusal or self.app)(scope, receive, send)

    def _needed(self, path: str) -> KeyScope | None:
        if path.startswith(ADMIN_PREFIX):
            return "admin"
        if path == METRICS_PATH:
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
