"""Each wrong request is answered with 400 and the name of the field that is wrong."""

import json

import pytest

from tests.api.fake_client import MASK_ID, MODEL, VOCAB_SIZE
from unmask.config import ServerConfig
from unmask.types import MAX_SEED

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
HI = [{"role": "user", "content": "hi"}]
NAN = float("nan")

EITHER = [
    ({"temperature": -1}, "temperature"),
    ({"temperature": "warm"}, "temperature"),
    ({"temperature": True}, "temperature"),
    ({"temperature": NAN}, "temperature"),
    ({"temperature": float("inf")}, "temperature"),
    ({"temperature": 101}, "temperature"),
    ({"top_p": 0}, "top_p"),
    ({"top_p": 1.5}, "top_p"),
    ({"top_k": -2}, "top_k"),
    ({"top_k": 1.5}, "top_k"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": -3}, "max_tokens"),
    ({"max_tokens": "16"}, "max_tokens"),
    ({"max_tokens": 2.5}, "max_tokens"),
    ({"max_tokens": True}, "max_tokens"),
    ({"max_tokens": [1]}, "max_tokens"),
    ({"n": 0}, "n"),
    ({"n": 129}, "n"),
    ({"n": "2"}, "n"),
    ({"n": 3, "best_of": 2}, "best_of"),
    ({"best_of": 129}, "best_of"),
    ({"best_of": 0}, "best_of"),
    ({"best_of": 2, "stream": True}, "best_of"),
    ({"best_of": "2"}, "best_of"),
    ({"bad_words": [""]}, "bad_words"),
    ({"bad_words": [" "]}, "bad_words"),
    ({"bad_words": 5}, "bad_words"),
    ({"bad_words": ["a", 5]}, "bad_words[1]"),
    ({"bad_words": ["a"] * 1025}, "bad_words"),
    ({"bad_words": ["a" * 257]}, "bad_words"),
    ({"bad_words": ["a"], "guided_regex": "b"}, "bad_words"),
    ({"bad_words": ["a"], "max_thinking_tokens": 3}, "max_thinking_tokens"),
    ({"prompt_logprobs": 21}, "prompt_logprobs"),
    ({"prompt_logprobs": -1}, "prompt_logprobs"),
    ({"prompt_logprobs": True}, "prompt_logprobs"),
    ({"prompt_logprobs": 1, "stream": True}, "prompt_logprobs"),
    ({"seed": -(2**63) - 1}, "seed"),
    ({"seed": 2**63}, "seed"),
    ({"seed": MAX_SEED, "n": 2}, "seed"),
    ({"seed": 1e400}, "seed"),
    ({"stop": ""}, "stop"),
    ({"stop": 5}, "stop"),
    ({"stop": ["a", 5]}, "stop[1]"),
    ({"stop": ["a"] * 17}, "stop"),
    ({"response_format": {"type": "text", "schema": {}}}, "response_format.schema"),
    ({"response_format": {"type": "json_object", "schema": 5}}, "response_format.schema"),
    ({"stop_token_ids": [VOCAB_SIZE]}, "stop_token_ids"),
    ({"stop_token_ids": ["1"]}, "stop_token_ids[0]"),
    ({"ignore_eos": "yes"}, "ignore_eos"),
    ({"ignore_eos": 1}, "ignore_eos"),
    ({"stream": "true"}, "stream"),
    ({"stream_options": {"include_usage": True}}, "stream_options"),
    ({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    ({"stream": True, "stream_options": {"more": 1}}, "stream_options.more"),
    ({"stream": True, "stream_options": True}, "stream_options"),
    ({"stream_refinements": True}, "stream_refinements"),
    ({"diffusing": True}, "diffusing"),
    ({"stream": True, "stream_refinements": "all"}, "stream_refinements"),
    ({"stream": True, "stream_refinements": {"every": 0}}, "stream_refinements.every"),
    ({"stream": True, "stream_refinements": {"max_fps": 0}}, "stream_refinements.max_fps"),
    ({"stream": True, "stream_refinements": {"tokens": 1}}, "stream_refinements.tokens"),
    ({"stream": True, "stream_refinements": {"fps": 1}}, "stream_refinements.fps"),
    ({"policy": "magic"}, "policy"),
    ({"policy": 3}, "policy"),
    ({"policy": "factor", "threshold": 0.5}, "threshold"),
    ({"threshold": 1.5}, "threshold"),
    ({"factor": 0}, "factor"),
    ({"entropy_bound": -1}, "entropy_bound"),
    ({"steps": 0}, "steps"),
    ({"block_length": 0}, "block_length"),
    ({"block_length": 1025}, "block_length"),
    ({"block_length": "16"}, "block_length"),
    ({"block_length": 1.5}, "block_length"),
    ({"block_length": True}, "block_length"),
    ({"cache": "all"}, "cache"),
    ({"cfg_scale": -0.5}, "cfg_scale"),
    ({"editing_threshold": 1.5}, "editing_threshold"),
    ({"sub_block_length": 0}, "sub_block_length"),
    ({"open_blocks": 1025}, "open_blocks"),
    ({"open_blocks": 2, "policy": "klass"}, "open_blocks"),
    ({"add_block_threshold": 0.5}, "add_block_threshold"),
    ({"model": 5}, "model"),
    ({"user": 5}, "user"),
    ({"nonsense": 0}, "nonsense"),
    ({"frequency_penalty": 2.5}, "frequency_penalty"),
    ({"frequency_penalty": False}, "frequency_penalty"),
    ({"presence_penalty": -2.1}, "presence_penalty"),
    ({"repetition_penalty": 0}, "repetition_penalty"),
    ({"logit_bias": {"1": 100.5}}, "logit_bias"),
    ({"eos_last": "yes"}, "eos_last"),
    ({"logit_bias": {"one": 5}}, "logit_bias"),
    ({"logit_bias": {"01": 5}}, "logit_bias"),
    ({"logit_bias": {"1": "5"}}, "logit_bias.1"),
    ({"logit_bias": {str(VOCAB_SIZE): 5}}, "logit_bias"),
    ({"logit_bias": [1, 5]}, "logit_bias"),
    ({"allowed_token_ids": []}, "allowed_token_ids"),
    ({"allowed_token_ids": [VOCAB_SIZE]}, "allowed_token_ids"),
    ({"allowed_token_ids": [-1]}, "allowed_token_ids"),
    ({"response_format": {"type": "xml"}}, "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"format": "odd"}}}},
        "response_format.json_schema.schema",
    ),
    ({"structured_outputs": {"regex": "(?=a)"}}, "structured_outputs.regex"),
    ({"structured_outputs": {"regex": "a", "choice": ["b"]}}, "structured_outputs.choice"),
    ({"structured_outputs": {"whitespace_pattern": " "}}, "structured_outputs.whitespace_pattern"),
    ({"guided_json": "{"}, "guided_json"),
    ({"guided_json": 5}, "guided_json"),
    ({"guided_json": {"type": "string", "minLength": "a"}}, "guided_json"),
    ({"guided_grammar": "root ::= a"}, "guided_grammar"),
    ({"guided_choice": ["a"] * 1025}, "guided_choice"),
    ({"guided_regex": "a", "response_format": {"type": "json_object"}}, "guided_regex"),
    ({"min_tokens": -1}, "min_tokens"),
    ({"min_p": 1.1}, "min_p"),
    ({"use_beam_search": True}, "use_beam_search"),
    ({"skip_special_tokens": False}, "skip_special_tokens"),
    ({"service_tier": "flex"}, "service_tier"),
    ({"store": "yes"}, "store"),
    ({"metadata": "a"}, "metadata"),
    ({"chat_id": 5}, "chat_id"),
    ({"verbosity": 5}, "verbosity"),
    ({"reasoning_effort": 5}, "reasoning_effort"),
    ({"prompt_cache_key": 5}, "prompt_cache_key"),
]
ONLY_COMPLETIONS = [
    ({"prompt": None}, "prompt"),
    ({"prompt": ""}, "prompt"),
    ({"prompt": []}, "prompt"),
    ({"prompt": [[]]}, "prompt"),
    ({"prompt": 5}, "prompt"),
    ({"prompt": {"text": "hi"}}, "prompt"),
    ({"prompt": [1, "a"]}, "prompt"),
    ({"prompt": [1, True]}, "prompt"),
    ({"prompt": [1.0]}, "prompt"),
    ({"prompt": [[1], "a"]}, "prompt"),
    ({"prompt": [VOCAB_SIZE]}, "prompt"),
    ({"prompt": [-1]}, "prompt"),
    ({"prompt": ["hi"] * 600, "n": 2}, "n"),
    ({"prompt": ["hi"] * 1025}, "prompt"),
    ({"logprobs": True}, "logprobs"),
    ({"logprobs": 21}, "logprobs"),
    ({"logprobs": -1}, "logprobs"),
    ({"echo": True, "logprobs": 21}, "logprobs"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"echo": False, "max_tokens": 0}, "max_tokens"),
    ({"echo": True, "max_tokens": -1}, "max_tokens"),
    ({"echo": True, "max_tokens": 0, "min_tokens": -1}, "min_tokens"),
    ({"logprobs": 1, "max_tokens": 0}, "max_tokens"),
    ({"echo": True, "logprobs": 1, "prompt": [3, MASK_ID]}, "prompt"),
    ({"seed": MAX_SEED, "best_of": 2}, "seed"),
    ({"prompt": ["hi"] * 600, "best_of": 2}, "best_of"),
    ({"suffix": ["end"]}, "suffix"),
    ({"suffix": "end", "echo": True}, "echo"),
    ({"max_completion_tokens": 5}, "max_completion_tokens"),
    ({"messages": HI}, "messages"),
]
IMAGE = {"type": "image_url", "image_url": {"url": "data:,"}}


def call_of(**fields):
    """A tool with a function whose fields are changed."""
    return {"type": "function", "function": {"name": "f", **fields}}


ONLY_CHAT = [
    ({"best_of": 3}, "best_of"),
    ({"messages": None}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": "hi"}, "messages"),
    ({"messages": ["hi"]}, "messages[0]"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [*HI, {"role": "user", "content": None}]}, "messages[1].content"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"content": "hi"}]}, "messages[0].role"),
    ({"messages": [{"role": "function", "content": "hi"}]}, "messages[0].role"),
    ({"messages": [{"role": "system"}]}, "messages[0].content"),
    ({"messages": [{**HI[0], "tool_call_id": "a"}]}, "messages[0].tool_call_id"),
    ({"messages": [{**HI[0], "id": 5}]}, "messages[0].id"),
    ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "messages[0].tool_calls"),
    ({"messages": [{"role": "assistant", "tool_calls": [5]}]}, "messages[0].tool_calls[0]"),
    ({"continue_final_message": True, "add_generation_prompt": True}, "continue_final_message"),
    ({"chat_template_kwargs": {"tokenize": True}}, "chat_template_kwargs.tokenize"),
    ({"chat_template_kwargs": 5}, "chat_template_kwargs"),
    ({"add_special_tokens": True}, "add_special_tokens"),
    ({"tools": [5], "tool_choice": "none"}, "tools[0]"),
    ({"messages": [{"role": "user", "content": [IMAGE]}]}, "messages[0].content[0].image_url"),
    (
        {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
        "messages[0].content[0].type",
    ),
    ({"messages": [{**HI[0], "tool_calls": [{}]}]}, "messages[0].tool_calls"),
    ({"messages": [{**HI[0], "mood": "good"}]}, "messages[0].mood"),
    ({"logprobs": 1}, "logprobs"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    ({"top_logprobs": 2}, "top_logprobs"),
    ({"max_completion_tokens": 0}, "max_completion_tokens"),
    ({"max_completion_tokens": 5, "max_tokens": 6}, "max_tokens"),
    ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
    ({"tools": [{"function": {"name": "f"}}]}, "tools[0].type"),
    ({"tools": [call_of()]}, "tools"),  # the template takes none
    ({"tools": [call_of(name=None)]}, "tools[0].function.name"),
    ({"tools": [call_of(), call_of(name="a b")]}, "tools[1].function.name"),
    ({"tools": [call_of(name="")]}, "tools[0].function.name"),
    ({"tools": [call_of(), call_of()]}, "tools[1].function.name"),
    ({"tools": [call_of(mood="good")]}, "tools[0].function.mood"),
    ({"tools": [call_of(parameters=5)]}, "tools[0].function.parameters"),
    ({"tools": [call_of(parameters={"type": "string"})]}, "tools[0].function.parameters"),
    ({"tools": [call_of()] * 513}, "tools"),
    ({"tools": 5}, "tools"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tool_choice": "sometimes"}, "tool_choice"),
    ({"tool_choice": 5}, "tool_choice"),
    ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
    ({"tool_choice": {"type": "some_tools"}}, "tool_choice.type"),
    ({"tools": [call_of()], "tool_choice": {"type": "function"}}, "tool_choice.function"),
    (
        {"tools": [call_of()], "tool_choice": {"type": "function", "function": {"name": "g"}}},
        "tool_choice.function.name",
    ),
    ({"tools": [call_of()], "parallel_tool_calls": "yes"}, "parallel_tool_calls"),
    ({"tools": [call_of()], "continue_final_message": True}, "continue_final_message"),
    ({"echo": True}, "echo"),
]
CASES = [
    *((COMPLETIONS, body, param) for body, param in EITHER + ONLY_COMPLETIONS),
    *((CHAT, body, param) for body, param in EITHER + ONLY_CHAT),
]


def full(path, body):
    return {"messages": HI, **body} if path == CHAT else {"prompt": "hi", **body}


@pytest.mark.usual_cases(75)
@pytest.mark.parametrize(("path", "body", "param"), CASES, ids=lambda value: str(value)[:50])
def test_a_wrong_field_is_refused_by_its_name(call, engine, path, body, param):
    content = json.dumps(full(path, body)).replace("Infinity", "1e999")
    response = call("POST", path, content=content, headers={"content-type": "application/json"})
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert error["message"]
    assert all(stream.closed.is_set() for stream in engine.streams)


@pytest.mark.parametrize("path", [COMPLETIONS, CHAT])
def test_a_required_field_that_is_missing_is_named(call, path):
    response = call("POST", path, json={})
    field = "messages" if path == CHAT else "prompt"
    assert response.status_code == 400
    assert response.json()["error"]["param"] == field
    assert response.json()["error"]["code"] == "missing_required_parameter"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'"hi"', b'{"prompt": "\\ud800"}', b'{"prompt": "\xff"}',
     b'{"prompt": "hi"} x', b'{"prompt":' + b"[" * 10_000 + b"]" * 10_000 + b"}"],
)  # fmt: skip
def test_a_body_that_is_no_json_object_is_refused(call, content):
    response = call(
        "POST", COMPLETIONS, content=content, headers={"content-type": "application/json"}
    )
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("path", "body", "param", "message"),
    [
        (CHAT, {"messages": "hi"}, "messages", "must be a list"),
        (CHAT, {"messages": ["hi"]}, "messages[0]", "must be an object"),
        (CHAT, {"messages": HI, "response_format": 5}, "response_format", "must be an object"),
        (COMPLETIONS, {"prompt": "hi", "guided_choice": "a"}, "guided_choice", "must be a list"),
    ],
)
def test_a_value_of_another_type_is_told_in_words_of_json(call, path, body, param, message):
    error = call("POST", path, json=body).json()["error"]
    assert error["param"] == param
    assert error["message"].startswith(f"{param}: {message}, got ")


