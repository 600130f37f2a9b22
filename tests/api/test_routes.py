"""Models, tokens, health, metrics, API keys, request ids, the page and the schema."""

import asyncio
import json
import os
import re
import subprocess
import sys

import pytest

from tests.api.fake_client import EOS_ID, MODEL, TOKENIZER, VOCAB_SIZE
from unmask import __version__
from unmask.api.middleware import RequestContext
from unmask.config import ServerConfig

KEYED = ServerConfig(api_key="sécret")


def test_the_served_model_is_listed(call):
    card = {
        "id": MODEL.name,
        "object": "model",
        "created": MODEL.created_s,
        "owned_by": "unmask",
        "max_model_len": MODEL.max_model_len,
        "modes": ["diffusion"],
        "input_modalities": ["text"],
    }
    assert call("GET", "/v1/models").json() == {"object": "list", "data": [card]}
    assert call("GET", f"/v1/models/{MODEL.name}").json() == card


def test_a_prompt_is_tokenized_as_a_completion_would_be(call, engine):
    body = call("POST", "/tokenize", json={"prompt": "hi<|end|>"}).json()
    ids = [*TOKENIZER.encode("hi"), EOS_ID]
    assert body == {"count": 3, "max_model_len": MODEL.max_model_len, "tokens": ids}
    call("POST", "/v1/completions", json={"prompt": "hi<|end|>"})
    assert list(engine.requests[0].prompt_token_ids) == ids


def test_token_strs_are_the_vocabularys_spellings(call):
    body = call("POST", "/tokenize", json={"prompt": "hi<|end|>", "return_token_strs": True}).json()
    assert len(body["token_strs"]) == body["count"] == 3
    assert body["token_strs"] == TOKENIZER.pieces(body["tokens"])
    assert body["token_strs"][-1] == "<|end|>"
    ids = {"prompt": "hi", "return_token_strs": 1}
    assert call("POST", "/tokenize", json=ids).json()["error"]["param"] == "return_token_strs"


def test_messages_are_tokenized_as_a_chat_would_be(call, engine):
    messages = [{"role": "user", "content": "hi"}]
    ids = call("POST", "/tokenize", json={"messages": messages}).json()["tokens"]
    call("POST", "/v1/chat/completions", json={"messages": messages})
    assert list(engine.requests[0].prompt_token_ids) == ids
    fields = {"messages": messages, "add_generation_prompt": False}
    assert TOKENIZER.decode(call("POST", "/tokenize", json=fields).json()["tokens"]) == "user: hi\n"


def test_tokens_become_text_again(call):
    ids = [*TOKENIZER.encode("wörld"), EOS_ID]
    assert call("POST", "/detokenize", json={"tokens": ids}).json() == {"prompt": "wörld<|end|>"}
    assert call("POST", "/detokenize", json={"tokens": []}).json() == {"prompt": ""}


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/tokenize", {}, "prompt"),
        ("/tokenize", {"prompt": "a", "messages": []}, "prompt"),
        ("/tokenize", {"prompt": 5}, "prompt"),
        ("/tokenize", {"prompt": "a", "add_special_tokens": 1}, "add_special_tokens"),
        (
            "/tokenize",
            {"messages": [{"role": "user", "content": "a"}], "add_special_tokens": True},
            "add_special_tokens",
        ),
        ("/detokenize", {}, "tokens"),
        ("/detokenize", {"tokens": [VOCAB_SIZE]}, "tokens"),
        ("/detokenize", {"tokens": [-1]}, "tokens"),
        ("/detokenize", {"tokens": [True]}, "tokens[0]"),
        ("/detokenize", {"tokens": "a"}, "tokens"),
    ],
)
def test_wrong_token_requests_are_refused(call, path, body, param):
    response = call("POST", path, json=body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


@pytest.mark.parametrize("state", ["starting", "ready", "stopping", "failed"])
def test_health_follows_the_engine_and_liveness_fails_once_it_is_given_up(call, engine, state):
    engine.state = state
    for path in ("/health", "/health/ready"):
        response = call("GET", path)
        assert response.status_code == (200 if state == "ready" else 503)
        assert response.json()["state"] == state
        assert ("retry-after" in response.headers) == (state != "ready")
    expected = 503 if state == "failed" else 200
    assert call("GET", "/health/live").status_code == expected
    assert call("HEAD", "/health/live").status_code == expected


@pytest.mark.parametrize(
    "path", ["/v1/models", f"/v1/models/{MODEL.name}", "/version", "/tokenizer_info", "/metrics"]
)
def test_head_is_get_without_a_body(call, path):
    response = call("HEAD", path)
    assert response.status_code == 200
    assert response.headers["content-type"] == call("GET", path).headers["content-type"]
    assert "head" not in call("GET", "/openapi.json").json()["paths"].get(path, {})


def test_metrics_are_in_the_format_of_prometheus(call, metrics):
    metrics.generated_tokens.inc(3)
    response = call("GET", "/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "unmask_generated_tokens_total 3.0" in response.text


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/chat/completions", "did you mean /v1/chat/completions?"),
        ("/v1/v1/chat/completions", "did you mean /v1/chat/completions?"),
        ("/api/v1/models/", "did you mean /v1/models?"),
        ("/v1/embeddings", "there are /v1/chat/completions, /v1/completions, /v1/responses"),
        ("/" + "x" * 5000, "there are /v1/chat/completions"),
    ],
)
def test_a_404_suggests_a_path_or_lists_them(call, path, hint):
    error = call("POST", path, json={}).json()["error"]
    assert hint in error["message"]
    assert len(error["message"]) < 500


