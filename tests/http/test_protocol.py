"""No client holds a connection by sending or reading slowly, or makes it hold much."""

import asyncio
import contextlib
import logging
import re
import select
import shutil
import ssl
import subprocess
import threading
import time
from dataclasses import replace

import pytest

from tests.api import fake_client
from tests.api.fake_client import FakeClient
from tests.http.running import POST, error_of, eventually, read_all, read_one, running
from unmask.config import ServerConfig
from unmask.http.protocol import BODY_RATE

SHORT = ServerConfig(header_timeout_s=0.2, body_timeout_s=0.2, write_timeout_s=0.4)
BODY = '{"prompt": "hi"}'
GET = "GET /health/live HTTP/1.1\r\nHost: a\r\n"


@pytest.fixture(scope="module")
def short():
    with running(FakeClient(), SHORT) as run:
        yield run


@pytest.fixture(scope="module")
def usual():
    with running(FakeClient(), ServerConfig()) as run:
        yield run


def whole(body: str = BODY, headers: str = "") -> str:
    return f"{POST}Content-Length: {len(body)}\r\n{headers}\r\n{body}"


@pytest.mark.parametrize("sent", ["GET /hea", "\r\nGET / HTTP/1.1\r\nHost:"])
def test_a_head_that_does_not_end_is_told_so_and_closed(short, sent):
    before = short.ended("header_timeout")
    assert error_of(read_all(short.connect(sent))) == (408, "request_timeout")
    assert short.ended("header_timeout") == before + 1


@pytest.mark.parametrize("sent", ["", "\r\n", "\r\n\r\n"])
def test_a_client_that_says_nothing_is_closed_without_an_answer(short, sent):
    assert read_all(short.connect(sent)) == b""


def test_a_head_that_trickles_is_ended_though_it_goes_on(short):
    connection = short.connect("GET / HTTP/1.1\r\n")
    connection.settimeout(0.02)
    for _ in range(1000):
        with contextlib.suppress(TimeoutError):
            assert error_of(connection.recv(1000)) == (408, "request_timeout")
            return
        connection.sendall(b"X-A: b\r\n")
    pytest.fail("it went on")


def test_a_long_body_has_more_time():
    body = BODY + " " * (16 * BODY_RATE)
    with running(FakeClient(), SHORT) as run:
        connection = run.connect(whole(body, "Connection: close\r\n")[:-1])
        time.sleep(0.6)  # three times as long as a short one has
        connection.sendall(body[-1:].encode())
        assert read_all(connection).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("sent", ["", "{"])
def test_a_body_that_does_not_come_is_told_so_and_closed(short, sent):
    before = short.ended("body_timeout")
    answer = read_all(short.connect(f"{POST}Content-Length: 99\r\n\r\n{sent}"))
    assert error_of(answer) == (408, "request_timeout")
    assert short.ended("body_timeout") == before + 1


def test_a_second_request_has_a_time_of_its_own(short):
    connection = short.connect(GET + "\r\n")
    assert b'{"state":"live"}' in read_one(connection)
    time.sleep(0.5)  # idle, which is another limit
    connection.sendall(f"{GET}\r\n".encode())
    assert b'{"state":"live"}' in read_one(connection)
    connection.sendall(b"GET /")
    assert error_of(read_all(connection)) == (408, "request_timeout")


def test_idle_connections_are_closed_after_a_time_of_their_own():
    with running(FakeClient(), ServerConfig(keep_alive_s=0.5)) as run:
        connection = run.connect(f"{GET}\r\n")
        assert read_all(connection).endswith(b'{"state":"live"}')


