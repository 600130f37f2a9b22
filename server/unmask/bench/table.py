"""Terminal tables of a summary."""

from collections.abc import Iterator

from rich.table import Table

from unmask.bench.summary import Distribution, Slo, Summary

COLUMNS = ("mean", "p50", "p90", "p95", "p99", "max")


def tables(summary: Summary, slo: Slo) -> Iterator[Table]:
    """Rates, then latencies."""
    yield _rates(summary, slo)
    if summary.num_completed:
        yield _latencies(summary)


def _rates(summary: Summary, slo: Slo) -> Table:
    table = Table(show_header=False, box=None)
    table.add_column(style="dim")
    table.add_column(justify="right")
    unit = "chunks" if summary.tokens_counted else "tokens"
    tpf = summary.tokens_per_forward
    table.add_row("requests completed", str(summary.num_completed))
    table.add_row("requests failed", str(summary.num_failed))
    for kind, count in summary.errors.items():
        table.add_row(f"  {kind}", str(count))
    table.add_row("wall time, s", f"{summary.wall_s:.2f}")
    table.add_row(f"output {unit}/s", f"{summary.output_tokens_per_s:.1f}")
    table.add_row("requests/s", f"{summary.requests_per_s:.2f}")
    table.add_row("tokens per forward", "unknown" if tpf is None else f"{tpf:.2f}")
    for length, count in summary.block_lengths.items():
        table.add_row(f"requests in blocks of {length}", str(count))
    if slo != Slo():
        share = f"{summary.share_within_slo:.1%}"
        table.add_row("goodput, requests/s", f"{summary.goodput_per_s:.2f} ({share} within limits)")
    return table


def _latencies(summary: Summary) -> Table:
    table = Table(*("ms", *COLUMNS), box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    rows: tuple[tuple[str, Distribution | None], ...] = (
        ("time to first text", summary.ttft_ms),
        ("between chunks", summary.inter_chunk_ms),
        ("end to end", summary.e2e_ms),
    )
    for name, values in rows:
        if values is not None:
            table.add_row(name, *(f"{getattr(values, column):.1f}" for column in COLUMNS))
    return table
