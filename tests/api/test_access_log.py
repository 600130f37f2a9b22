"""The access log: one line for each request, for people and as JSON, and lines of its errors."""

import asyncio
import json
import logging
import re
from dataclasses import dataclass, replace
from types import SimpleNamespace

import httpx
import pytest
from starlette.responses import PlainTextResponse

from tests.api.fake_client import answer, endless, failing
from unmask.api.middleware import RequestContext
from unmask.api.request_record import RequestRecord
from unmask.cli.output import JsonFormatter, TextFormatter
from unmask.config import ServerConfig
from unmask.log_context import REQUEST_ID

LOGGED = ServerConfig(access_log=True)
CHAT = {"messages": [{"role": "user", "content": "hi"}]}
MINE = {"x-request-id": "mine-1"}


@dataclass
class Line:
    """One line of the log in both formats: text, and the object of its JSON."""

    logger: str
    level: str
    text: str
    fields: dict[str, object]


class Lines(logging.Handler):
    """Formats lines as they are logged, in the context of their request."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        fields = json.loads(JsonFormatter().format(record))
        text = TextFormatter().format(record)
        self.lines.append(Line(record.name, record.levelname, text, fields))

    def access(self):
        return [line for line in self.lines if line.logger == "unmask.access"]

    def errors(self):
        return [line for line in self.lines if line.level == "ERROR"]


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO)
    handler = Lines()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
def test_a_line_tells_an_answers_tokens_and_times(call, log, path, stream):
    body = {"input": "hi"} if path == "/v1/responses" else {**CHAT, "max_tokens": 6}
    call("POST", path, LOGGED, json={**body, "stream": stream}, headers=MINE)
    (line,) = log.access()
    text, fields = line.text, line.fields
    num_tokens = 14 if path == "/v1/responses" else 6
    assert f"POST {path}: 200 in " in text
    assert f", {num_tokens} tokens, {num_tokens / 5:.2f} tokens a step, first token after" in text
    assert text.endswith(", request mine-1")
    assert fields["request_id"] == "mine-1"
    assert fields["status"] == 200
    assert fields["completion_tokens"] == num_tokens
    assert fields["denoising_steps"] == 5
    assert fields["prompt_tokens"] > fields["cached_tokens"] == 1
    assert fields["tokens_per_forward"] == num_tokens / 5
    assert 0 <= fields["first_token_s"] <= fields["duration_s"]
    shown_ms = re.search(r"first token after ([\d.]+) ms", text)
    assert float(shown_ms[1]) == pytest.approx(1e3 * fields["first_token_s"], abs=0.1)
    assert fields["model"] == "tiny/fake"
    assert fields["answer_id"] in text


def test_choices_are_added_up(call, log):
    call("POST", "/v1/completions", LOGGED, json={"prompt": "a", "n": 3, "temperature": 1})
    (line,) = log.access()
    fields = line.fields
    assert fields["completion_tokens"] == 3 * 14
    assert fields["finish_reasons"] == ["stop"]


def test_the_longest_wait_of_the_choices_is_told(call, log, engine):
    def waited(request):
        *rest, last = answer(request)
        finish = replace(last.finish, queue_s=0.25 + int(request.request_id[-1]))
        return [*rest, last._replace(finish=finish)]

    engine.script = waited
    call("POST", "/v1/completions", LOGGED, json={"prompt": "a", "n": 3, "temperature": 1})
    (line,) = log.access()
    assert line.fields["queue_s"] == 2.25
    assert ", queued 2250.0 ms, " in line.text


def test_the_first_token_is_noted_once():
    record = RequestRecord("r", 0.0)
    record.note_token()
    first_s = record.first_token_s
    record.note_token()
    assert record.first_token_s == first_s is not None


def test_requests_without_an_answer_have_no_facts_of_one(call, log):
    call("GET", "/v1/models", LOGGED, headers=MINE)
    call("POST", "/v1/completions", LOGGED, json={})
    models, refused = log.access()
    assert models.text.endswith("ms, request mine-1")
    assert refused.fields["status"] == 400
    for line in (models, refused):
        assert "completion_tokens" not in line.fields
        assert "tokens" not in line.text


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_an_answer_that_fails_is_an_error_line_with_its_id(
    call, engine, metrics, log, path, stream
):
    engine.script = failing
    body = {**CHAT, "max_tokens": 9, "stream": stream}
    call("POST", path, LOGGED, json=body, headers=MINE)
    (error,) = log.errors()
    assert "request mine-1 failed: choice 0 failed: out of luck" in error.text
    (line,) = log.access()
    text, fields = line.text, line.fields
    assert fields["error"] == "engine_failure"
    assert fields["status"] == (200 if stream else 500)
    assert "failed: engine_failure" in text
    failed = {"code": "engine_failure"}
    assert metrics.registry.get_sample_value("unmask_http_requests_failed_total", failed) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_cut_off_tells_the_tokens_that_it_had(call, engine, log, stream):
    engine.script = endless
    body = {"prompt": "hi", "n": 2, "temperature": 1, "timeout": 0.6, "stream": stream}
    call("POST", "/v1/completions", LOGGED, json=body)
    (line,) = log.access()
    assert line.fields["error"] == "timeout"
    assert line.fields["completion_tokens"] == 2 * 4
    assert ", 8 tokens, first token after" in line.text


def test_an_unexpected_error_is_a_line_with_the_id(call, engine, log):
    engine.script = lambda request: 1 / 0
    call("POST", "/v1/chat/completions", LOGGED, json=CHAT, headers=MINE)
    (error,) = log.errors()
    assert "mine-1" in error.text
    (line,) = log.access()
    fields = line.fields
    assert fields["error"] == "internal_error"


def test_the_name_of_the_key_that_opened_a_path_is_told(metrics, log):
    """The middleware that checks keys leaves the key in the scope."""

    async def app(scope, receive, send):
        scope["auth"] = SimpleNamespace(name="team-a")
        await PlainTextResponse("")(scope, receive, send)

    async def ask():
        transport = httpx.ASGITransport(RequestContext(app, metrics, logs_access=True))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await client.get("/", headers=MINE)

    asyncio.run(ask())
    (line,) = log.access()
    assert line.text.endswith("ms, key team-a, request mine-1")
    assert line.fields["key"] == "team-a"


def test_no_client_forges_facts_of_its_line(call, log):
    headers = {"x-request-id": "a, key root, 1 tokens"}
    call("GET", "/v1/models", LOGGED, headers=headers)
    (line,) = log.access()
    text, fields = line.text, line.fields
    assert text.endswith(f"ms, request {headers['x-request-id']}")
    assert "key" not in fields


@pytest.mark.parametrize("level", [logging.WARNING, logging.ERROR])
def test_lines_of_other_loggers_name_the_request_that_is_answered(call, engine, log, level):
    def script(request):
        logging.getLogger("somewhere").log(level, "a disk is slow")
        return answer(request)

    engine.script = script
    call("POST", "/v1/chat/completions", json=CHAT, headers=MINE)
    (line,) = [line for line in log.lines if line.logger == "somewhere"]
    assert line.text.endswith("a disk is slow, request mine-1")
    assert line.fields["request_id"] == "mine-1"
    assert REQUEST_ID.get() == "", "no request is answered here"
