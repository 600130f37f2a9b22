"""Log-probabilities of prompts: echoed, and in vLLM's shape; the best of several candidates."""

import threading
from dataclasses import replace
from itertools import product

import pytest

from tests.api.fake_client import ANSWER, TOKENIZER, answer, failing
from tests.api.sse import events, joined
from tests.support.tokenizers_of_kinds import KINDS
from unmask.config import ServerConfig
from unmask.errors import QueueFull
from unmask.metrics import value_of
from unmask.tokenizer import Tokenizer
from unmask.types import CanvasSchedule, Delta, Finish, FinishReason, TokenLogprob

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
HI = [{"role": "user", "content": "hi"}]
ECHO = {"prompt": "hey", "max_tokens": 4, "echo": True, "logprobs": 2}
READ = {"e": -0.25, "b": -0.5, "c": -1.5}  # of the second token, by the fake client


def complete(call, **fields):
    response = call("POST", COMPLETIONS, json={"prompt": "hey", "max_tokens": 4, **fields})
    assert response.status_code == 200, response.text
    return response.json()


def test_an_echoed_prompt_has_log_probabilities_but_for_its_first_token(call, engine):
    body = complete(call, **ECHO)
    (choice,) = body["choices"]
    assert choice["text"] == f"hey{ANSWER[:4]}"
    logprobs = choice["logprobs"]
    assert logprobs["tokens"] == list("hey" + ANSWER[:4])
    assert logprobs["token_logprobs"] == [None, *[-0.25] * 6]
    assert logprobs["top_logprobs"][:2] == [None, READ]
    assert len(logprobs["top_logprobs"]) == 7
    assert logprobs["text_offset"] == list(range(7))
    generated, read = engine.requests
    assert (read.prompt_token_ids, read.given_answer) == ((71,), (68, 88))
    assert generated.given_answer == ()
    assert generated.sampling.prompt_logprobs is read.sampling.prompt_logprobs is None
    assert body["usage"]["prompt_tokens"] == 3
    assert body["usage"]["completion_tokens"] == 4
    assert body["usage"]["denoising_steps"] == 10  # of both
    assert body["usage"]["query_tokens"] == 140


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("prompt", ["日本🎉 2", TOKENIZER.encode("é<|end|>a"), "<|end|>é", "a��b"])
def test_offsets_are_those_of_the_text_though_its_characters_have_several_tokens(
    call, prompt, streams
):
    fields = {**ECHO, "prompt": prompt, "max_tokens": 14, "stream": streams}
    response = call("POST", COMPLETIONS, json=fields)
    assert response.status_code == 200, response.text
    chunks = events(response.text) if streams else [response.json()]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    text = "".join(choice["text"] for choice in choices)
    lists = [choice["logprobs"] for choice in choices if choice["logprobs"] is not None]
    offsets = [offset for found in lists for offset in found["text_offset"]]
    tokens = [token for found in lists for token in found["tokens"]]
    assert offsets == sorted(offsets)
    begin = len(text) - len(ANSWER)
    assert text[begin:] == ANSWER
    num_read = len(prompt) if isinstance(prompt, list) else len(TOKENIZER.encode(prompt))
    assert offsets[num_read] == begin
    for token, offset in zip(tokens, offsets, strict=True):
        assert "�" in token or text.startswith(token, offset) or offset == len(text)


