"""Requests of a client that disconnects are aborted at once, over real sockets."""

import json
import socket
import time
from urllib.parse import urlsplit

import httpx
import pytest

from tests.api.fake_client import endless

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"


def body_of(path, **fields):
    prompt = {"messages": [{"role": "user", "content": "hi"}]} if path == CHAT else {"prompt": "hi"}
    return {**prompt, **fields}


def wait_until(condition, timeout_s=5.0):
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "it never happened"
        time.sleep(0.005)


def post(url, path, body):
    """Send a request without reading the response."""
    address = urlsplit(url)
    connection = socket.create_connection((address.hostname, address.port))
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n"
        f"content-length: {len(content)}\r\n\r\n"
    )
    connection.sendall(head.encode() + content)
    return connection


@pytest.mark.parametrize("path", [COMPLETIONS, CHAT])
@pytest.mark.parametrize("fields", [{}, {"n": 3}], ids=str)
@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_that_hangs_up_aborts_every_choice(serve, engine, path, fields, stream):
    engine.script = endless
    url = serve()
    connection = post(url, path, body_of(path, stream=stream, **fields))
    wait_until(lambda: len(engine.streams) == fields.get("n", 1))
    time.sleep(0.05)
    assert not any(fake.closed.is_set() for fake in engine.streams)
    connection.close()
    wait_until(lambda: all(fake.closed_early for fake in engine.streams))


def test_closing_a_stream_that_is_being_read_aborts_it(serve, engine):
    engine.script = endless
    body = body_of(CHAT, stream=True)
    with httpx.Client() as client, client.stream("POST", serve() + CHAT, json=body) as response:
        assert response.status_code == 200
        assert next(response.iter_lines()).startswith("data: ")
    wait_until(lambda: engine.streams[0].closed_early)


def test_an_answer_that_is_complete_is_not_aborted(serve, engine):
    url = serve()
    for stream in (False, True):
        assert httpx.post(url + CHAT, json=body_of(CHAT, stream=stream)).status_code == 200
    wait_until(lambda: all(fake.closed.is_set() for fake in engine.streams))
    assert not any(fake.closed_early for fake in engine.streams)


def test_a_stream_arrives_as_it_is_made(serve, engine):
    engine.script = endless
    body = body_of(COMPLETIONS, stream=True)
    with httpx.stream("POST", serve() + COMPLETIONS, json=body, timeout=5) as response:
        lines = response.iter_lines()
        first = json.loads(next(lines).removeprefix("data: "))
    assert first["choices"][0]["text"] == "He"
