"""Tools of chats with random weights: every call is valid, and streams add up to it."""

import contextlib
import json
from dataclasses import replace
from typing import Literal

import jsonschema
import pytest
from pydantic import BaseModel

from tests.api.conftest import running
from tests.support.engines import ROOMY
from tests.support.golden import load_golden
from tests.support.tiny import EOS_ID
from tests.support.tool_chats import (
    GEMMA_TAGS,
    GEMMA_TEMPLATE,
    HERMES_TEMPLATE,
    LFM2_TAGS,
    LFM2_TEMPLATE,
    NEMOTRON_TEMPLATE,
    SCHEMAS,
    TAGS,
    TOOLS,
    tool_tokenizer,
)
from unmask.api import create_app
from unmask.api.tools.formats import format_of_template
from unmask.config import Config
from unmask.engine.async_engine import AsyncEngine
from unmask.engine.engine import Engine
from unmask.metrics import Metrics

openai = pytest.importorskip("openai")

HI = [{"role": "user", "content": "hi"}]
# Folder of weights, template, tags that are tokens.
MODELS = {
    "tags are tokens": ("sdar", HERMES_TEMPLATE, TAGS),
    "tags are text": ("fast_dllm", HERMES_TEMPLATE, ()),
    "calls in a list": ("wedlm", NEMOTRON_TEMPLATE, TAGS),
    "calls in Gemma's notation": ("sdar", GEMMA_TEMPLATE, GEMMA_TAGS),
    "Gemma's marks are text": ("wedlm", GEMMA_TEMPLATE, ()),
    "calls in Python": ("sdar", LFM2_TEMPLATE, LFM2_TAGS),
    "Python's tags are text": ("fast_dllm", LFM2_TEMPLATE, ()),
    "thoughts begun": ("sdar", HERMES_TEMPLATE + "<think>\n", TAGS),
    "thoughts begun in text": ("llada2", HERMES_TEMPLATE + "<think>\n", ()),
    "thoughts possible": ("sdar", HERMES_TEMPLATE + "{# <think> #}", TAGS),
}
NAMED = {"type": "function", "function": {"name": "move"}}


class Weather(BaseModel):
    city: str
    kind: Literal["sun", "rain"]


@pytest.fixture(scope="module", params=MODELS)
def client(request, tmp_path_factory):
    """OpenAI's client of a server."""
    folder, template, tags = MODELS[request.param]
    with serving(folder, tool_tokenizer(template, tags), tmp_path_factory) as completions:
        yield completions


@contextlib.contextmanager
def serving(folder, tokenizer, tmp_path_factory):
    """Chats with a checkpoint that has another tokenizer."""
    loaded = load_golden(folder, tmp_path_factory.mktemp(folder))
    info = replace(loaded.info, eos_token_ids=(EOS_ID,), max_model_len=1500)
    loaded = replace(loaded, info=info, tokenizer=tokenizer)
    config = replace(Config(), engine=ROOMY)
    engine = AsyncEngine(Engine(config, loaded, Metrics()))
    try:
        with running(create_app(engine, Metrics(), config.server)) as url:
            made = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
            yield made.chat.completions
    finally:
        engine.shutdown()


@pytest.fixture
def opening_id(client, request):
    """Id of the tag before calls; None if text spells it."""
    _, template, tags = MODELS[request.node.callspec.params["client"]]
    opening = format_of_template(template).opening
    return tool_tokenizer(template, tags).added_token_id(opening)


def check_calls(message, allowed=tuple(SCHEMAS)):
    """Assert that all calls are valid, of functions that may be called."""
    for call in message.tool_calls or ():
        assert call.function.name in allowed
        jsonschema.validate(json.loads(call.function.arguments), SCHEMAS[call.function.name])


