"""Connections beyond a limit: of their number, most are dropped; of time, after one more look."""

import threading

from tests.api.fake_client import FakeClient
from tests.http.running import error_of, eventually, read_all, running
from unmask.config import ServerConfig
from unmask.http.protocol import SURPLUS

GET = "GET /health/live HTTP/1.1\r\nHost: a\r\n"


def test_connections_beyond_the_limit_are_told_to_come_later():
    with running(FakeClient(), ServerConfig(max_connections=2)) as run:
        held = [run.connect(f"{GET}\r\n") for _ in range(2)]
        assert all(one.recv(1000).startswith(b"HTTP/1.1 200") for one in held)
        with run.connect(f"{GET}\r\n") as surplus:
            answer = read_all(surplus)
        assert error_of(answer) == (503, "too_many_connections")
        assert b"retry-after: " in answer
        sample = run.metrics.registry.get_sample_value
        assert eventually(lambda: sample("unmask_http_connections") == 2)
        held[0].close()
        assert eventually(lambda: run.connect(f"{GET}\r\n").recv(99).startswith(b"HTTP/1.1 200"))


def test_a_flood_of_connections_beyond_the_limit_is_dropped():
    with running(FakeClient(), ServerConfig(max_connections=1)) as run:
        held = run.connect(f"{GET}\r\n")
        assert held.recv(1000).startswith(b"HTTP/1.1 200")
        surplus = [run.connect() for _ in range(SURPLUS + 2)]
        assert eventually(lambda: run.ended("too_many") == 2)
        assert [read_all(one) for one in surplus[SURPLUS:]] == [b"", b""]
        last = surplus[SURPLUS - 1]
        last.sendall(f"{GET}\r\n".encode())
        assert error_of(read_all(last)) == (503, "too_many_connections")


def test_a_connection_is_looked_at_once_more_after_its_time():
    with running(FakeClient(), ServerConfig()) as run:
        run.connect("GET /hea")
        connections, counts = run.server.server_state.connections, []
        assert eventually(lambda: len(connections) == 1)
        (protocol,), has_looked = connections, threading.Event()

        def look():
            for _ in range(2):
                protocol.check(protocol.loop.time() + 1e6)
                counts.append(run.ended("header_timeout"))
            has_looked.set()

        protocol.loop.call_soon_threadsafe(look)
        assert has_looked.wait(20)
        assert counts == [0, 1]
