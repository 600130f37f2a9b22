"""The API over the real engine."""

import asyncio

import httpx
import pytest

from tests.api.sse import events, joined
from tests.support.engines import ROOMY
from unmask.api import create_app
from unmask.config import Config, ServerConfig
from unmask.engine.async_engine import AsyncEngine
from unmask.engine.engine import Engine
from unmask.metrics import Metrics

PATH = "/v1/completions"
SAMPLED = {"prompt": "Hi there", "max_tokens": 20, "temperature": 1.0, "block_length": 4}


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def api(tiny, metrics):
    """Send a list of bodies at once; gives their responses."""
    engine = AsyncEngine(Engine(Config(engine=ROOMY), tiny, metrics))

    def send(*bodies):
        async def run():
            app = create_app(engine, metrics, ServerConfig())
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await asyncio.gather(*(client.post(PATH, json=body) for body in bodies))

        return asyncio.run(run())

    yield send
    engine.shutdown()


def test_the_counter_of_generated_tokens_is_the_sum_of_all_usage(api, metrics):
    bodies = [
        {**SAMPLED, "n": 3, "seed": 5},
        {**SAMPLED, "prompt": ["a", "bc"], "stop": ["e", "t"]},
        {**SAMPLED, "temperature": 0, "max_tokens": 7},
        {**SAMPLED, "stream": True, "stream_options": {"include_usage": True}},
    ]
    *whole, streamed = api(*bodies)
    usages = [response.json()["usage"] for response in whole]
    usages.append(events(streamed.text)[-1]["usage"])
    counted = metrics.registry.get_sample_value("unmask_generated_tokens_total")
    assert counted == sum(usage["completion_tokens"] for usage in usages)
    prompts = metrics.registry.get_sample_value("unmask_prompt_tokens_total")
    assert prompts >= sum(usage["prompt_tokens"] for usage in usages)


def test_streamed_equals_not_streamed_with_refinements_and_logprobs(api):
    fields = {**SAMPLED, "n": 2, "seed": 9, "logprobs": 2}
    whole, streamed = api(fields, {**fields, "stream": True, "stream_refinements": True})
    chunks = events(streamed.text)
    assert any("diffusion" in chunk for chunk in chunks)
    for choice in whole.json()["choices"]:
        assert joined(chunks, choice["index"]) == choice["text"]
        tokens = [
            token
            for chunk in chunks
            for piece in chunk["choices"]
            if piece["index"] == choice["index"] and piece["logprobs"]
            for token in piece["logprobs"]["tokens"]
        ]
        assert tokens == choice["logprobs"]["tokens"]


def test_choice_i_equals_a_request_of_its_own_with_seed_plus_i(api):
    together, *alone = api(
        {**SAMPLED, "n": 3, "seed": 20}, *({**SAMPLED, "seed": 20 + i} for i in range(3))
    )
    texts = [choice["text"] for choice in together.json()["choices"]]
    assert texts == [response.json()["choices"][0]["text"] for response in alone]
    assert len(set(texts)) > 1


def test_without_a_seed_choices_differ(api):
    (response,) = api({**SAMPLED, "n": 4})
    assert len({choice["text"] for choice in response.json()["choices"]}) > 1


def test_usage_has_an_automatic_block_length_streamed_or_not(api, tiny):
    fields = {"prompt": "Hi there", "max_tokens": 20, "block_length": "auto"}
    streaming = {"stream": True, "stream_options": {"include_usage": True}}
    whole, streamed, named = api(
        fields, {**fields, **streaming}, {**fields, "block_length": tiny.info.block_length or 32}
    )
    block_length = whole.json()["usage"]["block_length"]
    assert block_length == events(streamed.text)[-1]["usage"]["block_length"]
    assert block_length == named.json()["usage"]["block_length"], "three requests are no load"
    assert joined(events(streamed.text), 0) == whole.json()["choices"][0]["text"]
    assert whole.json()["choices"] == named.json()["choices"]


def test_keys_kept_within_a_block_cost_fewer_rows(api):
    fields = {"prompt": "Hi there", "max_tokens": 20, "steps": 16, "block_length": 16}
    kept, whole, streamed = api(
        {**fields, "cache": "block"}, fields, {**fields, "cache": "block", "stream": True}
    )
    assert kept.json()["usage"]["query_tokens"] < whole.json()["usage"]["query_tokens"]
    assert joined(events(streamed.text), 0) == kept.json()["choices"][0]["text"]