def asking(i, **fields):
    sampling = {"temperature": (0.0, 0.8, 2.0)[i % 3], "seed": i, "max_tokens": 100 + 20 * (i % 4)}
    return {"model": "", "messages": HI, "tools": TOOLS, **sampling, **fields}


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize(
    ("choice", "allowed"), [("required", tuple(SCHEMAS)), (NAMED, ("move",))], ids=str
)
def test_required_calls_are_valid(client, choice, allowed):
    for i in range(3):
        (one,) = client.create(**asking(i, tool_choice=choice)).choices
        check_calls(one.message, allowed)
        assert one.message.tool_calls
        assert one.message.content is None
        assert one.finish_reason == "tool_calls"
        (one,) = client.create(**asking(i, tool_choice=choice, parallel_tool_calls=False)).choices
        assert len(one.message.tool_calls) == 1


@pytest.mark.usual_cases(1)
def test_text_and_calls_are_streamed_in_pieces_of_the_whole(client, opening_id):
    num_calls = 0
    for i in range(2):
        fields = asking(i, n=2, logprobs=True, max_tokens=100)
        if opening_id is not None and i == 1:  # random weights call by themselves never
            fields["logit_bias"] = {str(opening_id): 100}
        whole = client.create(**fields).choices
        pieces = {index: ["", "", {}, None] for index in (0, 1)}
        extra = {"stream_refinements": True}
        for chunk in client.create(stream=True, extra_body=extra, **fields):
            for choice in chunk.choices:
                parts, delta = pieces[choice.index], choice.delta
                parts[0] += delta.content or ""
                parts[1] += (delta.model_extra or {}).get("reasoning_content", "")
                for piece in delta.tool_calls or ():
                    calls = parts[2]
                    if piece.id:
                        calls[piece.index] = [piece.function.name, ""]
                    calls[piece.index][1] += piece.function.arguments
                parts[3] = choice.finish_reason or parts[3]
        for one in whole:
            check_calls(one.message)
            content, reasoning, calls, reason = pieces[one.index]
            assert content == (one.message.content or "")
            assert reasoning == (one.message.model_extra or {}).get("reasoning_content", "")
            named = [[c.function.name, c.function.arguments] for c in one.message.tool_calls or ()]
            assert list(calls.values()) == named
            assert reason == one.finish_reason
            assert (reason == "tool_calls") is bool(named)
            num_calls += len(named)
    assert (num_calls > 0) is (opening_id is not None)


@pytest.mark.usual_cases(1)
def test_an_answer_that_may_call_goes_on_as_long_as_it_is_asked_to(client, opening_id):
    """Text may follow calls then; random weights end where an end is all but certain."""
    num_calls = 0
    for parallel in (False, True):
        bias = {str(EOS_ID): 100.0}
        for at_once, least in ((False, 60), (True, 60), (False, 100)):
            if at_once and opening_id is not None:
                bias[str(opening_id)] = 100.0
            late = {"ignore_eos": True} if least == 100 else {"min_tokens": least}
            fields = {"max_tokens": 100, "logit_bias": bias, "parallel_tool_calls": parallel}
            answer = client.create(**asking(1, **fields, extra_body=late))
            (one,) = answer.choices
            check_calls(one.message)
            may_fill = least == 100 or one.message.tool_calls  # arguments may be without an end
            assert least <= answer.usage.completion_tokens <= (100 if may_fill else 99)
            if one.message.tool_calls:
                assert one.finish_reason == "tool_calls"
                num_calls += 1
    assert (num_calls > 0) is (opening_id is not None)


@pytest.mark.parametrize("late", [{"min_tokens": 9}, {"ignore_eos": True}, {"bad_words": ["a"]}])
def test_an_answer_that_ends_by_itself_does_not_go_on(client, late):
    form = {"type": "json_schema", "json_schema": {"name": "w", "schema": SCHEMAS["weather"]}}
    for fields in ({"tool_choice": "required"}, {"response_format": form}):
        with pytest.raises(openai.BadRequestError) as error:
            client.create(**asking(0, **fields, extra_body=late))
        assert error.value.body["param"] == next(iter(late))


