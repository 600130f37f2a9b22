"""Items of `/v1/responses`: thoughts, text and calls, whole and streamed, and sent back."""

import json
from dataclasses import replace

import pytest

from tests.api.fake_client import MODEL, TOKENIZER, answer
from tests.api.test_responses import PATH, WEATHER, events
from tests.support.tool_chats import NEMOTRON_TEMPLATE, tool_tokenizer

openai = pytest.importorskip("openai")

ARGUMENTS = '{"city": "Rome"}'
CALL = f'<tool_call>\n{{"name": "weather", "arguments": {ARGUMENTS}}}\n</tool_call>'
ANSWER = f"<think>\nWhere is it?\n</think>\n\nLet me look.\n{CALL}\n{CALL}"
TYPES = ["reasoning", "message", "function_call", "function_call"]
RESULTS = ("sunny", [{"type": "input_text", "text": "rain"}])
TOOLS = {"tools": [WEATHER]}


@pytest.fixture
def engine(engine):
    engine.model = replace(MODEL, max_model_len=4096)
    engine.tokenizer = tool_tokenizer()
    engine.script = lambda request: answer(request, ANSWER)
    return engine


def ask(call, **fields):
    response = call("POST", PATH, json={"input": "hi", **TOOLS, **fields})
    assert response.status_code == 200, response.text
    return response


def prompt_of(engine):
    return engine.tokenizer.decode(engine.requests[-1].prompt_token_ids)


def without_ids(items):
    return [{name: v for name, v in i.items() if name not in ("id", "call_id")} for i in items]


def test_an_answer_is_thoughts_text_and_calls_in_items_of_their_own(call):
    body = ask(call, parallel_tool_calls=True).json()
    thoughts, text, *calls = body["output"]
    assert [item["type"] for item in body["output"]] == TYPES
    assert thoughts["summary"] == []
    assert thoughts["content"] == [{"type": "reasoning_text", "text": "Where is it?"}]
    assert text["content"][0]["text"] == "Let me look."
    assert [c["arguments"] for c in calls] == [ARGUMENTS] * 2
    assert {c["name"] for c in calls} == {"weather"}
    assert len({c["call_id"] for c in calls}) == len({c["id"] for c in calls}) == 2
    assert {item["status"] for item in body["output"]} == {"completed"} == {body["status"]}
    assert body["tools"] == [WEATHER]
    assert body["tool_choice"] == "auto"


def test_a_stream_opens_fills_and_closes_every_item(call):
    whole = ask(call).json()
    sent = events(ask(call, stream=True).text)
    items, opened = {}, set()
    for event in sent:
        kind, place = event["type"].removeprefix("response."), event.get("output_index")
        match kind:
            case "output_item.added":
                assert place == len(items), "one after the other"
                assert not opened
                opened.add(place)
                items[place] = dict(event["item"])
                assert event["item"]["status"] == "in_progress"
            case "content_part.added":
                items[place]["content"] = [dict(event["part"])]
            case "output_text.delta" | "reasoning_text.delta":
                items[place]["content"][event["content_index"]]["text"] += event["delta"]
            case "function_call_arguments.delta":
                items[place]["arguments"] += event["delta"]
            case "output_text.done" | "reasoning_text.done":
                assert items[place]["content"][0]["text"] == event["text"]
            case "function_call_arguments.done":
                assert items[place]["arguments"] == event["arguments"]
            case "content_part.done":
                assert items[place]["content"] == [event["part"]]
            case "output_item.done":
                opened.remove(place)
                assert {**items[place], "status": "completed"} == event["item"]
        if place is not None and "item_id" in event:
            assert items[place]["id"] == event["item_id"]
    last = sent[-1]["response"]
    assert sent[-1]["type"] == "response.completed"
    assert [{**item, "status": "completed"} for item in items.values()] == last["output"]
    assert without_ids(last["output"]) == without_ids(whole["output"])


@pytest.mark.parametrize("streams", [False, True])
def test_functions_of_a_namespace_are_called_by_both_names(call, engine, streams):
    tools = [WEATHER, {"type": "namespace", "name": "sky", "description": "", "tools": [WEATHER]}]
    calls = CALL + "\n" + CALL.replace("weather", "sky.weather")
    engine.script = lambda request: answer(request, calls)
    response = ask(call, tools=tools, stream=streams)
    body = events(response.text)[-1]["response"] if streams else response.json()
    own, named = body["output"]
    assert (own["name"], "namespace" in own) == ("weather", False)
    assert (named["name"], named["namespace"]) == ("weather", "sky")
    assert '"name": "sky.weather"' in prompt_of(engine)
    ask(call, tools=tools, input=[{"role": "user", "content": "hi"}, *body["output"]])
    assert calls in prompt_of(engine)


