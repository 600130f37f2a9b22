"""Requests as clients' libraries send them, answered by a real engine with random weights.

`client_requests.jsonl` has what the versions named in it sent to a server; the name of the model
alone is replaced.
"""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import httpx
import jsonschema
import pytest

from tests.api.sse import events
from tests.support.engines import ROOMY
from tests.support.golden import load_golden
from tests.support.tiny import EOS_ID
from tests.support.tool_chats import tool_tokenizer
from unmask.api import create_app
from unmask.config import Config
from unmask.engine.async_engine import AsyncEngine
from unmask.engine.engine import Engine
from unmask.metrics import Metrics

FILE = Path(__file__).with_name("client_requests.jsonl")
REQUESTS = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def send(tmp_path_factory):
    """Send one request to a server of a model that takes tools."""
    loaded = load_golden("sdar", tmp_path_factory.mktemp("sdar"))
    info = replace(loaded.info, eos_token_ids=(EOS_ID,), max_model_len=4096)
    loaded = replace(loaded, info=info, tokenizer=tool_tokenizer())
    config = replace(Config(), engine=ROOMY)
    engine = AsyncEngine(Engine(config, loaded, Metrics()))

    def run(path, body):
        async def post():
            app = create_app(engine, Metrics(), config.server)
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.post(path, json={**body, "model": info.name})

        return asyncio.run(post())

    yield run
    engine.shutdown()


def schemas_of(body):
    """Schemas of arguments by the name of each tool, and the schema of an answer, if it has one."""
    tools = {}
    for tool in body.get("tools", ()):
        function = tool.get("function", tool)
        tools[function["name"]] = function.get("parameters", function.get("input_schema"))
    form = body.get("response_format", {}).get("json_schema")
    form = form or body.get("text", {}).get("format") or body.get("output_config", {}).get("format")
    return tools, (form or {}).get("schema")


def parts_of(path, answer):
    """Text of a whole answer, and its calls: names and arguments."""
    match path:
        case "/v1/responses":
            output = answer["output"]
            texts = [i["content"][0]["text"] for i in output if i["type"] == "message"]
            calls = [i for i in output if i["type"] == "function_call"]
            return "".join(texts), [(c["name"], json.loads(c["arguments"])) for c in calls]
        case "/v1/messages":
            texts = [b["text"] for b in answer["content"] if b["type"] == "text"]
            calls = [b for b in answer["content"] if b["type"] == "tool_use"]
            return "".join(texts), [(c["name"], c["input"]) for c in calls]
    message = answer["choices"][0]["message"]
    functions = [call["function"] for call in message.get("tool_calls", ())]
    return message["content"], [(f["name"], json.loads(f["arguments"])) for f in functions]


def streamed_parts_of(path, text):
    """The same of a stream."""
    if path == "/v1/responses":
        last = text.rstrip().rpartition("data: ")[2]
        return parts_of(path, json.loads(last)["response"])
    if path == "/v1/messages":
        texts, calls = "", []
        for line in text.splitlines():
            event = json.loads(line[6:]) if line.startswith("data: ") else {}
            if event.get("content_block", {}).get("type") == "tool_use":
                calls.append([event["content_block"]["name"], ""])
            delta = event.get("delta", {})
            texts += delta.get("text", "")
            if "partial_json" in delta:
                calls[-1][1] += delta["partial_json"]
        return texts, [(name, json.loads(arguments)) for name, arguments in calls]
    texts, calls = "", []
    for chunk in events(text):
        for choice in chunk["choices"]:
            texts += choice["delta"].get("content", "")
            for piece in choice["delta"].get("tool_calls", ()):
                function = piece["function"]
                if "name" in function:
                    calls.append([function["name"], ""])
                calls[-1][1] += function["arguments"]
    return texts, [(name, json.loads(arguments)) for name, arguments in calls]


@pytest.mark.usual_cases(16)
@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: f"{r['client']}: {r['call']}")
def test_a_request_is_taken_as_it_is_and_the_answer_matches_its_schema(send, request_):
    path, body = request_["path"], request_["body"]
    response = send(path, body)
    assert response.status_code == 200, response.text
    if body.get("stream"):
        text, calls = streamed_parts_of(path, response.text)
    else:
        text, calls = parts_of(path, response.json())
    tools, schema = schemas_of(body)
    for name, arguments in calls:
        jsonschema.validate(arguments, tools[name])
    choice = body.get("tool_choice", "auto")
    if choice not in ("auto", "none"):
        assert calls, "a call is required"
    elif schema is not None:
        jsonschema.validate(json.loads(text), schema)


def test_every_library_is_recorded():
    recorded = {request["client"].split()[0] for request in REQUESTS}
    assert recorded == {
        "openai", "instructor", "pydantic-ai", "langchain-openai", "anthropic", "mistralai",
        "@ai-sdk/anthropic", "claude-code",
    }  # fmt: skip
