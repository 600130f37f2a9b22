"""Runs the HTTP server, its listeners and what goes with it."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from unmask.config import ServerConfig
from unmask.errors import InvalidConfig
from unmask.http.config import HttpConfig, raise_file_limit
from unmask.http.server import Drainable, HttpServer, copies
from unmask.metrics import Metrics

logger = logging.getLogger(__name__)

HURRY_SIGNAL = signal.SIGUSR1  # to one of several HTTP processes, at a second signal to the server


@dataclass(frozen=True, slots=True)
class Report:
    """Log line every `interval_s`; no line if it is None."""

    interval_s: float
    line: Callable[[], str | None]

    async def run(self) -> None:
        """Log lines until cancelled."""
        while True:
            await asyncio.sleep(self.interval_s)
            try:
                line = self.line()
            except Exception:
                logger.exception("status line failed")
                continue
            if line is not None:
                logger.info("%s", line)


def bind(host: str, port: int, *, is_shared: bool = False) -> socket.socket:
    """Bound socket that does not listen yet; raises `InvalidConfig` if the address is not free.

    Sockets that are shared may have the same address, and connections are spread over them.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise InvalidConfig(f"cannot listen on {host}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise InvalidConfig(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listener


def stop_signals() -> list[signal.Signals]:
    """Signals that stop a server."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as `nohup` sets it
        numbers.append(signal.SIGHUP)
    return numbers


def ignore_stop_signals() -> None:
    """Let no signal kill a clean exit once a server has ended."""
    for number in stop_signals():
        signal.signal(number, signal.SIG_IGN)


def run(
    app: Any,
    listener: socket.socket,
    engine: Drainable,
    config: ServerConfig,
    metrics: Metrics,
    *,
    on_listening: Callable[[HttpServer], None],
    line: Callable[[], str | None] | None = None,
    leave: Callable[[int], None] = os._exit,
    hurry_signal: int | None = None,
) -> int | None:
    """Serve until `HttpServer.stop` or a signal, and return the signal.

    Calls `on_listening` once connections are accepted; logs `line` at intervals. `leave` ends the
    process with an exit code if something in it does not end. With `hurry_signal`, only that one
    ends requests at once: others may come twice, from a service manager and from the server.
    """
    limits = replace(config, max_connections=raise_file_limit(config.max_connections))
    report = None
    if line is not None and config.status_interval_s:
        report = Report(config.status_interval_s, line).run
    server = HttpServer(
        HttpConfig(app, limits, metrics), engine, on_listening, leave, report, hurry_signal
    )
    numbers = {*stop_signals(), *(() if hurry_signal is None else (hurry_signal,))}
    for number in numbers:  # uvicorn takes them once it has an event loop
        signal.signal(number, server.handle_exit)
    server.run(sockets=copies(listener))
    for number in numbers:  # a late one must not kill a clean exit
        signal.signal(number, signal.SIG_IGN)
    return server.signal
