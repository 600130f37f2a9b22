"""Bodies as clients send them: neutral fields, earlier messages, tool calls, huge integers."""

import asyncio
import json

import pytest
from tokenizers import processors

from tests.api.fake_client import MODEL, TOKENIZER, FakeClient
from tests.support.tiny import byte_tokenizer
from unmask.api.unsupported import HINTS
from unmask.config import ServerConfig
from unmask.http.config import HttpConfig
from unmask.tokenizer import Tokenizer

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
HI = [{"role": "user", "content": "hi"}]


def rendered(call, engine, **fields):
    response = call("POST", CHAT, json=fields)
    assert response.status_code == 200, response.text
    return TOKENIZER.decode(engine.requests[-1].prompt_token_ids)


INTEGERS = [
    "max_tokens", "n", "best_of", "top_k", "seed", "steps", "block_length", "sub_block_length",
    "prompt_logprobs", "temperature", "top_p", "threshold", "factor", "entropy_bound", "cfg_scale",
    "editing_threshold", "entropy_threshold", "distance_penalty", "low_threshold",
    "relaxed_threshold", "radius", "kl_threshold", "eta", "alg_temp", "eps",
]  # fmt: skip
CHAT_INTEGERS = [*INTEGERS, "max_completion_tokens", "top_logprobs"]


@pytest.mark.usual_cases(60)
@pytest.mark.parametrize("digits", [20, 400, 4000, 5000, 100_000])
@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize(
    ("path", "field"),
    [(COMPLETIONS, f) for f in [*INTEGERS, "logprobs"]] + [(CHAT, f) for f in CHAT_INTEGERS],
)
def test_integers_without_end_are_refused_by_their_field(call, path, field, sign, digits):
    unbounded = "factor", "entropy_bound", "entropy_threshold", "distance_penalty", "kl_threshold"
    if field in unbounded and digits == 20 and not sign:
        return  # floats
    number = sign + "9" * digits
    start = '{"prompt": "hi"' if path == COMPLETIONS else f'{{"messages": {json.dumps(HI)}'
    logprobs = ', "logprobs": true' if field == "top_logprobs" else ""
    content = f'{start}{logprobs}, "{field}": {number}}}'
    headers = {"content-type": "application/json"}
    response = call("POST", path, content=content, headers=headers)
    assert response.status_code == 400, response.text[:500]
    error = response.json()["error"]
    assert error["param"] == field or error["code"] == "invalid_json"
    assert len(error["message"]) < 400


@pytest.mark.parametrize("digits", [20, 400, 4000])
@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("prompt", "[{}]", "prompt"),
        ("prompt", "[[{}]]", "prompt"),
        ("stop_token_ids", "[{}]", "stop_token_ids"),
        ("allowed_token_ids", "[-{}]", "allowed_token_ids"),
        ("logit_bias", '{{"1": {}}}', "logit_bias"),
        ("logit_bias", '{{"{}": 1}}', "logit_bias"),
    ],
)
def test_lists_of_integers_without_end_are_refused(call, field, value, param, digits):
    prompt = "" if field == "prompt" else '"prompt": "hi", '
    content = f'{{{prompt}"{field}": {value.format("9" * digits)}}}'
    response = call(
        "POST", COMPLETIONS, content=content, headers={"content-type": "application/json"}
    )
    assert response.status_code == 400, response.text[:500]
    assert response.json()["error"]["param"].startswith(param)
    assert len(response.json()["error"]["message"]) < 400


def test_refinements_without_end_are_refused_or_harmless(call):
    for every in (10**20, 10**400):
        body = {"prompt": "hi", "stream": True, "stream_refinements": {"every": every}}
        assert call("POST", COMPLETIONS, json=body).status_code in (200, 400)


@pytest.mark.parametrize("path", [COMPLETIONS, CHAT])
def test_a_seed_of_minus_one_is_any_seed(call, engine, path):
    fields = {"messages": HI} if path == CHAT else {"prompt": "hi"}
    assert call("POST", path, json={**fields, "seed": -1, "n": 3}).status_code == 200
    assert [request.sampling.seed for request in engine.requests] == [None] * 3


@pytest.mark.parametrize("content", [{}, {"content": None}, {"content": ""}, {"content": []}])
def test_assistant_and_tool_turns_may_lack_content(call, engine, content):
    calls = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    messages = [
        *HI,
        {"role": "assistant", "tool_calls": calls, **content},
        {"role": "tool", "tool_call_id": "c1", **content},
        {"role": "assistant", **content},
        *HI,
    ]
    assert rendered(call, engine, messages=messages) == (
        "user: hi\nassistant: \ntool: \nassistant: \nuser: hi\nassistant: "
    )


