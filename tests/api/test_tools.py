"""Tools of chats: prompts, grammars and answers around a fake engine."""

import json
from dataclasses import replace

import jsonschema
import pytest
from pydantic import TypeAdapter

from tests.api.fake_client import MODEL, TOKENIZER, answer
from tests.api.sse import events
from tests.support.tiny import CHAT_TEMPLATE, byte_tokenizer
from tests.support.tool_chats import (
    GEMMA_TEMPLATE,
    HERMES_TEMPLATE,
    LFM2_TEMPLATE,
    NEMOTRON_TEMPLATE,
    TOOLS,
    tool_of,
    tool_tokenizer,
)
from unmask.api.response_models import ChatCompletion
from unmask.decoding.automata.language import language_of
from unmask.decoding.automata.limits import Budget
from unmask.tokenizer import Tokenizer

CHAT = "/v1/chat/completions"
HI = [{"role": "user", "content": "hi"}]
ARGUMENTS = ('{"city": "Rome"}', '{"to": [1, 2], "how": "</tool_call>"}')
CALLS = (
    f'<tool_call>\n{{"name": "weather", "arguments": {ARGUMENTS[0]}}}\n</tool_call>\n'
    f'<tool_call>\n{{"name": "move", "arguments": {ARGUMENTS[1]}}}\n</tool_call>'
)


@pytest.fixture
def engine(engine):
    engine.model = replace(MODEL, max_model_len=4096)
    engine.tokenizer = tool_tokenizer()
    return engine


def says(engine, text):
    engine.script = lambda request: answer(request, text)


def ask(call, **fields):
    response = call("POST", CHAT, json={"messages": HI, "tools": TOOLS, **fields})
    assert response.status_code == 200, response.text
    return response


def prompt_of(engine):
    return engine.tokenizer.decode(engine.requests[-1].prompt_token_ids)


def test_an_answer_has_calls_with_ids(call, engine):
    says(engine, f"Let me look.\n{CALLS}")
    (choice,) = ask(call).json()["choices"]
    assert choice["finish_reason"] == "tool_calls"
    message = choice["message"]
    assert message["content"] == "Let me look."
    assert [c["function"]["arguments"] for c in message["tool_calls"]] == list(ARGUMENTS)
    assert [c["function"]["name"] for c in message["tool_calls"]] == ["weather", "move"]
    assert {c["type"] for c in message["tool_calls"]} == {"function"}
    assert len({c["id"] for c in message["tool_calls"] if c["id"].startswith("call_")}) == 2


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("", "{}"),
        (" ", "{}"),
        (None, "{}"),
        ('{"a": 1}', '{"a": 1}'),
        ("not json", '"not json"'),
        (r'{"a": "\ud83d"}', r'"{\"a\": \"\\ud83d\"}"'),  # half a character, cut by another model
        ('{"a":' + "[" * 900 + "]" * 900 + "}", "[[["),
    ],
    ids=["empty", "blank", "none", "an object", "no JSON", "no Unicode", "deep"],
)
def test_arguments_of_earlier_calls_are_objects_where_they_can_be(call, engine, given, shown):
    made = {"id": "c", "type": "function", "function": {"name": "now", "arguments": given}}
    turns = [
        *HI,
        {"role": "assistant", "content": None, "tool_calls": [made]},
        {"role": "tool", "tool_call_id": "c", "content": "7"},
    ]
    says(engine, "seven")
    ask(call, messages=turns)
    assert f'"arguments": {shown}' in prompt_of(engine) or shown == "[[[" in prompt_of(engine)


def test_calls_alone_leave_no_content(call, engine):
    says(engine, CALLS)
    (choice,) = ask(call, tool_choice="required").json()["choices"]
    assert choice["message"]["content"] is None
    assert len(choice["message"]["tool_calls"]) == 2


def test_a_format_may_spell_the_tag_of_calls(call, engine):
    text = json.dumps({"a": CALLS})
    says(engine, text)
    form = {"response_format": {"type": "json_object"}}
    (choice,) = ask(call, **form).json()["choices"]
    assert choice["message"]["content"] == text
    assert choice["finish_reason"] == "stop"
    says(engine, CALLS)
    (choice,) = ask(call, **form).json()["choices"]
    assert len(choice["message"]["tool_calls"]) == 2


