"""`/v1/responses`, whole and streamed, over HTTP and with OpenAI's client."""

import json

import pytest

from tests.api.fake_client import ANSWER, MODEL, TOKENIZER, failing

openai = pytest.importorskip("openai")

PATH = "/v1/responses"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"type": "function", "name": "weather", "parameters": CITY}
KINDS = [
    "response.created", "response.in_progress", "response.output_item.added",
    "response.content_part.added", "response.output_text.delta", "response.output_text.done",
    "response.content_part.done", "response.output_item.done", "response.completed",
]  # fmt: skip


@pytest.fixture
def client(serve):
    with openai.OpenAI(base_url=f"{serve()}/v1", api_key="none", max_retries=0) as client:
        yield client


def events(text):
    assert text.endswith("\n\n")
    parsed = []
    for frame in text.removesuffix("\n\n").split("\n\n"):
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == len(parsed)
        parsed.append(event)
    return parsed


def prompt_of(engine):
    return TOKENIZER.decode(engine.requests[-1].prompt_token_ids)


def test_a_response_has_openais_shape(call, engine):
    response = call("POST", PATH, json={"input": "hi", "metadata": {"a": "b"}, "temperature": 0.5})
    body = response.json()
    assert response.status_code == 200
    assert (body["object"], body["status"], body["model"]) == ("response", "completed", MODEL.name)
    (message,) = body["output"]
    assert message["role"] == "assistant"
    assert message["content"] == [
        {"type": "output_text", "text": ANSWER, "annotations": [], "logprobs": []}
    ]
    assert body["usage"] == {
        "input_tokens": len(engine.requests[0].prompt_token_ids),
        "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
        "output_tokens": 14,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": len(engine.requests[0].prompt_token_ids) + 14,
    }
    assert body["metadata"] == {"a": "b"}
    assert body["store"] is False
    assert engine.requests[0].sampling.temperature == 0.5


def test_input_is_a_text_or_a_conversation(call, engine):
    call("POST", PATH, json={"input": "hi", "instructions": "be brief"})
    assert prompt_of(engine) == "system: be brief\nuser: hi\nassistant: "
    earlier = call("POST", PATH, json={"input": "hi"}).json()["output"]
    parts = [{"type": "input_text", "text": "more"}, {"type": "input_text", "text": "words"}]
    last = {"type": None, "role": "user", "content": parts}
    turns = [{"role": "user", "content": "hi"}, *earlier, last]
    response = call("POST", PATH, json={"input": turns})
    assert response.status_code == 200, response.text
    assert prompt_of(engine) == f"user: hi\nassistant: {ANSWER}\nuser: more\nwords\nassistant: "


def test_a_response_that_is_cut_is_incomplete(call, engine):
    body = call("POST", PATH, json={"input": "hi", "max_output_tokens": 4}).json()
    assert body["status"] == body["output"][0]["status"] == "incomplete"
    assert body["incomplete_details"] == {"reason": "max_output_tokens"}
    assert engine.requests[0].sampling.max_tokens == 4


def test_fields_of_denoising_reach_the_engine(call, engine):
    call("POST", PATH, json={"input": "hi", "policy": "threshold", "threshold": 0.5, "seed": 3})
    sampling = engine.requests[0].sampling
    assert (sampling.policy, sampling.threshold, sampling.seed) == ("threshold", 0.5, 3)


def test_a_stream_adds_up_to_the_response(call):
    whole = call("POST", PATH, json={"input": "hi"}).json()
    sent = events(call("POST", PATH, json={"input": "hi", "stream": True}).text)
    kinds = [event["type"] for event in sent]
    assert sorted(set(kinds), key=kinds.index) == KINDS
    deltas = [e["delta"] for e in sent if e["type"] == "response.output_text.delta"]
    assert len(deltas) > 1
    assert "".join(deltas) == ANSWER
    last = sent[-1]["response"]
    assert last["output"][0]["content"] == whole["output"][0]["content"]
    assert last["usage"] == whole["usage"]
    assert len({e["item_id"] for e in sent if "item_id" in e}) == 1


def test_a_stream_that_is_cut_ends_as_incomplete(call):
    body = {"input": "hi", "stream": True, "max_output_tokens": 4}
    assert events(call("POST", PATH, json=body).text)[-1]["type"] == "response.incomplete"


