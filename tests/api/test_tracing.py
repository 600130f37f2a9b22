"""Spans of requests: their phases, attributes and parents, and nothing where they are off."""

import asyncio
import json
import subprocess
import sys

import httpx
import pytest

from tests.api.conftest import running
from tests.api.fake_client import answer, failing
from tests.cli.running import ENVIRONMENT
from unmask import __version__
from unmask.api import create_app
from unmask.api.tracing import provider_for
from unmask.cli.serve import guarded
from unmask.config import ServerConfig
from unmask.errors import InvalidConfig
from unmask.types import Delta

trace = pytest.importorskip("opentelemetry.sdk.trace")
export = pytest.importorskip("opentelemetry.sdk.trace.export")
memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")

CHAT = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 6}
PHASES = ["prepare", "queue", "first token", "decode"]
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Traces:
    """A provider whose spans are kept, and one request at a time to an application with it."""

    def __init__(self, send):
        self.send = send
        self.exporter = memory.InMemorySpanExporter()
        self.provider = trace.TracerProvider()
        self.provider.add_span_processor(export.SimpleSpanProcessor(self.exporter))

    def spans(self):
        return {span.name: span for span in self.exporter.get_finished_spans()}


@pytest.fixture
def traces(engine, metrics):
    def send(method, path, **kwargs):
        app = create_app(engine, metrics, ServerConfig(), found.provider)

        async def run():
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, **kwargs)

        return asyncio.run(run())

    found = Traces(send)
    return found


def with_queue(request):
    """An answer whose end tells how long it waited."""
    events = answer(request, pause_s=0.01)
    last = events[-1]
    assert isinstance(last, Delta)
    assert last.finish is not None
    finish = type(last.finish)(last.finish.reason, last.finish.usage, queue_s=0.004)
    return [*events[:-1], last._replace(finish=finish)]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "operation", "body"),
    [
        ("/v1/chat/completions", "chat", CHAT),
        ("/v1/completions", "text_completion", {"prompt": "a", "max_tokens": 6}),
        ("/v1/messages", "chat", CHAT),
        ("/infill", "text_completion", {"input_prefix": "a", "input_suffix": "", "n_predict": 6}),
    ],
)
def test_a_request_is_a_span_of_phases(traces, engine, path, operation, body, stream):
    engine.script = with_queue
    traces.send("POST", path, json={**body, "stream": stream}, headers={"x-request-id": "mine-1"})
    spans = traces.spans()
    whole = spans[f"{operation} tiny/fake"]
    assert whole.kind.name == "SERVER"
    assert whole.parent is None
    told = whole.attributes
    assert told["http.route"] == path
    assert told["http.response.status_code"] == 200
    assert told["gen_ai.operation.name"] == operation
    assert told["gen_ai.request.id"] == "mine-1"
    assert told["gen_ai.request.model"] == "tiny/fake"
    assert told["gen_ai.request.max_tokens"] == 6
    assert told["gen_ai.response.finish_reasons"] == ("length",)
    assert told["gen_ai.usage.output_tokens"] == told["gen_ai.usage.completion_tokens"] == 6
    assert told["gen_ai.usage.input_tokens"] >= 1
    assert told["gen_ai.latency.time_in_queue"] == 0.004
    assert 0.005 < told["gen_ai.latency.time_to_first_token"] < told["gen_ai.latency.e2e"]
    assert told["unmask.denoising_steps"] == 5
    phases = [spans[name] for name in PHASES]
    assert len(spans) == 1 + len(phases)
    assert all(phase.parent.span_id == whole.context.span_id for phase in phases)
    edges = [whole.start_time, *(phase.end_time for phase in phases)]
    assert edges == sorted(edges)
    assert [phase.start_time for phase in phases] == edges[:-1]
    assert edges[-1] == pytest.approx(whole.end_time, abs=1e6)


def test_no_text_is_in_a_span(traces):
    secret = "a-secret-word"
    traces.send("POST", "/v1/completions", json={"prompt": secret, "max_tokens": 40})
    text = json.dumps([span.to_json() for span in traces.spans().values()])
    assert secret not in text
    assert "Hello" not in text


