"""Whole answers of /v1/completions and /v1/chat/completions."""

from dataclasses import replace

import pytest

from tests.api.fake_client import ANSWER, EOS_ID, MODEL, TOKENIZER, answer, failing
from unmask.api.logprobs import TokenTexts, chat_logprobs
from unmask.errors import EngineStopped, QueueFull
from unmask.tokenizer import IdTokenizer, Tokenizer
from unmask.types import (
    Delta,
    Finish,
    FinishReason,
    RefinementOptions,
    SamplingParams,
    TokenLogprob,
    Usage,
)

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
HI = [{"role": "user", "content": "hi"}]
TEXTS = TokenTexts(TOKENIZER.token_text, TOKENIZER.token_bytes)


def complete(call, **fields):
    response = call("POST", COMPLETIONS, json={"prompt": "hi", "max_tokens": 50, **fields})
    assert response.status_code == 200, response.text
    return response.json()


def chat(call, **fields):
    response = call("POST", CHAT, json={"messages": HI, **fields})
    assert response.status_code == 200, response.text
    return response.json()


def test_a_completion_has_openais_shape(call):
    body = complete(call)
    assert body["id"].startswith("cmpl-")
    assert body["object"] == "text_completion"
    assert body["model"] == MODEL.name
    assert body["choices"] == [
        {"index": 0, "text": ANSWER, "logprobs": None, "finish_reason": "stop", "stop_reason": None}
    ]
    assert body["usage"] == {
        "prompt_tokens": 2,
        "completion_tokens": 14,
        "total_tokens": 16,
        "prompt_tokens_details": {"cached_tokens": 1},
        "denoising_steps": 5,
        "forward_passes": 6,
        "query_tokens": 70,
        "block_length": 16,
    }


def test_a_chat_has_openais_shape(call):
    body = chat(call)
    assert body["id"].startswith("chatcmpl-")
    assert body["object"] == "chat.completion"
    (choice,) = body["choices"]
    assert choice["message"] == {"role": "assistant", "content": ANSWER, "refusal": None}
    assert choice["finish_reason"] == "stop"


def test_max_tokens_is_16_by_default_for_a_completion_and_unlimited_for_a_chat(call, engine):
    call("POST", COMPLETIONS, json={"prompt": "hi"})
    call("POST", CHAT, json={"messages": HI})
    assert [request.sampling.max_tokens for request in engine.requests] == [16, None]


def test_the_default_length_shrinks_to_what_the_prompt_leaves(call, engine):
    call("POST", COMPLETIONS, json={"prompt": "a" * (MODEL.max_model_len - 3)})
    assert engine.requests[0].sampling.max_tokens == 3


def test_every_field_reaches_the_engine(call, engine):
    fields = {
        "max_tokens": 20, "temperature": 0.5, "top_p": 0.9, "top_k": 7, "seed": 11,
        "stop": ["x", "yz"], "stop_token_ids": [3], "ignore_eos": True, "logprobs": 4,
        "logit_bias": {"5": -100, "2": 1.5}, "allowed_token_ids": [2, 3, 5],
        "policy": "threshold", "threshold": 0.8, "steps": 6, "block_length": 8,
    }  # fmt: skip
    complete(call, **fields)
    expected = {
        **fields, "stop": ("x", "yz"), "stop_token_ids": (3,),
        "logit_bias": ((5, -100.0), (2, 1.5)), "allowed_token_ids": (2, 3, 5),
    }  # fmt: skip
    assert engine.requests[0].sampling == SamplingParams(**expected)


def test_floats_that_are_whole_numbers_are_integers(call, engine):
    complete(call, max_tokens=12.0)
    assert engine.requests[0].sampling.max_tokens == 12


