"""A process that runs an engine, and the socket to it."""

import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from queue import SimpleQueue

from unmask.engine.process.messages import Command, Report, Start

logger = logging.getLogger(__name__)

CHILD = "unmask.engine.process.child"
EXIT_S = 5.0  # for a process that was killed to be gone


def child_environment() -> dict[str, str]:
    """This process's variables, and the path of its modules."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


class EngineLost(Exception):
    """The process ended or is given up; `by_request` if one of its requests is certainly why."""

    def __init__(self, reason: str, *, by_request: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.by_request = reason, by_request


class EngineProcess:
    """A process that loads a model and runs what it is sent; sending never waits for it.

    `environment` are variables that it has beside those of this process.
    """

    def __init__(self, start: Start, environment: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", CHILD, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**child_environment(), **environment},
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a terminal's signals are the server's alone
            )
        self._connection = Connection(ours.detach())
        self._outbox = SimpleQueue[Start | Command | None]()
        self._sender = threading.Thread(target=self._send_all, name="to-engine", daemon=True)
        self._sender.start()
        self._outbox.put(start)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def send(self, command: Command) -> None:
        """Send a command, in turn; one to a process that has ended is dropped."""
        self._outbox.put(command)

    def receive(self, timeout_s: float) -> Report | None:
        """The next report, None if none comes in time; raises `EngineLost`."""
        try:
            if not self._connection.poll(timeout_s):
                return None
            report: Report = self._connection.recv()
        except (EOFError, OSError):
            self.kill()
            raise EngineLost(f"its process ended ({self._reason()})") from None
        return report

    def kill(self) -> None:
        """End the process, whatever it does, and forget what was not sent.

        One that the system does not end soon, such as in a driver that hangs, is left to it.
        """
        self._process.kill()
        try:
            self._process.wait(EXIT_S)
        except subprocess.TimeoutExpired:
            logger.error("process %d has not ended %g s after it was killed", self.pid, EXIT_S)
        self._outbox.put(None)
        self._sender.join(EXIT_S)
        self._connection.close()

    def _reason(self) -> str:
        code = self._process.returncode
        if code is None:
            return "it is not gone yet"
        return f"signal {-code}" if code < 0 else f"exit status {code}"

    def _send_all(self) -> None:
        while (message := self._outbox.get()) is not None:
            try:
                self._connection.send(message)
            except OSError:  # told by `receive`
                return
