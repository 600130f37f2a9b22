"""`/infill` as editors with llama.cpp's server use it, whole and streamed."""

import json
from dataclasses import replace

import pytest

from tests.api.fake_client import ANSWER, MODEL, TOKENIZER, answer, failing

PATH = "/infill"
GAP = {"input_prefix": "def f():\n", "input_suffix": "\n    return x\n", "prompt": "    x = "}
# llama.vim's request and its list of fields to answer with.
TIMINGS = [
    f"timings/{part}_{unit}"
    for part in ("prompt", "predicted")
    for unit in ("n", "ms", "per_token_ms", "per_second")
]
VIM = {
    "id_slot": 0, "input_extra": [{"filename": "a.py", "text": "y = 1\n", "time": [1, 2]}],
    "n_predict": 128, "stop": [], "n_indent": 4, "top_k": 40, "top_p": 0.9,
    "samplers": ["top_k", "top_p", "infill"], "stream": False, "cache_prompt": True,
    "t_max_prompt_ms": 500, "t_max_predict_ms": 1000,
    "response_fields": ["content", *TIMINGS, "truncated", "tokens_cached"],
}  # fmt: skip
# llama.vscode's.
CODE = {
    "input_extra": [{"text": "y = 1\n", "time": 5.5, "filename": "a.py"}], "n_predict": 128,
    "top_k": 40, "top_p": 0.99, "stream": False, "samplers": ["top_k", "top_p", "infill"],
    "cache_prompt": True, "t_max_prompt_ms": 500, "t_max_predict_ms": 1000,
}  # fmt: skip


@pytest.fixture
def engine(engine):
    engine.model = replace(MODEL, attention="full")
    return engine


def ask(call, **fields):
    response = call("POST", PATH, json={**GAP, **fields})
    assert response.status_code == 200, response.text
    return response


def events(text):
    frames = text.removesuffix("\n\n").split("\n\n")
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


def prompt_of(engine):
    return TOKENIZER.decode(engine.requests[-1].prompt_token_ids)


def test_an_infill_is_a_completion_with_a_suffix(call, engine):
    ask(call, n_predict=30, temperature=0.5, seed=3, policy="threshold")
    fields = {"max_tokens": 30, "temperature": 0.5, "seed": 3, "policy": "threshold"}
    body = {
        "prompt": GAP["input_prefix"] + GAP["prompt"],
        "suffix": GAP["input_suffix"],
        **fields,
    }
    assert call("POST", "/v1/completions", json=body).status_code == 200
    mine, other = engine.requests
    assert mine.sampling == other.sampling
    assert mine.prompt_token_ids == other.prompt_token_ids
    assert (
        mine.suffix_token_ids == other.suffix_token_ids == tuple(TOKENIZER.encode(body["suffix"]))
    )


def test_an_answer_has_the_fields_of_llama_cpp(call, engine):
    body = ask(call, return_tokens=True).json()
    timings = body.pop("timings")
    (request,) = engine.requests
    num_prompt = len(request.prompt_token_ids) + len(request.suffix_token_ids)
    assert body == {
        "index": 0, "content": ANSWER, "stop": True, "model": MODEL.name,
        "tokens": body["tokens"], "tokens_predicted": 14, "tokens_evaluated": num_prompt,
        "has_new_line": False, "truncated": False, "stop_type": "eos", "stopping_word": "",
        "tokens_cached": 1,
    }  # fmt: skip
    assert body["tokens"][:-1] == TOKENIZER.encode(ANSWER)
    assert (timings["prompt_n"], timings["predicted_n"]) == (num_prompt - 1, 14)
    assert all(value >= 0 for value in timings.values())
    assert set(timings) >= {name.removeprefix("timings/") for name in TIMINGS}


def test_the_answer_takes_the_time_after_its_first_tokens(call, engine):
    engine.script = lambda request: answer(request, pause_s=0.01)
    timings = ask(call).json()["timings"]
    assert timings["predicted_ms"] > timings["predicted_per_token_ms"] > 0


def test_the_end_is_told_by_its_type(call, engine):
    assert ask(call, n_predict=4).json()["stop_type"] == "limit"

    def stopped(request):
        *rest, last = answer(request)
        return [*rest, last._replace(finish=replace(last.finish, stop_reason="!"))]

    engine.script = stopped
    body = ask(call, stop=["!"]).json()
    assert (body["stop_type"], body["stopping_word"]) == ("word", "!")


