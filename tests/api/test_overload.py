"""One client's flood, large bodies or unread streams leave the server to all others."""

import asyncio
import contextlib
import json

import httpx
import pytest

from tests.api.fake_client import FakeClient, FakeConnection, answer
from tests.api.sse import events
from unmask.api import create_app
from unmask.api.body_budget import FREE, BodyBudget
from unmask.api.connection import CONNECTION
from unmask.api.errors import RequestFailed
from unmask.api.streams import Merger
from unmask.api.turnstile import Turnstile
from unmask.api.unread import UnreadLimit
from unmask.config import ServerConfig
from unmask.errors import QueueFull
from unmask.types import Delta, Failure, Request, SamplingParams

COMPLETIONS = "/v1/completions"


def scope(path=COMPLETIONS, **extra):
    return {"type": "http", "method": "POST", "path": path, "headers": [], **extra}


def test_few_requests_begin_in_a_turn_and_health_checks_do_not_wait():
    begun = []

    async def app(scope, receive, send):
        begun.append(scope["path"])

    async def run():
        gate = Turnstile(app, per_turn=2)
        tasks = [asyncio.create_task(gate(scope(f"/{i}"), None, None)) for i in range(9)]
        tasks.append(asyncio.create_task(gate(scope("/health/live"), None, None)))
        await asyncio.sleep(0)
        assert begun == ["/0", "/1", "/health/live"]
        await asyncio.gather(*tasks)
        assert begun == ["/0", "/1", "/health/live", *(f"/{i}" for i in range(2, 9))]
        await gate(scope("/last"), None, None)
        assert begun[-1] == "/last"

    asyncio.run(run())


def test_a_request_that_is_cancelled_while_it_waits_keeps_nobody_back():
    async def app(scope, receive, send):
        pass

    async def run():
        gate = Turnstile(app, per_turn=1)
        tasks = [asyncio.create_task(gate(scope(), None, None)) for _ in range(5)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        tasks[2].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [result is None for result in results] == [True, False, False, True, True]

    asyncio.run(run())


def test_a_request_whose_client_has_left_is_not_begun():
    async def app(scope, receive, send):
        raise AssertionError("nobody waits for it")

    gone = {CONNECTION: FakeConnection(opened=False)}
    asyncio.run(Turnstile(app)(scope(extensions=gone), None, None))


def test_large_bodies_share_a_budget_and_small_ones_never_wait():
    budget = BodyBudget(1000)
    with budget.body() as first, budget.body() as second:
        first.grow(FREE)
        first.grow(FREE + 900)
        second.grow(FREE + 100)
        with pytest.raises(QueueFull):
            second.grow(FREE + 101)
        with budget.body() as third:
            third.grow(FREE)
    with budget.body() as body:
        body.grow(FREE + 1000)


def test_bodies_beyond_the_budget_are_told_to_come_later_while_small_ones_are_served(
    engine, metrics
):
    app = create_app(engine, metrics, ServerConfig(max_bodies_mib=1, max_body_mib=2))

    async def run():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            may_end = asyncio.Event()

            async def unfinished():
                yield b'{"prompt": "hi", "user": "' + b"a" * 2**20
                await may_end.wait()
                yield b'"}'

            headers = {"content-type": "application/json"}
            held = asyncio.create_task(
                client.post(COMPLETIONS, content=unfinished(), headers=headers)
            )
            await asyncio.sleep(0.05)
            refused = await client.post(COMPLETIONS, json={"prompt": "a", "user": "b" * 2**19})
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert refused.json()["error"]["code"] == "queue_full"
            assert (await client.post(COMPLETIONS, json={"prompt": "hi"})).status_code == 200
            may_end.set()
            assert (await held).status_code == 200

    asyncio.run(run())


def test_a_stream_that_is_left_unread_is_given_up_and_its_rest_is_an_error():
    client = FakeClient(script=lambda request: answer(request, "word " * 500))

    async def run():
        stream = client.submit(Request("r", (1, 2), SamplingParams()))
        async with contextlib.aclosing(Merger([stream])) as merger:
            with UnreadLimit(merger, 1000, interval_s=0.01):
                batches = merger.batches()
                assert await anext(batches)
                await asyncio.wait_for(stream.closed.wait(), 10)
                with pytest.raises(RequestFailed) as caught:
                    async for _ in batches:
                        pass
        assert (caught.value.status, caught.value.code) == (408, "slow_reader")
        assert stream.closed_early

    asyncio.run(run())


def test_a_stream_that_is_read_is_not_given_up():
    client = FakeClient(script=lambda request: answer(request, "word " * 20, 0.005))

    async def run():
        stream = client.submit(Request("r", (1, 2), SamplingParams()))
        async with contextlib.aclosing(Merger([stream])) as merger:
            with UnreadLimit(merger, 10**6, interval_s=0.01):
                texts = [
                    event.text
                    async for batch in merger.batches()
                    for _, event in batch
                    if isinstance(event, Delta)
                ]
        assert "".join(texts) == "word " * 20

    asyncio.run(run())


def stopped(request):
    """A word, then the end of the server."""
    return [answer(request)[0], Failure(request.request_id, "the server stops", "engine_stopped")]


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
def test_an_answer_that_the_end_of_the_server_cuts_off_is_told_so(call, engine, path):
    engine.script = stopped
    body = (
        {"prompt": "hi"}
        if path == COMPLETIONS
        else {"messages": [{"role": "user", "content": "hi"}]}
    )
    whole = call("POST", path, json=body)
    assert (whole.status_code, whole.json()["error"]["code"]) == (503, "engine_stopped")
    assert int(whole.headers["retry-after"]) > 0
    streamed = call("POST", path, json={**body, "stream": True})
    assert events(streamed.text)[-1]["error"]["code"] == "engine_stopped"
    assert streamed.text.endswith("data: [DONE]\n\n")


def test_responses_and_messages_name_the_end_of_the_server_too(call, engine):
    engine.script = stopped
    streamed = call("POST", "/v1/responses", json={"input": "hi", "stream": True})
    last = json.loads(streamed.text.rstrip().splitlines()[-1].removeprefix("data: "))
    assert last["response"]["error"]["code"] == "engine_stopped"
    body = {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "stream": True}
    assert "overloaded_error" in call("POST", "/v1/messages", json=body).text


def test_the_page_is_in_no_frame(call):
    policy = call("GET", "/").headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
