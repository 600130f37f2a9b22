"""Norms and gates fused with the quantization of their rows to e4m3.

A row is rounded to the activations' dtype first, as by the unfused kernels. The layout of 8-bit
numbers among threads makes a fused norm sum squares in another order: its last bit may differ from
the unfused norm's, and is batch-invariant.
"""

import itertools
from collections.abc import Iterator
from typing import Literal

import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.dependent_launch import dependent_launch, wait_for_inputs
from unmask_kernels.layers.gpu import layers
from unmask_kernels.layers.gpu.layers import gate_values, norm_values
from unmask_kernels.quantization.gpu import (
    empty_rows,
    quantize_rows,
    row_warps,
    side_by_side,
    store_quantized,
)
from unmask_kernels.quantization.types import FIRST_FP8_CAPABILITY, GROUP_INPUTS, QuantizedRows
from unmask_kernels.variant import Variant

MAX_FUSED_COLUMNS = 16_384  # of a gated row that one program holds in registers


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
    both, values, scales, stride_both, stride_scale, num_columns,
    GELU: tl.constexpr, BLOCK: tl.constexpr, GROUP: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Gate and quantize a row."""
    wait_for_inputs(PDL)
    i_row = tl.program_id(0).to(tl.int64)
    o_column = tl.arange(0, BLOCK)
    m_column = o_column < num_columns
    b_x = gate_values(both + i_row * stride_both, o_column, m_column, num_columns, GELU)
    b_x = b_x.to(both.dtype.element_ty).to(tl.float32)
    store_quantized(b_x, values, scales, stride_scale, i_row, o_column, m_column, num_columns,
                     BLOCK, GROUP)  # fmt: skip


def rms_norm(x: Tensor, weight: Tensor, eps: float, *, grouped: bool) -> QuantizedRows:
    """Implements `layers.ops.rms_norm_quantized`, for rows [M, C]."""
    x = side_by_side(x)
    out, block, group = empty_rows(x, x.shape[1], grouped)
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
    """Implements `layers.ops.gated_quantized`; wide rows [M, 2 N] are gated first, unfused."""
    num_columns = both.shape[1] // 2
    if num_columns > MAX_FUSED_COLUMNS:
        wide = layers.swiglu(both) if activation == "silu" else layers.geglu(both)
        return quantize_rows(wide, grouped=grouped)
    both = side_by_side(both)
    out, block, group = empty_rows(both, num_columns, grouped)
    if len(both):
        gate_quantized_kernel[(len(both),)](
            both, out.values, out.scales, both.stride(0), out.scales.stride(-1), num_columns,
            GELU=activation == "gelu_tanh", BLOCK=block, GROUP=group, num_warps=row_warps(block),
            **dependent_launch(both.device, len(both)),
        )  # fmt: skip
    return out


def variants(capability: int) -> Iterator[Variant]:
    """Every launched variant, for the compile checks."""
    if capability < FIRST_FP8_CAPABILITY:
        return
    out = {"values": "*fp8e4nv", "scales": "*fp32", "num_columns": "i32:16", "stride_scale": "i32"}
    rows = out | {"x": "*bf16", "stride_x": "i32:16"}
    norm = rows | {"weight": "*bf16", "eps": "fp32"}
    gates = out | {"both": "*bf16", "stride_both": "i32:16"}
    for columns, grouped in itertools.product((2048, 4096, 16_384), (False, True)):
        shape = {"BLOCK": columns, "GROUP": GROUP_INPUTS if grouped else columns}
        warps, suffix = row_warps(columns), f"{columns} fp8{' in groups' * grouped}"
        yield Variant(f"rms_norm {suffix}", norm_quantized_kernel, norm, shape, warps)
        for name in ("swiglu", "geglu"):
            gate = shape | {"GELU": name == "geglu"}
            yield Variant(f"{name} {suffix}", gate_quantized_kernel, gates, gate, warps)
