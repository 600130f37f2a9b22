"""A server on a thread of this process, and raw connections to it."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from unmask.api import create_app
from unmask.cli.http import bind
from unmask.config import ServerConfig
from unmask.http.config import HttpConfig
from unmask.http.server import Drainable, HttpServer, copies
from unmask.metrics import Metrics

POST = "POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
DEADLINE_S = 20.0


@dataclass
class Running:
    """A server that listens; `exits` are codes with which it would have left the process."""

    server: HttpServer
    port: int
    metrics: Metrics
    thread: threading.Thread
    exits: list[int]
    connections: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self, sent: str | bytes = b"", buffer: int | None = None) -> socket.socket:
        """A connection, closed with the server, that has `buffer` bytes for what is not read."""
        connection = self.connections.enter_context(socket.socket())
        connection.settimeout(DEADLINE_S)
        if buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.connect(("127.0.0.1", self.port))
        with contextlib.suppress(ConnectionError):  # closed before it was all sent
            connection.sendall(sent.encode("latin-1") if isinstance(sent, str) else sent)
        return connection

    def signal(self, number: int) -> None:
        """Send the server a signal."""
        self.server.handle_exit(number, None)

    def ends(self) -> bool:
        self.thread.join(DEADLINE_S)
        return not self.thread.is_alive()

    def ended(self, reason: str) -> float | None:
        name = "unmask_http_connections_ended_total"
        return self.metrics.registry.get_sample_value(name, {"reason": reason})


@contextlib.contextmanager
def running(
    engine: Drainable, config: ServerConfig, app: object = None, hurry_signal: int | None = None
) -> Iterator[Running]:
    metrics = Metrics()
    listener = bind("127.0.0.1", 0)
    listening = threading.Event()
    exits: list[int] = []
    app = app or create_app(engine, metrics, config)
    server = HttpServer(
        HttpConfig(app, config, metrics),
        engine,
        lambda _: listening.set(),
        exits.append,
        hurry_signal=hurry_signal,
    )
    thread = threading.Thread(target=server.run, args=(copies(listener),), daemon=True)
    thread.start()
    assert listening.wait(DEADLINE_S)
    run = Running(server, listener.getsockname()[1], metrics, thread, exits)
    try:
        yield run
    finally:
        run.connections.close()
        run.server.stop()
        assert run.ends()


def read_all(connection: socket.socket) -> bytes:
    """All bytes until the server closes."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(2**16):
            received += data
    return received


def read_one(connection: socket.socket, end: bytes = b'{"state":"live"}') -> bytes:
    """Bytes up to the end of an answer's body."""
    received = b""
    while not received.endswith(end) and (data := connection.recv(2**16)):
        received += data
    return received


def error_of(answer: bytes) -> tuple[int, str]:
    """Status and code of an answer with an error."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]["code"]


def eventually(condition: Callable[[], bool]) -> bool:
    end_s = time.monotonic() + DEADLINE_S
    while not (is_met := condition()) and time.monotonic() < end_s:
        time.sleep(0.01)
    return is_met