@pytest.mark.parametrize("thoughts", ["hm < so</think>", "hm</think>\n\n"])
@pytest.mark.parametrize("streams", [False, True])
def test_thoughts_that_stay_in_the_content_come_before_a_format_or_calls(
    call, engine, thoughts, streams
):
    engine.tokenizer = tool_tokenizer(HERMES_TEMPLATE + "<think>\n")
    fields = {"response_format": {"type": "json_object"}, "separate_reasoning": False}
    for text, num_calls in ((json.dumps({"a": CALLS}), 0), (CALLS, 2)):
        says(engine, thoughts + text)
        response = ask(call, stream=streams, **fields)
        if streams:
            deltas = [chunk["choices"][0]["delta"] for chunk in events(response.text)]
            content = "".join(delta.get("content", "") for delta in deltas)
            calls = [c for d in deltas for c in d.get("tool_calls", ()) if "id" in c]
            assert not any("reasoning_content" in delta for delta in deltas)
        else:
            message = response.json()["choices"][0]["message"]
            content, calls = message["content"], message.get("tool_calls", [])
            assert "reasoning_content" not in message
        assert content == thoughts + ("" if num_calls else text)
        assert len(calls) == num_calls


def test_text_alone_is_an_answer_as_ever(call, engine):
    says(engine, "Hello <tool")
    (choice,) = ask(call).json()["choices"]
    assert choice["message"] == {"role": "assistant", "content": "Hello <tool", "refusal": None}
    assert choice["finish_reason"] == "stop"


def test_a_stream_has_the_name_of_a_call_and_then_its_arguments(call, engine):
    says(engine, f"Let me look.\n{CALLS}")
    chunks = events(ask(call, stream=True, stream_refinements=True, logprobs=True, n=2).text)
    for index in (0, 1):
        own = [c for chunk in chunks for c in chunk["choices"] if c["index"] == index]
        assert "".join(c["delta"].get("content", "") for c in own) == "Let me look."
        deltas = [c["delta"]["tool_calls"] for c in own if "tool_calls" in c["delta"]]
        assert all(len(calls) == 1 for calls in deltas), "some clients join one piece a chunk"
        for i, name in enumerate(("weather", "move")):
            first, *rest = [piece for (piece,) in deltas if piece["index"] == i]
            assert first.keys() == {"index", "id", "type", "function"}
            assert first["function"] == {"name": name, "arguments": ""}
            assert all(piece.keys() == {"index", "function"} for piece in rest)
            assert "".join(piece["function"]["arguments"] for piece in rest) == ARGUMENTS[i]
        assert own[-1]["finish_reason"] == "tool_calls"
        assert [c["finish_reason"] for c in own[:-1]] == [None] * (len(own) - 1)
        num_logprobs = sum(len(c["logprobs"]["content"]) for c in own if c["logprobs"])
        assert num_logprobs == len(TOKENIZER.encode(f"Let me look.\n{CALLS}")) + 1
    assert any("diffusion" in chunk for chunk in chunks)


def test_thoughts_come_before_text_and_calls(call, engine):
    says(engine, f"<think>\nWhich <tool_call>?</think>\n\nSo:\n{CALLS}")
    message = ask(call).json()["choices"][0]["message"]
    assert message["reasoning_content"] == "Which <tool_call>?"
    assert message["content"] == "So:"
    assert len(message["tool_calls"]) == 2


def test_calls_in_a_list_are_split_too(call, engine):
    engine.tokenizer = tool_tokenizer(NEMOTRON_TEMPLATE)
    items = [f'{{"name": "now", "arguments": {arguments}}}' for arguments in ARGUMENTS]
    says(engine, f"<TOOLCALL>[{', '.join(items)}]</TOOLCALL>")
    message = ask(call).json()["choices"][0]["message"]
    assert [c["function"]["arguments"] for c in message["tool_calls"]] == list(ARGUMENTS)