def test_half_of_a_next_request_does_not_end_the_answer_before_it():
    engine = FakeClient(script=lambda request: [0.8, *FakeClient().script(request)])
    with running(engine, SHORT) as run:
        answer = read_all(run.connect(whole() + "POST /v1"))
    assert b"Hello w" in answer
    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "sent",
    [
        "GET / HTTP/1.1\r\nX: " + "a" * 70_000,
        "GET / HTTP/1.1\r\nX: " + "a" * 66_000 + "\r\n\r\n",
        "GET /" + "a" * 70_000,
        "GET / HTTP/1.1\r\n" + "a: b\r\n" * 20_000 + "\r\n",
        f"{POST}Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + "a" * 400_000,
    ],
    ids=["one header", "a whole header", "path", "many headers", "trailer"],
)
def test_a_head_longer_than_the_limit_is_refused(usual, sent):
    assert error_of(read_all(usual.connect(sent))) == (431, "headers_too_large")


def test_heads_below_the_limit_are_taken_in_one_read_or_many(usual):
    long = f"{GET}X: {'a' * 60_000}\r\n\r\n"
    connection = usual.connect(long)
    assert read_one(connection).startswith(b"HTTP/1.1 200")
    for i in range(0, len(long), 1000):
        connection.sendall(long[i : i + 1000].encode())
    assert read_one(connection).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("stream", ["false", "true"])
def test_a_client_of_http_1_0_gets_a_stream_without_chunks_to_the_end_of_the_connection(
    usual, stream
):
    sent = whole(f'{{"prompt": "hi", "stream": {stream}}}')
    new = read_all(usual.connect(sent.replace("Host: a", "Host: a\r\nConnection: close")))
    head, _, body = read_all(usual.connect(sent.replace("HTTP/1.1", "HTTP/1.0"))).partition(
        b"\r\n\r\n"
    )
    assert (b"transfer-encoding: chunked" in new) == (stream == "true")
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    if stream == "true":
        assert body.startswith(b"data: {")
        assert body.endswith(b"data: [DONE]\n\n")
    else:
        assert f"content-length: {len(body)}".encode() in head


@pytest.mark.parametrize("stream", ["false", "true"])
@pytest.mark.parametrize("leave", [lambda it: it.close(), lambda it: it.sendall(b"?\r\n\r\n")])
def test_a_client_that_leaves_or_breaks_the_protocol_ends_its_request(stream, leave):
    engine = FakeClient(fake_client.endless)
    with running(engine, ServerConfig()) as run:
        connection = run.connect(whole(f'{{"prompt": "hi", "stream": {stream}}}'))
        assert eventually(lambda: bool(engine.streams))
        time.sleep(0.02)
        assert not engine.streams[0].closed_early
        leave(connection)
        assert eventually(lambda: engine.streams[0].closed_early)


@pytest.mark.parametrize("stream", ["false", "true"])
@pytest.mark.parametrize("size", [300_000, 1_000_000])
def test_a_client_with_a_large_body_that_leaves_ends_its_request(stream, size):
    engine = FakeClient(fake_client.endless)
    with running(engine, ServerConfig()) as run:
        more = f'"stream": {stream}, "metadata": {{"x": "{"x" * size}"}}'
        connection = run.connect(whole(f'{{"prompt": "hi", {more}}}'))
        assert eventually(lambda: bool(engine.streams))
        time.sleep(0.02)
        assert not engine.streams[0].closed_early
        connection.close()
        assert eventually(lambda: engine.streams[0].closed_early)


@pytest.mark.parametrize("pause_s", [0, 0.1])
def test_a_client_that_leaves_pipelined_requests_is_no_mistake_of_ours(pause_s, caplog):
    engine = FakeClient(fake_client.endless)
    with running(engine, ServerConfig()) as run:
        connection = run.connect(whole())
        assert eventually(lambda: bool(engine.streams))
        time.sleep(pause_s)
        connection.sendall(2 * whole().encode())
        time.sleep(0.05)
        connection.close()
        assert eventually(lambda: engine.streams[0].closed_early)
        time.sleep(0.05)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert b'{code="internal_error"} 0.0' in run.metrics.render()


def test_bodies_in_the_smallest_chunks_are_taken(usual):
    body = BODY + " " * 30_000
    chunks = "".join(f"1\r\n{byte}\r\n" for byte in body)
    sent = f"{POST}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
    assert read_all(usual.connect(sent)).startswith(b"HTTP/1.1 200")


