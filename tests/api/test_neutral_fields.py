"""Neutral values of fields that are not implemented are accepted; unknown fields are named."""

import pytest

from unmask.api.routes import DIALECTS
from unmask.api.unsupported import HINTS, NEUTRAL
from unmask.sampling_params import PARAMETERS

COMMON = {
    "best_of": 1,
    "bad_words": [],
    "prompt_logprobs": None,
    "logit_bias": {},
    "response_format": {"type": "text"},
    "tools": [],
    "tool_choice": "none",
    "parallel_tool_calls": True,
    "store": False,
    "metadata": None,
    "service_tier": "auto",
    "reasoning_effort": None,
    "suffix": None,
    "length_penalty": 1.0,
    "use_beam_search": False,
    "skip_special_tokens": True,
    "user": "someone",
    "prompt_cache_key": "some-key",
    "safety_identifier": "someone",
    "n": None,
    "temperature": None,
    "top_k": None,
    "stop": None,
    "stream_options": None,
    "stream_refinements": False,
    "diffusing": False,
}


# Of llama.cpp's samplers, none of which is switched on.
LLAMA_CPP = {
    "dynatemp_range": 0.0, "dynatemp_exponent": 1.0, "repeat_last_n": 64, "dry_multiplier": 0.0,
    "dry_base": 1.75, "dry_allowed_length": 2, "dry_penalty_last_n": -1,
    "dry_sequence_breakers": ["\n"], "xtc_probability": 0.0, "xtc_threshold": 0.1, "mirostat": 0,
    "mirostat_tau": 5, "mirostat_eta": 0.1, "n_probs": 0, "min_keep": 0, "n_cmpl": 1, "lora": [],
    "return_progress": False, "post_sampling_probs": False,
}  # fmt: skip


# Of vLLM's and SGLang's clients, which send defaults too.
DEFAULTS = {
    "detokenize": True, "logits_processors": None, "mm_processor_kwargs": None,
    "media_io_kwargs": {}, "kv_transfer_params": None, "vllm_xargs": {}, "prompt_embeds": None,
    "request_id": "some-id", "rid": "some-id", "regex": None, "ebnf": None, "lora_path": None,
    "return_hidden_states": False, "stop_regex": [], "no_stop_trim": False, "echo": False,
    "stream_reasoning": True, "session_params": None, "custom_logit_processor": None,
}  # fmt: skip


HI = [{"role": "user", "content": "hi"}]
REQUIRED = {
    "/v1/completions": {"prompt": "hi"},
    "/v1/chat/completions": {"messages": HI},
    "/v1/messages": {"messages": HI, "max_tokens": 5},
    "/v1/responses": {"input": "hi"},
    "/v1/fim/completions": {"prompt": "hi"},
    "/infill": {"input_prefix": "hi", "input_suffix": ""},
}
OF_ONE_ENDPOINT = {"echo", "max_completion_tokens", "top_logprobs", "suffix"}


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
def test_neutral_values_of_known_fields_change_nothing(call, engine, path):
    prompt = {"messages": [{"role": "user", "content": "hi"}]} if "chat" in path else {
        "prompt": "hi"
    }  # fmt: skip
    assert call("POST", path, json={**prompt, **COMMON}).status_code == 200
    assert call("POST", path, json=prompt).status_code == 200
    with_fields, without = engine.requests
    assert with_fields.sampling == without.sampling
    assert with_fields.refinements is without.refinements is None


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
def test_defaults_of_other_servers_fields_are_taken(call, path):
    body = {"messages": HI} if "chat" in path else {"prompt": "hi"}
    response = call("POST", path, json={**body, **DEFAULTS})
    assert response.status_code == 200, response.text


def test_marks_for_a_cache_of_prompts_change_nothing(call, engine):
    mark = {"cache_control": {"type": "ephemeral"}}
    for part in ({"type": "text", "text": "hi"}, {"type": "text", "text": "hi", **mark}):
        body = {"messages": [{"role": "user", "content": [part]}]}
        assert call("POST", "/v1/chat/completions", json=body).status_code == 200
    first, second = engine.requests
    assert first.prompt_token_ids == second.prompt_token_ids


def test_an_expected_answer_changes_nothing(call, engine):
    for fields in ({}, {"prediction": {"type": "content", "content": "5"}}):
        body = {"messages": HI, "seed": 1, **fields}
        assert call("POST", "/v1/chat/completions", json=body).status_code == 200
    first, second = engine.requests
    assert first.prompt_token_ids == second.prompt_token_ids
    assert first.sampling == second.sampling


