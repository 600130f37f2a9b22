"""Attention over pages: right, and how near its floor, beside torch's own."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.device.timing import Ceilings, timed
from unmask_kernels.attention.ops import AttentionPlan, attention, make_plan
from unmask_kernels.attention.tiles import TileConfig, TilePlan

PAGE = 64


@dataclass(frozen=True)
class Shape:
    """Rows of a step that decode a block each, all with the same context."""

    rows: int = 64
    queries: int = 32
    heads: int = 32
    kv_heads: int = 8
    head_dim: int = 128
    context: int = 1024
    window: int | None = None  # keys that a query sees, the last ones
    held: Literal["fp8"] | None = None  # how keys and values are held, if not in bfloat16

    @property
    def seen(self) -> int:
        """Keys that a query sees."""
        return min(self.context, self.window or self.context)

    @property
    def kv_bytes(self) -> int:
        """Keys and values, once."""
        each = 2 if self.held is None else 1
        return 2 * self.rows * self.seen * self.kv_heads * self.head_dim * each

    @property
    def num_bytes(self) -> int:
        """Keys, values, queries and results, once."""
        return self.kv_bytes + 2 * self.rows * self.queries * self.heads * self.head_dim * 2

    @property
    def flops(self) -> int:
        return 4 * self.rows * self.queries * self.heads * self.head_dim * self.seen


TARGETS = tuple(Shape(context=context) for context in (1024, 4096, 16_384))


def others(usual: Shape, head_dims: tuple[int, ...] = (64, 256, 512)) -> list[Shape]:
    """Head sizes, a window and keys in 8 bits that families have, beside the usual."""
    sizes = [replace(usual, head_dim=head_dim) for head_dim in head_dims]
    window = replace(usual, head_dim=head_dims[-1] // 2, window=usual.context // 2)
    return [*sizes, window, replace(usual, held="fp8")]


@dataclass(frozen=True)
class Inputs:
    """Random tensors of a shape, and a plan."""

    query: Tensor
    keys: Tensor
    values: Tensor
    plan: AttentionPlan
    pages: np.ndarray  # [rows, pages of each]
    scales: Tensor | None = None  # [kv_heads], of keys and of values


def build(shape: Shape, device: torch.device, config: TileConfig | None = None) -> Inputs:
    per_row = -(-shape.context // PAGE)
    order = np.random.default_rng().permutation(shape.rows * per_row)
    pool = (shape.rows * per_row, PAGE, shape.kv_heads, shape.head_dim)
    query = torch.randn(shape.rows * shape.queries, shape.heads, shape.head_dim, device=device)
    keys, values = (torch.randn(pool, device=device).bfloat16() for _ in range(2))
    pages = order.reshape(shape.rows, per_row)
    plan = make(shape, pages, device, config)
    scales = None
    if shape.held is not None:  # numbers near one have room in the type under a scale of 1 / 64
        scales = torch.full((shape.kv_heads,), 1 / 64, device=device)
        keys, values = ((64 * pool).to(torch.float8_e4m3fn) for pool in (keys, values))
    return Inputs(query.bfloat16(), keys, values, plan, pages, scales)


def make(
    shape: Shape, pages: np.ndarray, device: torch.device, config: TileConfig | None
) -> AttentionPlan:
    return make_plan(
        list(range(0, shape.rows * shape.queries + 1, shape.queries)),
        np.full(shape.rows * shape.queries, shape.context),
        pages.reshape(-1),
        list(range(0, pages.size + 1, pages.shape[1])),
        PAGE,
        group_size=shape.heads // shape.kv_heads,
        num_kv_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        device=device,
        dtype=torch.bfloat16,
        starts=None
        if shape.window is None
        else np.full(shape.rows * shape.queries, shape.context - shape.seen),
        config=config,
    )


def run(shape: Shape, inputs: Inputs) -> Tensor:
    scale = shape.head_dim**-0.5
    scales = {"key_scales": inputs.scales, "value_scales": inputs.scales}
    return attention(inputs.query, inputs.keys, inputs.values, inputs.plan, scale, **scales)


def dense(shape: Shape, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
    """The same as [rows, heads, queries or keys, head_dim], keys and values laid out in order."""
    rows = torch.from_numpy(inputs.pages).to(inputs.query.device)
    query = inputs.query.view(shape.rows, shape.queries, shape.heads, shape.head_dim)
    keys, values = (
        _wide(pool[rows].flatten(1, 2), inputs.scales)[
            :, shape.context - shape.seen : shape.context
        ]
        .transpose(1, 2)
        .contiguous()
        for pool in (inputs.keys, inputs.values)
    )
    return query.transpose(1, 2).contiguous(), keys, values


def _wide(held: Tensor, scales: Tensor | None) -> Tensor:
    """Keys or values [..., kv_heads, head_dim] in bfloat16; a scale of a power of two is exact."""
    return held if scales is None else (held.float() * scales[:, None]).bfloat16()


def relative_error(shape: Shape, inputs: Inputs) -> float:
    """Norm of the difference from float64, relative, of the first rows."""
    query, keys, values = (t[:2].double() for t in dense(shape, inputs))
    group = shape.heads // shape.kv_heads
    keys, values = keys.repeat_interleave(group, 1), values.repeat_interleave(group, 1)
    scores = query @ keys.transpose(2, 3) * shape.head_dim**-0.5
    expected = (scores.softmax(-1) @ values).transpose(1, 2).flatten(0, 1)
    found = run(shape, inputs)[: len(expected)].double()
    return float((found - expected).norm() / expected.norm())


def compare(
    shape: Shape, ceilings: Ceilings, device: torch.device, *, configurations: bool = True
) -> dict[str, Any]:
    """Ours and torch's on one shape, FlexAttention's where there is a target for it."""
    inputs = build(shape, device)
    floor_s = ceilings.floor_s(shape.num_bytes, shape.flops)
    ours = timed(lambda: run(shape, inputs), graph=True)
    query, keys, values = dense(shape, inputs)
    sdpa = timed(
        lambda: F.scaled_dot_product_attention(query, keys, values, enable_gqa=True), graph=True
    )
    row: dict[str, Any] = {
        "shape": shape.__dict__,
        "bytes": shape.num_bytes,
        "flops": shape.flops,
        "floor_us": 1e6 * floor_s,
        "us": ours.median_us,
        "spread_us": [1e6 * ours.low_s, 1e6 * ours.high_s],
        "share_of_floor": floor_s / ours.median_s,
        "relative_error": relative_error(shape, inputs),
        "sdpa_us": sdpa.median_us,
    }
    if device.type == "cuda" and shape in TARGETS:
        from torch.nn.attention.flex_attention import flex_attention

        flex = torch.compile(flex_attention, dynamic=False)
        row["flex_us"] = timed(lambda: flex(query, keys, values, enable_gqa=True)).median_us
    if configurations:
        row["configurations"] = dict(_configurations(shape, inputs, device))
    return row


def _configurations(
    shape: Shape, inputs: Inputs, device: torch.device
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Other shapes of the kernel's programs, and whether they change a bit of the result."""
    if not isinstance(inputs.plan, TilePlan):
        return
    usual = inputs.plan.config
    chosen = run(shape, inputs)
    changes: dict[str, dict[str, Any]] = {
        "pointers": {"tma": False, "num_stages": 3},
        "grain 256": {"grain": 256},
        "grain 1024": {"grain": 1024},
        "4 buffers": {"num_stages": 7},
        "half the programs": {"programs": usual.programs // 2},
        "128 rows, 8 warps": {"rows": 128, "num_warps": 8},
    }
    for name, change in changes.items():
        plan = make(shape, inputs.pages, device, replace(usual, **change))
        other = replace(inputs, plan=plan)
        out = run(shape, other)
        yield (
            name,
            {
                "us": timed(lambda other=other: run(shape, other), graph=True).median_us,
                "same_bits": bool(torch.equal(out, chosen)),
            },
        )


def same_bits_alone(shape: Shape, device: torch.device) -> bool:
    """True if every row's result is the same when its sequence is alone."""
    inputs = build(shape, device)
    together = run(shape, inputs).view(shape.rows, shape.queries, shape.heads, shape.head_dim)
    alone = replace(shape, rows=1)
    for row in range(0, shape.rows, max(1, shape.rows // 4)):
        own = slice(row * shape.queries, (row + 1) * shape.queries)
        part = replace(inputs, query=inputs.query[own], pages=inputs.pages[row : row + 1])
        part = replace(part, plan=make(alone, part.pages, device, _config(inputs)))
        if not torch.equal(run(alone, part).view_as(together[row]), together[row]):
            return False
    return True


def _config(inputs: Inputs) -> TileConfig | None:
    return inputs.plan.config if isinstance(inputs.plan, TilePlan) else None
