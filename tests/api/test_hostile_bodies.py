"""No body blocks the event loop, and one that can never fit is refused before it is encoded."""

import asyncio
import threading

import httpx
import pytest

from tests.api.fake_client import MODEL, TOKENIZER, VOCAB_SIZE, FakeClient
from unmask.api import create_app
from unmask.api.backend import LONG, MAX_PENDING, SHORT, Workers
from unmask.config import ServerConfig
from unmask.errors import QueueFull
from unmask.tokenizer import Tokenizer

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
EMPTY = {"role": "user", "content": ""}


class Counting(Tokenizer):
    """Records encoded texts, and the threads that encode."""

    def __init__(self):
        vars(self).update(vars(TOKENIZER))
        self.texts, self.threads = [], set()

    def encode(self, text, **options):
        self.texts.append(text)
        self.threads.add(threading.current_thread())
        return super().encode(text, **options)

    def apply_chat(self, messages, **options):
        self.threads.add(threading.current_thread())
        return super().apply_chat(messages, **options)


@pytest.fixture
def tokenizer():
    return Counting()


@pytest.fixture
def engine(tokenizer):
    return FakeClient(tokenizer=tokenizer)


BODIES = [
    (COMPLETIONS, {"prompt": [""] * 100_000}, "prompt"),
    (COMPLETIONS, {"prompt": ["a"] * 36_000}, "prompt"),
    (COMPLETIONS, {"prompt": ["a"] * 600, "n": 2}, "n"),
    (COMPLETIONS, {"prompt": [[1]] * 100_000}, "prompt"),
    (COMPLETIONS, {"prompt": [1] * 400_000}, "prompt"),
    (COMPLETIONS, {"prompt": [[1] * 400_000]}, "prompt"),
    (COMPLETIONS, {"prompt": "a" * 2_000_000}, "prompt"),
    (COMPLETIONS, {"prompt": ["a", "b" * 2_000_000]}, "prompt"),
    (COMPLETIONS, {"prompt": "hi", "stop": ["a"] * 100_000}, "stop"),
    (COMPLETIONS, {"prompt": "hi", "stop_token_ids": [1] * 400_000}, "stop_token_ids"),
    (COMPLETIONS, {"prompt": "hi", "allowed_token_ids": [1] * 400_000}, "allowed_token_ids"),
    (COMPLETIONS, {"prompt": "hi", "logit_bias": dict.fromkeys(range(9999), 1)}, "logit_bias"),
    (COMPLETIONS, {"prompt": "hi", "tools": [[]] * 250_000}, None),
    (COMPLETIONS, {"prompt": "hi", "logit_bias": dict.fromkeys(range(250_000), 1)}, "logit_bias"),
    (COMPLETIONS, {"prompt": "hi", **{f"x{i}": 1 for i in range(50_000)}}, None),
    (COMPLETIONS, {"prompt": ["a"] * 1024, "allowed_token_ids": [1] * 500}, "prompt"),
    (CHAT, {"messages": [EMPTY] * 100_000}, "messages"),
    (CHAT, {"messages": [{**EMPTY, "content": [{"type": "text", "text": ""}] * 99_999}]},
     "messages"),
    (CHAT, {"messages": [{**EMPTY, "content": "a" * 2_000_000}]}, "messages"),
    (CHAT, {"messages": [{**EMPTY, "content": "<|end|>" * 300_000}]}, "messages"),
    (CHAT, {"messages": [{"role": "assistant", "tool_calls": [{}] * 5000}]}, "messages"),
    (CHAT, {"messages": [{**EMPTY, **{f"x{i}": 1 for i in range(50_000)}}]}, "messages"),
    ("/tokenize", {"messages": [EMPTY] * 100_000}, "messages"),
    ("/tokenize", {"prompt": "a" * 2_000_000}, "prompt"),
    ("/detokenize", {"tokens": [1] * 400_000}, "tokens"),
]  # fmt: skip


