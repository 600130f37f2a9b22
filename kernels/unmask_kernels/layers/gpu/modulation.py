"""Modulated layers: a row leaves a layer, enters the next one and is normed in one pass.

Every sum is rounded where the unfused operations round.
"""

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.layers.types import Entered, Modulation
from unmask_kernels.quantization.gpu import row_warps
from unmask_kernels.variant import Variant


@triton.jit
def _rounded(b_x, dtype: tl.constexpr):
    """Float32 `b_x` rounded to a dtype."""
    return b_x.to(dtype).to(tl.float32)


@triton.jit
def _load(p_x, o_column, m_column):
    return tl.load(p_x + o_column, mask=m_column, other=0.0).to(tl.float32)


@triton.jit
def modulate_kernel(
    x, inner, out, left, entered, groups, norm, new_x, new_inner, normed, num_columns, eps,
    LEAVES: tl.constexpr, ENTERS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """A row after the layer of the table `left`, then scaled and shifted by that of `entered`."""
    dtype: tl.constexpr = x.dtype.element_ty
    i_row = tl.program_id(0).to(tl.int64)
    o_column = tl.arange(0, BLOCK)
    m_column = o_column < num_columns
    o_row, o_group = i_row * num_columns, tl.load(groups + i_row) * 3 * num_columns
    b_x = _load(x + o_row, o_column, m_column)
    if LEAVES:
        b_out = _load(out + o_row, o_column, m_column)
        b_added = _rounded(b_out - _load(inner + o_row, o_column, m_column), dtype)
        b_gate = _load(left + o_group + 2 * num_columns, o_column, m_column)
        b_added = _rounded(_rounded(b_gate + 1.0, dtype) * b_added, dtype)
        b_x = _rounded(b_x + b_added, dtype)
        tl.store(new_x + o_row + o_column, b_x.to(dtype), mask=m_column)
    if ENTERS:
        b_scale = _load(entered + o_group, o_column, m_column)
        b_inner = _rounded(b_x * _rounded(b_scale + 1.0, dtype), dtype)
        b_shift = _load(entered + o_group + num_columns, o_column, m_column)
        b_inner = _rounded(b_inner + b_shift, dtype)
        tl.store(new_inner + o_row + o_column, b_inner.to(dtype), mask=m_column)
        b_inner = tl.where(m_column, b_inner, 0.0)
        scale = tl.rsqrt(tl.sum(b_inner * b_inner, 0) / num_columns + eps)
        b_normed = _rounded(b_inner * scale, dtype) * _load(norm, o_column, m_column)
        tl.store(normed + o_row + o_column, b_normed.to(dtype), mask=m_column)


def enter_layer(
    x: Tensor,
    left: tuple[Tensor, Tensor] | None,
    modulation: Modulation,
    layer: int,
    norm: Tensor,
    eps: float,
) -> Entered:
    """Implements `layers.modulation.enter_layer`, or `next_layer` with `left`, both rows [M, C]."""
    x = x.contiguous()
    entered = Entered(
        x if left is None else torch.empty_like(x), torch.empty_like(x), torch.empty_like(x)
    )
    inner, out = (None, None) if left is None else left
    _launch(x, inner, out, modulation, layer, entered, norm, eps)
    return entered


def leave_layer(entered: Entered, out: Tensor, modulation: Modulation, layer: int) -> Tensor:
    """Implements `layers.modulation.leave_layer`."""
    x = torch.empty_like(entered.x)
    after = Entered(x, x, x)
    _launch(entered.x, entered.inner, out, modulation, layer + 1, after, None, 0.0)
    return x


def _launch(
    x: Tensor,
    inner: Tensor | None,
    out: Tensor | None,
    modulation: Modulation,
    layer: int,
    entered: Entered,
    norm: Tensor | None,
    eps: float,
) -> None:
    if not len(x):
        return
    leaves, enters = out is not None, norm is not None
    block = triton.next_power_of_2(x.shape[1])
    modulate_kernel[(len(x),)](
        x, inner, None if out is None else out.contiguous(),
        modulation.tables[layer - 1] if leaves else None,
        modulation.tables[layer] if enters else None,
        modulation.groups, norm,
        entered.x if leaves else None,
        entered.inner if enters else None,
        entered.normed if enters else None,
        x.shape[1], eps, LEAVES=leaves, ENTERS=enters, BLOCK=block, num_warps=row_warps(block),
    )  # fmt: skip


def variants(capability: int) -> Iterator[Variant]:
    """Every kind of launch, for the compile checks."""
    left, entered = ("inner", "out", "left", "new_x"), ("entered", "norm", "new_inner", "normed")
    types = dict.fromkeys(("x", *left, *entered), "*bf16") | {"groups": "*i64"}
    types |= {"num_columns": "i32:16", "eps": "fp32"}
    for name, leaves, enters in (
        ("first modulation", False, True),
        ("modulation", True, True),
        ("last modulation", True, False),
    ):
        absent = (() if leaves else left) + (() if enters else entered)
        constants = dict.fromkeys(absent) | {"LEAVES": leaves, "ENTERS": enters, "BLOCK": 1024}
        yield Variant(name, modulate_kernel, types, constants, row_warps(1024))
