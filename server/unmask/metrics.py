"""Prometheus metrics of the engine and the HTTP server."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from unmask.types import EngineLoad, EngineStatus, FinishReason, Request, Usage

PREFIX = "unmask_"
LATENCY_BUCKETS_S = (
    0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.04, 0.06, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    30.0, 60.0, 120.0, 300.0,
)  # fmt: skip
TOKEN_BUCKETS_S = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0, 30.0,
)  # fmt: skip
STEP_BUCKETS_S = (
    0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.003, 0.004, 0.006, 0.008, 0.012, 0.016, 0.024, 0.032,
    0.048, 0.064, 0.096, 0.128, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
TPF_BUCKETS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0, 16.0, 32.0)
STEP_BUCKETS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0)
BLOCK_BUCKETS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
ROW_BUCKETS = (0.0, 1.0, 4.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0)
SEQUENCE_BUCKETS = (
    1.0, 2.0, 4.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0, 96.0, 128.0, 256.0, 512.0,
)  # fmt: skip
ENGINE_GAUGES: tuple[tuple[str, str, Callable[[EngineLoad], float]], ...] = (
    ("requests_running", "Requests being denoised.", lambda load: load.num_running),
    ("requests_waiting", "Requests in the queue.", lambda load: load.num_waiting),
    ("kv_pages_used", "KV pages held by requests.", lambda load: load.num_pages_used),
    ("kv_pages", "KV pages there are.", lambda load: load.num_pages),
    ("engine_up", "1 while the engine takes requests, 0 otherwise.", lambda load: load.is_up),
)
CONNECTION_ENDS = (
    *("header_timeout", "body_timeout", "slow_reader", "long_header", "not_http", "too_many"),
)
REFUSALS = ("invalid", "queue_full", "rate_limited", "loading")
FAILURES = (
    *("engine_failure", "engine_stopped", "aborted", "timeout", "slow_reader", "internal_error"),
)
LIMIT_KINDS = ("requests", "tokens")
NO_KEY = "none"  # in place of a key's name, for clients by address
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class BuildInfo:
    """Labels of `unmask_build_info`, besides the model's name."""

    version: str
    device: str
    dtype: str
    attention: str


class BatchHistogram:
    """Histogram that observes many values in one call, such as one a request of a step.

    `prometheus_client`'s takes a lock and scans the buckets for each value.
    """

    def __init__(self, name: str, text: str, buckets: Sequence[float]) -> None:
        self._name, self._text = name, text
        self._bounds = np.array(buckets)
        self._counts = np.zeros(len(buckets) + 1, np.int64)
        self._sum = 0.0

    def observe(self, values: Sequence[float]) -> None:
        """Count values; call it from one thread only."""
        if not values:
            return
        places = np.searchsorted(self._bounds, values)
        self._counts += np.bincount(places, minlength=len(self._counts))
        self._sum += float(np.sum(values))

    def collect(self) -> Iterable[Metric]:
        bounds = [*map(floatToGoString, self._bounds), "+Inf"]
        counts = np.cumsum(self._counts).tolist()
        family = HistogramMetricFamily(self._name, self._text)
        family.add_metric([], list(zip(bounds, counts, strict=True)), self._sum)
        yield family


def value_of(source: Counter | Histogram | BatchHistogram, suffix: str = "_total") -> float:
    """Value of a metric, of all labels together; `suffix` is `_total`, or `_sum` or `_count`."""
    (family,) = source.collect()
    values = [s.value for s in family.samples if s.name == family.name + suffix]
    assert values, f"{family.name} has no {suffix}"
    return sum(values)


