"""uvicorn, with a shutdown that lets running requests end."""

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

logger = logging.getLogger(__name__)

CLOSING_S = 5.0  # for the last bytes of aborted requests to reach their clients


class Drainable(Protocol):
    """What is shut down with the server."""

    def shutdown(self, timeout_s: float = 0.0) -> None:
        """Refuse new requests, give the present ones `timeout_s` to end, and stop."""
        ...


@dataclass(frozen=True, slots=True)
class Report:
    """A line for the log every `interval_s`, or None where there is nothing to tell."""

    interval_s: float
    line: Callable[[], str | None]


async def _log_lines(report: Report) -> None:
    while True:
        await asyncio.sleep(report.interval_s)
        try:
            line = report.line()
        except Exception:
            logger.exception("the log line of what was done failed")
            continue
        if line is not None:
            logger.info("%s", line)


class HttpServer(uvicorn.Server):
    """Tells when it listens, and drains the engine while connections close."""

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
        self._reporting: asyncio.Task[None] | None = None
        self._engine = engine
        self._drain_s = drain_s
        self._on_listening = on_listening
        self.signal: int | None = None  # the first one to stop it

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started:
            self._on_listening()
            if self._report is not None:
                self._reporting = asyncio.create_task(_log_lines(self._report))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop at a signal, the first of which is kept."""
        self.signal = self.signal or sig
        super().handle_exit(sig, frame)

    def stop(self) -> None:
        """Stop as if told to by a signal; from any thread."""
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting; requests end by themselves, or are aborted after `drain_s`.

        A second Ctrl-C does not wait.
        """
        if self._reporting is not None:
            self._reporting.cancel()
        logger.info("draining for at most %g s", self._drain_s)
        draining = asyncio.create_task(asyncio.to_thread(self._engine.shutdown, self._drain_s))
        await super().shutdown(sockets)
        if not draining.done():
            await asyncio.to_thread(self._engine.shutdown, 0.0)
        await draining
        logger.info("stopped")


def settings_of(app: Any, config: ServerConfig) -> uvicorn.Config:
    """uvicorn's settings."""
    return uvicorn.Config(
        app,
        http="httptools",
        loop="auto",  # uvloop wherever it exists
        ws="none",
        lifespan="off",  # nothing needs it, and a second Ctrl-C would end in its traceback
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
    """Serve until a signal, which is returned, or until the server is told to stop.

    `on_listening` is called once connections are accepted; `line` is logged at intervals.
    """
    settings = settings_of(app, config)
    # uvicorn raises the signal anew when it is done, which must not kill a clean exit.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    report = None
    if line is not None and config.status_interval_s:
        report = Report(config.status_interval_s, line)
    drain_s = config.shutdown_timeout_s
    server = HttpServer(settings, engine, drain_s, lambda: on_listening(server), report)
    server.run(sockets=[listener])
    return server.signal
