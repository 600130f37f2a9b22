"""Per-token quantization of activations to e4m3, alone and inside norms and gates.

Fused kernels round to the activations' dtype first, so that they give what the norm or the gate
followed by `quantize_rows` gives.
"""

from collections.abc import Iterator
from typing import Literal

import torch
import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels import quantized
from unmask_kernels.gpu import layers
from unmask_kernels.gpu.layers import gate_values, norm_values, row_warps
from unmask_kernels.quantized import QuantizedRows
from unmask_kernels.testing.variant import Variant

LARGEST = tl.constexpr(quantized.LARGEST["fp8"])
SMALLEST = tl.constexpr(quantized.SMALLEST_TOP)
MAX_FUSED_COLUMNS = 16_384  # of a gated row that one program holds in registers


@triton.jit
def _store_quantized(b_x, values, scales, i_row, o_column, m_column, num_columns):
    """A row in e4m3 with its scale; a row of zeros has a scale of one."""
    top = tl.max(tl.abs(b_x), 0)
    scale = tl.where(top > SMALLEST, tl.div_rn(top, LARGEST), 1.0)
    b_value = tl.div_rn(b_x, tl.zeros_like(b_x) + scale)
    p_values = values + i_row * num_columns + o_column
    tl.store(p_values, b_value.to(values.dtype.element_ty), mask=m_column)
    tl.store(scales + i_row, scale)


@triton.jit
def quantize_rows_kernel(x, values, scales, stride_x, num_columns, BLOCK: tl.constexpr):
    """Quantize a row."""
    i_row = tl.program_id(0).to(tl.int64)
    o_column = tl.arange(0, BLOCK)
    m_column = o_column < num_columns
    b_x = tl.load(x + i_row * stride_x + o_column, mask=m_column, other=0.0).to(tl.float32)
    _store_quantized(b_x, values, scales, i_row, o_column, m_column, num_columns)


@triton.jit
def norm_quantized_kernel(
    x, weight, values, scales, stride_x, num_columns, eps, BLOCK: tl.constexpr
):  # fmt: skip
    """Normalise and quantize a row."""
    i_row = tl.program_id(0).to(tl.int64)
    o_column = tl.arange(0, BLOCK)
    m_column = o_column < num_columns
    b_x = norm_values(x + i_row * stride_x, weight, o_column, m_column, num_columns, eps)
    b_x = b_x.to(x.dtype.element_ty).to(tl.float32)
    _store_quantized(b_x, values, scales, i_row, o_column, m_column, num_columns)


@triton.jit
def gate_quantized_kernel(
    both, values, scales, num_columns, GELU: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """Gate and quantize a row."""
    i_row = tl.program_id(0).to(tl.int64)
    o_column = tl.arange(0, BLOCK)
    m_column = o_column < num_columns
    b_x = gate_values(both + i_row * 2 * num_columns, o_column, m_column, num_columns, GELU)
    b_x = b_x.to(both.dtype.element_ty).to(tl.float32)
    _store_quantized(b_x, values, scales, i_row, o_column, m_column, num_columns)


def quantize_rows(x: Tensor) -> QuantizedRows:
    """As of `quantized.quantize_rows`, for rows [M, K]."""
    x = x if x.stride(1) == 1 else x.contiguous()
    out, block = _empty(x, x.shape[1]), triton.next_power_of_2(x.shape[1])
    if len(x):
        quantize_rows_kernel[(len(x),)](
            x, out.values, out.scales, x.stride(0), x.shape[1],
            BLOCK=block, num_warps=row_warps(block),
        )  # fmt: skip
    return out


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> QuantizedRows:
    """As of `layers.rms_norm_quantized`, for rows [M, C]."""
    out, block = _empty(x, x.shape[1]), triton.next_power_of_2(x.shape[1])
    if len(x):
        norm_quantized_kernel[(len(x),)](
            x, weight, out.values, out.scales, x.stride(0), x.shape[1], eps,
            BLOCK=block, num_warps=row_warps(block),
        )  # fmt: skip
    return out


def gated(both: Tensor, activation: Literal["silu", "gelu_tanh"]) -> QuantizedRows:
    """As of `layers.gated_quantized`, for rows [M, 2 N]; wide rows are gated first."""
    num_columns = both.shape[1] // 2
    if num_columns > MAX_FUSED_COLUMNS:
        wide = layers.swiglu(both) if activation == "silu" else layers.geglu(both)
        return quantize_rows(wide)
    out, block = _empty(both, num_columns), triton.next_power_of_2(num_columns)
    if len(both):
        gate_quantized_kernel[(len(both),)](
            both, out.values, out.scales, num_columns,
            GELU=activation == "gelu_tanh", BLOCK=block, num_warps=row_warps(block),
        )  # fmt: skip
    return out


def _empty(x: Tensor, num_columns: int) -> QuantizedRows:
    """Room for as many rows as `x` has, and of its dtype."""
    values = torch.empty((len(x), num_columns), dtype=torch.float8_e4m3fn, device=x.device)
    scales = torch.empty(len(x), dtype=torch.float32, device=x.device)
    return QuantizedRows(values, scales, x.dtype)


def variants(capability: int) -> Iterator[Variant]:
    """What is launched, for the compile checks."""
    if capability < 89:
        return
    out = {"values": "*fp8e4nv", "scales": "*fp32", "num_columns": "i32:16"}
    rows = out | {"x": "*bf16", "stride_x": "i32:16"}
    norm = rows | {"weight": "*bf16", "eps": "fp32"}
    for columns in (2048, 4096, 16_384, 32_768):
        own, warps = {"BLOCK": columns}, row_warps(columns)
        yield Variant(f"quantize rows {columns}", quantize_rows_kernel, rows, own, warps)
    for columns in (2048, 4096, 8192):
        own, warps = {"BLOCK": columns}, row_warps(columns)
        yield Variant(f"rms_norm {columns} fp8", norm_quantized_kernel, norm, own, warps)
    for name in ("swiglu", "geglu"):
        for columns in (2048, 16_384):
            gate = {"BLOCK": columns, "GELU": name == "geglu"}
            yield Variant(
                f"{name} {columns} fp8", gate_quantized_kernel, out | {"both": "*bf16"}, gate,
                row_warps(columns),
            )  # fmt: skip