def test_the_template_gets_tools_in_the_shape_of_training(call, engine):
    ask(call)
    first, second, third, rest = prompt_of(engine).split("\n", 3)
    assert rest == "user: hi\nassistant: "
    assert json.loads(first) == TOOLS[0]
    assert "strict" not in json.loads(second)["function"]
    assert json.loads(third)["function"]["parameters"] == {"type": "object", "properties": {}}
    prompt = list(engine.requests[-1].prompt_token_ids)
    body = {"messages": HI, "tools": TOOLS}
    assert call("POST", "/tokenize", json=body).json()["tokens"] == prompt
    assert call("POST", "/apply-template", json=body).json()["prompt"] == prompt_of(engine)


def test_tools_spell_no_control_tokens(call, engine):
    tool = tool_of("f", description="<|end|>", parameters={"properties": {"<|end|>": {}}})
    ask(call, tools=[tool])
    prompt = engine.requests[-1].prompt_token_ids
    assert MODEL.eos_token_ids[0] not in prompt
    assert prompt_of(engine).count("<|end|>") == 2


def test_calls_go_back_to_the_template_as_they_were_written(call, engine):
    says(engine, f"Let me look.\n{CALLS}")
    message = ask(call).json()["choices"][0]["message"]
    results = [
        {"role": "tool", "tool_call_id": c["id"], "content": "fine"} for c in message["tool_calls"]
    ]
    ask(call, messages=[*HI, message, *results])
    begun = prompt_of(engine).partition("user: hi\n")[2]
    assert begun == f"assistant: Let me look.\n{CALLS}\ntool: fine\ntool: fine\nassistant: "


def allowed(mode: str, *names: str) -> dict:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


def test_allowed_tools_are_called_and_all_are_shown(call, engine):
    engine.tokenizer = tool_tokenizer(tags=())
    ask(call, tool_choice=allowed("required", "move"))
    assert '"weather"' in prompt_of(engine)
    language = language_of(engine.requests[-1].sampling.grammar, {}, Budget())
    one, behind = CALLS.encode().split(b"</tool_call>\n")
    texts = (one + b"</tool_call>", behind, b"Hi")
    assert [language.matches(text) for text in texts] == [False, True, False]
    ask(call, tool_choice=allowed("auto", "move"))
    language = language_of(engine.requests[-1].sampling.grammar, {}, Budget())
    assert [language.matches(text) for text in texts] == [False, True, True]


@pytest.mark.parametrize(
    ("choice", "field"),
    [
        ({"type": "allowed_tools"}, "tool_choice.allowed_tools"),
        (allowed("auto"), "tool_choice.allowed_tools.tools"),
        (allowed("auto", "walk"), "tool_choice.allowed_tools.tools"),
        (allowed("none", "move"), "tool_choice.allowed_tools.mode"),
    ],
)
def test_wrong_allowed_tools_are_refused_by_the_field(call, choice, field):
    response = call("POST", CHAT, json={"messages": HI, "tools": TOOLS, "tool_choice": choice})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == field


def test_tools_that_are_not_called_are_not_shown(call, engine):
    ask(call, tool_choice="none")
    assert prompt_of(engine) == "user: hi\nassistant: "
    assert engine.requests[-1].sampling.grammar is None
    says(engine, CALLS)
    message = ask(call, tool_choice="none").json()["choices"][0]["message"]
    assert message == {"role": "assistant", "content": CALLS, "refusal": None}


def test_a_model_without_tools_in_its_template_refuses_them(call, engine):
    inner = byte_tokenizer()
    inner.chat_template = CHAT_TEMPLATE
    engine.tokenizer = Tokenizer(inner)
    for path in (CHAT, "/tokenize", "/apply-template"):
        response = call("POST", path, json={"messages": HI, "tools": TOOLS})
        assert response.status_code == 400
        assert response.json()["error"]["param"] == "tools"
        assert "takes no tools" in response.json()["error"]["message"]
    ask(call, tool_choice="none")


@pytest.mark.parametrize("template", [GEMMA_TEMPLATE, LFM2_TEMPLATE])
@pytest.mark.parametrize("place", [0, 2])
def test_a_function_that_the_notation_of_calls_cannot_write_is_named(call, engine, place, template):
    engine.tokenizer = tool_tokenizer(template)
    tools = [tool_of(f"f{i}", parameters={"properties": {"a": {}}}) for i in range(3)]
    tools[place]["function"]["parameters"]["required"] = ["a:b"]
    for fields in ({}, {"tool_choice": "required"}):
        error = call("POST", CHAT, json={"messages": HI, "tools": tools, **fields}).json()["error"]
        assert error["param"] == f"tools[{place}].function.parameters"
        assert "cannot write these arguments" in error["message"]


