"""HTTP server compared with the engine alone, for `gpu.py`; a subprocess measures both."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from benchmarks.device.apart import run_apart
from benchmarks.device.report import Part
from benchmarks.device.timing import Ceilings

SECONDS = 110.0
LATEST_S = 180.0


def parts(device: torch.device, ceilings: Ceilings, *, small: bool) -> Iterator[Part]:
    """One part for all loads, which share a server."""
    del device, ceilings
    yield Part("HTTP beside the engine", SECONDS, partial(measure_apart, small=small), "http")


def measure_apart(*, small: bool) -> list[dict[str, Any]]:
    """A row for each load with both rates and their ratio; raises `RuntimeError` on failure."""
    result = run_apart("serving", ["--tiny"] if small else [], LATEST_S)
    if wrong := result.get("error") or result["problems"]:
        raise RuntimeError(" | ".join(wrong))
    rows = []
    for row in result["loads"]:
        engine, http = row["engine"], row["http"]
        rows.append(
            {
                "model": result["model"],
                "concurrency": row["concurrency"],
                "share_of_engine": row["share_of_engine"],
                "engine_tokens_per_s": engine["overall_tokens_per_s"],
                "http_tokens_per_s": http["output_tokens_per_s"],
                "engine_ttft_ms": engine["ttft_ms"]["p50"],
                "http_ttft_ms": http["ttft_ms"]["p50"],
                "event_loop_us_a_token": row["cpu_us_a_token"]["MainThread"],
                "cpu_us_a_token": row["cpu_us_a_token"],
                "engine": engine,
                "http": http,
            }
        )
    return rows
