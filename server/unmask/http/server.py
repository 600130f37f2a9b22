"""uvicorn server that drains its engine at a signal, and leaves whatever its requests do."""

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable, Collection, Coroutine
from types import FrameType
from typing import Any, Protocol, cast

import uvicorn

from unmask.http.config import HttpConfig
from unmask.http.sweeper import Checked, Sweeper
from unmask.types import EngineStatus

logger = logging.getLogger(__name__)

CLOSING_S = 5.0  # for the last bytes of aborted requests to reach their clients
HURRY_S = 1.0  # the same after a second signal
STUCK_S = 10.0  # for tasks to end that have lost their clients, and for the engine
POLL_S = 0.05
ACCEPTED_PER_TURN = 64  # connections
SEND_BUFFER = 2**18  # bytes that the system holds of an answer; up to megabytes if it may choose
CLOSE = (b"connection", b"close")


class Drainable(Protocol):
    """Engine that is shut down with the server."""

    def status(self) -> EngineStatus:
        """Snapshot of the engine's state."""
        ...

    def shutdown(self, timeout_s: float = 0.0) -> None:
        """Refuse new requests, let running ones finish for `timeout_s`, and stop."""
        ...


class HttpServer(uvicorn.Server):
    """uvicorn server that reports when it listens and drains the engine at shutdown.

    `leave` ends the process with an exit code, whatever runs in it. With `hurry_signal`, other
    signals count as one however often they come.
    """

    def __init__(
        self,
        config: HttpConfig,
        engine: Drainable,
        on_listening: Callable[["HttpServer"], None],
        leave: Callable[[int], None],
        background: Callable[[], Coroutine[Any, Any, None]] | None = None,
        hurry_signal: int | None = None,
    ) -> None:
        super().__init__(config)
        self._limits = config.limits
        self._metrics = config.metrics
        self._engine = engine
        self._on_listening = on_listening
        self._leave = leave
        self._background = background
        self._hurry_signal = hurry_signal
        self._tasks: list[asyncio.Task[None]] = []
        self._num_signals = 0
        self.signal: int | None = None  # first signal received
        self.sweeper = Sweeper(config.limits)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then call `on_listening` and start what runs besides."""
        await super().startup(sockets)
        if not self.started:
            return
        connections = self.server_state.connections
        self._metrics.connections.set_function(lambda: len(connections))
        guarded = cast(Collection[Checked], connections)
        self._tasks.append(asyncio.create_task(self.sweeper.run(guarded)))
        if self._background is not None:
            self._tasks.append(asyncio.create_task(self._background()))
        self._on_listening(self)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first signal, abort everything at the second, leave at the third.

        With a `hurry_signal` only that one is a second or third.
        """
        if self._hurry_signal is None:
            self._num_signals += 1
        elif sig == self._hurry_signal:
            self._num_signals = max(self._num_signals, 1) + 1
        else:
            self._num_signals = max(self._num_signals, 1)
        self.signal = self.signal or sig
        self.should_exit = True
        if self._num_signals > 2:
            self._leave(128 + sig)

    def stop(self) -> None:
        """Stop as at a signal; callable from any thread."""
        self.should_exit = True

    @property
    def _is_hurried(self) -> bool:
        return self._num_signals > 1

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain the engine, its requests refused or ended, and then close all connections.

        After SIGTERM connections are taken for `drain_delay_s` yet, so that whoever sends requests
        here sees that the server is not ready.
        """
        limits, status = self._limits, self._engine.status()
        is_ready = status.state == "ready"
        has_served = status.state != "starting" or status.num_running or status.num_waiting
        if has_served:
            logger.info("draining: running requests have %g s to finish", limits.shutdown_timeout_s)
        self.server_state.default_headers = [*self.server_state.default_headers, CLOSE]
        drain = _Drain(self._engine, limits.shutdown_timeout_s)
        if self.signal == signal.SIGTERM and is_ready:
            await self._wait(lambda: self._is_hurried, limits.drain_delay_s)
        cutting = asyncio.create_task(self._cut_off(drain))
        await super().shutdown(sockets)
        if not await self._wait(lambda: drain.has_ended, STUCK_S):
            self._give_up("the engine does not end")
        for task in (cutting, *self._tasks):
            task.cancel()
        if drain.error is not None:
            self._give_up(str(drain.error))
        if has_served:
            logger.info("stopped")

    async def _cut_off(self, drain: "_Drain") -> None:
        """Close connections that outlast the engine, and leave if their tasks outlast them."""
        connections, limits = self.server_state.connections, self._limits
        await self._wait(
            lambda: drain.has_ended or self._is_hurried, limits.shutdown_timeout_s + STUCK_S
        )
        if not self._is_hurried:
            await self._wait(lambda: not connections or self._is_hurried, CLOSING_S)
        if self._is_hurried:
            drain.hurry()
            await self._wait(lambda: not connections, HURRY_S)
        for connection in tuple(connections):
            connection.transport.abort()
        await self._wait(lambda: self._is_hurried, STUCK_S)
        await asyncio.sleep(HURRY_S)
        self._give_up("requests do not end")

    async def _wait(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait for a condition; False if it did not come in time."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + timeout_s
        while not (is_met := condition()) and loop.time() < end_s:
            await asyncio.sleep(POLL_S)
        return is_met

    def _give_up(self, reason: str) -> None:
        if self._is_hurried:
            self._leave(128 + (self.signal or signal.SIGTERM))
        logger.critical("the server leaves before its end: %s", reason)
        self._leave(1)


def copies(listener: socket.socket) -> list[socket.socket]:
    """A listener under several descriptors, whose connections buffer little.

    In a turn of the event loop, libuv accepts one connection for each of them. With a single one, a
    health check waits a turn for every connection before it: seconds, where a thousand come.
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    return [listener, *(listener.dup() for _ in range(ACCEPTED_PER_TURN - 1))]


class _Drain:
    """`shutdown` of an engine on threads of its own, which cannot keep the process."""

    def __init__(self, engine: Drainable, timeout_s: float) -> None:
        self.error: Exception | None = None
        self._engine = engine
        self._threads: list[threading.Thread] = []
        self._start(timeout_s)

    @property
    def has_ended(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads)

    def hurry(self) -> None:
        """Let running requests finish no longer."""
        self._start(0.0)

    def _start(self, timeout_s: float) -> None:
        thread = threading.Thread(target=self._run, args=(timeout_s,), name="drain", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self, timeout_s: float) -> None:
        try:
            self._engine.shutdown(timeout_s)
        except Exception as error:
            self.error = error
