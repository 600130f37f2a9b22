"""Signals that come before a server can see them, or after it has ended."""

import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.fake_client import FakeClient
from unmask.api import create_app
from unmask.cli.http import run
from unmask.config import ServerConfig
from unmask.http.server import HttpServer
from unmask.metrics import Metrics

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Handlers of this process, as they were before the test."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(
        signal.SIGHUP, signal.SIG_DFL
    )  # under nohup it is ignored, as the server leaves it
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Signalling(socket.socket):
    """A listener whose server gets a signal while it prepares to listen."""

    number = signal.SIGTERM

    def setsockopt(self, *args: Any) -> None:
        os.kill(os.getpid(), self.number)
        super().setsockopt(*args)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_before_the_event_loop_runs_stops_the_server(number: signal.Signals) -> None:
    had_signal = list[bool]()

    def on_listening(server: HttpServer) -> None:
        had_signal.append(server.should_exit)
        server.stop()

    client, config, metrics = FakeClient(), ServerConfig(drain_delay_s=0), Metrics()
    with Signalling() as listener:
        listener.number = number
        listener.bind(("127.0.0.1", 0))
        app = create_app(client, metrics, config)
        stopped_by = run(app, listener, client, config, metrics, on_listening=on_listening)
    assert had_signal == [True]
    assert stopped_by == number
    for late in SIGNALS:
        os.kill(os.getpid(), late)
