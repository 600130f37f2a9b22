"""Mixtures of experts: right, and how near their floor, beside a loop over experts in torch."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.device.timing import Ceilings, timed
from unmask_kernels.experts import Stacked, experts
from unmask_kernels.layers import Activation
from unmask_kernels.quantized import Quantization, quantize

CHECKED_ROWS = 16


@dataclass(frozen=True)
class Shape:
    """Rows of a step, and the experts that they are sent to."""

    name: str
    rows: int
    hidden: int
    inner: int
    num_experts: int
    top: int
    activation: Activation = "silu"
    held: Quantization | None = None

    @property
    def flops(self) -> int:
        return 6 * self.rows * self.top * self.hidden * self.inner

    def num_bytes(self, reached: int) -> int:
        """Weights of the experts that rows reach, once, with rows and results."""
        weight = 2 if self.held is None else 1
        return reached * 3 * self.hidden * self.inner * weight + 4 * self.rows * self.hidden


SHAPES = (
    Shape("LLaDA2.0-mini", 32, 2048, 512, 256, 8),
    Shape("DiffusionGemma", 32, 2816, 704, 128, 8, "gelu_tanh"),
)
ROWS = (32, 256, 2048)
TINY = Shape("tiny", 6, 32, 32, 4, 2)


def every() -> list[Shape]:
    """Each shape with each number of rows, in bfloat16 and in 8 bits."""
    return [
        replace(shape, rows=rows, held=held)
        for shape in SHAPES
        for held in (None, "fp8")
        for rows in ROWS
    ]


def build(shape: Shape, device: torch.device) -> Stacked:
    """Random weights, held as asked."""
    outward = (shape.num_experts, shape.hidden, shape.inner)
    inward = (shape.num_experts, 2 * shape.inner, shape.hidden)
    both = [
        torch.empty(s, device=device, dtype=torch.bfloat16).normal_(std=s[-1] ** -0.5)
        for s in (inward, outward)
    ]
    if shape.held is None:
        return Stacked(*both)
    gate_up, down = (quantize(w.flatten(0, 1), shape.held) for w in both)
    return Stacked(
        gate_up.values.view(inward),
        down.values.view(outward),
        gate_up.scales.view(inward[:2]),
        down.scales.view(outward[:2]),
    )


def run(shape: Shape, held: Stacked, x: Tensor, ids: Tensor, shares: Tensor) -> Tensor:
    return experts(
        x,
        held.gate_up,
        held.down,
        ids,
        shares,
        gate_up_scales=held.gate_up_scales,
        down_scales=held.down_scales,
        activation=shape.activation,
    )


def loop(shape: Shape, held: Stacked, x: Tensor, ids: Tensor, shares: Tensor) -> Tensor:
    """One expert after the other, each on the rows that reach it."""
    out = torch.zeros_like(x)
    for expert in ids.unique().tolist():
        rows, place = (ids == expert).nonzero(as_tuple=True)
        gate_up = _wide(held.gate_up[expert], held.gate_up_scales, expert, x.dtype)
        down = _wide(held.down[expert], held.down_scales, expert, x.dtype)
        gate, up = (x[rows] @ gate_up.T).chunk(2, -1)
        inner = (F.silu(gate) if shape.activation == "silu" else _gelu(gate)) * up
        out.index_add_(0, rows, inner @ down.T * shares[rows, place, None].to(x.dtype))
    return out


def _gelu(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


def _wide(weight: Tensor, scales: Tensor | None, expert: int, dtype: torch.dtype) -> Tensor:
    if scales is None:
        return weight.to(dtype)
    return (weight.float() * scales[expert, :, None]).to(dtype)


def compare(shape: Shape, ceilings: Ceilings, device: torch.device) -> dict[str, Any]:
    """Ours and the loop on one shape; the error is of the first rows, against float64."""
    held = build(shape, device)
    x = torch.randn(shape.rows, shape.hidden, device=device).bfloat16()
    logits = torch.randn(shape.rows, shape.num_experts, device=device)
    shares, ids = logits.softmax(-1).topk(shape.top)
    shares = shares / shares.sum(-1, keepdim=True)
    reached = int(ids.unique().numel())
    floor_s = ceilings.floor_s(shape.num_bytes(reached), shape.flops)
    ours = timed(partial(run, shape, held, x, ids, shares), graph=True)
    theirs = timed(partial(loop, shape, held, x, ids, shares))
    few = slice(0, CHECKED_ROWS)
    expected = loop(shape, held, x[few].double(), ids[few], shares[few].double())
    found = run(shape, held, x, ids, shares)[few].double()
    return {
        "shape": shape.__dict__,
        "experts_reached": reached,
        "bytes": shape.num_bytes(reached),
        "flops": shape.flops,
        "floor_us": 1e6 * floor_s,
        "us": ours.median_us,
        "spread_us": [1e6 * ours.low_s, 1e6 * ours.high_s],
        "share_of_floor": floor_s / ours.median_s,
        "torch_us": theirs.median_us,
        "relative_error": float((found - expected).norm() / expected.norm()),
    }
