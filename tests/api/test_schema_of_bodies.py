"""The schemas of bodies in `/openapi.json` say what is taken: no less, and little more."""

import json
from pathlib import Path

import jsonschema
import pytest

BODIES = {
    "/v1/completions": "CompletionBody",
    "/v1/chat/completions": "ChatBody",
    "/tokenize": "TokenizeBody",
    "/detokenize": "DetokenizeBody",
    "/apply-template": "TemplateBody",
}
USER = {"role": "user", "content": "hi"}
CHAT = {"messages": [USER]}
FILE = Path(__file__).with_name("client_requests.jsonl")
OF_CLIENTS = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
TAKEN = [
    ("/v1/completions", {"prompt": "hi"}),
    ("/v1/completions", {"prompt": "hi", "template": None}),
    ("/v1/completions", {"prompt": [[1, 2], [3]], "stop": "a", "bad_words": ["b"]}),
    ("/v1/completions", {"prompt": "hi", "stream_refinements": True, "stream": True}),
    ("/v1/completions", {"prompt": "hi", "logit_bias": {"1": 3}, "priority": 2}),
    ("/v1/completions", {"prompt": "hi", "truncate_prompt_tokens": None, "metadata": {"a": 1}}),
    ("/v1/completions", {"prompt": "hi", "seed": -1, "top_k": -1}),
    ("/v1/chat/completions", CHAT | {"tool_choice": "none", "functions": [], "store": False}),
    ("/v1/chat/completions", CHAT | {"response_format": {"type": "text"}}),
    (
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
    ),
    ("/v1/chat/completions", {"messages": [USER, {"role": "assistant"}, USER]}),
    ("/v1/chat/completions", {"messages": [USER, {"role": "assistant", "refusal": None}, USER]}),
    ("/tokenize", {"prompt": "hi", "messages": None}),
    ("/tokenize", CHAT),
    ("/detokenize", {"tokens": [1, 2]}),
    ("/apply-template", CHAT),
]
REFUSED = [
    ("/v1/completions", {}),
    ("/v1/completions", {"prompt": None}),
    ("/v1/completions", {"prompt": "hi", "template": ["a", {"hole": {"max_tokens": 2}}]}),
    ("/v1/completions", {"template": []}),
    ("/v1/completions", {"template": ["a"]}),
    ("/v1/completions", {"prompt": "hi", "stop_token_ids": [2**31]}),
    ("/v1/completions", {"template": [{"hole": {"max_tokens": 0}}]}),
    ("/v1/completions", {"template": [{"text": "a", "hole": {"max_tokens": 1}}]}),
    ("/v1/completions", {"prompt": "hi", "nonsense": 1}),
    ("/v1/completions", {"prompt": "hi", "use_beam_search": True}),
    ("/v1/completions", {"prompt": "hi", "store": 1}),
    ("/v1/completions", {"prompt": "hi", "stop": [""]}),
    ("/v1/completions", {"prompt": "hi", "stop": ["a"] * 17}),
    ("/v1/completions", {"prompt": "hi", "bad_words": [""]}),
    ("/v1/completions", {"prompt": "hi", "allowed_token_ids": []}),
    ("/v1/completions", {"prompt": "hi", "stop_token_ids": [-1]}),
    ("/v1/completions", {"prompt": "hi", "max_tokens": 2**63}),
    ("/v1/completions", {"prompt": "hi", "logit_bias": {"01": 1}}),
    ("/v1/completions", {"prompt": "hi", "logit_bias": {"1": 101}}),
    ("/v1/completions", {"prompt": "hi", "priority": 2**31 + 1}),
    ("/v1/completions", {"prompt": "hi", "stream": True, "stream_refinements": {"every": 0}}),
    ("/v1/completions", {"prompt": "hi", "stream": True, "stream_refinements": {"max_fps": 0}}),
    ("/v1/completions", {"prompt": "hi", "response_format": {"type": "json_schema"}}),
    ("/v1/completions", {"prompt": "hi", "guided_json": 3}),
    ("/v1/chat/completions", {"messages": []}),
    ("/v1/chat/completions", {"messages": [{"role": "user"}]}),
    ("/v1/chat/completions", {"messages": [USER | {"tool_call_id": "a"}]}),
    ("/v1/chat/completions", {"messages": [USER | {"nonsense": 1}]}),
    ("/v1/chat/completions", CHAT | {"tools": [{"type": "function", "function": {"name": "?"}}]}),
    ("/v1/chat/completions", CHAT | {"tool_choice": {"type": "function"}}),
    ("/tokenize", {}),
    ("/tokenize", CHAT | {"prompt": "hi"}),
    ("/tokenize", {"messages": []}),
    ("/detokenize", {"tokens": [-1]}),
    ("/apply-template", {"messages": []}),
]


@pytest.fixture
def validator(call):
    """The validator of a path's bodies."""
    schema = call("GET", "/openapi.json").json()

    def of_path(path):
        ref = {"$ref": f"#/components/schemas/{BODIES[path]}", "components": schema["components"]}
        return jsonschema.Draft202012Validator(ref)

    return of_path


@pytest.mark.usual_cases(8)
@pytest.mark.parametrize(("path", "body"), TAKEN, ids=str)
def test_what_is_taken_is_valid(call, validator, path, body):
    assert call("POST", path, json=body).status_code == 200
    validator(path).validate(body)


@pytest.mark.usual_cases(15)
@pytest.mark.parametrize(("path", "body"), REFUSED, ids=str)
def test_what_is_refused_is_invalid(call, validator, path, body):
    assert call("POST", path, json=body).status_code == 400
    assert not validator(path).is_valid(body)


def test_what_clients_send_is_valid(validator):
    seen = [(sent["path"], sent["body"]) for sent in OF_CLIENTS if sent["path"] in BODIES]
    assert len(seen) > 10
    for path, body in seen:
        validator(path).validate(body)


def test_the_schemas_are_schemas(call):
    for schema in call("GET", "/openapi.json").json()["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
