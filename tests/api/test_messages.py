"""Anthropic's Messages API: conversations, thoughts, tools, events and errors."""

import json
from dataclasses import replace

import pytest

from tests.api.fake_client import ANSWER, MODEL, TOKENIZER, answer, failing
from tests.support.tool_chats import HERMES_TEMPLATE, tool_tokenizer
from unmask.config import ServerConfig
from unmask.types import Failure

PATH = "/v1/messages"
HI = [{"role": "user", "content": "hi"}]
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>'
WEATHER = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
USE = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Rome"}}


def ask(call, **fields):
    response = call("POST", PATH, json={"messages": HI, "max_tokens": 100, **fields})
    assert response.status_code == 200, response.text
    return response


def events(text):
    parsed = []
    for frame in text.removesuffix("\n\n").split("\n\n"):
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        parsed.append(event)
    return parsed


def rebuilt(stream):
    """Blocks and ending of a stream, added up as a client does."""
    blocks, ending = [], {}
    for event in stream:
        match event["type"]:
            case "content_block_start":
                assert event["index"] == len(blocks)
                blocks.append({**event["content_block"], "partial": ""})
            case "content_block_delta":
                delta = dict(event["delta"])
                kind = delta.pop("type")
                assert event["index"] == len(blocks) - 1
                name, text = next(iter(delta.items()))
                if kind == "input_json_delta":
                    blocks[-1]["partial"] += text
                else:
                    blocks[-1][name] += text
            case "message_delta":
                ending = event["delta"]
    for block in blocks:
        partial = block.pop("partial")
        if block["type"] == "tool_use":
            block["input"] = json.loads(partial or "{}")
    return blocks, ending


def prompt_of(engine):
    return TOKENIZER.decode(engine.requests[-1].prompt_token_ids)


def thinks(engine, text):
    engine.script = lambda request: answer(request, text)


def test_a_message_has_anthropics_shape(call, engine):
    body = ask(call, system="Be brief.", temperature=0.5, top_k=3).json()
    assert (body["type"], body["role"], body["model"]) == ("message", "assistant", MODEL.name)
    assert body["id"].startswith("msg_")
    assert body["content"] == [{"type": "text", "text": ANSWER}]
    assert (body["stop_reason"], body["stop_sequence"]) == ("end_turn", None)
    assert body["usage"] == {
        "input_tokens": len(engine.requests[0].prompt_token_ids) - 1,  # the rest was cached
        "output_tokens": 14,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 1,
    }
    assert prompt_of(engine) == "system: Be brief.\nuser: hi\nassistant: "
    sampling = engine.requests[0].sampling
    assert (sampling.temperature, sampling.top_k, sampling.max_tokens) == (0.5, 3, 100)


def test_a_stream_has_the_events_of_a_message(call):
    stream = events(ask(call, stream=True).text)
    kinds = [event["type"] for event in stream]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert stream[0]["message"]["content"] == []
    blocks, ending = rebuilt(stream)
    assert blocks == [{"type": "text", "text": ANSWER}]
    assert ending == {"stop_reason": "end_turn", "stop_sequence": None}
    assert stream[-2]["usage"] == ask(call).json()["usage"]


@pytest.mark.parametrize("streams", [False, True])
def test_thoughts_are_a_block_before_the_text(call, engine, streams):
    thinks(engine, "<think>\nso it is\n</think>\n\nYes.")
    response = ask(call, stream=streams)
    blocks = rebuilt(events(response.text))[0] if streams else response.json()["content"]
    assert blocks == [
        {"type": "thinking", "thinking": "so it is", "signature": ""},
        {"type": "text", "text": "Yes."},
    ]


@pytest.mark.parametrize("streams", [False, True])
def test_calls_of_tools_are_blocks(call, engine, streams):
    engine.model = replace(MODEL, max_model_len=4096)
    engine.tokenizer = tool_tokenizer()
    thinks(engine, f"Let me look.\n{CALL}\n{CALL}")
    response = ask(call, tools=[WEATHER], stream=streams, max_tokens=400)
    blocks, ending = (
        rebuilt(events(response.text)) if streams else (response.json()["content"], response.json())
    )
    assert ending["stop_reason"] == "tool_use"
    assert blocks[0] == {"type": "text", "text": "Let me look."}
    assert [(b["name"], b["input"]) for b in blocks[1:]] == [("weather", {"city": "Rome"})] * 2
    assert len({block["id"] for block in blocks[1:]}) == 2


