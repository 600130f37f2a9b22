"""Gemma's sandwich norms in one read and one write of each row."""

from collections.abc import Iterator, Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.dependent_launch import dependent_launch, wait_for_inputs
from unmask_kernels.quantization.gpu import row_warps, store_quantized
from unmask_kernels.quantization.types import DTYPES, FIRST_FP8_CAPABILITY, QuantizedRows
from unmask_kernels.variant import Variant


@triton.jit
def _rounded(b_x, dtype: tl.constexpr):
    """Float32 `b_x` rounded to a dtype."""
    return b_x.to(dtype).to(tl.float32)


@triton.jit
def _load(p_x, o_column, m_column):
    return tl.load(p_x + o_column, mask=m_column, other=0.0).to(tl.float32)


@triton.jit
def _normed(b_x, num_columns, eps, dtype: tl.constexpr):
    """Norm of a row without its weight, rounded like `gpu.layers.rms_norm`."""
    scale = tl.rsqrt(tl.sum(b_x * b_x, 0) / num_columns + eps)
    return _rounded(b_x * scale, dtype)


@triton.jit
def _under(b_x, weight, o_column, m_column, num_columns, eps, dtype: tl.constexpr):
    """Norm of a row, rounded to its dtype."""
    b_normed = _normed(b_x, num_columns, eps, dtype)
    return _rounded(b_normed * _load(weight, o_column, m_column), dtype)