class Metrics:
    """Metrics of one engine in a registry, so that a process may have several engines."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._labels: Mapping[str, str] = {}  # of all `unmask_` families, once the model is known
        self._answers: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}  # looked up fast
        ProcessCollector(registry=self.registry)
        counter, histogram = self._counter, self._histogram
        self.generated_tokens = counter("generated_tokens", "Final tokens delivered to requests.")
        self.prompt_tokens = counter("prompt_tokens", "Prompt tokens of admitted requests.")
        self.prefix_cache_queries = counter(
            "prefix_cache_query_tokens", "Prompt tokens looked up in the prefix cache."
        )
        self.prefix_cache_hits = counter(
            "prefix_cache_hit_tokens", "Prompt tokens whose keys and values were reused."
        )
        self.denoising_steps = counter("denoising_steps", "Denoising steps, summed over requests.")
        self.committed_tokens = counter(
            "committed_tokens", "Masked positions resolved, those after an end of sequence too."
        )
        self.canvas_positions = counter(
            "canvas_positions", "Masked positions that were scored, summed over steps."
        )
        self.block_positions = counter(
            "block_positions", "Lengths of the blocks denoised, summed over denoising steps."
        )
        self.final_block_positions = counter(
            "final_block_positions", "Lengths of the blocks that became final."
        )
        self.forward_passes = counter("forward_passes", "Forward passes of the model.")
        self.speculative_states = counter(
            "speculative_states", "Likely next states of blocks that were run."
        )
        self.accepted_states = counter(
            "accepted_states",
            "Speculative states that were reached, a pass saved by each.",
        )
        self.query_tokens = counter("query_tokens", "Tokens that went through the model.")
        self.admitted = counter("requests_admitted", "Requests that were queued.")
        self.refused = Counter(
            "unmask_requests_refused",
            "Requests refused at the door.",
            ["reason"],
            registry=self.registry,
        )
        self.limited = Counter(
            "unmask_requests_limited",
            "Requests over a limit of their client, by the name of its key and the limit's kind.",
            ["key", "kind"],
            registry=self.registry,
        )
        self.key_tokens = Counter(
            "unmask_key_tokens",
            "Tokens of prompts and answers of requests that ended, by the name of their key.",
            ["key"],
            registry=self.registry,
        )
        self.finished = Counter(
            "unmask_requests_finished",
            "Requests that ended, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self.aborted = counter(
            "requests_aborted", "Requests dropped by their client, or past their deadline."
        )
        self.timed_out = counter("requests_timed_out", "Requests that were over their deadline.")
        self.engine_restarts = Counter(
            "unmask_engine_restarts",
            "Times that an engine's process was lost and started again.",
            ["engine"],
            registry=self.registry,
        )
        self.preempted = counter("preemptions", "Sequences whose pages were taken back.")
        self.tokens_per_forward = histogram(
            "tokens_per_forward", "Tokens of a request per denoising step.", TPF_BUCKETS
        )
        self.steps_per_block = self._batch_histogram(
            "steps_per_block", "Denoising steps a block took.", STEP_BUCKETS
        )
        self.block_length = histogram(
            "block_length", "Block length of requests that started.", BLOCK_BUCKETS
        )
        self.masked_rows = histogram(
            "step_masked_rows", "Masked positions scored in a step.", ROW_BUCKETS
        )
        self.batch_sequences = histogram(
            "step_sequences", "Sequences that shared a step.", SEQUENCE_BUCKETS
        )
        self.step_s = histogram("step_seconds", "Duration of a step.", STEP_BUCKETS_S)
        self.queue_s = histogram(
            "queue_seconds", "Time from arrival to the first step.", LATENCY_BUCKETS_S
        )
        self.first_token_s = histogram(
            "time_to_first_token_seconds",
            "Time from arrival to the first final token.",
            LATENCY_BUCKETS_S,
        )
        self.per_token_s = histogram(
            "time_per_output_token_seconds",
            "Time per final token after the first.",
            TOKEN_BUCKETS_S,
        )
        self.inter_token_s = self._batch_histogram(
            "inter_token_latency_seconds",
            "Time between one step that made tokens of a request final and the next.",
            TOKEN_BUCKETS_S,
        )
        self.latency_s = histogram(
            "request_latency_seconds", "Time from arrival to the end.", LATENCY_BUCKETS_S
        )
        self.answers = Counter(
            "unmask_http_requests",
            "HTTP requests that ended, by route template and status.",
            ["method", "handler", "status"],
            registry=self.registry,
        )
        self.answer_s = Histogram(
            "unmask_http_request_duration_seconds",
            "Time from an HTTP request to the end of its answer's body.",
            ["method", "handler"],
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self.connections = Gauge(
            "unmask_http_connections", "Open connections.", registry=self.registry
        )
        self.connections_ended = Counter(
            "unmask_http_connections_ended",
            "Connections that the server ended for what their client did, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self.ready = Gauge(
            "unmask_ready", "1 while requests are taken, 0 otherwise.", registry=self.registry
        )
        self.failed = Counter(
            "unmask_http_requests_failed",
            "HTTP requests that failed after they were queued, streams too, by the error's code.",
            ["code"],
            registry=self.registry,
        )
        self.api_processes = Gauge(
            "unmask_api_processes", "HTTP processes that serve.", registry=self.registry
        )
        self.api_processes.set(1)
        self.api_process_restarts = counter(
            "api_process_restarts", "Times that an HTTP process was lost and started again."
        )
        # The first engine and every reason are exported from the start.
        self.engine_restarts.labels("0")
        self.key_tokens.labels(NO_KEY)
        for kind in LIMIT_KINDS:
            self.limited.labels(NO_KEY, kind)
        for end in CONNECTION_ENDS:
            self.connections_ended.labels(end)
        for reason in FinishReason:
            self.finished.labels(reason.value)
        for refusal in REFUSALS:
            self.refused.labels(refusal)
        for code in FAILURES:
            self.failed.labels(code)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"{PREFIX}{name}", text, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"{PREFIX}{name}", text, buckets=buckets, registry=self.registry)

    def _batch_histogram(self, name: str, text: str, buckets: Sequence[float]) -> BatchHistogram:
        histogram = BatchHistogram(f"{PREFIX}{name}", text, buckets)
        self.registry.register(histogram)
        return histogram

    def watch(
        self, status: Callable[[], EngineStatus], *, model_name: str, build: BuildInfo
    ) -> None:
        """Label all families with the model, and add gauges of each engine in `status`."""
        self._labels = {"model_name": model_name}
        Info("unmask_build", "The program, and what it runs on.", registry=self.registry).info(
            asdict(build)
        )
        self.registry.register(_EngineGauges(status))

    def record_admitted(self, request: Request) -> None:
        """Record a request that was queued."""
        self.admitted.inc()
        self.prompt_tokens.inc(request.num_given)

    def record_finish(
        self, reason: FinishReason, usage: Usage, *, first_token_s: float | None, latency_s: float
    ) -> None:
        """Record a finished request; times are seconds since its arrival."""
        self.finished.labels(reason.value).inc()
        if reason is FinishReason.ABORT:
            self.aborted.inc()
            return
        self.latency_s.observe(latency_s)
        if usage.denoising_steps:
            self.tokens_per_forward.observe(usage.completion_tokens / usage.denoising_steps)
        if first_token_s is not None and usage.completion_tokens > 1:
            self.per_token_s.observe((latency_s - first_token_s) / (usage.completion_tokens - 1))

    def record_answer(self, method: str, handler: str, status: int, elapsed_s: float) -> None:
        """Record a finished HTTP request; `handler` is the route's template, never a path."""
        method = method if method in METHODS else "other"
        known = self._answers.get((method, handler, status))
        if known is None:
            counter = self.answers.labels(method, handler, str(status))
            known = counter, self.answer_s.labels(method, handler)
            self._answers[method, handler, status] = known
        known[0].inc()
        known[1].observe(elapsed_s)

    def render(self) -> bytes:
        """Metrics in Prometheus' text format."""
        return generate_latest(_Exported(self.registry, self._labels))


class _EngineGauges:
    """Gauges of each engine, read at each scrape."""

    def __init__(self, status: Callable[[], EngineStatus]) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        loads = self._status().loads
        for name, text, read in ENGINE_GAUGES:
            gauge = GaugeMetricFamily(f"{PREFIX}{name}", text, labels=["engine"])
            for i, load in enumerate(loads):
                gauge.add_metric([str(i)], read(load))
            yield gauge


class _Exported:
    """Families of a registry without `_created` samples, and with labels on `unmask_` families.

    `prometheus_client` can only disable `_created` for the whole process.
    """

    def __init__(self, registry: CollectorRegistry, labels: Mapping[str, str]) -> None:
        self._registry = registry
        self._labels = labels

    def collect(self) -> Iterable[Metric]:
        for family in self._registry.collect():
            created = f"{family.name}_created"
            labels = self._labels if family.name.startswith(PREFIX) else {}
            family.samples = [
                sample._replace(labels={**labels, **sample.labels})
                for sample in family.samples
                if sample.name != created
            ]
            yield family
