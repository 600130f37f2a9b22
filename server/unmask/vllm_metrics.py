"""Metrics under vLLM's names, for its dashboards, autoscalers and `vllm bench serve`."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from unmask.metrics import BatchHistogram, Metrics, value_of
from unmask.types import EngineLoad, EngineStatus

GAUGES: tuple[tuple[str, str, Callable[[EngineLoad], float]], ...] = (
    ("num_requests_running", "Requests being denoised.", lambda load: load.num_running),
    ("num_requests_waiting", "Requests in the queue.", lambda load: load.num_waiting),
    (
        "kv_cache_usage_perc",
        "Share of KV pages in use; 1 is all.",
        lambda load: load.num_pages_used / load.num_pages if load.num_pages else 0.0,
    ),
)


class VllmMetrics:
    """Collector of `metrics` under vLLM's names and labels.

    vLLM counts a forward pass that commits a full block as a step too. Here commits share a pass
    with the next block, and are added to the steps for comparison. Gauges are those of each engine;
    other families count all engines together, as engine 0.
    """

    def __init__(
        self, metrics: Metrics, status: Callable[[], EngineStatus], model_name: str
    ) -> None:
        self._metrics = metrics
        self._status = status
        self._labels = {"model_name": model_name, "engine": "0"}

    def collect(self) -> Iterable[Metric]:

        yield from self._gauges()
        yield from self._diffusion()
        m = self._metrics
        for name, text, source in (
            ("generation_tokens", "Final tokens.", m.generated_tokens),
            ("prompt_tokens", "Prompt tokens.", m.prompt_tokens),
            (
                "prefix_cache_queries",
                "Tokens looked up in the prefix cache.",
                m.prefix_cache_queries,
            ),
            ("prefix_cache_hits", "Tokens found in the prefix cache.", m.prefix_cache_hits),
            ("num_preemptions", "Sequences whose pages were taken back.", m.preempted),
            ("request_success", "Requests that ended, by reason.", m.finished),
            ("time_to_first_token_seconds", "Arrival to first final token.", m.first_token_s),
            ("inter_token_latency_seconds", "Time between outputs.", m.inter_token_s),
            ("time_per_output_token_seconds", "Older name of that.", m.inter_token_s),
            (
                "request_time_per_output_token_seconds",
                "Time per token after the first, by request.",
                m.per_token_s,
            ),
            ("e2e_request_latency_seconds", "Arrival to end.", m.latency_s),
            ("request_queue_time_seconds", "Arrival to first step.", m.queue_s),
        ):
            yield _renamed(f"vllm:{name}", text, source, self._labels)

    def _gauges(self) -> Iterable[Metric]:
        loads = self._status().loads
        for name, text, read in GAUGES:
            gauge = GaugeMetricFamily(f"vllm:{name}", text, labels=tuple(self._labels))
            for i, load in enumerate(loads):
                gauge.add_metric((self._labels["model_name"], str(i)), read(load))
            yield gauge

    def _diffusion(self) -> Iterable[Metric]:
        m = self._metrics
        for name, text, value in (
            (
                "diffusion_num_denoising_steps",
                "Denoising steps, and one more for each block that became final.",
                value_of(m.denoising_steps) + value_of(m.steps_per_block, "_count"),
            ),
            (
                "diffusion_num_canvas_positions",
                "Block lengths, summed over those steps.",
                value_of(m.block_positions) + value_of(m.final_block_positions),
            ),
            (
                "diffusion_num_committed_tokens",
                "Tokens committed.",
                value_of(m.committed_tokens),
            ),
        ):
            counter = CounterMetricFamily(f"vllm:{name}", text, labels=tuple(self._labels))
            counter.add_metric(tuple(self._labels.values()), value)
            yield counter


def _renamed(
    name: str, text: str, source: Counter | Histogram | BatchHistogram, labels: Mapping[str, str]
) -> Metric:
    """Family of `source` under another name; its label `reason` becomes `finished_reason`."""
    (family,) = source.collect()
    renamed = Metric(name, text, family.type)
    for sample in family.samples:
        extra = {"finished_reason" if k == "reason" else k: v for k, v in sample.labels.items()}
        suffix = sample.name.removeprefix(family.name)
        renamed.samples.append(sample._replace(name=name + suffix, labels={**labels, **extra}))
    return renamed