def test_a_single_stop_string_is_a_list_of_one(call, engine):
    complete(call, stop="end")
    assert engine.requests[0].sampling.stop == ("end",)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("hi", ["hi"]),
        (["hi", "you"], ["hi", "you"]),
        (TOKENIZER.encode("hi"), ["hi"]),
        ([TOKENIZER.encode("hi"), TOKENIZER.encode("you")], ["hi", "you"]),
    ],
)
def test_a_prompt_may_be_text_or_token_ids_one_or_many(call, engine, prompt, expected):
    body = complete(call, prompt=prompt)
    assert [TOKENIZER.decode(r.prompt_token_ids) for r in engine.requests] == expected
    assert [choice["index"] for choice in body["choices"]] == list(range(len(expected)))


def test_choice_i_of_n_uses_seed_plus_i_for_every_prompt(call, engine):
    complete(call, prompt=["a", "b"], n=3, seed=40)
    seeds = [request.sampling.seed for request in engine.requests]
    prompts = [TOKENIZER.decode(r.prompt_token_ids) for r in engine.requests]
    assert seeds == [40, 41, 42] * 2
    assert prompts == ["a"] * 3 + ["b"] * 3


def test_without_a_seed_the_engine_draws_one_for_each_choice(call, engine):
    complete(call, n=2)
    assert [request.sampling.seed for request in engine.requests] == [None, None]


def test_prompt_tokens_are_counted_once_per_prompt_and_the_rest_for_every_choice(call):
    usage = complete(call, prompt=["abc", "de"], n=2)["usage"]
    assert usage["prompt_tokens"] == 5
    assert usage["completion_tokens"] == 4 * 14
    assert usage["total_tokens"] == 61
    assert usage["prompt_tokens_details"] == {"cached_tokens": 2}
    assert (usage["denoising_steps"], usage["forward_passes"]) == (20, 24)


def test_an_answer_cut_short_says_length(call):
    (choice,) = complete(call, max_tokens=5)["choices"]
    assert choice["text"] == "Hello"
    assert choice["finish_reason"] == "length"


def test_an_answer_that_the_server_aborts_is_to_be_asked_for_again(call, engine):
    def aborted(request):
        *rest, last = answer(request)
        return [*rest, last._replace(finish=replace(last.finish, reason=FinishReason.ABORT))]

    engine.script = aborted
    response = call("POST", COMPLETIONS, json={"prompt": "hi"})
    assert (response.status_code, response.json()["error"]["code"]) == (503, "aborted")
    assert int(response.headers["retry-after"]) > 0


def test_the_stop_string_that_matched_is_the_stop_reason(call, engine):
    def stopped(request):
        finish = Finish(FinishReason.STOP, Usage(2, 0, 1, 1, 1, 32, 32), "end")
        return [Delta(request.request_id, (40,), "H", finish=finish)]

    engine.script = stopped
    for answered in (chat(call), complete(call)):
        (choice,) = answered["choices"]
        assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", "end")


@pytest.mark.parametrize(
    ("modes", "told"), [(("ar", "ar"), "ar"), (("ar", "self_speculation"), "auto")]
)
def test_usage_tells_the_mode_of_a_model_with_several(call, engine, modes, told):
    left = list(modes)

    def written(request):
        finish = Finish(FinishReason.STOP, Usage(2, 0, 1, 1, 1, 32, 32, left.pop(0)))
        return [Delta(request.request_id, (40,), "H", finish=finish)]

    engine.script = written
    assert complete(call, n=2)["usage"]["mode"] == told
    engine.script = answer
    assert "mode" not in complete(call)["usage"]


def test_a_suffix_belongs_to_every_prompt_and_is_counted(call, engine, monkeypatch):
    monkeypatch.setattr(engine, "model", replace(MODEL, attention="full"))
    complete(call, prompt=["hi", "you"], suffix=" end", n=2)
    suffix = tuple(TOKENIZER.encode(" end"))
    assert [request.suffix_token_ids for request in engine.requests] == [suffix] * 4
    complete(call, suffix="")
    assert engine.requests[-1].suffix_token_ids == ()
    long = call("POST", COMPLETIONS, json={"prompt": "hi", "suffix": "a" * 260})
    assert long.status_code == 400
    assert long.json()["error"]["param"] == "suffix"


