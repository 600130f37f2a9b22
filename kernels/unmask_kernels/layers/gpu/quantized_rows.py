"""Per-token quantization of activations to e4m3, alone and inside norms and gates.

Fused kernels round to the activations' dtype first, as the norm or the gate and `quantize_rows` do
apart. Numbers of 8 bits are laid out otherwise among threads, so a fused norm sums squares in
another order: its last bit may be another, the same for a row in any company.
"""

import itertools
from collections.abc import Iterator
from typing import Literal

import torch
import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.dependent_launch import dependent_launch, wait_for_inputs
from unmask_kernels.layers.gpu import layers
from unmask_kernels.layers.gpu.layers import gate_values, norm_values, row_warps
from unmask_kernels.linear import quantized
from unmask_kernels.linear.quantized import GROUP_INPUTS, QuantizedRows
from unmask_kernels.variant import Variant

LARGEST = tl.constexpr(quantized.LARGEST["fp8"])
SMALLEST = tl.constexpr(quantized.SMALLEST_TOP)
MAX_FUSED_COLUMNS = 16_384  # of a gated row that one program holds in registers


@triton.jit
def store_quantized(b_x, values, scales, stride_scale, i_row, o_column, m_column, num_columns,
                     BLOCK: tl.constexpr, GROUP: tl.constexpr):  # fmt: skip
    """A row in e4m3 with a scale for every `GROUP` columns; of zeros that is one.

    Without groups `GROUP` is `BLOCK`, which has all columns.
    """
    b_parts = tl.reshape(b_x, [BLOCK // GROUP, GROUP])
    b_top = tl.max(tl.abs(b_parts), 1)
    b_scale = tl.where(b_top > SMALLEST, tl.div_rn(b_top, LARGEST), 1.0)
    # A multiplication for each number: a correctly rounded division takes ten instructions.
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


@triton.jit
def norm_quantized_kernel(
    x, weight, values, scales, stride_x, stride_scale, num_columns, eps,
    BLOCK: tl.constexpr, GROUP: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Normalise and quantize a row."""
    wait_for_inputs(PDL)
    i_row = tl.program_id(0).to(tl.int64)
    o_column = tl.arange(0, BLOCK)
    m_column = o_column < num_columns
    b_x = norm_values(x + i_row * stride_x, weight, o_column, m_column, num_columns, eps)
    b_x = b_x.to(x.dtype.element_ty).to(tl.float32)
    store_quantized(b_x, values, scales, stride_scale, i_row, o_column, m_column, num_columns,
                     BLOCK, GROUP)  # fmt: skip


@triton.jit
def gate_quantized_kernel(
    both, values, scales, stride_scale, num_columns,
    GELU: tl.constexpr, BLOCK: tl.constexpr, GROUP: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Gate and quantize a row."""
    wait_for_inputs(PDL)
    i_row = tl.program_id(0).to(tl.int64)
    o_column = tl.arange(0, BLOCK)
    m_column = o_column < num_columns
    b_x = gate_values(both + i_row * 2 * num_columns, o_column, m_column, num_columns, GELU)
    b_x = b_x.to(both.dtype.element_ty).to(tl.float32)
    store_quantized(b_x, values, scales, stride_scale, i_row, o_column, m_column, num_columns,
                     BLOCK, GROUP)  # fmt: skip


def quantize_rows(x: Tensor, *, grouped: bool) -> QuantizedRows:
    """As of `quantized.quantize_rows`, for rows [M, K]."""
    x = x if x.stride(1) == 1 else x.contiguous()
    out, block, group = _room(x, x.shape[1], grouped)
    if len(x):
        quantize_rows_kernel[(len(x),)](
            x, out.values, out.scales, x.stride(0), out.scales.stride(-1), x.shape[1],
            BLOCK=block, GROUP=group, num_warps=row_warps(block),
            **dependent_launch(x.device, len(x)),
        )  # fmt: skip
    return out


def rms_norm(x: Tensor, weight: Tensor, eps: float, *, grouped: bool) -> QuantizedRows:
    """As of `layers.rms_norm_quantized`, for rows [M, C]."""
    out, block, group = _room(x, x.shape[1], grouped)
    if len(x):
        norm_quantized_kernel[(len(x),)](
            x, weight, out.values, out.scales, x.stride(0), out.scales.stride(-1), x.shape[1], eps,
            BLOCK=block, GROUP=group, num_warps=row_warps(block),
            **dependent_launch(x.device, len(x)),
        )  # fmt: skip
    return out


def gated(
    both: Tensor, activation: Literal["silu", "gelu_tanh"], *, grouped: bool
) -> QuantizedRows:
    """As of `layers.gated_quantized`, for rows [M, 2 N]; wide rows are gated first."""
    num_columns = both.shape[1] // 2
    if num_columns > MAX_FUSED_COLUMNS:
        wide = layers.swiglu(both) if activation == "silu" else layers.geglu(both)
        return quantize_rows(wide, grouped=grouped)
    out, block, group = _room(both, num_columns, grouped)
    if len(both):
        gate_quantized_kernel[(len(both),)](
            both, out.values, out.scales, out.scales.stride(-1), num_columns,
            GELU=activation == "gelu_tanh", BLOCK=block, GROUP=group, num_warps=row_warps(block),
            **dependent_launch(both.device, len(both)),
        )  # fmt: skip
    return out


def _room(x: Tensor, num_columns: int, grouped: bool) -> tuple[QuantizedRows, int, int]:
    """Memory for as many rows as `x` has, and columns of a program and of a group.

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
    """Every kernel as it is launched, for the compile checks."""
    if capability < 89:
        return
    out = {"values": "*fp8e4nv", "scales": "*fp32", "num_columns": "i32:16", "stride_scale": "i32"}
    rows = out | {"x": "*bf16", "stride_x": "i32:16"}
    norm = rows | {"weight": "*bf16", "eps": "fp32"}
    gates = out | {"both": "*bf16"}
    for columns, grouped in itertools.product((2048, 4096, 16_384), (False, True)):
        own = {"BLOCK": columns, "GROUP": GROUP_INPUTS if grouped else columns}
        warps, held = row_warps(columns), f"{columns} fp8{' in groups' * grouped}"
        yield Variant(f"quantize rows {held}", quantize_rows_kernel, rows, own, warps)
        yield Variant(f"rms_norm {held}", norm_quantized_kernel, norm, own, warps)
        for name in ("swiglu", "geglu"):
            gate = own | {"GELU": name == "geglu"}
            yield Variant(f"{name} {held}", gate_quantized_kernel, gates, gate, warps)