def test_nothing_need_be_generated(call, engine):
    body = complete(call, **ECHO | {"max_tokens": 0, "n": 2, "return_token_ids": True})
    assert [request.given_answer for request in engine.requests] == [(68, 88)]
    assert len(body["choices"]) == 2
    for choice in body["choices"]:
        assert choice["text"] == "hey"
        assert choice["logprobs"]["token_logprobs"] == [None, -0.25, -0.25]
        assert choice["finish_reason"] == "length"
        assert choice["token_ids"] == []
    usage = body["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (3, 0)
    assert (usage["denoising_steps"], usage["block_length"]) == (5, 16)


@pytest.mark.parametrize("streams", [False, True])
def test_an_echo_may_be_all_there_is(call, engine, streams):
    fields = {"prompt": ["hey", "you all"], "n": 2, "max_tokens": 0, "echo": True}
    body = complete(call, **fields, return_token_ids=True)
    choices = body["choices"]
    if streams:
        options = {"stream": True, "stream_options": {"include_usage": True}}
        response = call("POST", COMPLETIONS, json={**fields, **options})
        *chunks, body = events(response.text)
        own = [
            [c for chunk in chunks for c in chunk["choices"] if c["index"] == i] for i in range(4)
        ]
        choices = [{**pieces[-1], "text": joined(chunks, i)} for i, pieces in enumerate(own)]
    assert [(c["index"], c["text"]) for c in choices] == [
        *((0, "hey"), (1, "hey"), (2, "you all"), (3, "you all"))
    ]
    assert [(c["finish_reason"], c["logprobs"]) for c in choices] == [("length", None)] * 4
    usage = body["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (
        10,
        0,
        10,
    )
    assert (usage["denoising_steps"], usage["query_tokens"]) == (0, 0)
    assert not engine.requests


def test_an_echo_has_the_ids_of_its_prompt_alone(call):
    fields = {"prompt": [71, 68], "max_tokens": 0, "echo": True, "return_token_ids": True}
    (choice,) = complete(call, **fields)["choices"]
    assert (choice["prompt_token_ids"], choice["token_ids"]) == ([71, 68], [])
    assert choice["text"] == TOKENIZER.decode([71, 68])
    pieces = [
        c["choices"][0]
        for c in events(call("POST", COMPLETIONS, json={**fields, "stream": True}).text)
    ]
    assert [piece.get("prompt_token_ids") for piece in pieces] == [[71, 68], None]
    assert pieces[-1]["token_ids"] == []


def test_an_echo_needs_no_room_in_the_queue(call, engine):
    engine.max_queue = 0
    fields = {"max_tokens": 0, "echo": True}
    assert complete(call, **fields)["choices"][0]["text"] == "hey"
    assert call("POST", COMPLETIONS, json={"prompt": "hey"}).status_code != 200


@pytest.mark.parametrize("logprobs", [None, 0])
def test_an_echo_has_a_token(call, logprobs):
    body = {"prompt": ["hey", ""], "max_tokens": 0, "echo": True, "logprobs": logprobs}
    response = call("POST", COMPLETIONS, json=body)
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == "prompt"


def test_an_echo_is_no_longer_than_the_context(call, engine):
    engine.model = replace(engine.model, max_model_len=8)
    fields = {"max_tokens": 0, "echo": True}
    assert complete(call, prompt="seven c", **fields)["usage"]["prompt_tokens"] == 7
    for prompt in ("eight ch", [64] * 8):
        error = call("POST", COMPLETIONS, json={"prompt": prompt, **fields}).json()["error"]
        assert (error["code"], error["param"]) == ("context_length_exceeded", "prompt")


def test_a_structure_of_no_answer_is_refused(call, engine):
    structures = ({"guided_regex": "a"}, {"response_format": {"type": "json_object"}})
    for asked, logprobs in product(structures, (2, None)):
        body = {**ECHO, "max_tokens": 0, "logprobs": logprobs, **asked}
        response = call("POST", COMPLETIONS, json=body)
        assert response.status_code == 400, response.text
        assert response.json()["error"]["param"] == "max_tokens"
    assert not engine.requests


@pytest.mark.parametrize("max_tokens", [0, 1])
def test_a_prompt_that_is_read_leaves_room_for_a_token(call, engine, max_tokens):
    ids = [64] * engine.model.max_model_len
    (choice,) = complete(call, **ECHO | {"prompt": ids[1:], "max_tokens": max_tokens})["choices"]
    assert len(choice["logprobs"]["token_logprobs"]) == len(ids) - 1 + max_tokens
    body = ECHO | {"prompt": ids, "max_tokens": max_tokens}
    error = call("POST", COMPLETIONS, json=body).json()["error"]
    assert error["code"] == "context_length_exceeded"


@pytest.mark.parametrize("max_tokens", [0, 4])
def test_a_prompt_of_one_token_is_not_read(call, engine, max_tokens):
    prompts = [[71], [71, 68]]
    body = complete(call, **ECHO | {"prompt": prompts, "max_tokens": max_tokens})
    own = [choice["logprobs"]["token_logprobs"] for choice in body["choices"]]
    assert own == [[None, *[-0.25] * max_tokens], [None, *[-0.25] * (1 + max_tokens)]]
    assert len([request for request in engine.requests if request.given_answer]) == 1
    alone = complete(call, **ECHO | {"prompt": [71], "max_tokens": max_tokens})
    assert alone["choices"][0]["logprobs"] == body["choices"][0]["logprobs"]


def test_prompts_are_read_once_for_all_their_choices(call, engine):
    body = complete(call, **ECHO | {"prompt": ["hey", "you all"], "n": 3})
    assert len(engine.requests) == 6 + 2
    assert [choice["index"] for choice in body["choices"]] == list(range(6))
    lengths = [len(choice["logprobs"]["tokens"]) for choice in body["choices"]]
    assert lengths == [7] * 3 + [11] * 3


@pytest.mark.parametrize("fields", [{}, {"max_tokens": 0}, {"n": 2, "prompt": ["hey", "a"]}])
def test_a_streamed_echo_adds_up_to_the_whole_one(call, engine, fields):
    def slow(request):
        return [0.02, *answer(request)] if request.given_answer else answer(request)

    fields = ECHO | fields
    whole = complete(call, **fields)
    engine.script = slow  # a choice waits for its prompt's reading
    options = {"stream": True, "stream_options": {"include_usage": True}}
    response = call("POST", COMPLETIONS, json={**fields, **options})
    *chunks, last = events(response.text)
    for choice in whole["choices"]:
        assert joined(chunks, choice["index"]) == choice["text"]
        own = [c["choices"][0] for c in chunks if c["choices"][0]["index"] == choice["index"]]
        for name, values in choice["logprobs"].items():
            pieces = [piece["logprobs"][name] for piece in own if piece["logprobs"]]
            assert [value for piece in pieces for value in piece] == values
        assert own[-1]["finish_reason"] == choice["finish_reason"]
    assert last["usage"] == whole["usage"]


def test_a_streamed_echo_without_text_has_its_log_probabilities(call, engine):
    engine.tokenizer = Tokenizer(KINDS["prepending"]())
    space, *_ = engine.tokenizer.encode("the")  # ▁ alone, without text where a text begins
    fields = ECHO | {"prompt": [space]}
    (whole,) = complete(call, **fields)["choices"]
    assert whole["text"] == ANSWER[:4]
    chunks = events(call("POST", COMPLETIONS, json={**fields, "stream": True}).text)
    lists = [piece["logprobs"] for c in chunks for piece in c["choices"] if piece["logprobs"]]
    for name, values in whole["logprobs"].items():
        assert [value for found in lists for value in found[name]] == values


def test_pings_are_sent_while_a_long_prompt_is_read(call, engine):
    def read_slowly(request):
        events = answer(request)
        if not request.given_answer:
            return events
        ids, logprobs = request.given_answer, events[0].logprobs[:1]
        one = Delta(request.request_id, ids[:1], "", logprobs)
        return [*((0.03, one) * 10), *events[-1:]]

    engine.script = read_slowly
    config = ServerConfig(ping_interval_s=0.1)
    text = call("POST", COMPLETIONS, config, json={**ECHO, "stream": True}).text
    assert text.startswith(": ping\n\n")
    assert joined(events(text)) == f"hey{ANSWER[:4]}"


@pytest.mark.parametrize("streams", [False, True])
def test_tokens_of_a_prompt_that_is_read_count_once_for_a_client(call, metrics, streams):
    response = call("POST", COMPLETIONS, json={**ECHO, "stream": streams})
    assert response.status_code == 200
    assert value_of(metrics.key_tokens.labels("none")) == 3 + 4


def test_prompt_logprobs_have_vllms_shape(call):
    (choice,) = complete(call, prompt_logprobs=2)["choices"]
    assert choice["text"] == ANSWER[:4]
    assert choice["logprobs"] is None
    second = {
        "68": {"logprob": -0.25, "rank": 2, "decoded_token": "e"},
        "65": {"logprob": -0.5, "rank": 1, "decoded_token": TOKENIZER.token_text(65)},
        "66": {"logprob": -1.5, "rank": 2, "decoded_token": TOKENIZER.token_text(66)},
    }
    assert choice["prompt_logprobs"][:2] == [None, second]
    assert len(choice["prompt_logprobs"]) == 3


def test_zero_prompt_logprobs_are_of_the_prompts_tokens_alone(call):
    (choice,) = complete(call, prompt_logprobs=0, **ECHO)["choices"]
    assert [list(item) for item in choice["prompt_logprobs"][1:]] == [["68"], ["88"]]
    assert choice["logprobs"]["top_logprobs"][1] == READ


def test_those_of_a_chat_are_at_the_top_level(call, engine):
    body = {"messages": HI, "prompt_logprobs": 1, "n": 2}
    response = call("POST", CHAT, json=body)
    assert response.status_code == 200, response.text
    content = response.json()
    prompt = engine.requests[0].prompt_token_ids
    ids = [next(iter(item)) for item in content["prompt_logprobs"][1:]]
    assert ids == [str(token_id) for token_id in prompt[1:]]
    assert "prompt_logprobs" not in content["choices"][0]
    assert content["choices"][0]["logprobs"] is None
    assert len(engine.requests) == 3


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", {"input": "hi", "prompt_logprobs": 0}),
        ("/v1/messages", {"messages": HI, "max_tokens": 5, "prompt_logprobs": 0}),
    ],
)
def test_other_endpoints_have_none(call, path, body):
    response = call("POST", path, json=body)
    assert response.status_code == 400
    assert "prompt_logprobs" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "param"), [(ECHO, "echo"), ({"prompt_logprobs": 1}, "prompt_logprobs")]
)
def test_models_without_masks_refuse_them_by_name(call, engine, fields, param):
    engine.model = replace(
        engine.model, attention="canvas", canvas=CanvasSchedule(), mask_token_id=None
    )
    response = call("POST", COMPLETIONS, json={"prompt": "hey", **fields})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_all_requests_are_queued_or_none(call, engine):
    engine.refusals[1] = QueueFull("full", retry_after_s=1)  # the reading, behind the choice
    response = call("POST", COMPLETIONS, json=ECHO)
    assert response.status_code == 503
    assert all(stream.closed_early for stream in engine.streams)