def test_an_echo_precedes_the_answer(call):
    body = complete(call, prompt=["hi ", TOKENIZER.decode([40])], echo=True)
    assert [choice["text"] for choice in body["choices"]] == [f"hi {ANSWER}", f"I{ANSWER}"]
    (choice,) = complete(call, prompt=TOKENIZER.encode("ids "), echo=True)["choices"]
    assert choice["text"] == f"ids {ANSWER}"


def test_completion_logprobs_are_parallel_lists(call):
    (choice,) = complete(call, logprobs=1)["choices"]
    logprobs = choice["logprobs"]
    assert "".join(logprobs["tokens"][:7]) == "Hello w"
    assert logprobs["tokens"][-1] == "<|end|>"
    assert logprobs["token_logprobs"] == [-0.25] * 14
    assert logprobs["top_logprobs"][0] == {"H": -0.25, TOKENIZER.token_text(65): -0.5}
    assert logprobs["text_offset"][:7] == list(range(7))


def test_there_are_no_top_logprobs_when_none_are_asked_for(call):
    (choice,) = complete(call, logprobs=0)["choices"]
    assert choice["logprobs"]["top_logprobs"][0] == {"H": -0.25}


def test_chat_logprobs_are_a_list_of_tokens(call, engine):
    (choice,) = chat(call, logprobs=True, top_logprobs=3)["choices"]
    first, *_, last = choice["logprobs"]["content"]
    assert (first["token"], first["logprob"], first["bytes"]) == ("H", -0.25, [72])
    assert [top["logprob"] for top in first["top_logprobs"]] == [-0.5, -1.5, -9999.0]
    assert last["token"] == "<|end|>"
    assert engine.requests[0].sampling.logprobs == 3


def test_a_chosen_token_has_the_same_logprob_among_the_likeliest():
    chosen = TokenLogprob(72, -0.25, ((65, -0.125), (72, -0.2500001)))
    (item,) = chat_logprobs(TEXTS, [chosen])["content"]
    assert item["logprob"] == -0.25
    assert [top["logprob"] for top in item["top_logprobs"]] == [-0.125, -0.25]


def test_chat_logprobs_without_alternatives(call, engine):
    (choice,) = chat(call, logprobs=True)["choices"]
    assert choice["logprobs"]["content"][0]["top_logprobs"] == []
    assert engine.requests[0].sampling.logprobs == 0


def test_the_bytes_of_tokens_join_to_the_answer(call):
    (choice,) = chat(call, logprobs=True)["choices"]
    *content, end = choice["logprobs"]["content"]
    assert [len(item["bytes"]) for item in content if item["token"] == "�"] == [1, 1]
    joined = b"".join(bytes(item["bytes"]) for item in content)
    assert joined.decode() == choice["message"]["content"]
    assert bytes(end["bytes"]) == b"<|end|>"


def test_token_ids_are_in_the_fields_of_vllm(call):
    body = complete(call, return_token_ids=True)
    assert body["choices"][0]["prompt_token_ids"] == TOKENIZER.encode("hi")
    assert body["choices"][0]["token_ids"] == [*TOKENIZER.encode(ANSWER), EOS_ID]
    body = chat(call, return_token_ids=True)
    assert TOKENIZER.decode(body["prompt_token_ids"]) == "user: hi\nassistant: "
    assert body["choices"][0]["token_ids"] == [*TOKENIZER.encode(ANSWER), EOS_ID]


def test_text_parts_and_developer_messages_reach_the_template(call, engine):
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    messages = [{"role": "developer", "content": "be brief"}, {"role": "user", "content": parts}]
    chat(call, messages=messages)
    prompt = TOKENIZER.decode(engine.requests[0].prompt_token_ids)
    assert prompt == "system: be brief\nuser: a\nb\nassistant: "


def test_max_completion_tokens_is_the_newer_name_of_max_tokens(call, engine):
    chat(call, max_completion_tokens=9)
    chat(call, max_completion_tokens=9, max_tokens=9)
    assert [request.sampling.max_tokens for request in engine.requests] == [9, 9]


