"""OpenAI's client of a DMax checkpoint: what it sends by habit is served."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.api.conftest import running
from tests.support.engines import ROOMY
from tests.support.golden import load_golden
from tests.support.tiny import EOS_ID
from tests.support.tool_chats import HERMES_TEMPLATE, TAGS, TOOLS, tool_tokenizer
from unmask.api import create_app
from unmask.config import Config
from unmask.engine.async_engine import AsyncEngine
from unmask.engine.engine import Engine
from unmask.metrics import Metrics
from unmask.types import SamplingParams

openai = pytest.importorskip("openai")

HI = [{"role": "user", "content": "hi"}]
SCHEMA = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    loaded = load_golden("dmax", tmp_path_factory.mktemp("dmax"))
    usual = SamplingParams(policy="dmax", threshold=0.5, temperature=0.0)
    info = replace(loaded.info, eos_token_ids=(EOS_ID,), max_model_len=1000, default_sampling=usual)
    loaded = replace(loaded, info=info, tokenizer=tool_tokenizer(HERMES_TEMPLATE, TAGS))
    engine = AsyncEngine(Engine(Config(engine=ROOMY), loaded, Metrics()))
    try:
        with running(create_app(engine, Metrics(), Config().server)) as url:
            made = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
            yield made, info.name
            made.close()
    finally:
        engine.shutdown()


def ask(client: Any, **given: Any) -> Any:
    made, name = client
    return made.chat.completions.create(model=name, messages=HI, max_tokens=20, **given)


def test_a_temperature_draws_and_a_seed_repeats(client: Any) -> None:
    def texts(seed: int) -> list[str]:
        answer = ask(client, temperature=1.0, top_p=0.9, n=3, seed=seed)
        return [choice.message.content for choice in answer.choices]

    assert texts(5) == texts(5)
    assert len({*texts(5), *texts(6)}) > 3
    assert ask(client, temperature=0).choices == ask(client).choices


def test_a_stream_adds_up_to_the_whole_answer(client: Any) -> None:
    given = {"temperature": 0.7, "seed": 2}
    whole = ask(client, **given).choices[0].message.content
    parts = [chunk.choices[0].delta.content for chunk in ask(client, stream=True, **given)]
    assert "".join(part or "" for part in parts) == whole


def test_a_schema_and_tools_are_followed(client: Any) -> None:
    format_ = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    answer = ask(client, temperature=0.7, response_format=format_).choices[0].message.content
    assert isinstance(json.loads(answer)["a"], bool)
    made, name = client
    called = made.chat.completions.create(
        model=name, messages=HI, max_tokens=250, tools=TOOLS, tool_choice="required"
    )
    assert called.choices[0].message.tool_calls