@pytest.mark.parametrize(("coding", "status"), [("gzip", 400), ("br", 400), ("Identity", 200)])
def test_a_compressed_body_is_refused_as_such(call, coding, status):
    headers = {"content-type": "application/json", "content-encoding": coding}
    response = call("POST", COMPLETIONS, content=b'{"prompt": "hi"}', headers=headers)
    assert response.status_code == status
    assert ("Content-Encoding" in response.text) == (status == 400)


def test_a_body_may_begin_with_a_byte_order_mark(call):
    content, headers = b'\xef\xbb\xbf{"prompt": "hi"}', {"content-type": "application/json"}
    assert call("POST", COMPLETIONS, content=content, headers=headers).status_code == 200


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", None])
def test_a_body_that_does_not_say_it_is_json_is_refused(call, media):
    headers = {"content-type": media} if media else {}
    response = call("POST", COMPLETIONS, content=b'{"prompt": "hi"}', headers=headers)
    assert response.status_code == 400
    assert "Content-Type" in response.json()["error"]["message"]


@pytest.mark.parametrize("media", ["application/json; charset=utf-8", "application/problem+json"])
def test_a_body_may_say_in_several_ways_that_it_is_json(call, media):
    headers = {"content-type": media}
    response = call("POST", COMPLETIONS, content=b'{"prompt": "hi"}', headers=headers)
    assert response.status_code == 200