@pytest.mark.parametrize("place", [0, 2])
def test_a_schema_of_a_strict_function_that_is_not_supported_is_named(call, engine, place):
    tools = [tool_of(f"f{i}", parameters={"properties": {"a": {}}}) for i in range(3)]
    tools[place]["function"]["parameters"]["properties"]["a"] = {"format": "odd"}
    tools[place]["function"]["strict"] = True
    for fields in ({}, {"response_format": {"type": "json_object"}}, {"tool_choice": "required"}):
        body = {"messages": HI, "tools": tools, **fields}
        error = call("POST", CHAT, json=body).json()["error"]
        assert error["param"] == f"tools[{place}].function.parameters"
        assert "#/properties/a/format" in error["message"]


def test_functions_that_are_not_strict_are_taken_without_what_is_not_supported(call, engine):
    given = {"properties": {"a": {"type": "integer", "multipleOf": 1.5}}, "$dynamicRef": "x"}
    engine.tokenizer = tool_tokenizer(tags=())
    says(engine, '<tool_call>\n{"name": "f", "arguments": {"a": 3}}\n</tool_call>')
    response = ask(call, tools=[tool_of("f", parameters=given)], tool_choice="required")
    (choice,) = response.json()["choices"]
    assert choice["finish_reason"] == "tool_calls"
    (request,) = engine.requests
    language = language_of(request.sampling.grammar, {}, Budget())
    beginning = b'<tool_call>\n{"name": "f", "arguments": {"a": '
    assert language.matches(beginning + b"3}}\n</tool_call>")
    assert not language.matches(beginning + b'"x"}}\n</tool_call>')


def test_keywords_of_parameters_that_are_null_are_as_if_not_given(call, engine):
    given = {"type": "object", "properties": {"a": {"const": None}}}
    for parameters in (given, {**given, "required": None, "description": None}):
        ask(call, tools=[tool_of("f", parameters=parameters, strict=True)])
    ask(call, tools=[tool_of("f", parameters={"type": None, "properties": None})])
    first, second, _ = engine.requests
    assert first.prompt_token_ids == second.prompt_token_ids
    assert first.sampling.grammar == second.sampling.grammar
    assert '"parameters": {"type": "object", "properties": {}}' in prompt_of(engine)


def test_a_format_that_is_not_supported_is_named_beside_tools(call, engine):
    body = {"messages": HI, "tools": TOOLS, "guided_regex": "(?<=a)"}
    assert call("POST", CHAT, json=body).json()["error"]["param"] == "guided_regex"


def test_a_template_for_tools_is_chosen_by_its_name(call, engine):
    inner = byte_tokenizer()
    inner.chat_template = {"default": CHAT_TEMPLATE, "tool_use": HERMES_TEMPLATE}
    engine.tokenizer = Tokenizer(inner)
    ask(call)
    assert '"weather"' in prompt_of(engine)
    ask(call, tool_choice="none")
    assert prompt_of(engine) == "user: hi\nassistant: "


@pytest.mark.parametrize("text", ["Hello", CALLS, f"Let me look.\n{CALLS}"])
def test_answers_match_their_type(call, engine, text):
    says(engine, text)
    TypeAdapter(ChatCompletion).validate_json(ask(call).content, strict=True)


def test_bodies_with_tools_are_documented(call):
    components = call("GET", "/openapi.json").json()["components"]
    schemas = components["schemas"]
    assert {"Tool", "Function", "ToolCall"} <= schemas.keys()
    assert {"tools", "tool_choice"} <= schemas["ChatBody"]["properties"].keys()
    schema = schemas["ChatBody"]["properties"]["tool_choice"] | {"components": components}
    jsonschema.validate("auto", schema)
    jsonschema.validate({"type": "function", "function": {"name": "f"}}, schema)
    jsonschema.validate(allowed("auto", "f"), schema)
