"""A server that listens while its model loads: live, not ready, refuses requests."""

import asyncio
import contextlib
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from tests.api.fake_client import MODEL, FakeClient
from tests.cli.running import ENVIRONMENT, serving, unmask
from unmask.api import create_app
from unmask.api.app import create_health_app
from unmask.cli.starting import StartingEngine
from unmask.config import ServerConfig
from unmask.errors import EngineStopped
from unmask.metrics import Metrics
from unmask.tokenizer import Tokenizer

HIDE_CURSOR, SHOW_CURSOR = b"\x1b[?25l", b"\x1b[?25h"
COMPLETION = {"prompt": "hi", "max_tokens": 4}


class Loaded(FakeClient):
    """Loaded engine that records its time to drain."""

    drain_s: float | None = None

    def shutdown(self, timeout_s: float = 0.0) -> None:
        self.drain_s = timeout_s


def ask(app: object, method: str, path: str, **kwargs: object) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **kwargs)

    return asyncio.run(send())


def test_requests_are_told_to_wait_until_the_model_is_there_and_answered_then() -> None:
    engine, metrics, loaded = StartingEngine(), Metrics(), Loaded()
    app = create_app(engine, metrics, ServerConfig())
    may_end, is_ready = threading.Event(), threading.Event()

    def make() -> Loaded:
        engine.note("weights", 3 * 2**20, 16 * 2**20)
        may_end.wait(10)
        return loaded

    engine.load(make, lambda ready: is_ready.set(), lambda: None)
    while "weights" not in engine.status().detail:
        time.sleep(0.01)
    assert ask(app, "GET", "/health/live").status_code == 200
    for path in ("/health", "/health/ready"):
        response = ask(app, "GET", path)
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) > 0
        assert response.json()["state"] == "starting"
        assert response.json()["detail"] == "the model is being loaded: weights, 3 of 16 MiB"
    chat = {"messages": [{"role": "user", "content": "hi"}]}
    asked = [
        ("POST", "/v1/completions", COMPLETION),
        ("POST", "/v1/completions", COMPLETION | {"stream": True}),
        ("POST", "/v1/chat/completions", chat),
        ("POST", "/v1/responses", {"input": "hi"}),
        ("POST", "/tokenize", {"prompt": "hi"}),
        ("POST", "/detokenize", {"tokens": [1]}),
        ("GET", "/v1/models", None),
        ("GET", f"/v1/models/{MODEL.name}", None),
    ]
    for method, path, body in asked:
        response = ask(app, method, path, json=body)
        assert response.status_code == 503, (path, response.text)
        assert int(response.headers["retry-after"]) > 0
        assert response.json()["error"]["code"] == "model_loading"
        assert "3 of 16 MiB" in response.json()["error"]["message"]
    assert ask(app, "GET", "/metrics").status_code == 200
    assert ask(app, "GET", "/").status_code == 200
    assert ask(app, "GET", "/nowhere").status_code == 404
    assert not loaded.requests

    may_end.set()
    assert is_ready.wait(10)
    assert ask(app, "GET", "/health/ready").status_code == 200
    assert ask(app, "GET", "/v1/models").json()["data"][0]["id"] == MODEL.name
    answer = ask(app, "POST", "/v1/completions", json=COMPLETION)
    assert answer.status_code == 200, answer.text
    engine.shutdown(3.0)
    assert loaded.drain_s == 3.0


@pytest.mark.parametrize("num_engines", [1, 3])
def test_health_tells_from_the_start_how_many_engines_there_will_be(num_engines: int) -> None:
    app = create_app(StartingEngine(num_engines), Metrics(), ServerConfig())
    health = ask(app, "GET", "/health/ready").json()
    assert (health["engines"], health["engines_up"]) == (num_engines, 0)


def test_health_says_that_the_server_stops_while_its_engine_is_ready_yet() -> None:
    engine, metrics, is_ready = StartingEngine(), Metrics(), threading.Event()
    app = create_app(engine, metrics, ServerConfig())
    engine.load(Loaded, lambda ready: is_ready.set(), lambda: None)
    assert is_ready.wait(10)
    assert ask(app, "GET", "/health/ready").status_code == 200
    engine.drain()
    health = ask(app, "GET", "/health/ready")
    assert (health.status_code, health.json()["state"]) == (503, "stopping")
    assert ask(app, "GET", "/health/live").status_code == 200
    assert b"unmask_ready 0.0" in metrics.render()
    assert engine.engine_status().state == "ready"


def test_health_says_that_nobody_listens_for_an_engine_that_is_ready() -> None:
    engine, metrics, is_ready = StartingEngine(), Metrics(), threading.Event()
    listens = False
    engine.is_served = lambda: listens
    app = create_health_app(engine, metrics, ServerConfig())
    engine.load(Loaded, lambda ready: is_ready.set(), lambda: None)
    assert is_ready.wait(10)
    health = ask(app, "GET", "/health/ready")
    assert (health.status_code, health.json()["state"]) == (503, "starting")
    assert health.json()["detail"] == "no HTTP process listens"
    assert ask(app, "GET", "/health/live").status_code == 200
    assert engine.engine_status().state == "ready"
    listens = True
    assert ask(app, "GET", "/health/ready").status_code == 200


