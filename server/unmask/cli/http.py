"""uvicorn, with a shutdown that lets running requests end."""

import asyncio
import gc
import logging
import math
import signal
import socket
from collections.abc import Callable
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


class HttpServer(uvicorn.Server):
    """Tells when it listens, and drains the engine while connections close."""

    def __init__(
        self,
        config: uvicorn.Config,
        engine: Drainable,
        drain_s: float,
        on_ready: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._engine = engine
        self._drain_s = drain_s
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting; requests end by themselves, or are aborted after `drain_s`.

        A second Ctrl-C does not wait.
        """
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
    on_ready: Callable[[], None],
) -> None:
    """Serve until a signal; `on_ready` is called once connections are accepted."""
    settings = settings_of(app, config)
    # uvicorn raises the signal anew when it is done, which must not kill a clean exit.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # The model and the modules live as long as the process: no collection need look at them.
    gc.collect()
    gc.freeze()
    HttpServer(settings, engine, config.shutdown_timeout_s, on_ready).run(sockets=[listener])