def test_the_version(call):
    assert call("GET", "/version").json() == {"version": __version__}


@pytest.mark.parametrize(
    "header",
    [None, "Bearer wrong", "sécret", "Basic sécret", "Bearer ", "Bearer sécretx", "Bearer sécre"],
)
@pytest.mark.parametrize("path", ["/v1/models", "/version", "/v1/nowhere", "/openapi.json"])
def test_without_the_key_every_path_is_a_401(call, path, header):
    headers = {"authorization": header.encode()} if header else {}
    response = call("GET", path, KEYED, headers=headers)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "invalid_api_key"
    assert response.headers["x-request-id"]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Bearer "])
def test_with_the_key_everything_works(call, scheme):
    headers = {"authorization": f"{scheme} sécret".encode()}
    assert call("GET", "/v1/models", KEYED, headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/", "/health", "/health/live", "/health/ready", "/metrics"])
def test_the_page_health_and_metrics_need_no_key(call, path):
    assert call("GET", path, KEYED).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/v1/models/", 404),
        ("POST", "/v1/completions/", 404),
        ("GET", "/v1/completions", 405),
        ("DELETE", "/v1/models", 405),
        ("POST", "/health", 405),
    ],
)
def test_wrong_paths_and_methods_are_answered_in_the_envelope(call, method, path, status):
    response = call(method, path)
    assert response.status_code == status
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/completions", "POST"),
        ("DELETE", "/v1/models/a", "GET, HEAD"),
        ("POST", "/health", "GET, HEAD"),
        ("PATCH", "/", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_told_all_methods_of_the_path(call, method, path, allowed):
    response = call(method, path)
    assert response.headers["allow"] == allowed
    assert response.json()["error"]["message"].endswith(f"allowed: {allowed}")
    if allowed != "POST":
        assert call("HEAD", path).status_code in (200, 404)


def test_a_request_id_is_given_back_or_made_up(call):
    def answered(request_id):
        headers = {} if request_id is None else {"x-request-id": request_id.encode("latin-1")}
        return call("GET", "/version", headers=headers).headers["x-request-id"]

    for usual in ("my-id", "x" * 128):
        assert answered(usual) == usual
    made_up = {answered(wrong) for wrong in (None, None, "", "x" * 129, "a\x80b")}
    assert len(made_up) == 5
    assert {len(request_id) for request_id in made_up} == {32}


def test_an_unexpected_exception_is_a_500_without_details(call, engine, monkeypatch, caplog):
    def broken():
        raise RuntimeError("private detail")

    monkeypatch.setattr(engine, "status", broken)
    config = ServerConfig(cors_origins=("http://a.example",))
    response = call("GET", "/health", config, headers={"origin": "http://a.example"})
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "server_error"
    assert "private" not in response.text
    assert response.headers["access-control-allow-origin"] == "http://a.example"
    assert response.headers["x-request-id"]
    assert "private detail" in caplog.text


def test_an_unexpected_exception_in_mid_answer_is_the_end_of_its_connection(metrics):
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("a secret")

    async def send(message):
        sent.append(message["type"])

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with pytest.raises(RuntimeError):  # the server closes it
        asyncio.run(RequestContext(app, metrics)(scope, None, send))
    assert sent == ["http.response.start"]
    assert b'unmask_http_requests_failed_total{code="internal_error"} 1.0' in metrics.render()


def test_pages_of_allowed_origins_may_call_and_others_may_not(call):
    config = ServerConfig(cors_origins=("http://a.example",), api_key="k")

    def preflight(origin):
        headers = {
            "origin": origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization, content-type",
            "access-control-request-private-network": "true",
        }
        return call("OPTIONS", "/v1/completions", config, headers=headers)

    allowed = preflight("http://a.example")
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-private-network"] == "true"
    assert preflight("http://b.example").status_code == 400
    refused = call("GET", "/v1/models", config, headers={"origin": "http://a.example"})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "http://a.example"
    exposed = set(refused.headers["access-control-expose-headers"].split(", "))
    assert exposed == {"x-request-id", "request-id", "retry-after"}


def test_the_page_needs_nothing_from_elsewhere(call):
    response = call("GET", "/")
    assert response.headers["content-type"].startswith("text/html")
    for outside in ("http://", "https://", "src=", "@import", "innerHTML"):
        assert outside not in response.text


def test_the_api_imports_no_engine_and_no_model():
    code = (
        "import sys, unmask.api\n"
        "names = [n for n in sys.modules if n.startswith(('unmask.engine', 'unmask.models'))]\n"
        "assert not names, names"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=env)


def test_the_schema_describes_every_body(call):
    schema = call("GET", "/openapi.json").json()
    known = schema["components"]["schemas"]
    assert "threshold" in known["ChatBody"]["properties"]
    bodies = [
        route["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        for route in schema["paths"].values()
        if "post" in route
    ]
    assert {ref.rpartition("/")[2] for ref in bodies} <= set(known)
    assert len(bodies) == 5


def test_the_schema_has_errors_streams_and_content_types(call):
    schema = call("GET", "/openapi.json").json()
    operations = {
        f"{method} {path}": operation["responses"]
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    }
    for path in ("/v1/completions", "/v1/chat/completions"):
        responses = operations[f"post {path}"]
        errors = {"400", "401", "404", "413", "429", "500", "503", "504"}
        assert responses.keys() == {"200", *errors}
        assert responses["200"]["content"].keys() == {"application/json", "text/event-stream"}
        assert "Retry-After" in responses["503"]["headers"]
        assert "Retry-After" in responses["429"]["headers"]
    assert operations["post /tokenize"].keys() == {"200", "400", "401", "404", "413", "503"}
    assert operations["get /v1/models/{name}"].keys() == {"200", "401", "404", "503"}
    assert operations["get /health"].keys() == {"200", "503"}
    assert operations["get /metrics"]["200"]["content"].keys() == {"text/plain"}


def test_every_reference_of_the_schema_resolves(call):
    text = call("GET", "/openapi.json").text
    known = json.loads(text)["components"]["schemas"]
    references = set(re.findall(r'"\$ref":\s*"#/components/schemas/([^"]+)"', text))
    assert "Error" in references
    assert references <= known.keys()


def test_errors_are_as_the_schema_says(call):
    schema = call("GET", "/openapi.json").json()["components"]["schemas"]["Error"]
    details = schema["properties"]["error"]
    for response in (call("POST", "/v1/completions"), call("GET", "/v1/models/x")):
        error = response.json()["error"]
        assert error.keys() == set(details["required"]) == details["properties"].keys()
        assert error["type"] in details["properties"]["type"]["enum"]


def test_a_conversation_is_rendered_as_the_engine_would_see_it(call):
    messages = [{"role": "user", "content": "hi <|end|>"}]
    answer = call("POST", "/apply-template", json={"messages": messages})
    assert answer.json() == {"prompt": "user: hi <|end|>\nassistant: "}
    bare = {"messages": messages, "add_generation_prompt": False}
    assert call("POST", "/apply-template", json=bare).json()["prompt"] == "user: hi <|end|>\n"
    assert call("POST", "/apply-template", json={"messages": [{"role": "user"}]}).status_code == 400


def test_the_tokenizer_tells_its_special_tokens_and_template(call):
    info = call("GET", "/tokenizer_info").json()
    assert (info["eos_token"], info["mask_token"], info["bos_token"]) == (
        *("<|end|>", "<|mask|>"),
        None,
    )
    assert info["chat_template"].startswith("{% for")
    assert info["vocab_size"] == MODEL.vocab_size
