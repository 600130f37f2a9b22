"""Requests of every kind at once against one server: answers are those alone, streamed too."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.support.engines import ROOMY
from tests.support.tiny import EOS_ID
from tests.support.tool_chats import HERMES_TEMPLATE, TOOLS, WEATHER, tool_tokenizer
from unmask.api import create_app
from unmask.config import Config, ServerConfig
from unmask.engine.async_engine import AsyncEngine
from unmask.engine.engine import Engine
from unmask.metrics import Metrics

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
HI = [{"role": "user", "content": "hi"}]
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer", "maximum": 99}, "b": {"type": "string"}},
    "required": ["a", "b"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
HOLES = ["f(", {"hole": {"max_tokens": 5, "regex": "[a-z]+"}}, ") = ", {"hole": {"max_tokens": 9}}]
SOME = [TOOLS[0], TOOLS[2]]
TOOL = {"name": "weather", "input_schema": WEATHER}
# One of each kind; a seed and a temperature make three of it.
KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    (COMPLETIONS, {"prompt": ["a long prompt " * 4, "b"], "n": 2, "echo": True, "logprobs": 1}),
    (COMPLETIONS, {"template": [*HOLES, " and so on"], "repetition_penalty": 1.3, "logprobs": 0}),
    (COMPLETIONS, {"prompt": "a", "bad_words": ["a", "e"], "suffix": " the end", "min_tokens": 9}),
    (COMPLETIONS, {"prompt": "hi", "guided_json": SCHEMA, "policy": "klass", "max_tokens": 60}),
    (CHAT, {"messages": HI, "tools": SOME, "tool_choice": "required", "n": 2, "max_tokens": 60}),
    (CHAT, {"messages": HI, "response_format": FORMAT, "n": 2, "max_tokens": 70, "logprobs": True}),
    (CHAT, {"messages": HI, "tools": SOME, "policy": "hierarchical", "max_tokens": 40}),
    ("/v1/messages", {"messages": HI, "tools": [TOOL], "max_tokens": 60}),
    ("/v1/responses", {"input": "hi", "max_output_tokens": 30, "stop": ["q", "e"]}),
    ("/v1/fim/completions", {"prompt": "x = ", "suffix": "\n", "max_tokens": 20}),
    ("/infill", {"input_prefix": "x = ", "input_suffix": "\n", "n_predict": 20, "stop": ["e"]}),
)
# Fields of an answer that tell of the moment, or of what else was asked.
FLEETING = {"id", "call_id", "item_id", "created", "created_at", "usage", "timings"}
FLEETING |= {"tokens_cached"}


@pytest.fixture
def engine(tiny):
    info = replace(tiny.info, eos_token_ids=(EOS_ID,), max_model_len=700)
    tokenizer = tool_tokenizer(HERMES_TEMPLATE + "{# <think> #}")
    loaded = replace(tiny, info=info, tokenizer=tokenizer)
    pages = replace(ROOMY, num_pages=100, page_size=8, overlap=True, max_num_seqs=24)
    engine = AsyncEngine(Engine(Config(engine=pages), loaded, Metrics()))
    yield engine
    engine.shutdown()


def bodies() -> list[tuple[str, dict[str, Any]]]:
    made = []
    for path, fields in KINDS:
        for i in range(3):
            seed = {"random_seed": i} if "fim" in path else {"seed": i}
            made.append((path, {**fields, **seed, "temperature": 0.6 * i}))
    return made


def same(one: Any, other: Any) -> bool:
    """True for equal JSON, whose log-probabilities may differ by rounding."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = {*one, *other} - FLEETING
        return all(same(one.get(name), other.get(name)) for name in names)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return one == pytest.approx(other, abs=1e-3, rel=1e-3)
    return bool(one == other)


def text_of(path: str, response: httpx.Response) -> str:
    """Text, thoughts and arguments of all choices, one after the other, of a stream too."""
    if "event-stream" not in response.headers["content-type"]:
        return _text(response.json())
    lines = [line for line in response.text.splitlines() if line.startswith("data: {")]
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines]
    if path == "/v1/responses":  # the last event repeats the whole answer
        return _text(chunks[-1]["response"])
    if path == "/v1/messages":
        return "".join(
            next(value for name, value in chunk["delta"].items() if name != "type")
            for chunk in chunks
            if chunk["type"] == "content_block_delta"
        )
    if path == "/infill":
        return "".join(chunk["content"] for chunk in chunks)
    pieces = [piece for chunk in chunks for piece in chunk["choices"]]
    indices = sorted({piece["index"] for piece in pieces})
    return "".join(_text(piece) for i in indices for piece in pieces if piece["index"] == i)


def _text(value: Any) -> str:
    """Text anywhere in an answer or a piece, in the order of its fields."""
    if isinstance(value, list):
        return "".join(map(_text, value))
    if not isinstance(value, dict):
        return ""
    if value.get("type") == "tool_use":
        return json.dumps(value["input"])
    names = ("output", "choices", "delta", "message", "reasoning_content", "thinking", "content")
    names = (*names, "text", "tool_calls", "function", "arguments")
    found = [value[name] for name in names if value.get(name)]
    return "".join(item if isinstance(item, str) else _text(item) for item in found)


async def post_all(engine: AsyncEngine) -> list[tuple[str, list[httpx.Response]]]:
    """Each body's answer alone, then among all others, and then as a stream among them."""
    app = create_app(engine, Metrics(), ServerConfig())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        asked = bodies()
        rounds = [[await client.post(path, json=body) for path, body in asked]]
        for stream in (False, True):
            posts = [client.post(path, json={**body, "stream": stream}) for path, body in asked]
            rounds.append(await asyncio.gather(*posts))
    paths = [path for path, _ in asked]
    return list(zip(paths, map(list, zip(*rounds, strict=True)), strict=True))


@pytest.mark.exhaustive
def test_33_requests_of_every_kind_at_once_answer_as_each_alone(engine: AsyncEngine) -> None:
    answers = asyncio.run(asyncio.wait_for(post_all(engine), 300))
    assert len(answers) == 33
    for path, (alone, together, streamed) in answers:
        assert {alone.status_code, together.status_code, streamed.status_code} == {200}, alone.text
        assert same(alone.json(), together.json()), (alone.text, together.text)
        if path == "/v1/messages" and '"tool_use"' in alone.text:
            continue  # whose input is parsed
        assert text_of(path, streamed) == text_of(path, alone)
    status = engine.status()
    assert (status.num_running, status.num_waiting, status.num_pages_used) == (0, 0, 0)