def test_a_failure_is_an_event_of_a_stream_and_a_status_otherwise(call, engine):
    engine.script = failing
    last = events(call("POST", PATH, json={"input": "hi", "stream": True}).text)[-1]
    assert last["type"] == "response.failed"
    assert "out of luck" in last["response"]["error"]["message"]
    assert call("POST", PATH, json={"input": "hi"}).status_code == 500


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": [5]}, "input[0]"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "tool", "content": "a"}]}, "input[0].role"),
        ({"input": [{"type": "item_reference", "id": "a"}]}, "input[0].type"),
        ({"input": [{"type": "function_call_output", "output": "a"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call", "call_id": "a", "name": "f"}]},
         "input[0].arguments"),
        ({"input": [{"type": "reasoning", "summary": [{"type": "summary_text"}]}]},
         "input[0].summary[0].text"),
        ({"input": [{"type": "reasoning", "role": "user"}]}, "input[0].role"),
        ({"input": [{"type": ["reasoning"]}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_audio"}]}]},
         "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": "a" * 5000}]}, "input"),
        ({"input": [{"role": "user", "content": "a"}] * 5000}, "input"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": 5000}, "max_output_tokens"),
        ({"max_tokens": 5}, "max_tokens"),
        ({"n": 2}, "n"),
        ({"temperature": -1}, "temperature"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"include": ["message.output_text.logprobs"]}, "include[0]"),
        ({"truncation": "middle"}, "truncation"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "a b"}]}, "tools[0].name"),
        ({"tools": [WEATHER, WEATHER]}, "tools[1].name"),
        ({"tools": [WEATHER]}, "tools"),  # the template takes none
        ({"tools": [{**WEATHER, "parameters": {"type": "array"}}]}, "tools[0].parameters"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": "perhaps"}, "tool_choice"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "name": "g"}},
         "tool_choice.name"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "a"}}}, "text.format.schema"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"guided_regex": "a"}, "guided_regex"),
        ({"messages": [{"role": "user", "content": "hi"}]}, "messages"),
        ({"nonsense": 1}, "nonsense"),
        ({"stream_refinements": True, "stream": True}, "stream_refinements"),
    ],
    ids=lambda value: str(value)[:50],
)  # fmt: skip
def test_fields_that_are_not_implemented_are_refused_by_their_name(call, fields, param):
    response = call("POST", PATH, json={"input": "hi", **fields})
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == param


NEUTRAL = {
    "store": True, "metadata": {}, "previous_response_id": None, "conversation": None,
    "background": False, "include": ["reasoning.encrypted_content"], "truncation": "disabled",
    "tools": [],
    "tool_choice": "auto", "parallel_tool_calls": True, "reasoning": {"effort": "low"},
    "text": {"format": {"type": "text"}, "verbosity": "low"}, "top_logprobs": 0, "top_p": None,
    "service_tier": "auto", "user": "someone", "prompt_cache_key": "k", "max_tool_calls": None,
    "client_metadata": {"a": "b"},
}  # fmt: skip


def test_values_that_change_nothing_are_accepted(call, engine):
    response = call("POST", PATH, json={"input": "hi", **NEUTRAL})
    assert response.status_code == 200, response.text
    call("POST", PATH, json={"input": "hi"})
    assert engine.requests[0].sampling == engine.requests[1].sampling


def test_the_oldest_turns_are_left_out_of_a_long_conversation_that_may_be_cut(call, engine):
    turns = [{"role": "developer", "content": "be brief"}]
    for i in range(100):
        turns += [
            {"role": "user", "content": f"question {i}"},
            {"role": "assistant", "content": "a"},
        ]
    turns.append({"role": "user", "content": "and now"})
    body = {"input": turns, "max_output_tokens": 100, "truncation": "auto"}
    response = call("POST", PATH, json=body)
    assert response.status_code == 200, response.text
    assert response.json()["truncation"] == "auto"
    prompt = prompt_of(engine)
    assert prompt.startswith(("system: be brief", "developer: be brief"))
    assert prompt.endswith("user: and now\nassistant: ")
    numbers = [int(line.split()[-1]) for line in prompt.splitlines() if "question" in line]
    assert numbers == list(range(numbers[0], 100))
    call("POST", PATH, json={"input": turns, "truncation": "auto"})
    for asked, room in zip(engine.requests, (100, MODEL.max_model_len // 8), strict=True):
        longest = MODEL.max_model_len - room
        assert longest - 40 < len(asked.prompt_token_ids) <= longest
    refused = call("POST", PATH, json={**body, "truncation": "disabled"})
    assert refused.json()["error"]["code"] == "context_length_exceeded"


def test_turns_that_are_longer_than_the_context_are_left_out_too(call, engine):
    long, last = ({"role": "user", "content": text} for text in ("b" * 5000, "and now"))
    response = call("POST", PATH, json={"input": [*[long] * 4, last], "truncation": "auto"})
    assert response.status_code == 200, response.text
    assert prompt_of(engine) == "user: and now\nassistant: "


def test_what_may_not_be_cut_is_refused_if_it_is_too_long(call):
    turns = [{"role": "user", "content": "a"}, {"role": "user", "content": "b" * 5000}]
    error = call("POST", PATH, json={"input": turns, "truncation": "auto"}).json()["error"]
    assert (error["param"], error["code"]) == ("input", "context_length_exceeded")


def test_a_conversation_that_fits_is_not_cut(call, engine):
    turns = [{"role": "user", "content": "hi"}, {"role": "user", "content": "there"}]
    for truncation in ("auto", "disabled"):
        call("POST", PATH, json={"input": turns, "truncation": truncation})
    assert engine.requests[0].prompt_token_ids == engine.requests[1].prompt_token_ids


def test_openais_client_creates_a_response(client):
    response = client.responses.create(model=MODEL.name, input="hi", instructions="be brief")
    assert response.output_text == ANSWER
    assert response.usage.output_tokens == 14


def test_openais_client_streams_a_response(client):
    with client.responses.stream(model=MODEL.name, input="hi") as stream:
        deltas = [e.delta for e in stream if e.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(deltas) == final.output_text == ANSWER


def test_openais_client_raises_with_the_wrong_field(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=MODEL.name, input="hi", previous_response_id="resp_1")
    assert caught.value.param == "previous_response_id"
