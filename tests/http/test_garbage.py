"""Connections and requests are freed as they end: none waits for the garbage collector.

Its pauses grow with what waits for it, and the event loop stands still in them.
"""

import gc
from collections.abc import Iterator

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from tests.api.fake_client import FakeClient
from tests.http.running import POST, Running, eventually, read_all, read_one, running
from unmask.config import ServerConfig

CLOSE = "Connection: close\r\n"


@pytest.fixture(scope="module")
def usual() -> Iterator[Running]:
    with running(FakeClient(), ServerConfig()) as run:
        gc.collect()
        gc.freeze()  # what was there before is not visited by each collection
        yield run


@pytest.fixture
def collected(usual: Running) -> Iterator[list[object]]:
    """Objects that collections of the test find."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    yield gc.garbage
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


def whole(body: str) -> str:
    return f"{POST}{CLOSE}Content-Length: {len(body)}\r\n\r\n{body}"


ANSWERED = {
    "a whole answer": whole('{"prompt": "hi"}'),
    "a stream": whole('{"prompt": "hi", "stream": true}'),
    "a refusal": whole('{"prompt": "hi", "n": 0}'),
    "an unknown path": f"GET /nowhere HTTP/1.1\r\nHost: a\r\n{CLOSE}\r\n",
}
LEFT = {
    "nothing sent": "",
    "half a head": "GET /",
    "half a body": f"{POST}Content-Length: 9\r\n\r\n{{",
    "a stream that is left": ANSWERED["a stream"],
}


@pytest.mark.parametrize("kind", [*ANSWERED, *LEFT])
def test_what_has_ended_is_not_left_to_the_collector(
    usual: Running, collected: list[object], kind: str
) -> None:
    if kind in LEFT:
        usual.connect(LEFT[kind]).close()
    else:
        assert read_all(usual.connect(ANSWERED[kind])).startswith(b"HTTP/1.1 ")
    state = usual.server.server_state
    assert eventually(lambda: not state.connections and not state.tasks)
    gc.collect()
    kinds = {f"{type(one).__module__}.{type(one).__qualname__}" for one in collected}
    assert not {name for name in kinds if name.startswith(("unmask.", "uvicorn."))}


def num_cycles() -> int:
    """Requests and their answers that are still referenced."""
    return sum(type(one) is RequestResponseCycle for one in gc.get_objects())


def test_a_connection_keeps_nothing_of_requests_that_were_answered(usual: Running) -> None:
    before, connection = num_cycles(), usual.connect()
    for _ in range(20):
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_one(connection).startswith(b"HTTP/1.1 200")
    assert num_cycles() - before <= 2
