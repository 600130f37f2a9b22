"""Load on a server with known answers."""

import asyncio

import pytest

from tests.bench.fake_openai import FakeOpenAI, served
from unmask.bench.exchange import Target, first_model
from unmask.bench.load import Load, Run, connect, run_load
from unmask.bench.summary import Slo, summarise
from unmask.bench.workload import Conversation
from unmask.errors import InvalidConfig


def send(app, prompts, load, *, endpoint="chat", **fields) -> Run:
    async def main(url: str) -> Run:
        async with connect(timeout_s=10) as client:
            target = Target(url, await first_model(client, url), endpoint, fields)
            return await run_load(client, target, prompts, load)

    with served(app) as url:
        return asyncio.run(main(url))


def test_a_stream_is_timed_and_its_usage_read():
    run = send(FakeOpenAI(), ["hello"], Load(1))
    (record,) = run.records
    assert record.error is None
    assert record.first_text_s >= 0.01
    assert len(record.gaps_s) == 2
    assert record.latency_s >= record.first_text_s + sum(record.gaps_s)
    assert (record.num_tokens, record.num_denoising_steps, record.counted) == (12, 4, False)
    assert record.finish_reason == "stop"


def test_bodies_carry_model_streaming_and_extra_fields():
    app = FakeOpenAI()
    send(app, ["hello"], Load(1), max_tokens=7, policy="threshold")
    assert app.bodies == [
        {
            "model": "fake",
            "messages": [{"role": "user", "content": "hello"}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": 7,
            "policy": "threshold",
        }
    ]


def test_conversations_are_sent_as_they_are():
    app = FakeOpenAI()
    messages = ({"role": "system", "content": "say nothing"}, {"role": "user", "content": "b"})
    send(app, [Conversation(messages)], Load(1))
    assert app.bodies[0]["messages"] == list(messages)


def test_token_ids_are_sent_to_completions():
    app = FakeOpenAI()
    run = send(app, [(1, 2, 3)], Load(1), endpoint="completions")
    assert app.bodies[0]["prompt"] == [1, 2, 3]
    assert run.records[0].num_tokens == 12


def test_no_more_requests_are_open_than_asked_for_and_warmup_is_not_counted():
    app = FakeOpenAI()
    run = send(app, ["hello"] * 11, Load(8, concurrency=4, warmup=3))
    assert len(run.records) == 8
    assert len(app.bodies) == 11
    assert app.most_open == 4


def test_an_open_loop_does_not_wait_for_answers():
    app = FakeOpenAI()
    app.chunk_s = 0.1
    run = send(app, ["hello"] * 20, Load(20, rate=200.0))
    assert len(run.records) == 20
    assert app.most_open > 5


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("refuse", "http_429"),
        ("hang up", "truncated"),
        ("fail", "stream_error"),
        ("gibberish", "malformed"),
        ("odd usage", "malformed"),
    ],
)
def test_failures_are_told_by_kind(prompt, kind):
    run = send(FakeOpenAI(), [prompt, "hello"], Load(2))
    assert sorted(str(record.error) for record in run.records) == sorted(["None", kind])
    summary = summarise(run, Slo())
    assert summary.errors == {kind: 1}
    assert (summary.num_completed, summary.num_failed, summary.output_tokens) == (1, 1, 12)


def test_a_server_that_is_not_there_is_a_failure_to_connect():
    async def main() -> Run:
        async with connect() as client:
            target = Target("http://127.0.0.1:9", "m", "chat")
            return await run_load(client, target, ["hello"], Load(1))

    (record,) = asyncio.run(main()).records
    assert record.error == "connect"


def test_an_answer_without_text_has_its_end_as_its_first_sign():
    (record,) = send(FakeOpenAI(), ["say nothing"], Load(1)).records
    assert record.error is None
    assert record.first_text_s == record.latency_s


def test_servers_that_tell_no_steps_get_no_tokens_per_forward():
    summary = summarise(send(FakeOpenAI(tells_steps=False), ["a"], Load(1)), Slo())
    assert summary.tokens_per_forward is None
    assert summary.output_tokens == 12


def test_servers_that_tell_no_usage_have_their_chunks_counted():
    summary = summarise(send(FakeOpenAI(tells_usage=False), ["a"], Load(1)), Slo())
    assert summary.tokens_counted
    assert (summary.output_tokens, summary.prompt_tokens) == (3, None)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "tool_calls"])
def test_reasoning_and_calls_are_text_too(name):
    app = FakeOpenAI(tells_usage=False)
    app.field = name
    (record,) = send(app, ["hello"], Load(1)).records
    assert record.num_tokens == 3
    assert record.first_text_s < record.latency_s


def test_a_server_that_lists_no_models_is_told_with_its_answer():
    app = FakeOpenAI()
    app.refuses_lists = True
    with pytest.raises(InvalidConfig, match=r"does not list its models: HTTP 401 .*no key"):
        send(app, ["hello"], Load(1))
