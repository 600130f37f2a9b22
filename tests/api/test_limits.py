"""Limits of each client, deadlines, and a queue with room for all."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.api.fake_client import FakeClient, answer, endless
from unmask.api import create_app
from unmask.api.clients import Client, client_of
from unmask.api.deadline import Deadline
from unmask.api.errors import RequestFailed
from unmask.api.gate import Gate
from unmask.api.key_file import entry
from unmask.config import ServerConfig
from unmask.engine.process.whole_answers import WholeAnswers
from unmask.errors import QueueFull, RateLimited
from unmask.metrics import Metrics, value_of
from unmask.types import Delta, EngineStatus, Event, Request
from unmask.usage import ClientLimits

Call = Callable[..., httpx.Response]
PATH = "/v1/completions"
BODY = {"prompt": "hi", "max_tokens": 4}
LONG = {"prompt": "hi"}
NO_LIMITS = ClientLimits()


def talk(engine: FakeClient, config: ServerConfig, *sends: dict[str, object]) -> list[object]:
    """Responses of one application to requests, sent one after the other."""
    app = create_app(engine, Metrics(), config)

    async def run() -> list[object]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return [await client.post(PATH, **{"json": BODY, **send}) for send in sends]

    return asyncio.run(run())


def test_more_requests_than_a_minute_allows_get_429(engine: FakeClient) -> None:
    config = ServerConfig(requests_per_minute=2)
    first, second, third = talk(engine, config, {}, {}, {})
    assert (first.status_code, second.status_code, third.status_code) == (200, 200, 429)
    error = third.json()["error"]
    assert (error["code"], error["type"]) == ("rate_limit_exceeded", "requests")
    assert 1 <= int(third.headers["retry-after"]) <= 30
    assert len(engine.requests) == 2, "what is refused costs no work"


def test_tokens_that_were_used_count_against_the_minute(engine: FakeClient) -> None:
    config = ServerConfig(tokens_per_minute=5)
    first, second = talk(engine, config, {}, {})
    assert (first.status_code, second.status_code) == (200, 429)
    assert second.json()["error"]["type"] == "tokens"
    assert int(second.headers["retry-after"]) >= 2, "6 tokens were used of 5"


def test_tokens_of_an_answer_that_is_late_count_against_the_minute(engine: FakeClient) -> None:
    """An engine may hold an answer back, but not one whose tokens count."""

    def script(request: Request) -> list[Event | float]:
        whole = WholeAnswers()
        whole.expect(request)
        deltas = [Delta(request.request_id, (65, 66), "AB")] * 20
        return [*filter(None, map(whole.take, deltas)), 3600.0]

    engine.script = script
    config = ServerConfig(tokens_per_minute=20)
    late = {"headers": {"x-request-timeout": "0.1"}}
    statuses = [response.status_code for response in talk(engine, config, late, late)]
    assert statuses == [504, 429], "40 tokens were used of 20"


def test_each_key_has_limits_of_its_own(engine: FakeClient, tmp_path: object) -> None:
    keys = tmp_path / "keys"
    more = "requests_per_minute = 2\n"
    texts = (entry("a", "one", ["inference"]), entry("b", "two", ["inference"]) + more)
    keys.write_text("".join(texts))
    config = ServerConfig(requests_per_minute=1, api_key_file=str(keys))
    one, two = ({"headers": {"authorization": f"Bearer {k}"}} for k in ("one", "two"))
    again = {"headers": {"x-api-key": "one"}, "json": {**BODY, "user": "another"}}
    answers = talk(engine, config, one, two, again, two, two)
    assert [a.status_code for a in answers] == [200, 200, 429, 200, 429], "a key's own limit"
    names = [request.client for request in engine.requests]
    assert len(set(names)) == 2
    assert not any("one" in name or "two" in name for name in names), "no key leaves the door"


def scope(address: str | None, **headers: str) -> dict[str, object]:
    pairs = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    return {"type": "http", "client": address and (address, 1), "headers": pairs}


def test_a_client_is_an_address_where_no_key_is_asked_for() -> None:
    def name(*args: object, **headers: str) -> str:
        return client_of(scope(*args, **headers), NO_LIMITS).name

    assert name("10.0.0.1") == name("10.0.0.1", x_api_key="b", x_forwarded_for="1.2.3.4")
    assert name("10.0.0.1") == name("::ffff:10.0.0.1") != name("10.0.0.2")
    assert name("2001:db8::1") == name("2001:db8::2:3") != name("2001:db8:0:1::1")
    assert name(None) == ""
    assert name("a-socket") == "a-socket"


def test_a_request_that_is_over_gives_its_place_back(engine: FakeClient) -> None:
    """Whole, streamed, refused and failed ones do."""
    config = ServerConfig(max_concurrent_requests=1)
    bodies = [BODY, {**BODY, "stream": True}, {**BODY, "top_p": 7}, {**BODY, "n": 3}, BODY]
    engine.refusals = {3: QueueFull("full", retry_after_s=1)}
    answers = talk(engine, config, *({"json": body} for body in bodies))
    assert [a.status_code for a in answers] == [200, 200, 400, 503, 200]


def test_nothing_is_encoded_or_submitted_of_a_request_without_room(
    engine: FakeClient, metrics: Metrics
) -> None:
    engine.max_queue = 5  # two requests wait
    four, three = ({"json": {**BODY, "prompt": ["a"] * num}} for num in (4, 3))
    refused, taken, wrong = talk(
        engine, ServerConfig(), four, three, {"json": {**BODY, "n": 6, "temperature": 1}}
    )
    assert (refused.status_code, taken.status_code, wrong.status_code) == (503, 200, 400)
    assert refused.json()["error"]["code"] == "queue_full"
    assert "engine.max_queue" in wrong.json()["error"]["message"]
    assert len(engine.requests) == 3


def test_a_late_answer_ends_with_504(engine: FakeClient) -> None:
    engine.script = endless
    (late,) = talk(engine, ServerConfig(), {"json": {**LONG, "timeout": 0.05}})
    assert late.status_code == 504
    error = late.json()["error"]
    assert (error["code"], error["type"]) == ("timeout", "server_error")
    assert "0.05 s" in error["message"]
    assert engine.streams[0].closed_early, "the engine is told"


@pytest.mark.parametrize(
    ("config", "send"),
    [
        ({}, {"headers": {"x-request-timeout": "0.05"}}),
        ({"request_timeout_s": 0.05}, {}),
        ({"request_timeout_s": 0.05}, {"headers": {"x-request-timeout": "60"}}),
        ({"request_timeout_s": 60.0}, {"headers": {"x-request-timeout": "0.05"}}),
    ],
)
def test_the_earliest_deadline_counts(
    engine: FakeClient, config: dict[str, float], send: dict[str, object]
) -> None:
    engine.script = endless
    body = {**LONG, "timeout": 50}
    (late,) = talk(engine, ServerConfig(**config), {"json": body, **send})
    assert late.status_code == 504
    assert engine.requests[0].deadline_s is not None


def test_a_late_stream_ends_with_an_error_that_says_so(engine: FakeClient) -> None:
    engine.script = endless
    (late,) = talk(engine, ServerConfig(), {"json": {**LONG, "stream": True, "timeout": 0.1}})
    assert late.status_code == 200
    *_, last, done = late.text.strip().split("\n\n")
    assert '"code":"timeout"' in last
    assert done == "data: [DONE]"
    assert engine.streams[0].closed_early


def test_an_answer_in_time_is_whole_and_late_ones_are_counted(engine: FakeClient) -> None:
    metrics = Metrics()
    app = create_app(engine, metrics, ServerConfig(request_timeout_s=30))

    async def run() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            first = await client.post(PATH, json=BODY)
            engine.script = endless
            return [first, await client.post(PATH, json={**LONG, "timeout": 0.02})]

    first, late = asyncio.run(run())
    assert (first.status_code, late.status_code) == (200, 504)
    assert b"unmask_requests_timed_out_total 1.0" in metrics.render()


@pytest.mark.parametrize(("seconds", "code"), [(0.01, "timeout"), (60.0, "aborted")])
def test_an_abort_by_the_engine_is_late_if_the_time_is_over(seconds: float, code: str) -> None:
    async def run() -> None:
        deadline = Deadline()
        deadline.limit(seconds)
        with deadline:
            time.sleep(0.02)  # the timer has no turn
            raise RequestFailed("aborted by the server", status=503, code="aborted")

    with pytest.raises(RequestFailed) as failed:
        asyncio.run(run())
    assert failed.value.code == code


def test_a_late_request_that_is_cancelled_as_well_is_cancelled() -> None:
    async def work() -> None:
        deadline, task = Deadline(), asyncio.current_task()
        assert task is not None
        deadline.limit(0.01)
        with deadline:
            asyncio.get_running_loop().call_later(0.02, task.cancel)
            time.sleep(0.05)  # both are due
            await asyncio.sleep(60)

    async def run() -> None:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(work())

    asyncio.run(run())


@pytest.mark.parametrize("text", ["", "soon", "0", "-1", "nan", "inf"])
def test_a_header_that_is_no_time_is_wrong(engine: FakeClient, text: str) -> None:
    (wrong,) = talk(engine, ServerConfig(), {"headers": {"x-request-timeout": text}})
    assert wrong.status_code == 400
    assert "x-request-timeout" in wrong.json()["error"]["message"]
    assert not engine.requests


@pytest.mark.parametrize(
    ("field", "value"),
    [("timeout", 0), ("timeout", -1), ("timeout", "1"), ("priority", 1.5), ("priority", 2**40)],
)
def test_values_that_are_no_times_or_priorities_are_wrong(
    engine: FakeClient, field: str, value: object
) -> None:
    (wrong,) = talk(engine, ServerConfig(), {"json": {**BODY, field: value}})
    assert wrong.status_code == 400
    assert wrong.json()["error"]["param"] == field


def test_client_priority_and_deadline_reach_the_engine(engine: FakeClient) -> None:
    (response,) = talk(
        engine, ServerConfig(), {"json": {**BODY, "n": 2, "temperature": 1, "priority": -3}}
    )
    assert response.status_code == 200
    assert {(r.client, r.priority) for r in engine.requests} == {("127.0.0.1", -3)}
    assert {r.deadline_s for r in engine.requests} == {None}


def test_refusals_are_counted_by_reason(engine: FakeClient) -> None:
    metrics = Metrics()
    app = create_app(engine, metrics, ServerConfig(requests_per_minute=1))

    async def run() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            for _ in range(3):
                await client.post(PATH, json=BODY)

    asyncio.run(run())
    assert b'unmask_requests_refused_total{reason="rate_limited"} 2.0' in metrics.render()


def test_answers_are_the_same_with_limits(engine: FakeClient) -> None:
    engine.script = lambda request: answer(request)
    config = ServerConfig(requests_per_minute=9, tokens_per_minute=999, request_timeout_s=9)
    (plain,), (limited,) = talk(engine, ServerConfig(), {}), talk(engine, config, {})
    assert plain.json()["choices"] == limited.json()["choices"]


def test_refusals_and_tokens_are_counted_by_key(
    engine: FakeClient, metrics: Metrics, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(entry("team", "secret", ["inference"]) + "requests_per_minute = 1\n")
    app = create_app(engine, metrics, ServerConfig(api_key_file=str(keys)))

    async def run() -> list[int]:
        transport = httpx.ASGITransport(app)
        headers = {"authorization": "Bearer secret"}
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            sent = [await client.post(PATH, json=BODY, headers=headers) for _ in range(3)]
        return [response.status_code for response in sent]

    assert asyncio.run(run()) == [200, 429, 429]
    text = metrics.render().decode()
    assert 'unmask_requests_limited_total{key="team",kind="requests"} 2.0' in text
    assert 'unmask_requests_limited_total{key="none",kind="tokens"} 0.0' in text
    assert 'unmask_key_tokens_total{key="team"} 6.0' in text


def test_choices_over_the_limit_are_counted() -> None:
    metrics = Metrics()
    gate = Gate(lambda: EngineStatus("ready", 0, 0, 0, 1), metrics, now=lambda: 0.0)
    visit = gate.enter(Client("a", ClientLimits(max_queue=2)))
    visit.reserve(2, "n")
    other = gate.enter(visit.client)
    with pytest.raises(RateLimited):
        other.reserve(1, "n")
    assert value_of(metrics.limited) == 1