@pytest.mark.usual_cases(1)
def test_text_without_calls_has_the_format_that_is_asked_for(client):
    form = {"type": "json_schema", "json_schema": {"name": "w", "schema": SCHEMAS["weather"]}}
    for i in range(2):
        (one,) = client.create(**asking(i, response_format=form)).choices
        check_calls(one.message)
        if not one.message.tool_calls:
            jsonschema.validate(json.loads(one.message.content), SCHEMAS["weather"])


@pytest.mark.usual_cases(1)
def test_a_format_beside_tools_stands_behind_thoughts_that_stay_in_the_content(client):
    form = {"type": "json_schema", "json_schema": {"name": "w", "schema": SCHEMAS["weather"]}}
    for i in range(3):
        fields = {"separate_reasoning": False}
        (one,) = client.create(**asking(i, response_format=form, extra_body=fields)).choices
        check_calls(one.message)
        if not one.message.tool_calls:
            answer = one.message.content.rpartition("</think>")[2]
            jsonschema.validate(json.loads(answer), SCHEMAS["weather"])


@pytest.mark.usual_cases(1)
def test_a_format_without_tools_begins_behind_thoughts(client):
    form = {"type": "json_schema", "json_schema": {"name": "w", "schema": SCHEMAS["weather"]}}
    for i in range(3):
        fields = asking(i, response_format=form)
        del fields["tools"]
        (one,) = client.create(**fields).choices
        jsonschema.validate(json.loads(one.message.content), SCHEMAS["weather"])


@pytest.mark.usual_cases(1)
def test_calls_go_back_to_the_model(client):
    message = client.create(**asking(1, tool_choice="required")).choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": "fine"} for call in message.tool_calls
    ]
    messages = [*HI, message.model_dump(exclude_none=True), *results]
    (one,) = client.create(**asking(2, messages=messages)).choices
    check_calls(one.message)


@pytest.mark.usual_cases(1)
def test_openais_helpers_read_arguments_into_models(client):
    ask = asking(1, tools=[openai.pydantic_function_tool(Weather)], tool_choice="required")
    (one,) = client.parse(**ask).choices
    parsed = [call.function.parsed_arguments for call in one.message.tool_calls]
    assert parsed
    assert all(isinstance(arguments, Weather) for arguments in parsed)
    with client.stream(**ask) as stream:
        (streamed,) = stream.get_final_completion().choices
    assert [call.function.parsed_arguments for call in streamed.message.tool_calls] == parsed
    assert streamed.finish_reason == one.finish_reason == "tool_calls"


def test_a_limit_below_the_shortest_call_is_refused(client):
    with pytest.raises(openai.BadRequestError) as error:
        client.create(**asking(0, tool_choice=NAMED) | {"max_tokens": 4})
    assert error.value.body["param"] == "max_tokens"
    assert "shortest answer" in error.value.body["message"]


def test_calls_of_uniform_noise_are_valid(tmp_path_factory):
    tokenizer = tool_tokenizer(LFM2_TEMPLATE, LFM2_TAGS)
    with serving("lfm2", tokenizer, tmp_path_factory) as completions:
        for choice in ("required", NAMED):
            (one,) = completions.create(**asking(1, tool_choice=choice)).choices
            check_calls(one.message)
            assert one.message.tool_calls


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("ends", ["", "<|turn>model\n", "<|channel>thought\n"])
def test_calls_on_a_canvas_are_valid_behind_thoughts(ends, tmp_path_factory):
    tags = ("<|channel>", "<channel|>", *GEMMA_TAGS)
    template = GEMMA_TEMPLATE + "{# <|channel> #}" * (ends != "") + ends
    with serving("dgemma", tool_tokenizer(template, tags), tmp_path_factory) as completions:
        (one,) = completions.create(**asking(1, tool_choice=NAMED) | {"max_tokens": 64}).choices
        check_calls(one.message, ("move",))
        assert one.message.tool_calls
        assert one.message.content is None
        assert one.finish_reason == "tool_calls"
