"""uvicorn server with a graceful shutdown, and the socket it listens on."""

import asyncio
import logging
import math
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol

import uvicorn

from unmask.config import ServerConfig
from unmask.errors import InvalidConfig

logger = logging.getLogger(__name__)

CLOSING_S = 5.0  # time for the last bytes of aborted requests to reach their clients


class Drainable(Protocol):
    """Engine that is shut down with the server."""

    def shutdown(self, timeout_s: float = 0.0) -> None:
        """Refuse new requests, let running ones finish for `timeout_s`, and stop."""
        ...


@dataclass(frozen=True, slots=True)
class Report:
    """Log line every `interval_s`; no line if it is None."""

    interval_s: float
    line: Callable[[], str | None]


async def _log_lines(report: Report) -> None:
    while True:
        await asyncio.sleep(report.interval_s)
        try:
            line = report.line()
        except Exception:
            logger.exception("status line failed")
            continue
        if line is not None:
            logger.info("%s", line)


class HttpServer(uvicorn.Server):
    """uvicorn server that reports when it listens and drains the engine at shutdown."""

    def __init__(
        self,
        config: uvicorn.Config,
        engine: Drainable,
        drain_s: float,
        on_listening: Callable[[], None],
        report: Report | None = None,
    ) -> None:
        super().__init__(config)
        self._report = report
        self._report_task: asyncio.Task[None] | None = None
        self._engine = engine
        self._drain_s = drain_s
        self._on_listening = on_listening
        self.signal: int | None = None  # first signal received

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then call `on_listening` and start the status line."""
        await super().startup(sockets)
        if self.started:
            self._on_listening()
            if self._report is not None:
                self._report_task = asyncio.create_task(_log_lines(self._report))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Keep the first signal, and stop."""
        self.signal = self.signal or sig
        super().handle_exit(sig, frame)

    def stop(self) -> None:
        """Stop as at a signal; callable from any thread."""
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting connections, let requests finish for `drain_s`, then abort them.

        A second Ctrl-C aborts them at once.
        """
        if self._report_task is not None:
            self._report_task.cancel()
        logger.info("draining: running requests have %g s to finish", self._drain_s)
        draining = asyncio.create_task(asyncio.to_thread(self._engine.shutdown, self._drain_s))
        await super().shutdown(sockets)
        if not draining.done():
            await asyncio.to_thread(self._engine.shutdown, 0.0)
        await draining
        logger.info("stopped")


def bind(host: str, port: int) -> socket.socket:
    """Bound socket that does not listen yet; raises `InvalidConfig` if the address is not free."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise InvalidConfig(f"cannot listen on {host}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise InvalidConfig(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listener


def uvicorn_config(app: Any, config: ServerConfig) -> uvicorn.Config:
    """uvicorn's configuration for an application."""
    return uvicorn.Config(
        app,
        http="httptools",
        loop="auto",  # uvloop if installed
        ws="none",
        lifespan="off",  # unused, and prints a traceback at a second Ctrl-C
        log_config=None,
        access_log=False,  # the application logs requests with their ids
        ssl_certfile=config.tls_cert_file,
        ssl_keyfile=config.tls_key_file,
        server_header=False,
        timeout_keep_alive=math.ceil(config.keep_alive_s),
        timeout_graceful_shutdown=int(config.shutdown_timeout_s + CLOSING_S),
    )


def run(
    app: Any,
    listener: socket.socket,
    engine: Drainable,
    config: ServerConfig,
    *,
    on_listening: Callable[[HttpServer], None],
    line: Callable[[], str | None] | None = None,
) -> int | None:
    """Serve until `HttpServer.stop` or a signal, and return the signal.

    Calls `on_listening` once connections are accepted; logs `line` at intervals.
    """
    settings = uvicorn_config(app, config)
    # uvicorn raises the signal again after shutdown, which must not kill a clean exit.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    report = None
    if line is not None and config.status_interval_s:
        report = Report(config.status_interval_s, line)
    drain_s = config.shutdown_timeout_s
    server = HttpServer(settings, engine, drain_s, lambda: on_listening(server), report)
    server.run(sockets=[listener])
    return server.signal
