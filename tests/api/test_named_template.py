"""A chat template that the server's settings name is that of every endpoint."""

from dataclasses import replace

import pytest

from tests.api.fake_client import MODEL, answer
from tests.support.tiny import CHAT_TEMPLATE, byte_tokenizer
from tests.support.tool_chats import HERMES_TEMPLATE, TAGS, TOOLS
from unmask.tokenizer import Tokenizer

HI = [{"role": "user", "content": "hi"}]
THINKING = HERMES_TEMPLATE + "<think>{{ '\n' }}"
CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
BODIES = {
    CHAT: {"messages": HI},
    MESSAGES: {"messages": HI, "max_tokens": 50},
    f"{MESSAGES}/count_tokens": {"messages": HI},
    RESPONSES: {"input": "hi"},
    "/tokenize": {"messages": HI},
    "/apply-template": {"messages": HI},
    "/v1/completions": {"prompt": "hi"},
}


@pytest.fixture
def engine(engine, tmp_path):
    inner = byte_tokenizer(tags=TAGS)
    inner.save_pretrained(tmp_path)
    engine.model = replace(MODEL, max_model_len=4096)
    engine.tokenizer = Tokenizer.from_folder(tmp_path, THINKING)
    return engine


def test_every_endpoint_renders_it(call, engine):
    prompt = "user: hi\nassistant: <think>\n"
    ids = engine.tokenizer.encode(prompt)
    for path in (CHAT, MESSAGES, RESPONSES):
        assert call("POST", path, json=BODIES[path]).status_code == 200
        assert list(engine.requests[-1].prompt_token_ids) == ids
    count = call("POST", f"{MESSAGES}/count_tokens", json={"messages": HI}).json()
    assert count == {"input_tokens": len(ids)}
    assert call("POST", "/tokenize", json={"messages": HI}).json()["tokens"] == ids
    assert call("POST", "/apply-template", json={"messages": HI}).json() == {"prompt": prompt}
    assert call("GET", "/tokenizer_info").json()["chat_template"] == THINKING


def test_it_tells_of_tools_and_of_thoughts(call, engine, tmp_path):
    called = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
    engine.script = lambda request: answer(request, f"So.\n</think>\n\n{called}")
    body = {"messages": HI, "tools": TOOLS}
    message = call("POST", CHAT, json=body).json()["choices"][0]["message"]
    assert message["reasoning_content"] == "So."
    assert message["tool_calls"][0]["function"] == {"name": "now", "arguments": "{}"}
    engine.tokenizer = Tokenizer.from_folder(tmp_path)
    assert engine.tokenizer.chat_template == CHAT_TEMPLATE
    assert call("POST", CHAT, json=body).json()["error"]["param"] == "tools"


@pytest.mark.parametrize("path", BODIES)
def test_a_request_brings_none_of_its_own(call, path):
    template = {"chat_template": "{{ messages }}"}
    error = call("POST", path, json=BODIES[path] | template).json()["error"]
    assert "chat_template is not supported; the only value accepted is null" in error["message"]
    if path != "/v1/completions":
        named = call("POST", path, json=BODIES[path] | {"chat_template_kwargs": template})
        assert named.json()["error"]["message"] == "chat_template_kwargs may not set chat_template"