@triton.jit
def sandwich_kernel(
    x, mixed, post_norm, norms, out, normed, values, scales, num_rows, num_columns, eps,
    NORMS: tl.constexpr, QUANTIZED: tl.constexpr, BLOCK: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """A row after attention, and each norm of it, in e4m3 if its bit of `QUANTIZED` is set.

    `normed` and `values` are [NORMS, M, C].
    """
    wait_for_inputs(PDL)
    dtype: tl.constexpr = out.dtype.element_ty
    i_row = tl.program_id(0).to(tl.int64)
    o_column = tl.arange(0, BLOCK)
    m_column = o_column < num_columns
    b_mixed = _load(mixed + i_row * num_columns, o_column, m_column)
    b_mixed = _under(b_mixed, post_norm, o_column, m_column, num_columns, eps, dtype)
    b_x = _rounded(_load(x + i_row * num_columns, o_column, m_column) + b_mixed, dtype)
    tl.store(out + i_row * num_columns + o_column, b_x.to(dtype), mask=m_column)
    b_normed = _normed(b_x, num_columns, eps, dtype)
    for i_norm in tl.static_range(NORMS):
        b_out = b_normed * _load(norms + i_norm * num_columns, o_column, m_column)
        i_out = i_norm * num_rows + i_row
        if (QUANTIZED >> i_norm) % 2 == 1:
            b_out = _rounded(b_out, dtype)
            store_quantized(b_out, values, scales, 0, i_out, o_column, m_column, num_columns,
                            BLOCK, BLOCK)  # fmt: skip
        else:
            tl.store(normed + i_out * num_columns + o_column, b_out.to(dtype), mask=m_column)


@triton.jit
def sandwich_two_kernel(
    x, dense, mixed, post_norms, factors, next_norm, out, normed, values, scales,
    num_columns, stride_factor, eps,
    HAS_NEXT: tl.constexpr, QUANTIZED: tl.constexpr, BLOCK: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """A row after dense MLP and experts, times its factor, and the next norm of it."""
    wait_for_inputs(PDL)
    dtype: tl.constexpr = out.dtype.element_ty
    i_row = tl.program_id(0).to(tl.int64)
    o_column = tl.arange(0, BLOCK)
    m_column = o_column < num_columns
    o_row = i_row * num_columns
    b_both = _load(dense + o_row, o_column, m_column)
    b_both = _under(b_both, post_norms, o_column, m_column, num_columns, eps, dtype)
    b_mixed = _load(mixed + o_row, o_column, m_column)
    p_norm = post_norms + num_columns
    b_mixed = _under(b_mixed, p_norm, o_column, m_column, num_columns, eps, dtype)
    b_both = _rounded(b_both + b_mixed, dtype)
    b_both = _under(b_both, p_norm + num_columns, o_column, m_column, num_columns, eps, dtype)
    b_x = _rounded(_load(x + o_row, o_column, m_column) + b_both, dtype)
    b_x = _rounded(b_x * tl.load(factors + i_row * stride_factor).to(tl.float32), dtype)
    tl.store(out + o_row + o_column, b_x.to(dtype), mask=m_column)
    if HAS_NEXT:
        b_x = _under(b_x, next_norm, o_column, m_column, num_columns, eps, dtype)
        if QUANTIZED:
            store_quantized(b_x, values, scales, 0, i_row, o_column, m_column, num_columns,
                            BLOCK, BLOCK)  # fmt: skip
        else:
            tl.store(normed + o_row + o_column, b_x.to(dtype), mask=m_column)


def add_attention(
    x: Tensor,
    mixed: Tensor,
    post_norm: Tensor,
    norms: Tensor,
    eps: float,
    quantized: Sequence[bool],
) -> tuple[Tensor, Sequence[Tensor | QuantizedRows]]:
    """Implements `layers.sandwich.add_attention`, which checks."""
    num_rows, num_columns = x.shape
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    normed = None if all(quantized) else x.new_empty((len(norms), *x.shape))
    rows = _empty_quantized(x, len(norms)) if any(quantized) else None
    if num_rows:
        block = triton.next_power_of_2(num_columns)
        sandwich_kernel[(num_rows,)](
            x.contiguous(), mixed.contiguous(), post_norm, norms, out, normed,
            None if rows is None else rows.values, None if rows is None else rows.scales,
            num_rows, num_columns, eps,
            NORMS=len(norms), QUANTIZED=sum(on << i for i, on in enumerate(quantized)),
            BLOCK=block, num_warps=row_warps(block),
            **dependent_launch(x.device, num_rows),
        )  # fmt: skip
    results: list[Tensor | QuantizedRows] = []
    for i, is_quantized in enumerate(quantized):
        if is_quantized and rows is not None:
            results.append(rows[i * num_rows : (i + 1) * num_rows])
        elif normed is not None:
            results.append(normed[i])
    return out, results


def add_feed_forward(
    x: Tensor,
    dense: Tensor,
    mixed: Tensor,
    post_norms: Tensor,
    factors: Tensor,
    next_norm: Tensor | None,
    eps: float,
    quantized: bool,
) -> tuple[Tensor, Tensor | QuantizedRows | None]:
    """Implements `layers.sandwich.add_feed_forward`, which checks."""
    num_rows, num_columns = x.shape
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    rows = _empty_quantized(x, 1) if quantized and next_norm is not None else None
    normed = None if next_norm is None or rows is not None else torch.empty_like(out)
    if num_rows:
        block = triton.next_power_of_2(num_columns)
        sandwich_two_kernel[(num_rows,)](
            x.contiguous(), dense.contiguous(), mixed.contiguous(), post_norms,
            factors, next_norm, out, normed,
            None if rows is None else rows.values, None if rows is None else rows.scales,
            num_columns, factors.stride(0) if len(factors) > 1 else 0, eps,
            HAS_NEXT=next_norm is not None, QUANTIZED=rows is not None,
            BLOCK=block, num_warps=row_warps(block),
            **dependent_launch(x.device, num_rows),
        )  # fmt: skip
    return out, normed if rows is None else rows


def _empty_quantized(x: Tensor, count: int) -> QuantizedRows:
    """Memory for `count` times the rows of `x`."""
    shape = count * len(x), x.shape[1]
    values = torch.empty(shape, dtype=DTYPES["fp8"], device=x.device)
    return QuantizedRows(values, x.new_empty(shape[0], dtype=torch.float32), x.dtype)


def variants(capability: int) -> Iterator[Variant]:
    """Every launched variant, for the compile checks."""
    names = ("x", "mixed", "post_norm", "norms", "out", "normed", "dense", "post_norms", "factors")
    types = dict.fromkeys((*names, "next_norm"), "*bf16")
    types |= {"values": "*fp8e4nv", "scales": "*fp32", "eps": "fp32", "stride_factor": "i32"}
    types |= {"num_rows": "i32:16", "num_columns": "i32:16"}
    block, nothing = 4096, {"values": None, "scales": None}
    warps = row_warps(block)
    one: dict[str, int | None] = {"NORMS": 3, "BLOCK": block}
    two: dict[str, int | None] = {"BLOCK": block, "HAS_NEXT": True}
    plain = nothing | {"QUANTIZED": 0}
    yield Variant("sandwich of attention", sandwich_kernel, types, one | plain, warps)
    yield Variant("sandwich of two", sandwich_two_kernel, types, two | plain, warps)
    last = two | plain | {"HAS_NEXT": False, "next_norm": None, "normed": None}
    yield Variant("sandwich of two, the last", sandwich_two_kernel, types, last, warps)
    if capability >= FIRST_FP8_CAPABILITY:
        name = "sandwich of attention fp8"
        yield Variant(name, sandwich_kernel, types, one | {"QUANTIZED": 3}, warps)
        eight = two | {"QUANTIZED": 1, "normed": None}
        yield Variant("sandwich of two fp8", sandwich_two_kernel, types, eight, warps)