@pytest.mark.parametrize(
    ("inner", "param"),
    [
        ([WEATHER, {**WEATHER, "name": "a b"}], "tools[1].tools[1].name"),
        ([{"type": "custom", "name": "a"}], "tools[1].tools[0].type"),
        ([{**WEATHER, "name": f"f{i}"} for i in range(600)], "tools"),
    ],
    ids=["name", "type", "number"],
)
def test_functions_of_a_namespace_are_refused_by_their_path(call, inner, param):
    tools = [WEATHER, {"type": "namespace", "name": "sky", "tools": inner}]
    response = call("POST", PATH, json={"input": "hi", "tools": tools})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_thoughts_that_are_cut_are_an_incomplete_item_alone(call, engine):
    engine.script = lambda request: answer(request, "<think>\nWhere is")
    fields = {"max_output_tokens": 12}
    body = ask(call, **fields).json()
    (item,) = body["output"]
    assert (item["type"], item["status"], body["status"]) == (
        "reasoning", "incomplete", "incomplete",
    )  # fmt: skip
    sent = events(ask(call, stream=True, **fields).text)
    assert without_ids(sent[-1]["response"]["output"]) == without_ids([item])


def test_whole_calls_are_complete_at_the_limit(call, engine):
    engine.script = lambda request: answer(request, CALL)
    num_tokens = len(TOKENIZER.encode(CALL))
    body = ask(call, max_output_tokens=num_tokens).json()
    assert body["status"] == "completed"
    assert [item["type"] for item in body["output"]] == ["function_call"]
    body = ask(call, max_output_tokens=num_tokens - 18).json()
    assert body["status"] == body["output"][0]["status"] == "incomplete"


def test_an_answer_of_nothing_is_an_empty_message(call, engine):
    engine.script = lambda request: answer(request, "")
    (item,) = ask(call).json()["output"]
    assert item["content"][0]["text"] == ""


def test_the_output_goes_back_with_results_as_one_turn(call, engine):
    output = ask(call).json()["output"]
    results = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": result}
        for item, result in zip(output[2:], RESULTS, strict=True)
    ]
    ask(call, input=[{"role": "user", "content": "hi"}, *output, *results])
    begun = prompt_of(engine).partition("user: hi\n")[2]
    assert begun == f"assistant: Let me look.\n{CALL}\n{CALL}\ntool: sunny\ntool: rain\nassistant: "


def test_results_may_have_the_names_of_their_functions(call, engine):
    engine.tokenizer = tool_tokenizer(
        "{% for m in messages %}{{ m.role }}({{ m.name }}){% endfor %}"
    )
    result = {"type": "function_call_output", "call_id": "c1", "output": "sunny", "name": "weather"}
    for fields in ({}, {"namespace": "sky"}, {"caller": {"type": "direct"}, "name": None}):
        ask(call, input=[{**result, **fields}], tools=None)
        shown = {"name": "weather", **fields}
        names = [shown[name] for name in ("namespace", "name") if shown.get(name)]
        assert prompt_of(engine) == f"tool({'.'.join(names)})"


@pytest.mark.parametrize("field", ["content", "summary"])
def test_thoughts_go_back_to_the_template(call, engine, field):
    template = "{% for m in messages %}{{ m.role }}({{ m.reasoning_content }}){% endfor %}"
    engine.tokenizer = tool_tokenizer(template)
    kind = "reasoning_text" if field == "content" else "summary_text"
    thoughts = {"type": "reasoning", "id": "rs_1", field: [{"type": kind, "text": "hm"}]}
    turns = [thoughts, {"role": "assistant", "content": "a"}, {**thoughts, "encrypted_content": ""}]
    ask(call, input=[*turns, {"role": "user", "content": "b"}], tools=None)
    assert prompt_of(engine) == "assistant(hm)assistant(hm)user()"


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "weather"}], ids=str)
def test_a_choice_of_tools_is_that_of_a_chat(call, engine, choice):
    body = ask(call, tool_choice=choice, parallel_tool_calls=False).json()
    assert body["tool_choice"] == choice
    assert body["parallel_tool_calls"] is False
    function = {name: WEATHER[name] for name in ("name", "parameters")}
    named = {"type": "function", "function": {"name": "weather"}}
    chat = {
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "function", "function": function}],
        "tool_choice": choice if isinstance(choice, str) else named,
        "parallel_tool_calls": False,
    }
    assert call("POST", "/v1/chat/completions", json=chat).status_code == 200
    mine, of_chat = engine.requests
    assert mine.sampling == of_chat.sampling
    assert mine.prompt_token_ids == of_chat.prompt_token_ids