def with_template(text):
    inner = byte_tokenizer()
    inner.chat_template = text
    return Tokenizer(inner)


def test_a_template_is_given_tool_turns_names_and_reasoning():
    template = (
        "{% for m in messages %}{{ m.role }}/{{ m.name }}/{{ m.tool_call_id }}/"
        "{{ m.reasoning_content }}{% for c in m.tool_calls or [] %}"
        "[{{ c.function.name }}:{{ c.function.arguments.x }}]{% endfor %};{% endfor %}{{ mood }}"
    )
    engine = FakeClient(tokenizer=with_template(template))
    function = {"name": "f", "arguments": '{"x": 5}'}
    odd = {"name": "g", "arguments": {"x": 6}}
    messages = [
        {"role": "user", "content": "hi", "name": "ann"},
        {"role": "assistant", "content": None, "reasoning_content": "hm",
         "tool_calls": [{"function": function}, {"function": odd}]},
        {"role": "tool", "content": "5", "tool_call_id": "c1", "name": "f"},
    ]  # fmt: skip
    text = ask(engine, messages=messages, chat_template_kwargs={"mood": "good"})
    assert text == "user/ann//;assistant///hm[f:5][g:6];tool/f/c1/;good"


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (CHAT, {"messages": HI}),
        ("/v1/responses", {"input": "hi"}),
        ("/v1/messages", {"messages": HI, "max_tokens": 9}),
        ("/v1/messages", {"messages": HI, "max_tokens": 9, "thinking": {"type": "disabled"}}),
    ],
)
def test_a_template_is_given_variables_by_every_api(path, fields):
    engine = FakeClient(tokenizer=with_template("{{ mood }} {{ enable_thinking }}"))
    options = {"mood": "good", "enable_thinking": True}
    assert ask(engine, path, **fields, chat_template_kwargs=options) == "good True"


def test_variables_of_a_template_are_counted(engine, call):
    engine.tokenizer = with_template("{{ mood }}")
    body = {"messages": HI, "chat_template_kwargs": {"mood": "good"}}
    response = call("POST", "/v1/messages/count_tokens", json=body)
    assert response.json()["input_tokens"] == len("good")


def test_thoughts_of_earlier_answers_have_two_names():
    template = "{% for m in messages %}{{ m.reasoning_content }};{% endfor %}"
    engine = FakeClient(tokenizer=with_template(template))
    thoughts = [{"reasoning": "a"}, {"reasoning": "b", "reasoning_content": "c"}, {}]
    turns = [{"role": "assistant", "content": "hi", **one} for one in thoughts]
    assert ask(engine, messages=[*HI, *turns]) == ";a;c;;"


def test_unknown_fields_of_a_message_may_be_null_and_nothing_else(call):
    for value, status in ((None, 200), ("x", 400), ([], 400), (False, 400)):
        body = {"messages": [*HI, {"role": "assistant", "content": "hi", "from_a_client": value}]}
        response = call("POST", CHAT, json=body)
        assert response.status_code == status
    assert response.json()["error"]["param"] == "messages[1].from_a_client"


def ask(engine, path="/v1/chat/completions", **fields):
    import httpx

    from unmask.api import create_app
    from unmask.metrics import Metrics

    async def send():
        transport = httpx.ASGITransport(create_app(engine, Metrics(), ServerConfig()))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post(path, json=fields)

    response = asyncio.run(send())
    assert response.status_code == 200, response.text
    return engine.tokenizer.decode(engine.requests[-1].prompt_token_ids, skip_special_tokens=False)


@pytest.mark.parametrize("prefill", ["The answer is", "The answer is ", "<|en"])
@pytest.mark.parametrize("more", [{}, {"add_generation_prompt": False}])
def test_the_last_turn_may_be_continued(call, engine, prefill, more):
    messages = [*HI, {"role": "assistant", "content": prefill}]
    text = rendered(call, engine, messages=messages, continue_final_message=True, **more)
    assert text == f"user: hi\nassistant: {prefill}"
    tokens = {"messages": messages, "continue_final_message": True}
    ids = call("POST", "/tokenize", json=tokens).json()["tokens"]
    assert ids == list(engine.requests[-1].prompt_token_ids)


def test_a_chat_may_go_without_the_prompt_of_an_answer(call, engine):
    assert rendered(call, engine, messages=HI, add_generation_prompt=False) == "user: hi\n"


