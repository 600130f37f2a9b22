"""Answers match their types, which are the schemas of `/openapi.json`."""

import pytest
from pydantic import TypeAdapter

from unmask.api.response_models import (
    ChatCompletion,
    Completion,
    DetokenizedPrompt,
    Liveness,
    ModelCard,
    ModelList,
    Readiness,
    TokenizedPrompt,
    Version,
)

MESSAGES = [{"role": "user", "content": "hi"}]
EXTRAS = [
    {},
    {"n": 2, "max_tokens": 3},
    {"return_token_ids": True},
]
COMPLETION_EXTRAS = [*EXTRAS, {"logprobs": 2}, {"echo": True}, {"prompt": ["a", "b"]}]
CHAT_EXTRAS = [*EXTRAS, {"logprobs": True, "top_logprobs": 2}]


def check(kind: type, response) -> None:
    assert response.status_code == 200, response.text
    TypeAdapter(kind).validate_json(response.content, strict=True)


@pytest.mark.parametrize("extra", COMPLETION_EXTRAS, ids=str)
def test_completions(call, extra):
    check(Completion, call("POST", "/v1/completions", json={"prompt": "hi"} | extra))


@pytest.mark.parametrize("extra", CHAT_EXTRAS, ids=str)
def test_chats(call, extra):
    check(ChatCompletion, call("POST", "/v1/chat/completions", json={"messages": MESSAGES} | extra))


def test_models_tokens_and_health(call):
    check(ModelList, call("GET", "/v1/models"))
    name = call("GET", "/v1/models").json()["data"][0]["id"]
    check(ModelCard, call("GET", f"/v1/models/{name}"))
    tokens = call("POST", "/tokenize", json={"prompt": "hi"})
    check(TokenizedPrompt, tokens)
    fields = {"tokens": tokens.json()["tokens"]}
    check(DetokenizedPrompt, call("POST", "/detokenize", json=fields))
    check(Version, call("GET", "/version"))
    for path in ("/health", "/health/ready"):
        check(Readiness, call("GET", path))
    check(Liveness, call("GET", "/health/live"))


def test_the_schema_refers_to_the_types(call):
    schema = call("GET", "/openapi.json").json()
    schemas = {}
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            content = operation["responses"]["200"]["content"]
            schemas[f"{method} {path}"] = content.get("application/json", {}).get("schema")
    metrics = schemas.pop("get /metrics")
    assert metrics is None, "which is text"
    kinds = {name: ref["$ref"].rpartition("/")[2] for name, ref in schemas.items()}
    assert kinds["post /v1/chat/completions"] == "ChatCompletion"
    assert kinds["get /v1/models/{name}"] == "ModelCard"
    assert all(ref.keys() == {"$ref"} for ref in schemas.values())
    known = schema["components"]["schemas"]
    assert not {"HTTPValidationError", "ValidationError"} & known.keys(), "which are FastAPI's"
    assert "usage" in known["Completion"]["required"]
    assert "token_ids" not in known["CompletionChoice"]["required"]