@pytest.mark.parametrize("streams", [False, True])
def test_text_of_a_format_is_a_block_behind_thoughts(call, engine, streams):
    engine.tokenizer = tool_tokenizer(HERMES_TEMPLATE + "<think>\n")
    thinks(engine, "Rome</think>\n\n" + '{"city": "Rome"}')
    form = {"type": "json_schema", "schema": WEATHER["input_schema"]}
    response = ask(call, output_config={"format": form, "effort": "low"}, stream=streams)
    blocks = rebuilt(events(response.text))[0] if streams else response.json()["content"]
    assert [block["type"] for block in blocks] == ["thinking", "text"]
    assert json.loads(blocks[1]["text"]) == {"city": "Rome"}
    chat = {
        "messages": HI,
        "max_tokens": 100,
        "response_format": {"type": "json_schema", "json_schema": {"schema": form["schema"]}},
    }
    assert call("POST", "/v1/chat/completions", json=chat).status_code == 200
    assert engine.requests[0].sampling == engine.requests[-1].sampling


def test_turns_with_tools_are_those_of_a_chat(call, engine):
    messages = [
        *HI,
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "x"},
                {"type": "text", "text": "I look.", "cache_control": {"type": "ephemeral"}},
                {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Rome"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "sunny"},
                {"type": "text", "text": "And now?"},
            ],
        },
    ]
    ask(call, messages=messages)
    assert prompt_of(engine) == (
        "user: hi\nassistant: I look.\ntool: sunny\nuser: And now?\nassistant: "
    )


def test_a_system_turn_may_follow_others(call, engine):
    turns = [*HI, {"role": "system", "content": [{"type": "text", "text": "Be brief."}]}]
    ask(call, messages=turns)
    assert prompt_of(engine) == "user: hi\nsystem: Be brief.\nassistant: "


BILLING = "x-anthropic-billing-header: cc_version=2.1.197; cc_entrypoint=cli; cch=%s;"


@pytest.mark.parametrize(
    "system",
    [f"{BILLING}\nBe brief.", [{"type": "text", "text": t} for t in (BILLING, "Be brief.")]],
    ids=["text", "blocks"],
)
def test_the_header_in_claude_codes_prompts_leaves_their_beginnings_alike(call, engine, system):
    for mark in ("36ee5", "0aaa9"):
        own = json.loads(json.dumps(system).replace("%s", mark))
        ask(call, system=own)
        assert prompt_of(engine) == "system: Be brief.\nuser: hi\nassistant: "
        counted = call("POST", f"{PATH}/count_tokens", json={"messages": HI, "system": own})
        assert counted.json()["input_tokens"] == len(engine.requests[-1].prompt_token_ids)
    ask(call, system=[{"type": "text", "text": BILLING}])
    assert prompt_of(engine) == "user: hi\nassistant: "


def test_pings_are_sent_while_the_begin_of_a_call_is_held_back(call, engine):
    engine.tokenizer = tool_tokenizer()
    engine.model = replace(MODEL, max_model_len=4096)
    engine.script = lambda request: answer(request, CALL, pause_s=0.02)
    body = {"messages": HI, "max_tokens": 400, "tools": [WEATHER], "stream": True}
    response = call("POST", PATH, ServerConfig(ping_interval_s=0.1), json=body)
    kinds = [event["type"] for event in events(response.text)]
    assert kinds[:2] == ["message_start", "ping"]
    assert kinds[-1] == "message_stop"


def test_names_of_tools_are_as_long_as_anthropics(call, engine):
    engine.tokenizer = tool_tokenizer()
    engine.model = replace(MODEL, max_model_len=4096)
    name = "mcp__plugin_chrome-devtools-mcp_chrome-devtools__get_console_message"
    thinks(engine, CALL.replace("weather", name))
    body = ask(call, tools=[{**WEATHER, "name": name}], max_tokens=400).json()
    assert body["content"][0]["name"] == name
    ask(call, tools=[{**WEATHER, "name": "a" * 128}])
    long = {"messages": HI, "max_tokens": 5, "tools": [{**WEATHER, "name": "a" * 129}]}
    assert call("POST", PATH, json=long).json()["error"]["param"] == "tools[0].name"


def test_an_answer_that_has_begun_is_gone_on_with(call, engine):
    ask(call, messages=[*HI, {"role": "assistant", "content": "Well, "}])
    assert prompt_of(engine).rstrip() == "user: hi\nassistant: Well,"


