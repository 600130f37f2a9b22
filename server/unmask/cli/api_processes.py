"""Several HTTP processes before one engine: started, started again when they end, and stopped."""

import asyncio
import contextlib
import logging
import pickle
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from unmask.cli.http import (
    HURRY_SIGNAL,
    Report,
    bind,
    ignore_stop_signals,
    stop_signals,
)
from unmask.config import ServerConfig
from unmask.engine.hub.channel import LENGTH
from unmask.engine.hub.hub import Caller, Hub
from unmask.engine.hub.messages import ApiStart
from unmask.engine.process.handle import child_environment
from unmask.errors import InvalidConfig

logger = logging.getLogger(__name__)

CHILD = "unmask.cli.api_process"
MAX_STARTS = 3  # of each process that fail one after another before the server is given up
PAUSE_S = 1.0  # after a start that fails; twice as long after each further one
MAX_DOUBLINGS = 5
SILENCE_S = 60.0  # after which a process that sends no sign of life is killed
START_S = 600.0  # that a process may take to listen
POLL_S = 1.0
HURRY_S = 10.0  # that processes have to end after a second signal
EXIT_S = 45.0  # beyond the time that requests have to end; processes give up before


def shared_listener(host: str, port: int) -> socket.socket:
    """Socket that holds a port for the processes, which listen on it; this one does not.

    Raises `InvalidConfig` if the port is taken, also by sockets that would share it.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise InvalidConfig("this system shares no ports: set server.api_processes to 1")
    with bind(host, port) as alone:
        port = alone.getsockname()[1]
    return bind(host, port, is_shared=True)


def _nothing() -> None:
    """Nobody waits for it."""


@dataclass
class ApiProcesses:
    """Runs `server.api_processes` processes; call everything but `stop` on the event loop."""

    hub: Hub
    server: ServerConfig  # with the port that is shared
    max_queue: int
    on_start: Callable[[], None] = _nothing
    on_listening: Callable[[], None] = _nothing  # of all processes, once
    on_stop: Callable[[], None] = _nothing  # once, before they drain
    report: Report | None = None
    silence_s: float = SILENCE_S
    hurry_s: float = HURRY_S
    pause_s: float = PAUSE_S
    spawn: Callable[..., Coroutine[Any, Any, Process]] = asyncio.create_subprocess_exec
    signal: int | None = None  # first one received
    has_failed: bool = False  # no process could be started
    _processes: dict[int, Process] = field(default_factory=dict)
    _listening: set[int] = field(default_factory=set)
    _have_listened: bool = False
    _num_failed: dict[int, int] = field(default_factory=dict)  # starts, since it last listened
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _loop: asyncio.AbstractEventLoop | None = None

    def serve(self) -> None:
        """Run the processes on an event loop of its own; signals after the end are ignored."""
        asyncio.run(self.run())
        ignore_stop_signals()

    async def run(self) -> None:
        """Run the processes until `stop` or a signal has ended them, or none can be started."""
        self._loop = asyncio.get_running_loop()
        for number in stop_signals():
            self._loop.add_signal_handler(number, self._forward, number)
        others = [asyncio.create_task(self.hub.watch())]
        if self.report is not None:
            others.append(asyncio.create_task(self.report.run()))
        self.on_start()
        keepers = [self._keep(i) for i in range(self.server.api_processes)]
        try:
            await asyncio.gather(*keepers)
        finally:
            for task in others:
                task.cancel()

    def stop(self) -> None:
        """Stop as at a signal; callable from any thread."""
        self.call(lambda: self._forward(signal.SIGTERM))

    def call(self, function: Callable[[], None]) -> None:
        """Call a function on the event loop, from any thread while it runs."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function)

    def _forward(self, number: int) -> None:
        """Have all processes drain; at a second signal at once, or they are killed.

        A service manager may have sent them the first one too, which counts once.
        """
        assert self._loop is not None, "signals come while it runs"
        if not self._stopping.is_set():
            self._stopping.set()
            self.signal = number
            self.on_stop()
            limit_s = self.server.drain_delay_s + self.server.shutdown_timeout_s + EXIT_S
        else:
            limit_s, number = self.hurry_s, HURRY_SIGNAL
        self._loop.call_later(limit_s, self._signal_all, signal.SIGKILL)
        self._signal_all(number)

    def _signal_all(self, number: int) -> None:
        """Signal all processes; SIGINT would end the imports of a starting one in a traceback."""
        for i, process in self._processes.items():
            starts = number == signal.SIGINT and i not in self._listening
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM if starts else number)

    async def _keep(self, number: int) -> None:
        """Start a process, and again whenever it ends, until it is time to stop."""
        while not self._stopping.is_set():
            has_listened = False
            try:
                has_listened = await self._run(number)
            except OSError as error:  # no more processes or files
                logger.error("API process %d could not be started: %s", number, error)
            if not has_listened:
                num_failed = self._num_failed[number] = self._num_failed.get(number, 0) + 1
                self._check_starts()
                pause_s = self.pause_s * 2 ** min(num_failed - 1, MAX_DOUBLINGS)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause_s)

    def _check_starts(self) -> None:
        """Stop the server if no process can be started; while one listens, others are tried on."""
        num_failed = [self._num_failed.get(i, 0) for i in range(self.server.api_processes)]
        if min(num_failed) >= MAX_STARTS and not self._stopping.is_set():
            logger.critical("API processes cannot be started; the server stops")
            self.has_failed = True
            self._forward(signal.SIGTERM)

    async def _run(self, number: int) -> bool:
        """Run one process to its end; returns whether it has ever listened.

        Raises `OSError` if the system has no room for it.
        """
        ours, theirs = socket.socketpair()
        has_listened = False

        def on_listening() -> None:
            nonlocal has_listened
            has_listened = True
            self._num_failed[number] = 0
            self._listening.add(number)
            if len(self._listening) == self.server.api_processes and not self._have_listened:
                self._have_listened = True
                self.on_listening()

        with theirs, contextlib.ExitStack() as unless_made:
            unless_made.callback(ours.close)
            process = await self.spawn(
                *(sys.executable, "-m", CHILD, str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                env=child_environment(),
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # a terminal's signals are forwarded
            )
            unless_made.pop_all()
        self._processes[number] = process
        if self._stopping.is_set():  # a signal came before there was a process to pass it on to
            process.terminate()
        start = pickle.dumps(ApiStart(self.server, self.max_queue))
        with contextlib.suppress(ConnectionError):  # it may have ended by now
            ours.sendall(LENGTH.pack(len(start)) + start)
        caller = await self.hub.connect(ours, on_listening)
        watching = asyncio.create_task(self._watch(number, process, caller))
        code = await process.wait()
        watching.cancel()
        del self._processes[number]
        self._listening.discard(number)
        if not self._stopping.is_set():
            self.hub.metrics.api_process_restarts.inc()
            logger.error("API process %d ended with code %d and is started again", number, code)
        return has_listened

    async def _watch(self, number: int, process: Process, caller: Caller) -> None:
        """Kill a process that hangs; it is started again.

        Before it listens it has as long as a start may take.
        """
        is_silent = False
        while not is_silent:
            interval_s = min(POLL_S, self.silence_s / 4)
            await asyncio.sleep(interval_s)
            limit_s = self.silence_s if number in self._listening else START_S
            is_silent = caller.silence.look(2 * interval_s) >= limit_s
        logger.error("API process %d gave no sign of life for %g s", number, self.silence_s)
        process.kill()