def test_a_stream_is_pieces_and_an_end_with_the_rest(call):
    *pieces, last = events(ask(call, stream=True).text)
    assert "".join(piece["content"] for piece in pieces) == ANSWER
    assert not any(piece["stop"] for piece in pieces)
    whole = ask(call).json()
    for body in (last, whole):
        del body["timings"]
    assert last == {**whole, "content": ""}


@pytest.mark.parametrize("text", ["🦊 runs", "🦊 run"])  # the end is a piece alone
def test_pieces_have_all_tokens_though_some_have_no_text_of_their_own(call, engine, text):
    engine.script = lambda request: answer(request, text)
    whole = ask(call, return_tokens=True).json()["tokens"]
    pieces = events(ask(call, stream=True, return_tokens=True).text)
    assert [token_id for piece in pieces for token_id in piece["tokens"]] == whole


@pytest.mark.parametrize("fields", [VIM, CODE], ids=["llama.vim", "llama.vscode"])
def test_editors_requests_are_taken_as_they_are(call, engine, fields):
    body = ask(call, **fields).json()
    assert body["content"] == ANSWER
    assert prompt_of(engine) == "a.py\ny = 1\n\n\ndef f():\n    x = "
    assert engine.requests[-1].sampling.max_tokens == 128
    if "response_fields" in fields:
        assert list(body) == fields["response_fields"]


def test_a_request_for_a_warm_cache_generates_nothing(call, engine):
    fields = {"input_prefix": "", "input_suffix": "", "prompt": "", "n_predict": 0}
    body = ask(call, **fields).json()
    assert (body["content"], body["tokens_predicted"], body["stop_type"]) == ("", 0, "limit")
    (last,) = events(ask(call, **fields, stream=True).text)
    assert last["stop"] is True
    assert ask(call, **fields, response_fields=[""]).json() == {}
    assert engine.requests == []


def test_the_first_extra_texts_are_left_out_if_they_do_not_fit(call, engine):
    extra = [{"filename": f"{i}.py", "text": f"{i}" * 60} for i in range(5)]
    ask(call, input_extra=extra, n_predict=20)
    before = prompt_of(engine)
    assert [i for i in range(5) if f"{i}.py" in before] == [2, 3, 4]
    ask(call, input_extra=[{"text": "a" * 9000}], n_predict=20)
    assert "aaa" not in prompt_of(engine)


@pytest.mark.parametrize("limit", [{}, {"n_predict": -1}])
def test_a_gap_without_a_limit_has_128_tokens(call, engine, limit):
    ask(call, **limit)
    assert engine.requests[-1].sampling.max_tokens == 128


def test_a_failure_in_mid_stream_is_an_event(call, engine):
    engine.script = failing
    assert "out of luck" in events(ask(call, stream=True).text)[-1]["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input_prefix": None}, "input_prefix"),
        ({"input_suffix": 5}, "input_suffix"),
        ({"input_prefix": "a" * 9000}, "input_prefix"),
        ({"input_suffix": "a" * 9000}, "input_suffix"),
        ({"input_extra": [{"filename": "a"}]}, "input_extra[0].text"),
        ({"n_predict": -2}, "n_predict"),
        ({"n_predict": "a"}, "n_predict"),
        ({"n_predict": 250}, "n_predict"),
        ({"n_predict": 5, "max_tokens": 6}, "max_tokens"),
        ({"n": 2}, "n"),
        ({"stream": True, "stream_refinements": True}, "stream_refinements"),
        ({"n_probs": 5}, "n_probs"),
        ({"lora": [{"id": 0, "scale": 0.5}]}, "lora"),
        ({"mirostat": 2}, "mirostat"),
    ],
    ids=str,
)
def test_wrong_fields_are_refused_by_their_name(call, fields, param):
    response = call("POST", PATH, json={**GAP, **fields})
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == param


def test_models_that_see_nothing_behind_a_gap_refuse_it_by_its_field(call, engine):
    engine.model = replace(MODEL, attention="causal")
    response = call("POST", PATH, json=GAP)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "input_suffix"
    ask(call, input_suffix="")
