"""Rows, weights and times of W8A8 products, for what measures them."""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.device.timing import Ceilings, measure_ceilings
from unmask_kernels.linear.gpu.fp8 import Tile, fp8_product
from unmask_kernels.quantization.ops import dequantize, dequantize_rows, quantize, quantize_rows
from unmask_kernels.quantization.types import QuantizedRows, QuantizedWeight

CHECKED_ROWS = 64
MIN_ROTATED_BYTES = 160e6  # weights that a graph goes through, so that each is read from memory
MAX_COPIES = 12
NUM_REPLAYS = 9
SIDE = 8192  # of the product that gives the ceiling


@dataclass(frozen=True)
class Shape:
    """A layer's weight, and whether its product is added to a residual.

    Where `grouped`, every 128 inputs have scales of their own.
    """

    name: str
    outputs: int
    inputs: int
    added: bool = False
    grouped: bool = False


@dataclass(frozen=True)
class Inputs:
    """The rows of the largest step, and several weights of one shape."""

    rows: QuantizedRows
    weights: Sequence[QuantizedWeight]
    residual: Tensor | None

    def run(self, num_rows: int, tile: Tile | None, grain: int | None, index: int = 0) -> Tensor:
        weight, residual = self.weights[index], self.residual
        residual = None if residual is None else residual[:num_rows].clone()
        rows = self.rows[:num_rows]
        return fp8_product(rows, weight.values, weight.scales, None, residual, tile, grain)

    def calls(self, num_rows: int, tile: Tile | None, grain: int | None) -> list[Callable[[], Any]]:
        """One product with each weight; the residual is added to again and again."""
        rows, residual = self.rows[:num_rows], self.residual
        residual = None if residual is None else residual[:num_rows].clone()
        return [
            partial(fp8_product, rows, w.values, w.scales, None, residual, tile, grain)
            for w in self.weights
        ]


def build(shape: Shape, num_rows: int, device: torch.device, num_weights: int = 1) -> Inputs:
    """Random rows and weights."""
    x = torch.randn(num_rows, shape.inputs, device=device).bfloat16()
    weights = [_weight(shape, device) for _ in range(num_weights)]
    residual = torch.randn(num_rows, shape.outputs, device=device).bfloat16()
    rows = quantize_rows(x, grouped=shape.grouped)
    return Inputs(rows, weights, residual if shape.added else None)


def _weight(shape: Shape, device: torch.device) -> QuantizedWeight:
    whole = torch.randn(shape.outputs, shape.inputs, device=device) / shape.inputs**0.5
    if not shape.grouped:
        return quantize(whole, "fp8")
    rows = quantize_rows(whole, grouped=True)
    return QuantizedWeight(rows.values, rows.scales)


def seconds(calls: Sequence[Callable[[], Any]], replays: int = NUM_REPLAYS) -> float:
    """Median time of a call, all in one graph as the engine launches them."""
    if not torch.cuda.is_available():
        started_s = time.perf_counter()
        calls[0]()
        return time.perf_counter() - started_s
    side, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        calls[0]()
        torch.cuda.synchronize()
        graph.capture_begin()
        for call in calls:
            call()
        graph.capture_end()
    torch.cuda.current_stream().wait_stream(side)
    graph.replay()
    events = [torch.cuda.Event(enable_timing=True) for _ in range(replays + 1)]
    events[0].record()
    for event in events[1:]:
        graph.replay()
        event.record()
    torch.cuda.synchronize()
    times_ms = [a.elapsed_time(b) for a, b in itertools.pairwise(events)]
    return median(times_ms) / 1000 / len(calls)


def fp8_ceilings(device: torch.device) -> Ceilings:
    """The bandwidth of a large copy and the rate of a large FP8 product of the library."""
    real = device.type == "cuda"
    ceilings = measure_ceilings(device, small=not real)
    return with_fp8_rate(ceilings, device) if real else ceilings


def with_fp8_rate(ceilings: Ceilings, device: torch.device) -> Ceilings:
    """The same bandwidth, with the rate of a large FP8 product of the library."""
    a, b = (torch.randn(SIDE, SIDE, device=device).to(torch.float8_e4m3fn) for _ in range(2))
    one = torch.ones((), device=device)
    call = partial(
        torch._scaled_mm, a, b.T, one, one, out_dtype=torch.bfloat16, use_fast_accum=True
    )
    return replace(ceilings, flops_per_s=2 * SIDE**3 / seconds([call] * 4))


def floor_s(shape: Shape, num_rows: int, ceilings: Ceilings) -> float:
    """The least time for a weight read once, and rows and results moved once."""
    moved = shape.outputs * shape.inputs + num_rows * (shape.inputs + 2 * shape.outputs)
    moved += 2 * num_rows * shape.outputs * shape.added
    return ceilings.floor_s(moved, 2 * num_rows * shape.outputs * shape.inputs)


def library(inputs: Inputs, num_rows: int, *, fast: bool) -> list[Callable[[], Any]]:
    """torch's product with the same scales, bits of which depend on the number of rows."""
    rows = inputs.rows[:num_rows]
    return [
        partial(
            torch._scaled_mm,
            rows.values,
            w.values.T,
            rows.scales[:, None],
            w.scales[None, :],
            out_dtype=torch.bfloat16,
            use_fast_accum=fast,
        )
        for w in inputs.weights
    ]


def library_times(inputs: Inputs, num_rows: int) -> dict[str, Any]:
    """The library's time, or why there is none."""
    try:
        return {"library_us": 1e6 * seconds(library(inputs, num_rows, fast=True))}
    except RuntimeError as error:
        return {"library_error": str(error).splitlines()[0][:200]}


def num_copies(shape: Shape) -> int:
    """Weights that no cache holds together."""
    return min(MAX_COPIES, int(MIN_ROTATED_BYTES // (shape.outputs * shape.inputs)) + 1)


def relative_error(inputs: Inputs, out: Tensor) -> float:
    """Relative to the product of the quantized numbers in float64, of the first rows."""
    some = slice(0, CHECKED_ROWS)
    expected = dequantize_rows(inputs.rows[some], torch.float64)
    expected = expected @ dequantize(inputs.weights[0], torch.float64).T
    if inputs.residual is not None:
        expected = expected + inputs.residual[some].double()
    expected = expected[: len(out)]
    return float((out[some].double() - expected).norm() / expected.norm())