def test_a_stop_sequence_is_told(call, engine):
    ask(call, stop_sequences=["zz", "qq"])
    assert engine.requests[-1].sampling.stop == ("zz", "qq")


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        ("Well", ("stop_sequence", "qq")),
        (CALL, ("tool_use", None)),
        (CALL[:-20], ("stop_sequence", "qq")),
    ],
)
def test_whole_calls_before_a_stop_sequence_are_to_be_run(call, engine, text, ending):
    def stopped(request):
        *rest, last = answer(request, text)
        return [*rest, last._replace(finish=replace(last.finish, stop_reason="qq"))]

    engine.model = replace(MODEL, max_model_len=4096)
    engine.tokenizer, engine.script = tool_tokenizer(), stopped
    fields = {"tools": [WEATHER], "stop_sequences": ["qq"], "max_tokens": 400}
    body = ask(call, **fields).json()
    assert (body["stop_reason"], body["stop_sequence"]) == ending
    last = events(ask(call, stream=True, **fields).text)[-2]["delta"]
    assert (last["stop_reason"], last["stop_sequence"]) == ending


def stopping(request):
    return [answer(request)[0], Failure(request.request_id, "at its end", "engine_stopped")]


def hanging(request):
    return [answer(request)[0], 60.0]


@pytest.mark.parametrize(
    ("script", "status", "kind", "code"),
    [
        (failing, 500, "api_error", "engine_failure"),
        (stopping, 503, "overloaded_error", "engine_stopped"),
        (hanging, 504, "timeout_error", "timeout"),
    ],
)
def test_a_failure_in_mid_stream_is_the_error_of_a_whole_answer(
    call, engine, script, status, kind, code
):
    engine.script = script
    body, headers = {"messages": HI, "max_tokens": 100}, {"x-request-timeout": "0.2"}
    if script is not hanging:
        headers = {}
    whole = call("POST", PATH, json=body, headers=headers)
    assert (whole.status_code, whole.json()["error"]["type"]) == (status, kind)
    last = events(call("POST", PATH, json=body | {"stream": True}, headers=headers).text)[-1]
    assert (last["type"], last["error"]["type"]) == ("error", kind)
    assert last["error"]["details"] == {"error_code": code}
    assert last["error"] == whole.json()["error"]
    assert last["request_id"]


def test_tokens_are_counted(call, engine):
    counted = call("POST", f"{PATH}/count_tokens", json={"messages": HI, "system": "a"}).json()
    ask(call, system="a")
    assert counted == {"input_tokens": len(engine.requests[-1].prompt_token_ids)}


def test_a_key_may_come_as_anthropics_clients_send_it(call):
    config = ServerConfig(api_key="secret")
    body = {"messages": HI, "max_tokens": 5}
    for headers, status in (
        ({"x-api-key": "secret"}, 200),
        ({"x-api-key": "wrong"}, 401),
        ({}, 401),
        ({"authorization": "Bearer wrong", "x-api-key": "secret"}, 401),
        ({"authorization": "Basic Zm9v", "x-api-key": "secret"}, 200),
        ({"authorization": "Basic c2VjcmV0"}, 401),
        ({"authorization": "Basic secret"}, 401),
    ):
        response = call("POST", PATH, config, json=body, headers=headers)
        assert response.status_code == status


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "kind"),
    [
        (PATH, {"messages": [], "max_tokens": 5}, {}, 400, "invalid_request_error"),
        (PATH, {"messages": HI, "max_tokens": 5, "model": "other"}, {}, 404, "not_found_error"),
        (PATH, {}, {"x-api-key": "wrong"}, 401, "authentication_error"),
        (PATH, {}, {"host": "elsewhere"}, 403, "permission_error"),
        (f"{PATH}/batches", {}, {}, 404, "not_found_error"),
        (f"{PATH}/count_tokens", {"messages": []}, {}, 400, "invalid_request_error"),
        ("/v1/chat/completions", {"messages": []}, {}, 400, None),
    ],
)
def test_errors_are_anthropics_under_its_paths_alone(call, path, body, headers, status, kind):
    config = ServerConfig(api_key="secret", allowed_hosts=("test",))
    sent = {"x-api-key": "secret", "x-request-id": "mine", **headers}
    response = call("POST", path, config, json=body, headers=sent)
    assert response.status_code == status
    answer = response.json()
    assert answer["error"]["message"]
    if kind is None:
        assert list(answer) == ["error"]
        assert "request-id" not in response.headers
    else:
        assert (answer["type"], answer["error"]["type"]) == ("error", kind)
        assert (answer["request_id"], response.headers["request-id"]) == ("mine", "mine")


