"""Prometheus metrics of the engine, under our names and, on request, under vLLM's."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from unmask.types import EngineStatus, FinishReason, Usage

LATENCY_BUCKETS_S = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0,
)  # fmt: skip
TPF_BUCKETS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0, 16.0, 32.0)
STEP_BUCKETS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0)
BLOCK_BUCKETS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
ROW_BUCKETS = (0.0, 1.0, 4.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0)


class Metrics:
    """One registry per engine, so that several engines live in one process without clashing."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
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
        self.finished = Counter(
            "unmask_requests_finished",
            "Requests that ended, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self.aborted = counter("requests_aborted", "Requests dropped by their client.")
        self.preempted = counter("preemptions", "Sequences whose pages were taken back.")
        self.tokens_per_forward = histogram(
            "tokens_per_forward", "Tokens of a request per denoising step.", TPF_BUCKETS
        )
        self.steps_per_block = histogram(
            "steps_per_block", "Denoising steps a block took.", STEP_BUCKETS
        )
        self.block_length = histogram(
            "block_length", "Block length of requests that started.", BLOCK_BUCKETS
        )
        self.masked_rows = histogram(
            "step_masked_rows", "Masked positions scored in a step.", ROW_BUCKETS
        )
        self.batch_sequences = histogram(
            "step_sequences", "Sequences that shared a step.", ROW_BUCKETS
        )
        self.step_s = histogram("step_seconds", "Duration of a step.", LATENCY_BUCKETS_S)
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
            LATENCY_BUCKETS_S,
        )
        self.latency_s = histogram(
            "request_latency_seconds", "Time from arrival to the end.", LATENCY_BUCKETS_S
        )
        for reason in FinishReason:
            self.finished.labels(reason.value)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"unmask_{name}", text, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"unmask_{name}", text, buckets=buckets, registry=self.registry)

    def watch(self, status: Callable[[], EngineStatus], *, vllm: bool, model_name: str) -> None:
        """Export gauges read from `status` at each scrape, and vLLM's names if `vllm`."""
        gauges: tuple[tuple[str, str, Callable[[], float]], ...] = (
            ("requests_running", "Requests being denoised.", lambda: status().num_running),
            ("requests_waiting", "Requests in the queue.", lambda: status().num_waiting),
            ("kv_pages_used", "KV pages held by requests.", lambda: status().num_pages_used),
            ("kv_pages", "KV pages there are.", lambda: status().num_pages),
        )
        for name, text, read in gauges:
            Gauge(f"unmask_{name}", text, registry=self.registry).set_function(read)
        if vllm:
            self.registry.register(_VllmNames(self, status, model_name))

    def record_finish(
        self, reason: FinishReason, usage: Usage, *, first_token_s: float | None, latency_s: float
    ) -> None:
        """Count one ended request; times are seconds since its arrival."""
        self.finished.labels(reason.value).inc()
        if reason is FinishReason.ABORT:
            self.aborted.inc()
            return
        self.latency_s.observe(latency_s)
        if usage.denoising_steps:
            self.tokens_per_forward.observe(usage.completion_tokens / usage.denoising_steps)
        if first_token_s is not None and usage.completion_tokens > 1:
            self.per_token_s.observe((latency_s - first_token_s) / (usage.completion_tokens - 1))

    def render(self) -> bytes:
        """The text exposition format that Prometheus scrapes."""
        return generate_latest(self.registry)


def _value(counter: Counter) -> float:
    return next(s.value for m in counter.collect() for s in m.samples if s.name.endswith("_total"))


class _VllmNames:
    """The metrics that vLLM dashboards and gateway autoscalers read, from our own."""

    def __init__(
        self, metrics: Metrics, status: Callable[[], EngineStatus], model_name: str
    ) -> None:
        self._metrics = metrics
        self._status = status
        self._model_name = model_name

    def collect(self) -> Iterable[Metric]:
        """Gauges from the status, counters from our counters."""
        status, metrics = self._status(), self._metrics
        usage = status.num_pages_used / status.num_pages if status.num_pages else 0.0
        for name, text, value in (
            ("num_requests_running", "Requests being denoised.", float(status.num_running)),
            ("num_requests_waiting", "Requests in the queue.", float(status.num_waiting)),
            ("kv_cache_usage_perc", "Share of KV pages in use; 1 is all.", usage),
        ):
            gauge = GaugeMetricFamily(f"vllm:{name}", text, labels=["model_name"])
            gauge.add_metric([self._model_name], value)
            yield gauge
        for name, text, source in (
            ("generation_tokens", "Final tokens.", metrics.generated_tokens),
            ("prompt_tokens", "Prompt tokens.", metrics.prompt_tokens),
            ("diffusion_num_denoising_steps", "Denoising steps.", metrics.denoising_steps),
            ("diffusion_num_committed_tokens", "Tokens committed.", metrics.committed_tokens),
            ("diffusion_num_canvas_positions", "Positions scored.", metrics.canvas_positions),
        ):
            counter = CounterMetricFamily(f"vllm:{name}", text, labels=["model_name"])
            counter.add_metric([self._model_name], _value(source))
            yield counter