def test_the_callers_trace_goes_on(traces):
    headers = {"traceparent": PARENT, "tracestate": "vendor=1"}
    traces.send("POST", "/v1/chat/completions", json=CHAT, headers=headers)
    whole = traces.spans()["chat tiny/fake"]
    assert f"{whole.context.trace_id:032x}" == PARENT.split("-")[1]
    assert f"{whole.parent.span_id:016x}" == PARENT.split("-")[2]
    assert whole.parent.trace_state["vendor"] == "1"


def test_a_caller_that_does_not_sample_is_followed(traces):
    headers = {"traceparent": PARENT.removesuffix("01") + "00"}
    traces.send("POST", "/v1/chat/completions", json=CHAT, headers=headers)
    assert traces.spans() == {}


@pytest.mark.parametrize("parent", ["", "nonsense", "00-0-0-01", "ff" + PARENT[2:]])
def test_a_wrong_parent_is_none(traces, parent):
    response = traces.send(
        "POST", "/v1/chat/completions", json=CHAT, headers={"traceparent": parent}
    )
    assert response.status_code == 200
    assert traces.spans()["chat tiny/fake"].parent is None


@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_is_an_error(traces, engine, stream):
    engine.script = failing
    traces.send("POST", "/v1/chat/completions", json={**CHAT, "stream": stream})
    whole = traces.spans()["chat tiny/fake"]
    assert whole.status.status_code.name == "ERROR"
    assert whole.attributes["error.type"] == "engine_failure"


def test_a_wrong_request_is_a_span_without_an_answer(traces):
    traces.send("POST", "/v1/chat/completions", json={})
    (span,) = traces.spans().values()
    assert span.name == "chat"
    assert span.attributes["http.response.status_code"] == 400
    assert span.status.status_code.name == "UNSET", "it is the caller's error"
    assert not any(name.startswith("gen_ai.usage") for name in span.attributes)


@pytest.mark.parametrize("path", ["/health", "/metrics", "/v1/models", "/", "/nowhere"])
def test_other_paths_are_not_traced(traces, path):
    traces.send("GET", path)
    assert traces.spans() == {}


def test_an_endpoint_gets_spans_by_otlp(engine, metrics):
    """The endpoint is a server of this process, which counts what it is sent."""
    got = []

    async def collector(scope, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message.get("more_body", False)
        got.append((scope["path"], body))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    with running(collector) as url:
        for endpoint in (url, f"{url}/", f"{url}/v1/traces"):
            provider = provider_for(endpoint)
            provider.get_tracer("a").start_span("a span").end()
            provider.shutdown()
    assert [path for path, _ in got] == ["/v1/traces"] * 3
    for _, body in got:
        assert b"a span" in body
        assert b"service.name" in body
        assert b"unmask" in body


@pytest.mark.parametrize("endpoint", ["localhost:4317", "", "grpc://localhost"])
def test_an_endpoint_is_a_url(endpoint):
    with pytest.raises(InvalidConfig, match=r"server\.otlp_endpoint must begin with http"):
        guarded(ServerConfig(otlp_endpoint=endpoint))


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, "unmask"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a,deployment.environment=b"}, "a"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a", "OTEL_SERVICE_NAME": "c"}, "c"),
    ],
)
def test_the_service_has_the_name_that_its_environment_gives(monkeypatch, variables, name):
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    for variable in ("OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    provider = provider_for("http://localhost:4318")
    assert provider.resource.attributes["service.name"] == name
    assert provider.resource.attributes["service.version"] == __version__
    provider.shutdown()


def test_nothing_is_imported_where_tracing_is_off_and_its_extra_is_named_where_it_is_on():
    code = """
import sys
from unmask.api import create_app
from unmask.api.tracing import provider_for
from unmask.cli.starting import StartingEngine
from unmask.config import ServerConfig
from unmask.errors import InvalidConfig
from unmask.metrics import Metrics

create_app(StartingEngine(), Metrics(), ServerConfig())
assert not any(name.startswith("opentelemetry.sdk") for name in sys.modules)
sys.modules["opentelemetry.sdk"] = None  # as if it were not installed
try:
    provider_for("http://localhost:4318")
except InvalidConfig as error:
    assert "unmask[otel]" in str(error)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, check=True)
