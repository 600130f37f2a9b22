"""Products with 8-bit weights: weight-only, and of rows in e4m3 with weights in e4m3 (W8A8)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.dispatch import capability, uses_triton
from unmask_kernels.linear.padding import pad_to_bucket
from unmask_kernels.quantization.ops import dequantize, widen
from unmask_kernels.quantization.types import (
    FIRST_FP8_CAPABILITY,
    GROUP_INPUTS,
    QuantizedRows,
    QuantizedWeight,
)

# Most inputs and fewest rows that the reference multiplies at a time: beyond, the order of a
# library's sums follows the number of rows.
REFERENCE_INPUTS, REFERENCE_ROWS = 256, 16


def row_product(
    rows: QuantizedRows,
    values: Tensor,
    scales: Tensor,
    *,
    bias: Tensor | None = None,
    residual: Tensor | None = None,
) -> Tensor:
    """Rows [M, K] times e4m3 `values` [N, K] and `scales` [N]: rows [M, N] of `rows.dtype`.

    Both have scales for every 128 inputs, or neither. A `bias` [N] and a `residual` [M, N], which
    may be overwritten, are added before rounding.
    """
    if rows.values.shape[1] != values.shape[1]:
        shapes = tuple(rows.values.shape), tuple(values.shape)
        raise ValueError(f"rows {shapes[0]} do not fit a weight {shapes[1]}")
    if rows.scales.ndim != scales.ndim:
        raise ValueError(f"scales {tuple(rows.scales.shape)} do not fit {tuple(scales.shape)}")
    if residual is not None and residual.shape != (len(rows), len(values)):
        raise ValueError(f"a residual {tuple(residual.shape)} for {len(rows)} x {len(values)}")
    residual = None if residual is None else residual.contiguous()
    if uses_triton(values.device):
        from unmask_kernels.linear.gpu import fp8

        return fp8.fp8_product(rows, values, scales, bias, residual)
    wide = pad_to_bucket(rows.values.float(), REFERENCE_ROWS)
    if scales.ndim > 1:
        total = _grouped_product(wide, values, rows.scales, scales)
    else:
        total = product(wide, values, scales, REFERENCE_INPUTS)[: len(rows)] * rows.scales[:, None]
    total = total if bias is None else total + bias
    total = total if residual is None else total + residual
    return total.to(rows.dtype)


def _grouped_product(wide: Tensor, values: Tensor, row_scales: Tensor, scales: Tensor) -> Tensor:
    """The sums [M, N] of groups of inputs, each scaled, one after the other."""
    total = torch.zeros(len(row_scales), len(values), device=wide.device)
    for group in range(scales.shape[1]):
        inputs = slice(group * GROUP_INPUTS, (group + 1) * GROUP_INPUTS)
        part = F.linear(wide[:, inputs], widen(values[:, inputs], torch.float32))
        total += part[: len(total)] * (row_scales[:, group, None] * scales[None, :, group])
    return total


def product(x: Tensor, values: Tensor, scales: Tensor, part_inputs: int) -> Tensor:
    """Rows `x` [M, K] times a weight's `values` [N, K] and `scales` [N]: rows [M, N] in x's type.

    Without Triton, `part_inputs` inputs at a time are widened and summed, always in order.
    """
    if uses_triton(x.device) and _has_type(values.dtype, x.device):
        from unmask_kernels.linear.gpu import widened as linear

        return linear.scaled_product(x, values, scales, capability(x.device))
    if x.dtype is torch.float16:  # sums without their scales would overflow
        return F.linear(x, dequantize(QuantizedWeight(values, scales), x.dtype))
    total: Tensor | None = None
    for first in range(0, x.shape[1], part_inputs):
        columns = x[:, first : first + part_inputs]
        weight = widen(values[:, first : first + part_inputs], x.dtype)
        total = F.linear(columns, weight) if total is None else total.addmm_(columns, weight.T)
    assert total is not None
    return (total * scales).to(x.dtype)


def _has_type(dtype: torch.dtype, device: torch.device) -> bool:
    return dtype is torch.int8 or capability(device) >= FIRST_FP8_CAPABILITY