def test_a_reading_that_fails_is_the_requests_failure(call, engine):
    engine.script = lambda request: failing(request) if request.given_answer else answer(request)
    body = {**ECHO, "prompt": "hello"}
    assert call("POST", COMPLETIONS, json=body).status_code == 500
    streamed = events(call("POST", COMPLETIONS, json={**body, "stream": True}).text)
    assert [list(chunk) for chunk in streamed] == [["error"]]


def candidates(engine, values):
    """Have candidate `i` of each prompt be the token `i`, of log-probability `values[i]`."""

    def script(request):
        i = int(request.request_id.rsplit("-", 1)[1]) % len(values)
        assert request.sampling.logprobs is not None
        events = [delta for delta in answer(request) if isinstance(delta, Delta)]
        usage = events[-1].finish.usage
        logprobs = tuple(TokenLogprob(64 + i, value) for value in values[i])
        finish = Finish(FinishReason.STOP, replace(usage, completion_tokens=len(logprobs)))
        ids = (64 + i,) * len(logprobs)
        return [Delta(request.request_id, ids, TOKENIZER.decode(ids), logprobs, finish)]

    engine.script = script


VALUES = [(-1.0,), (-0.5, -0.7), (-0.1, -2.1), (-0.65, -0.55, -0.3)]  # means: -1, -0.6, -1.1, -0.5


