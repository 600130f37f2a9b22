"""Health and metrics on a port and a thread of their own, whatever the main event loop does."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from unmask.api.errors import error_response
from unmask.config import ServerConfig
from unmask.http.config import HttpConfig
from unmask.http.sweeper import Sweeper
from unmask.metrics import Metrics

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 64
STOP_S = 5.0
STALL_S = 60.0  # without a turn of the main event loop, after which the process is not live


class LoopWatch:
    """Middleware that answers `/health/live` with 503 while the main event loop stands still."""

    def __init__(self, app: ASGIApp, silence_s: Callable[[], float]) -> None:
        self.app = app
        self._silence_s = silence_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.app
        if scope["type"] == "http" and scope["path"] == "/health/live":
            silence_s = self._silence_s()
            if silence_s > STALL_S:
                message = f"the event loop has not run for {silence_s:.0f} s"
                app = error_response(503, message, code="event_loop_stalled")
        await app(scope, receive, send)


class _SweptServer(uvicorn.Server):
    """Server that checks its connections."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        config: Any = self.config
        connections: Any = self.server_state.connections
        self._sweep = asyncio.create_task(Sweeper(config.limits).run(connections))


class HealthServer:
    """Serves an application on a bound socket, on a thread of its own.

    Its connections are few and are not counted.
    """

    def __init__(self, app: ASGIApp, listener: socket.socket, limits: ServerConfig) -> None:
        config = HttpConfig(app, replace(limits, max_connections=MAX_CONNECTIONS), Metrics())
        config.timeout_graceful_shutdown = 1
        self._server = _SweptServer(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="health", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread, which must not outlast the interpreter."""
        self._server.should_exit = True
        self._thread.join(STOP_S)