def test_many_requests_in_one_write_are_answered_in_order(usual):
    last = f"{GET}Connection: close\r\n\r\n"
    answer = read_all(usual.connect(f"{GET}\r\n" * 3000 + last))
    assert answer.count(b"HTTP/1.1 200") == 3001


@pytest.mark.parametrize(
    "sent", ["hello\r\n\r\n", "\x16\x03\x01\x02\x00", "GET / HTTP/9.9\r\n\r\n", "CONNECT a\r\n\r\n"]
)
def test_no_http_gets_an_envelope_and_no_line_in_the_log(usual, caplog, sent):
    caplog.set_level(logging.INFO)
    answer = read_all(usual.connect(sent))
    assert error_of(answer) == (400, "invalid_http")
    assert re.search(rb"\r\nx-request-id: [0-9a-f]{32}\r\n", answer)
    assert not [record for record in caplog.records if record.name.startswith("uvicorn")]


@pytest.mark.parametrize("upgrade", ["websocket", "h2c"])
def test_an_upgrade_that_is_not_spoken_is_ignored_silently(usual, caplog, upgrade):
    headers = f"Connection: Upgrade\r\nUpgrade: {upgrade}\r\nConnection: close\r\n"
    answer = read_all(usual.connect(f"{GET}{headers}\r\n"))
    assert answer.startswith(b"HTTP/1.1 200")
    assert not caplog.records


@pytest.mark.parametrize("offer", ["Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA", "upgrade"])
@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("cut", [None, 30, -1, -8])
def test_a_request_that_offers_http_2_keeps_its_body(usual, offer, is_chunked, cut):
    headers = f"Connection: {offer}\r\nUpgrade: h2c\r\n"
    sent = whole(headers=headers)
    if is_chunked:
        chunk = f"{len(BODY):x}\r\n{BODY}\r\n0\r\n\r\n"
        sent = f"{POST}Transfer-Encoding: chunked\r\n{headers}\r\n{chunk}"
    connection = usual.connect(sent[:cut])
    if cut is not None:
        time.sleep(0.01)
        connection.sendall(sent[cut:].encode())
    answer = connection.recv(2**16)
    assert answer.startswith(b"HTTP/1.1 200"), answer
    connection.sendall(f"{GET}Connection: close\r\n\r\n".encode())  # goes on as before
    assert b'{"state":"live"}' in read_all(connection)


def test_many_requests_in_one_read_may_offer_other_protocols(usual):
    offer = "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    last = f"{GET}Connection: close, Upgrade\r\nUpgrade: h2c\r\n\r\n"
    answer = read_all(usual.connect(f"{GET}{offer}" * 1200 + last))
    assert answer.count(b"HTTP/1.1 200") == 1201


def test_a_head_that_is_too_long_is_refused_though_it_offers_http_2(usual):
    headers = f"Connection: Upgrade\r\nUpgrade: h2c\r\nX-A: {'a' * 2**17}\r\n"
    assert error_of(read_all(usual.connect(whole(headers=headers)))) == (431, "headers_too_large")


def test_nonsense_behind_a_request_does_not_spoil_its_answer(caplog):
    engine = FakeClient(script=lambda request: [0.3, *FakeClient().script(request)])
    with running(engine, ServerConfig()) as run:
        for sent in (whole() + "nonsense\r\n\r\n", whole() * 3 + "nonsense\r\n\r\n"):
            assert b"HTTP/1.1 400" not in read_all(run.connect(sent))
        assert eventually(lambda: not run.server.server_state.tasks)
    assert not caplog.records


