"""Norms, heads and gates: right, and how near the time that their bytes take."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.device.timing import Ceilings, timed
from unmask_kernels import dispatch
from unmask_kernels.layers.ops import qk_norm_rope_store, rms_norm, swiglu


def compare(
    rows: int, hidden: int, intermediate: int, ceilings: Ceilings, device: torch.device
) -> list[dict[str, Any]]:
    """Each operation, beside the same in torch."""
    heads, kv, dim, page = 32, 8, 128, 64
    x = torch.randn(rows, hidden, device=device).bfloat16()
    weight = torch.randn(hidden, device=device).bfloat16()
    both = torch.randn(rows, 2 * intermediate, device=device).bfloat16()
    projected = torch.randn(rows, heads + 2 * kv, dim, device=device).bfloat16()
    norms = torch.randn(heads + kv, dim, device=device).bfloat16()
    angles = torch.rand(rows, 1, dim // 2, device=device)
    cos, sin = angles.cos().bfloat16(), angles.sin().bfloat16()
    keys, values = (
        torch.zeros(-(-rows // page), page, kv, dim, dtype=torch.bfloat16, device=device)
        for _ in range(2)
    )
    slots = torch.randperm(rows, device=device)

    def place() -> Tensor:
        return qk_norm_rope_store(projected, norms, 1e-6, cos, sin, keys, values, slots)

    def gate() -> Tensor:
        return F.silu(both[:, :intermediate]) * both[:, intermediate:]

    return [
        _row("rms_norm", lambda: rms_norm(x, weight, 1e-6), None, 4 * x.numel(), ceilings),
        _row("heads", place, None, 4 * projected.numel(), ceilings),
        _row("swiglu", lambda: swiglu(both), gate, 3 * both.numel(), ceilings),
    ]


def _row(
    name: str,
    ours: Callable[[], Tensor],
    theirs: Callable[[], Tensor] | None,
    num_bytes: int,
    ceilings: Ceilings,
) -> dict[str, Any]:
    def in_torch() -> Tensor:
        with dispatch.backend("torch"):
            return (theirs or ours)()

    expected, found = in_torch().double(), ours().double()
    floor_s = ceilings.floor_s(num_bytes, 0)
    time = timed(ours, graph=True)
    return {
        "name": name,
        "floor_us": 1e6 * floor_s,
        "us": time.median_us,
        "share_of_floor": floor_s / time.median_s,
        "torch_us": timed(in_torch, graph=True).median_us,
        "relative_difference": float((found - expected).norm() / expected.norm()),
    }
