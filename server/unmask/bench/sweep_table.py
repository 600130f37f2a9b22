"""Terminal table of a sweep: a row for each combination and concurrency."""

from collections.abc import Sequence

from rich.table import Table

from unmask.bench.summary import Distribution, Summary
from unmask.bench.sweep import SweepRun, best_runs

NUMBERS = ("tokens/s", "tokens per forward", "p50, ms", "p95, ms", "first text, ms")


def sweep_table(runs: Sequence[SweepRun]) -> Table:
    """Rates and medians of all runs, the fastest of each concurrency marked."""
    best = [id(run) for run in best_runs(runs)]
    names = list(runs[0].combination.fields)
    with_failures = any(run.summary.num_failed for run in runs)
    table = Table(box=None)
    for name in names:
        table.add_column(name)
    for name in ("concurrency", *NUMBERS, *(("failed",) if with_failures else ())):
        table.add_column(name, justify="right")
    table.add_column("")
    for run in runs:
        is_best = id(run) in best
        failed = (_failures(run.summary),) if with_failures else ()
        table.add_row(
            *(str(run.combination.fields[name]) for name in names),
            str(run.load.concurrency),
            *_numbers(run.summary),
            *failed,
            "best" if is_best else "",
            style="bold" if is_best else None,
        )
    return table


def _numbers(summary: Summary) -> tuple[str, ...]:
    if not summary.num_completed:
        return ("-",) * len(NUMBERS)
    tpf = summary.tokens_per_forward
    return (
        f"{summary.output_tokens_per_s:.1f}" + (" chunks" if summary.tokens_counted else ""),
        "unknown" if tpf is None else f"{tpf:.2f}",
        *_percentiles(summary.e2e_ms, "p50", "p95"),
        *_percentiles(summary.ttft_ms, "p50"),
    )


def _percentiles(times: Distribution | None, *names: str) -> tuple[str, ...]:
    return tuple("-" if times is None else f"{getattr(times, name):.0f}" for name in names)


def _failures(summary: Summary) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in summary.errors.items())
    return kinds or "0"