async def endless(scope, receive, send):
    """An application whose answer has no end."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    ended = asyncio.create_task(until_disconnect(receive))
    while not ended.done():
        await send({"type": "http.response.body", "body": b"a" * 2**16, "more_body": True})
        await asyncio.sleep(0)


async def until_disconnect(receive):
    while (await receive())["type"] != "http.disconnect":
        pass


def test_a_reader_that_stalls_is_ended_and_its_handler_told():
    with running(FakeClient(), SHORT, endless) as run:
        run.connect(f"{GET}\r\n", buffer=4096)
        assert eventually(lambda: run.ended("slow_reader") == 1)
        assert eventually(lambda: not run.server.server_state.tasks)


def test_the_system_holds_nothing_for_a_reader_that_was_ended():
    with running(FakeClient(), SHORT, endless) as run:
        connection = run.connect(f"{GET}\r\n", buffer=4096)
        assert eventually(lambda: run.ended("slow_reader") == 1)
        poll = select.poll()
        poll.register(connection, 0)
        assert eventually(lambda: poll.poll(0)), "it is reset, though the client reads nothing"


def test_a_reader_that_reads_slowly_but_reads_is_served():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(8):
            await send({"type": "http.response.body", "body": b"a" * 2**16, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    # The system holds so much for the client that it is seen to read every half second only.
    with running(FakeClient(), replace(SHORT, write_timeout_s=1.5), app) as run:
        connection = run.connect(f"{GET}Connection: close\r\n\r\n", buffer=4096)
        received = 0
        while data := connection.recv(2**16):
            received += len(data)
            time.sleep(0.02)
        assert received > 8 * 2**16


def test_an_unread_answer_does_not_hold_a_connection_that_is_closed():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a" * 2**25})

    with running(FakeClient(), SHORT, app) as run:
        run.connect(f"{GET}Connection: close\r\n\r\n", buffer=4096)
        assert eventually(lambda: run.ended("slow_reader") == 1)


def test_a_late_event_loop_ends_nobody():
    begun = threading.Event()

    async def app(scope, receive, send):
        if scope["path"] == "/block":
            begun.set()
            time.sleep(0.5)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with running(FakeClient(), SHORT, app) as run:
        late = run.connect("GET /late HTTP/1.1\r\n")
        run.connect("GET /block HTTP/1.1\r\nHost: a\r\n\r\n")
        assert begun.wait(20)
        late.sendall(b"Host: a\r\nConnection: close\r\n\r\n")
        assert read_all(late).startswith(b"HTTP/1.1 200")


def test_a_health_check_overtakes_requests_that_came_before_it():
    begun, may_go_on, handled = threading.Event(), threading.Event(), []

    class Blocking(FakeClient):
        def submit(self, request):
            if not begun.is_set():
                begun.set()
                assert may_go_on.wait(20)
            handled.append("request")
            return super().submit(request)

        def status(self):
            handled.append("health")
            return super().status()

    with running(Blocking(), ServerConfig()) as run:
        others = [run.connect(whole(headers="Connection: close\r\n"))]
        assert begun.wait(20)
        others += [run.connect(whole(headers="Connection: close\r\n")) for _ in range(200)]
        check = run.connect("GET /health/ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        may_go_on.set()
        assert read_all(check).startswith(b"HTTP/1.1 200")
        assert all(read_all(one).startswith(b"HTTP/1.1 200") for one in others)
    assert handled.index("health") < 100


def test_limits_hold_with_tls_too(tmp_path):
    file = certificate(tmp_path)
    config = replace(SHORT, tls_cert_file=str(file))
    context = ssl.create_default_context(cafile=file)
    with running(FakeClient(), config) as run:
        for sent, status in ((f"{GET}Connection: close\r\n\r\n", b"200"), ("GET /", b"408")):
            with context.wrap_socket(run.connect(), server_hostname="localhost") as connection:
                connection.sendall(sent.encode())
                assert read_all(connection).startswith(b"HTTP/1.1 " + status)


def certificate(folder):
    """A file with a key and a certificate of it for localhost."""
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("openssl makes the certificate")
    file = folder / "tls.pem"
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    options = ("-newkey", "rsa:2048", "-nodes", "-keyout", str(file), "-out", "-", *names)
    made = subprocess.run([openssl, "req", "-x509", *options], capture_output=True, check=True)
    with file.open("ab") as appended:
        appended.write(made.stdout)
    return file
