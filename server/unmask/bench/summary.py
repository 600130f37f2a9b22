"""Summary of a load: percentiles, rates, and the share of requests within the SLO."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from unmask.bench.exchange import Record
from unmask.bench.load import Run


@dataclass(frozen=True, slots=True)
class Slo:
    """Latency limits of a good request, in milliseconds."""

    ttft_ms: float | None = None
    e2e_ms: float | None = None

    def holds(self, record: Record) -> bool:
        """True if a request without error was within the limits."""
        assert record.first_text_s is not None, "only failures have no first text"
        if self.ttft_ms is not None and record.first_text_s * 1e3 > self.ttft_ms:
            return False
        return self.e2e_ms is None or record.latency_s * 1e3 <= self.e2e_ms


@dataclass(frozen=True, slots=True)
class Distribution:
    """Mean, percentiles and maximum of a measured time, in milliseconds."""

    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float

    @classmethod
    def from_seconds(cls, values_s: Sequence[float]) -> "Distribution | None":
        """Distribution of `values_s`; None if empty."""
        if not values_s:
            return None
        values_ms = sorted(value * 1e3 for value in values_s)
        p50, p90, p95, p99 = (percentile(values_ms, percent) for percent in (50, 90, 95, 99))
        return cls(sum(values_ms) / len(values_ms), p50, p90, p95, p99, values_ms[-1])


def percentile(sorted_values: Sequence[float], percent: float) -> float:
    """Percentile of sorted values, interpolated linearly."""
    rank = (len(sorted_values) - 1) * percent / 100
    below = int(rank)
    above = min(below + 1, len(sorted_values) - 1)
    return sorted_values[below] + (sorted_values[above] - sorted_values[below]) * (rank - below)


@dataclass(frozen=True, slots=True)
class Summary:
    """Numbers of a load; `tokens_per_forward` is None if usage has no denoising steps.

    `block_lengths` counts requests by the block length in their usage. With `tokens_counted` the
    server sent no usage, and tokens are chunks of text.
    """

    num_completed: int
    num_failed: int
    errors: dict[str, int]
    wall_s: float
    output_tokens: int
    prompt_tokens: int | None
    output_tokens_per_s: float
    requests_per_s: float
    tokens_per_forward: float | None
    tokens_counted: bool
    goodput_per_s: float
    share_within_slo: float
    block_lengths: dict[int, int]
    ttft_ms: Distribution | None
    inter_chunk_ms: Distribution | None
    e2e_ms: Distribution | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def summarise(run: Run, slo: Slo) -> Summary:
    """Summarise a run; failed requests count only as errors."""
    good = [record for record in run.records if record.error is None]
    errors = Counter(record.error for record in run.records if record.error is not None)
    num_tokens = sum(record.num_tokens for record in good)
    steps = [record.num_denoising_steps for record in good]
    all_steps = sum(step or 0 for step in steps)
    known = bool(steps) and None not in steps and all_steps > 0
    prompt_tokens = [record.num_prompt_tokens for record in good]
    lengths = Counter(r.block_length for r in good if r.block_length is not None)
    within = sum(slo.holds(record) for record in good)
    return Summary(
        num_completed=len(good),
        num_failed=len(run.records) - len(good),
        errors=dict(sorted(errors.items())),
        wall_s=run.wall_s,
        output_tokens=num_tokens,
        prompt_tokens=None if None in prompt_tokens else sum(n or 0 for n in prompt_tokens),
        output_tokens_per_s=num_tokens / run.wall_s,
        requests_per_s=len(good) / run.wall_s,
        tokens_per_forward=num_tokens / all_steps if known else None,
        tokens_counted=any(record.counted for record in good),
        goodput_per_s=within / run.wall_s,
        share_within_slo=within / max(1, len(run.records)),
        block_lengths=dict(sorted(lengths.items())),
        ttft_ms=Distribution.from_seconds([r.first_text_s for r in good if r.first_text_s]),
        inter_chunk_ms=Distribution.from_seconds([gap for r in good for gap in r.gaps_s]),
        e2e_ms=Distribution.from_seconds([r.latency_s for r in good]),
    )