def test_parts_of_a_message_are_lines(call, engine):
    parts = [{"type": "text", "text": text} for text in ("What is", "2 + 3?")]
    text = rendered(call, engine, messages=[{"role": "user", "content": parts}])
    assert text == "user: What is\n2 + 3?\nassistant: "


@pytest.mark.parametrize("path", [COMPLETIONS, CHAT, "/tokenize"])
def test_an_empty_model_is_the_one_that_is_served(call, path):
    fields = {"messages": HI} if path == CHAT else {"prompt": "hi"}
    assert call("POST", path, json={**fields, "model": ""}).status_code == 200


VALUES = {str: "high", bool: True, dict: {"a": "b", "c": {}}, float: 0.5, list: ["a"]}


@pytest.mark.usual_cases(30)
@pytest.mark.parametrize("path", [COMPLETIONS, CHAT])
@pytest.mark.parametrize("name", HINTS)
def test_fields_that_change_nothing_are_accepted(call, engine, path, name):
    fields = {"messages": HI} if path == CHAT else {"prompt": "hi"}
    for value in (VALUES[HINTS[name]], None):
        assert call("POST", path, json={**fields, name: value}).status_code == 200
    assert engine.requests[0].sampling == engine.requests[1].sampling


def test_messages_may_have_ids(call):
    assert call("POST", CHAT, json={"messages": [{**HI[0], "id": "m1"}]}).status_code == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "none"},
        {"functions": [{"name": "f"}], "function_call": "none"},
        {"repeat_penalty": 1.0, "typical_p": 1, "length_penalty": 1},
        {"response_format": {"type": "text", "json_schema": None}, "tools": None},
        {"guided_json": None, "guided_choice": [], "guided_regex": "", "audio": {}},
        {"chat_template_kwargs": {}, "add_generation_prompt": True, "modalities": ["text"]},
    ],
    ids=str,
)
def test_neutral_values_are_accepted_however_they_are_spelled(call, engine, fields):
    assert call("POST", CHAT, json={"messages": HI, **fields}).status_code == 200
    assert call("POST", CHAT, json={"messages": HI}).status_code == 200
    assert engine.requests[0].sampling == engine.requests[1].sampling
    assert engine.requests[0].prompt_token_ids == engine.requests[1].prompt_token_ids


def with_bos():
    inner = byte_tokenizer()
    inner.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|end|> $A", special_tokens=[("<|end|>", inner.eos_token_id)]
    )
    return FakeClient(tokenizer=Tokenizer(inner))


@pytest.mark.parametrize(
    ("path", "fields", "text"),
    [
        (COMPLETIONS, {"prompt": "hi"}, "<|end|>hi"),
        (COMPLETIONS, {"prompt": ["a", "hi"]}, "<|end|>hi"),
        (COMPLETIONS, {"prompt": "hi", "add_special_tokens": True}, "<|end|>hi"),
        (COMPLETIONS, {"prompt": "hi", "add_special_tokens": None}, "<|end|>hi"),
        (COMPLETIONS, {"prompt": "hi", "add_special_tokens": False}, "hi"),
        (COMPLETIONS, {"prompt": TOKENIZER.encode("hi")}, "hi"),
        (CHAT, {"messages": HI}, "user: hi\nassistant: "),
        (CHAT, {"messages": HI, "add_special_tokens": False}, "user: hi\nassistant: "),
    ],
)
def test_tokens_that_a_tokenizer_adds_begin_completions_and_no_chats(path, fields, text):
    assert ask(with_bos(), path, **fields) == text


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (COMPLETIONS, {"prompt": "a" * 5000}),
        (COMPLETIONS, {"prompt": "a" * MODEL.max_model_len}),
        (COMPLETIONS, {"prompt": [1] * MODEL.max_model_len}),
        (COMPLETIONS, {"prompt": "hi", "max_tokens": MODEL.max_model_len}),
        (CHAT, {"messages": [{"role": "user", "content": "a" * 5000}]}),
        (CHAT, {"messages": HI, "max_completion_tokens": 10**6}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_exceeding_the_context_has_the_message_that_clients_look_for(call, path, fields):
    error = call("POST", path, json=fields).json()["error"]
    expected = f"This model's maximum context length is {MODEL.max_model_len} tokens."
    assert expected in error["message"]
    assert error["code"] == "context_length_exceeded"


def test_idle_connections_are_kept_longer_than_clients_keep_them(metrics):
    async def app(scope, receive, send):
        raise AssertionError("nothing is sent")

    assert HttpConfig(app, ServerConfig(), metrics).timeout_keep_alive == 75
    assert HttpConfig(app, ServerConfig(keep_alive_s=0.5), metrics).timeout_keep_alive == 1