def test_allowed_tools_are_those_of_a_chat(call, engine):
    names = [{"type": "function", "name": "weather"}]
    choice = {"type": "allowed_tools", "mode": "required", "tools": names}
    assert ask(call, tool_choice=choice).json()["tool_choice"] == choice
    ask(call, tool_choice="required")
    allowed, required = engine.requests
    assert allowed.sampling == required.sampling


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "tool_choice.tools"),
        ({"tools": [{"type": "function", "name": "weather"}]}, "tool_choice.mode"),
        ({"mode": "auto", "tools": [{"type": "function", "name": "no"}]}, "tool_choice.tools"),
    ],
)
def test_wrong_allowed_tools_are_refused_by_the_field(call, fields, param):
    body = {"input": "hi", **TOOLS, "tool_choice": {"type": "allowed_tools", **fields}}
    response = call("POST", PATH, json=body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_tools_that_are_not_called_are_not_shown(call, engine):
    body = ask(call, tool_choice="none").json()
    assert engine.requests[-1].sampling.grammar is None
    assert prompt_of(engine) == "user: hi\nassistant: "
    assert [item["type"] for item in body["output"]] == ["reasoning", "message"]


def test_a_schema_that_is_not_supported_is_named_as_it_was_sent(call):
    given = {"properties": {"a": {"format": "odd"}}}
    odd = {**WEATHER, "name": "odd", "strict": True, "parameters": given}
    body = {"input": "hi", "tools": [WEATHER, odd]}
    assert call("POST", PATH, json=body).json()["error"]["param"] == "tools[1].parameters"
    form = {"format": {"type": "json_schema", "name": "f", "schema": {"format": "odd"}}}
    error = call("POST", PATH, json={"input": "hi", "text": form, **TOOLS}).json()["error"]
    assert error["param"] == "text.format.schema"


@pytest.fixture
def client(serve):
    with openai.OpenAI(base_url=f"{serve()}/v1", api_key="none", max_retries=0) as client:
        yield client.responses


def test_openais_client_reads_items_and_sends_them_back(client, engine):
    response = client.create(model="", input="hi", **TOOLS)
    assert [item.type for item in response.output] == TYPES
    assert response.output[0].content[0].text == "Where is it?"
    assert json.loads(response.output[2].arguments) == {"city": "Rome"}
    results = [
        {"type": "function_call_output", "call_id": item.call_id, "output": "sunny"}
        for item in response.output
        if item.type == "function_call"
    ]
    again = client.create(model="", input=[*response.output, *results], **TOOLS)
    assert again.output_text == "Let me look."
    assert "tool: sunny\ntool: sunny\n" in prompt_of(engine)


def test_openais_types_describe_all_that_is_sent(call):
    types = openai.types.responses
    types.Response.model_validate(ask(call).json())
    kinds = {
        kind.model_fields["type"].annotation.__args__[0]: kind
        for kind in types.ResponseStreamEvent.__origin__.__args__
    }
    for event in events(ask(call, stream=True).text):
        kinds[event["type"]].model_validate(event)


def test_openais_client_streams_items(client):
    with client.stream(model="", input="hi", **TOOLS) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_response()
    assert {"response.reasoning_text.delta", "response.function_call_arguments.delta"} <= kinds
    assert [item.type for item in final.output] == TYPES
    assert [item.arguments for item in final.output[2:]] == [ARGUMENTS] * 2


def test_calls_in_a_list_are_items_too(call, engine):
    engine.tokenizer = tool_tokenizer(NEMOTRON_TEMPLATE)
    one = f'{{"name": "weather", "arguments": {ARGUMENTS}}}'
    engine.script = lambda request: answer(request, f"<TOOLCALL>[{one}, {one}]</TOOLCALL>")
    assert [item["arguments"] for item in ask(call).json()["output"]] == [ARGUMENTS] * 2