def test_the_best_candidates_have_the_highest_mean_log_probability(call, engine):
    candidates(engine, VALUES)
    body = complete(call, prompt=["a", "b"], n=2, best_of=4, seed=5)
    texts = [TOKENIZER.decode((64 + i,) * len(VALUES[i])) for i in (3, 1)]
    assert [(c["index"], c["text"]) for c in body["choices"]] == list(enumerate(texts * 2))
    assert [request.sampling.seed for request in engine.requests] == [5, 6, 7, 8] * 2
    assert body["usage"]["completion_tokens"] == 2 * sum(map(len, VALUES))
    assert body["usage"]["prompt_tokens"] == 2
    assert body["choices"][0]["logprobs"] is None


def test_the_best_candidate_has_its_own_echo_and_log_probabilities(call, engine):
    candidates(engine, VALUES)
    body = complete(call, prompt="a", best_of=4, logprobs=0, return_token_ids=True)
    (choice,) = body["choices"]
    assert choice["logprobs"]["token_logprobs"] == list(VALUES[3])
    assert choice["token_ids"] == [67] * 3


def test_as_many_candidates_as_choices_may_be_streamed(call, engine):
    body = {"prompt": "a", "n": 2, "best_of": 2, "stream": True}
    assert call("POST", COMPLETIONS, json=body).status_code == 200
    assert all(request.sampling.logprobs is None for request in engine.requests)


def test_bad_words_reach_the_engine_as_text(call, engine):
    complete(call, bad_words=["he", "y"])
    assert engine.requests[0].sampling.bad_words == ("he", "y")


def test_bad_words_are_compiled_on_the_thread_of_grammars(call, engine):
    threads = []
    engine.has_compiled = lambda sampling: False
    engine.compile = lambda sampling, seconds: threads.append(threading.current_thread().name)
    complete(call, bad_words=["he"])
    assert threads == ["prepare-grammars_0"]


def test_bad_words_and_a_structure_are_both_named(call):
    body = {"prompt": "a", "bad_words": ["x"], "structured_outputs": {"regex": "a+"}}
    error = call("POST", COMPLETIONS, json=body).json()["error"]
    assert error["param"] == "bad_words"
    assert "bad_words and structured_outputs.regex both say" in error["message"]