@pytest.mark.parametrize("path", [COMPLETIONS, CHAT])
@pytest.mark.parametrize("model", [None, MODEL.name])
def test_the_served_model_may_be_named_or_not(call, path, model):
    fields = {"messages": HI} if path == CHAT else {"prompt": "hi"}
    assert call("POST", path, json={**fields, "model": model}).json()["model"] == MODEL.name


@pytest.mark.parametrize("path", [COMPLETIONS, CHAT, "/tokenize", "/detokenize"])
def test_another_model_is_not_found(call, path):
    fields = {
        CHAT: {"messages": HI},
        "/detokenize": {"tokens": [1]},
    }.get(path, {"prompt": "hi"})
    response = call("POST", path, json={**fields, "model": "gpt-4"})
    assert response.status_code == 404
    error = response.json()["error"]
    assert (error["param"], error["code"]) == ("model", "model_not_found")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("refusal", "code", "retry_after"),
    [
        (QueueFull("too many wait", retry_after_s=7), "queue_full", "7"),
        (EngineStopped("shutting down"), "engine_stopped", "5"),
    ],
)
def test_when_one_choice_is_refused_the_others_are_aborted_before_the_response_starts(
    call, engine, stream, refusal, code, retry_after
):
    engine.refusals = {2: refusal}
    response = call("POST", COMPLETIONS, json={"prompt": "hi", "n": 3, "stream": stream})
    assert response.status_code == 503
    assert response.headers["retry-after"] == retry_after
    assert response.json()["error"]["code"] == code
    assert response.json()["error"]["type"] == "server_error"
    assert [stream.closed_early for stream in engine.streams] == [True, True]


def test_a_failure_of_one_choice_is_an_error_and_aborts_the_rest(call, engine):
    first = iter([failing])
    engine.script = lambda request: next(first, lambda r: answer(r, pause_s=30.0))(request)
    response = call("POST", COMPLETIONS, json={"prompt": "hi", "n": 2})
    assert response.status_code == 500
    assert response.json()["error"] == {
        "message": "choice 0 failed: out of luck",
        "type": "server_error",
        "param": None,
        "code": "engine_failure",
    }
    assert engine.streams[1].closed_early


def test_an_abort_by_the_server_is_an_error(call, engine):
    def aborted(request):
        finish = Finish(FinishReason.ABORT, Usage(2, 0, 0, 0, 0, 0, 32))
        return [Delta(request.request_id, (), "", finish=finish)]

    engine.script = aborted
    response = call("POST", COMPLETIONS, json={"prompt": "hi"})
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "aborted"


def test_a_stream_of_events_that_just_ends_is_an_error(call, engine):
    engine.script = lambda request: answer(request)[:1]
    assert call("POST", COMPLETIONS, json={"prompt": "hi"}).status_code == 500


def test_refinements_are_passed_on_as_options(call, engine):
    options = {"every": 2, "max_fps": 5, "tokens": True}
    for fields in (
        {"stream_refinements": True},
        {"stream_refinements": options},
        {"diffusing": True},
    ):
        call("POST", COMPLETIONS, json={"prompt": "a", "stream": True, **fields})
    assert [request.refinements for request in engine.requests] == [
        RefinementOptions(),
        RefinementOptions(2, 5.0, True),
        RefinementOptions(),
    ]


def test_without_a_tokenizer_text_is_token_ids(call, engine):
    engine.tokenizer = Tokenizer(IdTokenizer())

    def send(path=COMPLETIONS, **body):
        return call("POST", path, json=body)

    assert send(prompt="3 4").json()["usage"]["prompt_tokens"] == 2
    assert send("/tokenize", prompt="3 4").json()["tokens"] == [3, 4]
    assert send("/detokenize", tokens=[3, 4]).json()["prompt"] == " 3 4"
    for field, fields in (("prompt", {}), ("suffix", {"prompt": "3"})):
        refused = send(**fields, **{field: "hello"})
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == field
        assert "no tokenizer" in refused.json()["error"]["message"]
