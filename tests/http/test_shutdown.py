"""Shutdown: readiness fails first, streams end or are told so, and nothing keeps the process."""

import json
import signal
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.http.running import DEADLINE_S, POST, Running, error_of, eventually, read_all, running
from tests.support.engines import ROOMY
from unmask.config import Config, ServerConfig
from unmask.engine.async_engine import AsyncEngine
from unmask.engine.engine import Engine
from unmask.metrics import Metrics
from unmask.models.registry import LoadedModel
from unmask.types import Event

ANSWER = {"prompt": "abc", "ignore_eos": True, "policy": "sequential"}


class Slowed(Engine):
    """Engine whose steps take 20 ms until `may_run`, or until `may_end` once it `hangs`."""

    def __init__(self, loaded: LoadedModel) -> None:
        super().__init__(Config(engine=ROOMY), loaded, Metrics())
        self.may_run, self.may_end, self.is_hung = (threading.Event() for _ in range(3))
        self.hangs = False

    def step(self) -> list[Event]:
        if self.hangs:
            self.is_hung.set()
            self.may_end.wait(DEADLINE_S)
        self.may_run.wait(0.02)
        return super().step()


@pytest.fixture
def engine(tiny: LoadedModel) -> Slowed:
    return Slowed(tiny)


@pytest.fixture
def client(engine: Slowed) -> Iterator[AsyncEngine]:
    client = AsyncEngine(engine, hang_s=0.3)
    yield client
    engine.may_end.set()
    client.shutdown()


def send(run: Running, num_tokens: int = 100, **fields: object) -> socket.socket:
    body = json.dumps({**ANSWER, "max_tokens": num_tokens, **fields})
    return run.connect(f"{POST}Content-Length: {len(body)}\r\n\r\n{body}")


def streaming(run: Running, **fields: object) -> socket.socket:
    """A connection whose stream has begun."""
    connection, received = send(run, stream=True, **fields), b""
    while b"data: " not in received:
        received += connection.recv(2**16)
    return connection


def chunks(answer: bytes) -> list[str]:
    return [line[6:].decode() for line in answer.splitlines() if line.startswith(b"data: ")]


def test_readiness_fails_while_connections_are_taken_and_new_work_is_refused(client):
    with running(client, ServerConfig(drain_delay_s=60)) as run:
        assert httpx.get(f"{run.url}/health/ready").status_code == 200
        run.signal(signal.SIGTERM)
        assert eventually(lambda: httpx.get(f"{run.url}/health/ready").status_code == 503)
        assert httpx.get(f"{run.url}/health/live").status_code == 200
        refused = httpx.post(f"{run.url}/v1/completions", json=ANSWER)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "engine_stopped")
        assert int(refused.headers["retry-after"]) > 0
        assert refused.headers["connection"] == "close"
        run.signal(signal.SIGTERM)  # does not wait for the delay
        assert run.ends()
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{run.url}/health/ready")
    assert run.exits == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stream_ends_within_the_grace_period(client, engine, number):
    with running(client, ServerConfig(drain_delay_s=0)) as run:
        connection = streaming(run)
        run.signal(number)
        engine.may_run.set()
        *_, last, done = chunks(read_all(connection))
        assert '"finish_reason":"length"' in last
        assert done == "[DONE]"
        assert run.ends()
    assert run.exits == []


def test_the_rest_is_told_that_the_engine_stops(client, engine):
    with running(client, ServerConfig(drain_delay_s=0, shutdown_timeout_s=0.2)) as run:
        streamed, whole = streaming(run), send(run)
        run.signal(signal.SIGTERM)
        *_, error, done = chunks(read_all(streamed))
        assert json.loads(error)["error"]["code"] == "engine_stopped"
        assert json.loads(error)["error"]["type"] == "server_error"
        assert done == "[DONE]"
        answer = read_all(whole)
        assert error_of(answer) == (503, "engine_stopped")
        assert b"retry-after: " in answer
        assert run.ends()
    assert run.exits == []


def test_a_second_signal_ends_a_long_grace_period_without_a_traceback(client, engine, caplog):
    with running(client, ServerConfig(shutdown_timeout_s=600)) as run:
        connection = streaming(run)
        run.signal(signal.SIGTERM)
        assert eventually(lambda: client.status().state == "stopping")
        run.signal(signal.SIGTERM)
        assert "engine_stopped" in chunks(read_all(connection))[-2]
        assert run.ends()
    assert not [record for record in caplog.records if record.exc_info]


def test_a_signal_that_comes_twice_to_one_of_several_processes_is_one(client, engine):
    """From a service manager to all processes, and from the server to its own."""
    config = ServerConfig(drain_delay_s=0, shutdown_timeout_s=600)
    with running(client, config, hurry_signal=signal.SIGUSR1) as run:
        connection = streaming(run)
        for _ in range(3):
            run.signal(signal.SIGTERM)
        engine.may_run.set()
        assert chunks(read_all(connection))[-1] == "[DONE]"
        assert run.ends()
    assert run.exits == []


@pytest.mark.parametrize(
    "numbers", [(signal.SIGTERM, signal.SIGUSR1), (signal.SIGUSR1, signal.SIGTERM)], ids=str
)
def test_the_signal_to_hurry_ends_streams_of_one_of_several_processes(client, engine, numbers):
    config = ServerConfig(shutdown_timeout_s=600)
    with running(client, config, hurry_signal=signal.SIGUSR1) as run:
        connection = streaming(run)
        for number in numbers:
            run.signal(number)
        assert "engine_stopped" in chunks(read_all(connection))[-2]
        assert run.ends()


def test_a_third_signal_leaves_at_once(client, engine):
    with running(client, ServerConfig(drain_delay_s=60)) as run:
        for _ in range(3):
            run.signal(signal.SIGTERM)
        assert run.exits == [128 + signal.SIGTERM]


def test_a_client_that_does_not_read_does_not_keep_the_server(client, caplog):
    with running(client, ServerConfig(shutdown_timeout_s=0)) as run:
        connection = run.connect(buffer=4096)
        fields = {**ANSWER, "stream": True, "max_tokens": 200, "n": 20, "logprobs": 5}
        body = json.dumps({**fields, "stream_refinements": True})
        connection.sendall(f"{POST}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        assert eventually(lambda: client.status().num_running > 0)
        run.signal(signal.SIGINT)
        run.signal(signal.SIGINT)
        assert run.ends()
    assert not [record for record in caplog.records if record.exc_info]


def test_a_step_that_hangs_does_not_keep_the_process(client, engine):
    with running(client, ServerConfig(drain_delay_s=0, shutdown_timeout_s=0)) as run:
        connection = streaming(run)
        engine.hangs = True
        assert engine.is_hung.wait(DEADLINE_S)
        run.signal(signal.SIGTERM)
        *_, error, done = chunks(read_all(connection))
        assert json.loads(error)["error"]["code"] == "engine_stopped"
        assert done == "[DONE]"
        assert eventually(lambda: run.exits == [1])
        assert run.ends()


def test_an_engine_that_does_not_stop_at_all_does_not_keep_the_process():
    from tests.api.fake_client import FakeClient

    may_end = threading.Event()

    class Hung(FakeClient):
        def shutdown(self, timeout_s: float = 0.0) -> None:
            may_end.wait(DEADLINE_S)

    with running(Hung(), ServerConfig(shutdown_timeout_s=0)) as run:
        run.signal(signal.SIGINT)
        run.signal(signal.SIGINT)
        assert eventually(lambda: bool(run.exits))
        may_end.set()