def test_samplers_that_are_off_change_nothing_and_are_refused_when_on(call, engine):
    body = {"prompt": "hi", **LLAMA_CPP}
    assert call("POST", "/v1/completions", json=body).status_code == 200
    for name, value in {"dry_multiplier": 0.8, "xtc_probability": 0.5, "mirostat": 2}.items():
        error = call("POST", "/v1/completions", json={**body, name: value}).json()["error"]
        assert (error["param"], error["code"]) == (name, "unsupported_parameter")
    error = call("POST", "/v1/completions", json={**body, "dry_base": "odd"}).json()["error"]
    assert error["param"] == "dry_base"


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_null_and_what_changes_nothing_are_taken_by_every_endpoint(call, engine, dialect):
    required = REQUIRED[dialect.path]
    names = {*dialect.body.model_fields, *NEUTRAL, *HINTS} - set(required)
    renamed = {"seed"} if dialect.name == "fim" else set()
    numbers = {
        name: row.neutral
        for name, row in PARAMETERS.items()
        if row.neutral is not None and name not in ("mode", "cache")
    }
    one = {"n": 1, "best_of": 1, "top_logprobs": 0, "stream": False}
    for fields in (dict.fromkeys(names - renamed), numbers, one):
        answer = call("POST", dialect.path, json={**required, **fields})
        assert answer.status_code == 200, answer.text
    assert len(engine.requests) == 3


@pytest.mark.parametrize("off", [0, -1])
def test_top_k_that_is_off_overrides_the_default_of_a_checkpoint(call, engine, off):
    assert call("POST", "/v1/completions", json={"prompt": "hi", "top_k": off}).status_code == 200
    (request,) = engine.requests
    assert request.sampling.top_k == 0


@pytest.mark.usual_cases(30)
@pytest.mark.parametrize("name", sorted(set(NEUTRAL) - OF_ONE_ENDPOINT))
def test_a_known_field_is_neutral_when_null_and_refused_when_it_asks_for_something(call, name):
    assert call("POST", "/v1/completions", json={"prompt": "hi", name: None}).status_code == 200
    error = call("POST", "/v1/completions", json={"prompt": "hi", name: "odd"}).json()["error"]
    assert error["param"] == name
    assert error["code"] == "unsupported_parameter"


def test_an_answer_can_be_sent_back_as_a_message(call, engine):
    reply = {
        "role": "assistant", "content": "Hello", "refusal": None, "tool_calls": None,
        "function_call": None, "audio": None, "annotations": [], "reasoning_content": None,
    }  # fmt: skip
    messages = [{"role": "user", "content": "hi"}, reply, {"role": "user", "content": "more"}]
    assert call("POST", "/v1/chat/completions", json={"messages": messages}).status_code == 200


@pytest.mark.parametrize(
    ("path", "fields", "message"),
    [
        (
            "/v1/completions",
            {"temprature": 1},
            "unknown field: temprature; did you mean temperature?",
        ),
        (
            "/v1/chat/completions",
            {"max_new_tokens": 5},
            "unknown field: max_new_tokens; did you mean max_tokens?",
        ),
        ("/v1/responses", {"max_tokens": 5}, "max_tokens; did you mean max_output_tokens?"),
        (
            "/v1/chat/completions",
            {"stream": True, "stream_options": {"include_usages": True}},
            "include_usage?",
        ),
        ("/v1/completions", {"foo": 1}, "unknown field: foo"),
        ("/v1/messages", {"max_tokens": 5, "betas": ["a"]}, "unknown field: betas"),
        (
            "/v1/messages",
            {"max_tokens": 5, "response_formats": 1},
            "unknown field: response_formats",
        ),
        ("/infill", {"prompt_logprob": 1}, "unknown field: prompt_logprob"),
        ("/v1/completions", {"temprature" * 1000: 1}, "..."),
    ],
)
def test_an_unknown_field_is_told_with_one_that_is_spelled_alike(call, path, fields, message):
    prompts = {
        "/v1/completions": {"prompt": "hi"},
        "/v1/responses": {"input": "hi"},
        "/infill": {"input_prefix": "a", "input_suffix": "b"},
    }
    prompt = prompts.get(path, {"messages": [{"role": "user", "content": "hi"}]})
    error = call("POST", path, json={**prompt, **fields}).json()["error"]
    assert error["message"].endswith(message)
    assert error["code"] == "unknown_parameter"