def test_a_body_that_is_too_long_is_refused(call):
    config = ServerConfig(max_body_mib=1)
    announced = call("POST", COMPLETIONS, config, json={"prompt": "a" * 2**20})

    async def pieces():
        for _ in range(20):
            yield b'{"prompt": ' + b" " * 2**16

    headers = {"content-type": "application/json"}
    chunked = call("POST", COMPLETIONS, config, content=pieces(), headers=headers)
    for response in (announced, chunked):
        assert response.status_code == 413
        error = response.json()["error"]
        assert error["type"] == "invalid_request_error"
        assert "server.max_body_mib" in error["message"]


@pytest.mark.parametrize(("path", "param"), [(COMPLETIONS, "prompt"), (CHAT, "messages")])
def test_a_prompt_longer_than_the_context_says_so(call, path, param):
    long = "a" * MODEL.max_model_len
    body = {"messages": [{"role": "user", "content": long}]} if path == CHAT else {"prompt": long}
    error = call("POST", path, json=body).json()["error"]
    assert error["param"] == param
    assert error["code"] == "context_length_exceeded"


@pytest.mark.parametrize(
    ("path", "field"),
    [(COMPLETIONS, "max_tokens"), (CHAT, "max_tokens"), (CHAT, "max_completion_tokens")],
)
def test_more_tokens_than_the_context_has_left_are_refused(call, path, field):
    response = call("POST", path, json=full(path, {field: MODEL.max_model_len}))
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["param"], error["code"]) == (field, "context_length_exceeded")
    assert error["message"].startswith(f"{field} is")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("max_tokens", 2.5, "must be a whole number, got 2.5"),
        ("max_tokens", 1e30, "must be a whole number of fewer digits, got 1e+30"),
        ("max_tokens", [1], "must be a whole number, got [1]"),
        ("temperature", [1], "must be a number, got [1]"),
        ("temperature", float("inf"), "must be a finite number, got Infinity"),
        ("stream", "yes", 'must be true or false, got "yes"'),
        ("user", 5, "must be a string, got 5"),
        ("response_format", {"type": "a"}, """must be 'text', 'json_object' or"""),
    ],
)
def test_a_wrong_type_is_told_in_words_of_json_with_its_value_once(call, field, value, message):
    content = json.dumps({"prompt": "hi", field: value})
    headers = {"content-type": "application/json"}
    error = call("POST", COMPLETIONS, content=content, headers=headers).json()["error"]
    assert message in error["message"]
    assert error["message"].count("got") == 1


def test_refusals_are_counted(call, metrics):
    call("POST", COMPLETIONS, json={"prompt": "hi", "n": 0})
    assert metrics.registry.get_sample_value(
        "unmask_requests_refused_total", {"reason": "invalid"}
    ) == pytest.approx(1)
