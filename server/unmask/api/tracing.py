"""OpenTelemetry spans of requests that generate, sent to a collector; needs `unmask[otel]`.

Names of attributes are those of the semantic conventions for generative AI (`gen_ai.usage.*`) and,
for times, vLLM's (`gen_ai.latency.*`). No prompt and no text is ever in a span.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from starlette.datastructures import Headers
from starlette.types import Scope

from unmask import __version__
from unmask.api.request_record import RequestRecord
from unmask.errors import InvalidConfig
from unmask.types import SamplingParams

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

NAME = "unmask"
TRACES_PATH = "/v1/traces"
NANOSECONDS = 1e9
Attribute = str | int | float | Sequence[str]


def provider_for(endpoint: str) -> "TracerProvider":
    """Provider that sends spans to a collector by OTLP over HTTP, in the background.

    OpenTelemetry's variables set the rest: OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES,
    OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS. Raises `InvalidConfig` where the extra is not
    installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk import trace as sdk
        from opentelemetry.sdk.resources import (
            SERVICE_NAME,
            SERVICE_VERSION,
            OTELResourceDetector,
            Resource,
        )
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise InvalidConfig(
            f"server.otlp_endpoint needs a package that is missing ({error.name}): "
            "pip install 'unmask[otel]'"
        ) from error
    own = {SERVICE_NAME: NAME, SERVICE_VERSION: __version__}
    given = OTELResourceDetector().detect().attributes
    provider = sdk.TracerProvider(resource=Resource.create({**own, **given}))
    address = endpoint.rstrip("/").removesuffix(TRACES_PATH) + TRACES_PATH
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=address)))
    return cast("TracerProvider", provider)


class Tracing:
    """Makes the spans of a request once it has ended: of all of it, and of its phases.

    `operations` are the conventions' names by path template, of paths that are traced. A request's
    `traceparent` makes its span part of the caller's trace.
    """

    def __init__(self, provider: "TracerProvider", operations: Mapping[str, str]) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._trace = trace
        self._tracer = provider.get_tracer(NAME, __version__)
        self._propagator = TraceContextTextMapPropagator()
        self._operations = operations

    def record(self, scope: Scope, handler: str, status: int, record: RequestRecord) -> None:
        """Make the spans of a request that ends now."""
        operation = self._operations.get(handler)
        if operation is None:
            return
        end_s, end_ns = time.monotonic(), time.time_ns()

        def at_ns(at_s: float) -> int:
            return end_ns - int((end_s - at_s) * NANOSECONDS)

        span = self._tracer.start_span(
            f"{operation} {record.model_name}".rstrip(),
            self._propagator.extract(dict(Headers(scope=scope))),
            self._trace.SpanKind.SERVER,
            start_time=at_ns(record.received_s),
        )
        if span.is_recording():
            span.set_attributes(
                {
                    "http.request.method": scope["method"],
                    "http.route": handler,
                    "http.response.status_code": status,
                    "gen_ai.operation.name": operation,
                    "gen_ai.request.id": record.request_id,
                    **_of_answer(record, end_s),
                }
            )
            if record.failure_code is not None or status >= 500:
                span.set_attribute("error.type", record.failure_code or str(status))
                span.set_status(self._trace.StatusCode.ERROR)
            inside = self._trace.set_span_in_context(span)
            for name, from_s, to_s in _phases(record, end_s):
                phase = self._tracer.start_span(name, inside, start_time=at_ns(from_s))
                phase.end(at_ns(to_s))
        span.end(end_ns)


def _phases(record: RequestRecord, end_s: float) -> Iterator[tuple[str, float, float]]:
    """Name, begin and end of each phase that was reached, one after another."""
    at_s = record.received_s
    began_s = None
    if record.queued_s is not None and record.queue_s is not None:
        began_s = min(record.queued_s + record.queue_s, record.first_token_s or end_s)
    for name, reached_s in (
        ("prepare", record.queued_s),
        ("queue", began_s),
        ("first token", record.first_token_s),
        ("decode", end_s if record.first_token_s is not None else None),
    ):
        if reached_s is not None:
            yield name, at_s, reached_s
            at_s = reached_s


def _of_answer(record: RequestRecord, end_s: float) -> dict[str, Attribute]:
    """Attributes of the answer that are known."""
    params, first_s = record.sampling or SamplingParams(), record.first_token_s
    if record.answer_id is None:
        return {}
    known: dict[str, Attribute | None] = {
        "gen_ai.provider.name": NAME,
        "gen_ai.request.model": record.model_name,
        "gen_ai.request.max_tokens": params.max_tokens,
        "gen_ai.request.temperature": params.temperature,
        "gen_ai.request.top_p": params.top_p,
        "gen_ai.request.top_k": params.top_k,
        "gen_ai.request.seed": params.seed,
        "gen_ai.response.id": record.answer_id,
        "gen_ai.response.model": record.model_name,
        "gen_ai.response.finish_reasons": record.reasons or None,
        "gen_ai.usage.input_tokens": record.num_prompt_tokens,
        "gen_ai.usage.output_tokens": record.num_tokens,
        "gen_ai.usage.cache_read.input_tokens": record.num_cached_tokens,
        "gen_ai.usage.prompt_tokens": record.num_prompt_tokens,
        "gen_ai.usage.completion_tokens": record.num_tokens,
        "gen_ai.latency.time_in_queue": record.queue_s,
        "gen_ai.latency.time_to_first_token": None
        if first_s is None
        else first_s - record.received_s,
        "gen_ai.latency.e2e": end_s - record.received_s,
        "unmask.denoising_steps": record.num_steps or None,
        "unmask.tokens_per_forward": record.tokens_per_forward,
    }
    return {name: value for name, value in known.items() if value is not None}
