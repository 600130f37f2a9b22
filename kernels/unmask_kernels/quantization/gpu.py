"""Per-token quantization of activations to e4m3 in Triton, a program a row."""

import itertools
from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.dependent_launch import dependent_launch, wait_for_inputs
from unmask_kernels.quantization import types
from unmask_kernels.quantization.types import GROUP_INPUTS, QuantizedRows
from unmask_kernels.variant import Variant

LARGEST = tl.constexpr(types.LARGEST["fp8"])
SMALLEST = tl.constexpr(types.SMALLEST_TOP)


def row_warps(block: int) -> int:
    """Warps of a program that holds a row in its registers."""
    return max(1, min(16, block // 512))


@triton.jit
def store_quantized(b_x, values, scales, stride_scale, i_row, o_column, m_column, num_columns,
                     BLOCK: tl.constexpr, GROUP: tl.constexpr):  # fmt: skip
    """Store a row in e4m3 with a scale for every `GROUP` columns, which is 1 for zeros.

    Without groups `GROUP` is `BLOCK`, which holds all columns.
    """
    b_parts = tl.reshape(b_x, [BLOCK // GROUP, GROUP])
    b_top = tl.max(tl.abs(b_parts), 1)
    b_scale = tl.where(b_top > SMALLEST, tl.div_rn(b_top, LARGEST), 1.0)
    # One multiplication a number: a correctly rounded division takes ten instructions.
    b_inverse = tl.where(b_top > SMALLEST, tl.div_rn(LARGEST, tl.maximum(b_top, SMALLEST)), 1.0)
    b_value = b_parts * b_inverse[:, None]
    p_values = values + i_row * num_columns + o_column
    b_value = tl.reshape(b_value, [BLOCK])
    tl.store(p_values, b_value.to(values.dtype.element_ty), mask=m_column)
    o_group = tl.arange(0, BLOCK // GROUP)
    p_scales = scales + i_row + o_group * stride_scale
    tl.store(p_scales, b_scale, mask=o_group * GROUP < num_columns)


@triton.jit
def quantize_rows_kernel(
    x, values, scales, stride_x, stride_scale, num_columns,
    BLOCK: tl.constexpr, GROUP: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Quantize a row."""
    wait_for_inputs(PDL)
    i_row = tl.program_id(0).to(tl.int64)
    o_column = tl.arange(0, BLOCK)
    m_column = o_column < num_columns
    b_x = tl.load(x + i_row * stride_x + o_column, mask=m_column, other=0.0).to(tl.float32)
    store_quantized(b_x, values, scales, stride_scale, i_row, o_column, m_column, num_columns,
                     BLOCK, GROUP)  # fmt: skip


def side_by_side(x: Tensor) -> Tensor:
    """Rows [M, C] at any stride whose columns lie side by side, a copy if they do not yet."""
    return x if x.stride(1) == 1 else x.contiguous()


def quantize_rows(x: Tensor, *, grouped: bool) -> QuantizedRows:
    """Implements `quantization.ops.quantize_rows`, for rows [M, K]."""
    x = side_by_side(x)
    out, block, group = empty_rows(x, x.shape[1], grouped)
    if len(x):
        quantize_rows_kernel[(len(x),)](
            x, out.values, out.scales, x.stride(0), out.scales.stride(-1), x.shape[1],
            BLOCK=block, GROUP=group, num_warps=row_warps(block),
            **dependent_launch(x.device, len(x)),
        )  # fmt: skip
    return out


def empty_rows(x: Tensor, num_columns: int, grouped: bool) -> tuple[QuantizedRows, int, int]:
    """Memory for the rows of `x`, columns of a program, and columns that share a scale.

    Scales of a group lie side by side, as a product reads them.
    """
    values = torch.empty((len(x), num_columns), dtype=torch.float8_e4m3fn, device=x.device)
    num_groups = triton.cdiv(num_columns, GROUP_INPUTS) if grouped else 1
    scales = torch.empty((num_groups, len(x)), dtype=torch.float32, device=x.device)
    block = triton.next_power_of_2(num_columns)
    group = block
    if grouped:
        block, group = max(block, GROUP_INPUTS), GROUP_INPUTS
    return QuantizedRows(values, scales.T if grouped else scales[0], x.dtype), block, group


def variants(capability: int) -> Iterator[Variant]:
    """Every launched variant, for the compile checks."""
    if capability < types.FIRST_FP8_CAPABILITY:
        return
    signature = {"values": "*fp8e4nv", "scales": "*fp32", "x": "*bf16", "stride_scale": "i32"}
    signature |= {"num_columns": "i32:16", "stride_x": "i32:16"}
    for columns, grouped in itertools.product((2048, 4096, 16_384), (False, True)):
        shape = {"BLOCK": columns, "GROUP": GROUP_INPUTS if grouped else columns}
        name = f"quantize rows {columns} fp8{' in groups' * grouped}"
        yield Variant(name, quantize_rows_kernel, signature, shape, row_warps(columns))
