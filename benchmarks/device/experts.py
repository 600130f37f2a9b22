"""Mixtures of experts: right, and how near their floor, beside a loop over experts in torch.

`python -m benchmarks.device.experts` prints that table; `--sweep` times every tile of the grouped
products instead (see `benchmarks.device.expert_tiles`), within `--seconds`, into the file `--out`.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.device.timing import Ceilings, measure_ceilings, timed
from benchmarks.machine import describe
from unmask_kernels.layers.ops import Activation
from unmask_kernels.moe.ops import experts
from unmask_kernels.moe.types import Stacked
from unmask_kernels.quantization.ops import quantize
from unmask_kernels.quantization.types import Quantization

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
ROWS = (32, 256, 2048, 4096)
TINY = Shape("tiny", 6, 32, 32, 4, 2)


def every() -> list[Shape]:
    """Each shape with each number of rows: e4m3 with rows quantized too, bfloat16, int8."""
    kinds: tuple[Quantization | None, ...] = ("fp8", None, "int8")
    return [
        replace(shape, rows=rows, held=held) for held in kinds for shape in SHAPES for rows in ROWS
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


def draw(shape: Shape, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, and experts and shares drawn alike for all of them."""
    x = torch.randn(shape.rows, shape.hidden, device=device).bfloat16()
    logits = torch.randn(shape.rows, shape.num_experts, device=device)
    shares, ids = logits.softmax(-1).topk(shape.top)
    return x, ids, shares / shares.sum(-1, keepdim=True)


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
    x, ids, shares = draw(shape, device)
    reached = int(ids.unique().numel())
    floor_s = ceilings.floor_s(shape.num_bytes(reached), shape.flops)
    ours = timed(partial(run, shape, held, x, ids, shares), graph=True)
    theirs = timed(partial(loop, shape, held, x, ids, shares))
    few = slice(0, CHECKED_ROWS)
    expected = loop(shape, held, x[few].double(), ids[few], shares[few].double())
    whole = run(shape, held, x, ids, shares)
    found = whole[few].double()
    alone = run(shape, held, x[few], ids[few], shares[few])
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
        "same_bits_alone": bool(torch.equal(alone, whole[few])),
        "relative_error": float((found - expected).norm() / expected.norm()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweep", action="store_true", help="tiles of the grouped products")
    parser.add_argument("--seconds", type=float, default=60.0, help="not much more than these")
    parser.add_argument("--out", type=Path, help="result file")
    options = parser.parse_args()
    device = torch.device("cuda")
    ceilings = measure_ceilings(device, small=False)
    if options.sweep:
        from benchmarks.device import expert_tiles

        expert_tiles.sweep(ceilings, device, options.seconds, options.out)
        return
    deadline_s, rows = time.monotonic() + options.seconds, []
    for shape in every():
        if time.monotonic() > deadline_s:
            print(f"no time left for {shape}")
            continue
        rows.append(compare(shape, ceilings, device))
        print(line(rows[-1]), flush=True)
    if options.out:
        result = describe() | {"ceilings": asdict(ceilings), "experts": rows}
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    shape = row["shape"]
    return (
        f"{shape['name']:16} {shape['rows']:5} rows {shape['held'] or 'bf16':5} "
        f"{row['us']:7.0f} us, {row['share_of_floor']:4.0%} of the floor, torch "
        f"{row['torch_us']:8.0f} us, error {row['relative_error']:.1e}, "
        f"same bits alone: {row['same_bits_alone']}"
    )


if __name__ == "__main__":
    main()