def test_a_model_that_cannot_be_loaded_stops_the_server_with_its_reason() -> None:
    engine, stopped = StartingEngine(), threading.Event()
    error = ValueError("no such model")

    def make() -> Loaded:
        raise error

    engine.load(make, lambda ready: None, stopped.set)
    assert stopped.wait(10)
    assert engine.failure is error
    assert engine.status().state == "starting"
    engine.shutdown(0.0)
    engine.abort("nobody")


def test_an_engine_that_is_loaded_too_late_is_stopped_and_not_told_of() -> None:
    engine, may_end, calls = StartingEngine(), threading.Event(), []

    class Late(Loaded):
        def shutdown(self, timeout_s: float = 0.0) -> None:
            super().shutdown(timeout_s)
            stopped.set()

    stopped = threading.Event()

    def make() -> Late:
        may_end.wait(10)
        return Late()

    engine.load(make, calls.append, lambda: calls.append("failed"))
    engine.shutdown(3.0)
    may_end.set()
    assert stopped.wait(10)
    assert engine.is_loading, "the process leaves by itself"
    assert engine.status().state == "starting"
    assert not calls


def test_an_engine_without_a_tokenizer_that_works_is_stopped() -> None:
    engine, failed = StartingEngine(), threading.Event()

    class Broken(Tokenizer):
        def __init__(self) -> None: ...

        @property
        def chars_per_token(self) -> float:
            raise ValueError("no tokenizer")

    loaded = Loaded(tokenizer=Broken())
    engine.load(lambda: loaded, lambda ready: None, failed.set)
    assert failed.wait(10)
    assert str(engine.failure) == "no tokenizer"
    assert loaded.drain_s == 0.0


def test_an_unexpected_error_of_loading_is_told_in_one_line() -> None:
    engine, failed = StartingEngine(), threading.Event()

    def make() -> Loaded:
        raise MemoryError("no room")

    engine.raise_failure()
    engine.load(make, lambda ready: None, failed.set)
    assert failed.wait(10)
    with pytest.raises(EngineStopped, match="did not start: MemoryError: no room"):
        engine.raise_failure()


@pytest.mark.exhaustive
@pytest.mark.parametrize("args", [(), ("--engine", "thread"), ("--api-processes", "2")])
def test_a_model_that_cannot_be_loaded_is_all_that_a_server_says(
    tmp_path: Path, args: tuple[str, ...]
) -> None:
    run = unmask("serve", str(tmp_path), "--port", "0", *args)
    assert run.returncode == 2
    *log, last = run.stderr.splitlines()
    assert last == f"unmask: there is no config.json in {tmp_path}"
    assert all("settings: " in line or "listen" in line for line in log), run.stderr


@pytest.mark.exhaustive
@pytest.mark.slow
def test_ctrl_c_while_a_bar_is_shown_gives_the_terminal_its_cursor_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "unmask", "serve", "--port", str(port)]
    ours, theirs = pty.openpty()
    environment = ENVIRONMENT | {"TERM": "xterm", "COLUMNS": "80"}
    process = subprocess.Popen(command, stderr=theirs, stdout=theirs, env=environment)
    os.close(theirs)
    shown, signalled = b"", False
    try:
        with contextlib.suppress(OSError):  # the other end is closed
            while chunk := os.read(ours, 4096):
                shown += chunk
                if HIDE_CURSOR in shown and not signalled:
                    process.send_signal(signal.SIGINT)
                    signalled = True
        assert process.wait(10) == 128 + signal.SIGINT
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert shown.rfind(SHOW_CURSOR) > shown.rfind(HIDE_CURSOR) >= 0


@pytest.mark.slow
def test_ctrl_c_while_a_model_loads_ends_at_once() -> None:
    """The process listens seconds before its slow imports."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "unmask", "serve", "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    try:
        state, until_s = None, time.monotonic() + 60
        while state is None and time.monotonic() < until_s:
            try:
                state = httpx.get(f"http://127.0.0.1:{port}/health/ready").json()["state"]
            except httpx.TransportError:
                time.sleep(0.02)
        assert state == "starting"
        process.send_signal(signal.SIGINT)
        _, log = process.communicate(timeout=10)
        assert process.returncode == 128 + signal.SIGINT
        assert "Traceback" not in log
    finally:
        process.kill()
        process.communicate()


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_second_ctrl_c_under_load_does_not_wait_and_leaves_no_traceback(tiny_folder) -> None:
    body = {"prompt": "abc", "max_tokens": 4000, "ignore_eos": True, "stream": True}
    with serving(str(tiny_folder)) as server:
        url = f"{server.url}/v1/completions"
        with (
            contextlib.suppress(httpx.TransportError),  # the stream may be cut
            httpx.stream("POST", url, json=body, timeout=60) as response,
        ):
            for number, _ in enumerate(response.iter_lines()):
                if number < 2:
                    server.process.send_signal(signal.SIGINT)
                    time.sleep(0.3)
        assert server.process.wait(15) == 0
    assert not any("Traceback" in line for line in server.log), "".join(server.log)
