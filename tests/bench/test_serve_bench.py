"""Failures of a soak."""

from benchmarks.serve_bench import total_errors
from unmask.bench.exchange import Record
from unmask.bench.load import Run
from unmask.bench.summary import Slo, summarise


def test_failures_of_all_loads_are_counted() -> None:
    kinds = (["timeout", "timeout", "http_500"], ["timeout", None], [])
    loads = [Run(tuple(Record(0.1, 0.1, error=kind) for kind in load), 1.0) for load in kinds]
    errors = total_errors([summarise(load, Slo()) for load in loads])
    assert errors == {"timeout": 3, "http_500": 1}