@pytest.mark.parametrize("path", [PATH, f"{PATH}/count_tokens"])
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"tools": [{"name": "a b", "input_schema": {}}]}, "tools[0].name"),
        ({"tool_choice": {"type": "tool", "name": "f"}}, "tool_choice"),
    ],
)
def test_tokens_are_counted_of_conversations_that_would_be_answered(call, path, fields, param):
    limit = {"max_tokens": 5} if path == PATH else {}
    error = call("POST", path, json={"messages": HI, **limit, **fields}).json()["error"]
    assert error["param"] == param
    assert "template" not in error["message"]


def test_tokens_are_counted_of_a_conversation_that_ends_with_an_answer_beside_tools(call, engine):
    engine.model = replace(MODEL, max_model_len=4096)
    engine.tokenizer = tool_tokenizer()
    body = {"messages": [*HI, {"role": "assistant", "content": "yes"}], "tools": [WEATHER]}
    counted = call("POST", f"{PATH}/count_tokens", json=body)
    assert counted.json()["input_tokens"] > 20


def test_a_conversation_that_the_server_should_keep_is_refused_as_clients_expect(call):
    body = {"messages": HI, "max_tokens": 5, "thread": {"type": "create"}}
    error = call("POST", PATH, json=body).json()["error"]
    assert (error["param"], error["type"]) == ("thread", "invalid_request_error")
    assert error["details"] == {"error_code": "thread_unsupported_request"}


def test_hints_of_anthropics_clients_change_nothing(call, engine):
    engine.model = replace(MODEL, max_model_len=4096)
    engine.tokenizer = tool_tokenizer(tags=())
    ask(call, max_tokens=20, tools=[WEATHER])
    ask(
        call,
        max_tokens=20,
        tools=[{**WEATHER, "eager_input_streaming": True, "input_examples": []}],
        diagnostics={"previous_message_id": None},
        inference_geo="eu",
        speed="standard",
        thread=None,
    )
    turns = [
        *HI,
        {"role": "assistant", "content": [USE]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1"}]},
    ]
    ask(call, max_tokens=20, messages=turns, tools=[WEATHER])
    turns[1]["content"] = [{**USE, "caller": {"type": "direct"}}]
    ask(call, max_tokens=20, messages=turns, tools=[{**WEATHER, "allowed_callers": ["direct"]}])
    assert len({request.prompt_token_ids for request in engine.requests}) == 2


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "assistant", "content": "a"}], "tools": [WEATHER]}, "messages"),
        ({"messages": [{"role": "assistant", "content": [USE]}]}, "messages"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages[0].role"),
        (
            {"messages": [{"role": "system", "content": [{"type": "thinking", "thinking": ""}]}]},
            "messages[0].content[0].type",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "document"}]}]},
            "messages[0].content[0].type",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0].text",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_use", "name": "a"}]}]},
            "messages[0].content[0].type",
        ),
        ({"tool_choice": {"type": "tool"}, "tools": [WEATHER]}, "tool_choice.name"),
        ({"stop_sequences": ["a"] * 17}, "stop_sequences"),
        ({"temperature": -1}, "temperature"),
        ({"n": 2}, "n"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"mcp_servers": [{"url": "x"}]}, "mcp_servers"),
        ({"output_config": {"format": {"type": "xml", "schema": {}}}}, "output_config.format.type"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": 5}}},
            "output_config.format.schema",
        ),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"format": "odd"}}}},
            "output_config.format.schema",
        ),
        ({"tools": [{**WEATHER, "name": "a b"}]}, "tools[0].name"),
        ({"tools": [{**WEATHER, "input_schema": {"type": "array"}}]}, "tools[0].input_schema"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wrong_fields_are_refused_by_their_path(call, fields, param):
    response = call("POST", PATH, json={"messages": HI, "max_tokens": 5, **fields})
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == param


def test_a_schema_of_a_strict_tool_that_is_not_supported_is_named_as_it_was_sent(call, engine):
    engine.tokenizer = tool_tokenizer(tags=())
    odd = {**WEATHER, "input_schema": {"properties": {"a": {"format": "odd"}}}}
    body = {"messages": HI, "max_tokens": 100, "tools": [{**odd, "strict": True}]}
    assert call("POST", PATH, json=body).json()["error"]["param"] == "tools[0].input_schema"
    engine.script = lambda request: answer(request, CALL)
    ask(call, tools=[odd], max_tokens=80)
