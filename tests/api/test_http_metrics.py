"""HTTP requests are counted by route template, method and status."""

import asyncio
import time

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.api.fake_client import MODEL, answer, endless
from unmask.api import create_app
from unmask.config import ServerConfig

ANSWERS = "unmask_http_requests_total"
DURATION = "unmask_http_request_duration_seconds"
CHAT = {"messages": [{"role": "user", "content": "hi"}]}


def counted(metrics):
    """Number of requests by method, handler and status."""
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        (s.labels["method"], s.labels["handler"], s.labels["status"]): s.value
        for family in families
        for s in family.samples
        if s.name == ANSWERS
    }


def duration_s(metrics, handler):
    labels = {"method": "POST", "handler": handler}
    return metrics.registry.get_sample_value(f"{DURATION}_sum", labels)


@pytest.mark.parametrize(
    ("method", "path", "fields", "expected"),
    [
        ("GET", "/health", {}, ("GET", "/health", "200")),
        ("HEAD", "/health", {}, ("HEAD", "/health", "200")),
        ("GET", f"/v1/models/{MODEL.name}", {}, ("GET", "/v1/models/{name:path}", "200")),
        ("GET", "/v1/models/other", {}, ("GET", "/v1/models/{name:path}", "404")),
        ("POST", "/v1/chat/completions", {"json": CHAT}, ("POST", "/v1/chat/completions", "200")),
        ("POST", "/v1/completions", {"json": {}}, ("POST", "/v1/completions", "400")),
        ("PUT", "/v1/completions", {}, ("PUT", "/v1/completions", "405")),
        ("GET", "/nothing/here", {}, ("GET", "none", "404")),
        ("BREW", "/nothing/here", {}, ("other", "none", "404")),
        ("GET", "/openapi.json", {}, ("GET", "/openapi.json", "200")),
    ],
)
def test_answers_are_counted_by_template_and_status(call, metrics, method, path, fields, expected):
    call(method, path, **fields)
    assert counted(metrics) == {expected: 1}


def test_unknown_paths_are_one_series(call, metrics):
    for i in range(5):
        call("GET", f"/nothing/{i}")
    assert counted(metrics) == {("GET", "none", "404"): 5}


def test_requests_without_a_key_are_counted(call, metrics):
    call("GET", "/v1/models", ServerConfig(api_key="a"))
    assert counted(metrics) == {("GET", "none", "401"): 1}


def test_an_unexpected_exception_is_counted_as_500(call, engine, metrics):
    engine.script = lambda request: 1 / 0
    assert call("POST", "/v1/chat/completions", json=CHAT).status_code == 500
    assert counted(metrics) == {("POST", "/v1/chat/completions", "500"): 1}


def test_the_first_request_that_is_late_is_an_increase_of_its_counter(call, metrics):
    def failed(code):
        name = "unmask_http_requests_failed_total"
        return metrics.registry.get_sample_value(name, {"code": code})

    assert failed("timeout") == 0
    assert call("POST", "/v1/chat/completions", json={**CHAT, "timeout": 1e-6}).status_code == 504
    assert failed("timeout") == 1


def test_a_stream_is_timed_to_its_end_and_not_held_back(serve, engine, metrics):
    engine.script = lambda request: answer(request, pause_s=0.05)
    started_s = time.monotonic()
    with httpx.stream("POST", f"{serve()}/v1/chat/completions", json={**CHAT, "stream": True}) as r:
        lines = r.iter_lines()
        next(lines)
        assert counted(metrics) == {}, "it has not ended"
        for _ in lines:
            pass
    whole_s = time.monotonic() - started_s
    _wait(lambda: counted(metrics))
    assert counted(metrics) == {("POST", "/v1/chat/completions", "200"): 1}
    assert 0.2 < duration_s(metrics, "/v1/chat/completions") < whole_s + 0.1


def test_a_client_that_left_is_counted(engine, metrics):
    engine.script = endless
    app = create_app(engine, metrics, ServerConfig())

    async def leave():
        async with asyncio.timeout(0.2):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                await client.post("/v1/chat/completions", json=CHAT)

    with pytest.raises(TimeoutError):
        asyncio.run(leave())
    assert counted(metrics) == {("POST", "/v1/chat/completions", "499"): 1}


def _wait(condition):
    deadline_s = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