@pytest.mark.usual_cases(10)
@pytest.mark.parametrize(("path", "body", "field"), BODIES, ids=lambda value: str(value)[:40])
def test_more_than_can_ever_fit_is_refused_before_anything_is_encoded(
    call, tokenizer, path, body, field
):
    response = call("POST", path, json=body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"] == field
    assert len(error["message"]) < 400
    assert all(len(text) < 1000 for text in tokenizer.texts)
    assert len(tokenizer.texts) < 2


def test_bodies_near_the_limits_are_taken(call, engine):
    filled = {"prompt": [""] * 1023 + ["a"], "max_tokens": 1}
    assert (
        call("POST", COMPLETIONS, json=filled)
        .json()["error"]["message"]
        .startswith("the prompt must have at least one token")
    )
    everything = {"prompt": "a", "allowed_token_ids": list(range(VOCAB_SIZE))}
    assert call("POST", COMPLETIONS, json=everything).status_code == 200
    assert call("POST", COMPLETIONS, json={"prompt": ["a"] * 1024}).status_code == 200
    fits = "a" * (MODEL.max_model_len - 1)
    assert call("POST", COMPLETIONS, json={"prompt": fits, "max_tokens": 1}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": [""] * 500},
        {"prompt": ["a" * 255] * 100},
        {"messages": [EMPTY] * 200},
        {"messages": [{**EMPTY, "content": [{"type": "text", "text": ""}] * 200}]},
    ],
    ids=lambda body: str(body)[:40],
)
def test_many_small_items_are_encoded_off_the_event_loop(call, tokenizer, body):
    call("POST", CHAT if "messages" in body else COMPLETIONS, json=body)
    assert tokenizer.threads
    assert threading.main_thread() not in tokenizer.threads


def test_a_short_prompt_needs_no_other_thread(call, tokenizer):
    call("POST", COMPLETIONS, json={"prompt": "hello"})
    assert tokenizer.threads == {threading.main_thread()}


def test_health_answers_while_a_long_prompt_is_encoded(metrics):
    begun, may_end = threading.Event(), threading.Event()

    class Slow(Counting):
        def encode(self, text, **options):
            if len(text) > 100:
                begun.set()
                assert may_end.wait(20)
            return super().encode(text, **options)

    engine = FakeClient(tokenizer=Slow())
    app = create_app(engine, metrics, ServerConfig())

    async def run():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            body = {"prompt": ["a" * 200] * 100, "max_tokens": 1}
            long = asyncio.create_task(client.post(COMPLETIONS, json=body))
            assert await asyncio.to_thread(begun.wait, 20)
            assert (await client.get("/health")).status_code == 200
            short = await client.post(COMPLETIONS, json={"prompt": "hi", "max_tokens": 1})
            assert short.status_code == 200
            assert not long.done()
            may_end.set()
            assert (await long).status_code == 200

    asyncio.run(run())


def test_the_longest_work_does_not_block_other_long_work():
    async def run():
        workers, may_end = Workers(), threading.Event()
        longest = asyncio.create_task(workers.run(lambda: may_end.wait(20), LONG + 1))
        assert await workers.run(threading.current_thread, SHORT) is threading.main_thread()
        assert await workers.run(threading.current_thread, LONG) is not threading.main_thread()
        assert not longest.done()
        may_end.set()
        await longest

    asyncio.run(run())


def test_a_full_queue_of_long_work_is_refused():
    async def run():
        workers, may_end = Workers(), threading.Event()
        work = [
            asyncio.create_task(workers.run(lambda: may_end.wait(20), LONG + 1))
            for _ in range(MAX_PENDING)
        ]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await workers.run(lambda: None, LONG + 1)
        may_end.set()
        await asyncio.gather(*work)

    asyncio.run(run())


def test_a_wrong_value_is_quoted_as_json_and_cut_short(call):
    body = {"prompt": "hi", "tools": [{"strict": True, "of": None, "text": "é" * 10_000}] * 100}
    message = call("POST", COMPLETIONS, json=body).json()["error"]["message"]
    assert '[] or null, got [{"strict": true, "of": null, "text": "é' in message
    assert len(message) < 300


def test_the_longest_body_is_a_setting(call):
    body = {"prompt": "a" * 2**20}
    assert call("POST", COMPLETIONS, ServerConfig(max_body_mib=1), json=body).status_code == 413
    assert call("POST", COMPLETIONS, ServerConfig(max_body_mib=2), json=body).status_code == 400
