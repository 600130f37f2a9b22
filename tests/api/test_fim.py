"""`/v1/fim/completions` as Mistral's clients use it, whole and streamed."""

from dataclasses import replace

import pytest

from tests.api.fake_client import ANSWER, MODEL, answer
from tests.api.sse import events

PATH = "/v1/fim/completions"
GAP = {"prompt": "def f():\n    x = ", "suffix": "\n    return x\n"}


@pytest.fixture
def engine(engine):
    engine.model = replace(MODEL, attention="full")
    return engine


def test_a_gap_is_filled_as_by_a_completion_with_a_suffix(call, engine):
    fields = {"max_tokens": 30, "min_tokens": 2, "temperature": 0.5, "top_p": 0.9, "stop": ["\n\n"]}
    mistral = {**GAP, **fields, "random_seed": 3, "metadata": {"a": "b"}, "stream": False}
    body = call("POST", PATH, json={"model": MODEL.name, **mistral}).json()
    assert call("POST", "/v1/completions", json={**GAP, **fields, "seed": 3}).status_code == 200
    mine, other = engine.requests
    assert mine.sampling == other.sampling
    assert mine.prompt_token_ids == other.prompt_token_ids
    assert mine.suffix_token_ids == other.suffix_token_ids != ()
    (choice,) = body["choices"]
    assert body["object"] == "chat.completion"
    assert choice["message"] == {"role": "assistant", "content": ANSWER, "refusal": None}
    assert choice["finish_reason"] == "stop"
    assert body["usage"]["completion_tokens"] == 14


def test_a_stream_is_chunks_of_a_message(call):
    response = call("POST", PATH, json={**GAP, "stream": True})
    chunks = events(response.text)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0]["role"] == "assistant"
    assert "".join(delta.get("content", "") for delta in deltas) == ANSWER
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_tags_of_thoughts_are_text_of_a_gap(call, engine):
    engine.script = lambda request: answer(request, "<think>a</think>")
    (choice,) = call("POST", PATH, json=GAP).json()["choices"]
    assert choice["message"]["content"] == "<think>a</think>"


@pytest.mark.parametrize("limit", [{}, {"max_tokens": None}])
def test_a_gap_without_a_limit_has_128_tokens(call, engine, limit):
    call("POST", PATH, json={**GAP, **limit})
    assert engine.requests[-1].sampling.max_tokens == 128


def test_a_gap_without_a_limit_has_the_rest_of_the_context_if_that_is_less(call, engine):
    response = call("POST", PATH, json={"prompt": "a", "suffix": "b" * 200})
    assert response.status_code == 200, response.text
    (request,) = engine.requests
    given = len(request.prompt_token_ids) + len(request.suffix_token_ids)
    assert request.sampling.max_tokens == MODEL.max_model_len - given < 128


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"suffix": 5}, "suffix"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"random_seed": "a"}, "random_seed"),
        ({"random_seed": 2**70}, "random_seed"),
        ({"random_seed": -(2**63) - 1}, "random_seed"),
        ({"n": 2}, "n"),
        ({"nonsense": 1}, "nonsense"),
    ],
    ids=str,
)
def test_wrong_fields_are_refused_by_their_name(call, fields, param):
    response = call("POST", PATH, json={**GAP, **fields})
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("sent", "meant"), [("seed", ""), ("random_seeds", "; did you mean random_seed?")]
)
def test_a_field_is_suggested_by_the_name_that_is_sent(call, sent, meant):
    error = call("POST", PATH, json={**GAP, sent: 5}).json()["error"]
    assert error["message"] == f"unknown field: {sent}{meant}"
