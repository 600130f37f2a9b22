"""Weights of 8 bits with one scale for each output, rows with one scale for each token.

Weight-only products leave activations in their type: values are widened as they are used, which
both int8 and float8 (e4m3) survive unrounded in bfloat16, and scales are applied to the sums.
W8A8 products take `QuantizedRows`, activations quantized token by token as they come.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.dispatch import capability, uses_triton
from unmask_kernels.linear.padding import pad_to_bucket

Quantization = Literal["int8", "fp8"]
DTYPES: dict[Quantization, torch.dtype] = {"int8": torch.int8, "fp8": torch.float8_e4m3fn}
LARGEST: dict[Quantization, float] = {"int8": 127.0, "fp8": 448.0}
FP8_AS_BF16_BITS = ~0x780F  # sign, and exponent and mantissa shifted by 4, of a sign-extended byte
FP8_AS_BF16_FACTOR = 2.0**120  # between the two exponents' biases, 127 and 7
SMALLEST_TOP = 448.0 * 2.0**-126  # of a row with a normal scale; smaller ones become zero
CHUNK_ROWS = 4096
FIRST_FP8_CAPABILITY = 89
ROW_BYTES_UNIT = 16
GROUP_INPUTS = 128  # of those that share a scale, where not all of a row or an output do
# At most and at least of what the reference multiplies at a time: libraries sum others in an order
# that follows the number of rows.
REFERENCE_INPUTS, REFERENCE_ROWS = 256, 16

_emulating = False


@dataclass(frozen=True, slots=True)
class QuantizedWeight:
    """A weight [N, K] that is `values` times `scales`."""

    values: Tensor  # [N, K] int8 or float8_e4m3fn
    scales: Tensor  # [N] float32, or [N, K / 128] where every 128 inputs have their own

    def ordered(self, order: Tensor) -> "QuantizedWeight":
        """The outputs that `order` [N] names, in its order."""
        values = self.values.view(torch.int8)[order].view(self.values.dtype)
        return QuantizedWeight(values, self.scales[order])


@dataclass(frozen=True, slots=True)
class QuantizedRows:
    """Activations [M, K] that are `values` times `scales`."""

    values: Tensor  # [M, K] float8_e4m3fn, contiguous
    scales: Tensor  # [M] float32, one for each token, or [M, K / 128] as of a weight
    dtype: torch.dtype = torch.bfloat16  # of what they were, and of products with them

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice) -> "QuantizedRows":
        """A run of rows, without a copy."""
        return QuantizedRows(self.values[rows], self.scales[rows], self.dtype)


def quantize(weight: Tensor, kind: Quantization) -> QuantizedWeight:
    """The nearest values of 8 bits to a weight [N, K], the largest of each output made to fit."""
    largest, dtype = LARGEST[kind], DTYPES[kind]
    values = torch.empty(weight.shape, dtype=dtype, device=weight.device)
    scales = torch.empty(len(weight), dtype=torch.float32, device=weight.device)
    for first in range(0, len(weight), CHUNK_ROWS):  # so that little of it is in float32 at a time
        rows = slice(first, first + CHUNK_ROWS)
        wide = weight[rows].float()
        top = wide.abs().amax(1)
        scales[rows] = torch.where(top > 0, top / largest, 1.0)
        wide = wide / scales[rows, None]  # not in place: it may be the weight itself
        wide = wide.round_() if kind == "int8" else wide
        values[rows] = wide.clamp_(-largest, largest).to(dtype)
    return QuantizedWeight(values, scales)


def join(weights: Sequence[QuantizedWeight]) -> QuantizedWeight:
    """Weights with the same inputs as one, outputs in order."""
    # Bytes, as not every device can concatenate floats of 8 bits.
    values = torch.cat([w.values.view(torch.uint8) for w in weights])
    return QuantizedWeight(
        values.view(weights[0].values.dtype), torch.cat([w.scales for w in weights])
    )


def dequantize(weight: QuantizedWeight, dtype: torch.dtype) -> Tensor:
    """The weight [N, K] that is meant, rounded once."""
    return (weight.values.float() * _spread(weight.scales, weight.values.shape[1])).to(dtype)


def quantize_rows(x: Tensor, *, grouped: bool = False) -> QuantizedRows:
    """Rows [M, K] in e4m3, the largest of each made 448: dynamic per-token quantization.

    Where `grouped`, the largest of each 128 inputs of a row is.
    """
    if uses_triton(x.device):
        from unmask_kernels.layers.gpu import quantized_rows

        return quantized_rows.quantize_rows(x, grouped=grouped)
    wide, num_inputs = x.float(), x.shape[1]
    parts = wide[:, None]
    if grouped:
        full = F.pad(wide, (0, -num_inputs % GROUP_INPUTS))
        parts = full.view(len(x), full.shape[1] // GROUP_INPUTS, GROUP_INPUTS)
    top = parts.abs().amax(2)
    scales = torch.where(top > SMALLEST_TOP, top / LARGEST["fp8"], 1.0)
    scales = scales if grouped else scales[:, 0]
    inverse = torch.where(top > SMALLEST_TOP, LARGEST["fp8"] / top, 1.0)
    inverse = inverse if grouped else inverse[:, 0]
    values = (wide * _spread(inverse, num_inputs)).to(DTYPES["fp8"])
    return QuantizedRows(values, scales, x.dtype)


def dequantize_rows(rows: QuantizedRows, dtype: torch.dtype) -> Tensor:
    """The rows [M, K] that are meant, rounded once."""
    return (rows.values.float() * _spread(rows.scales, rows.values.shape[1])).to(dtype)


def _spread(scales: Tensor, num_inputs: int) -> Tensor:
    """Scales [N] or [N, G] as [N, 1] or [N, K]."""
    if scales.ndim == 1:
        return scales[:, None]
    return scales.repeat_interleave(GROUP_INPUTS, 1)[:, :num_inputs]


def takes_quantized_rows(values: Tensor) -> bool:
    """Whether products with weights [N, K] are W8A8; see `multiplies_fp8`."""
    return values.dtype is DTYPES["fp8"] and multiplies_fp8(values.device, values.shape[1])


def multiplies_fp8(device: torch.device, num_inputs: int) -> bool:
    """Whether e4m3 weights are multiplied with e4m3 rows, where a chip's matrix units do that.

    Elsewhere, and where the inputs are no multiple of 16, which the copy engine needs, products are
    weight-only.
    """
    on_units = uses_triton(device) and capability(device) >= FIRST_FP8_CAPABILITY
    return (on_units or _emulating) and num_inputs % ROW_BYTES_UNIT == 0


@contextlib.contextmanager
def emulated_w8a8() -> Iterator[None]:
    """Quantize activations on every device, to measure what that costs in accuracy."""
    global _emulating
    previous, _emulating = _emulating, True
    try:
        yield
    finally:
        _emulating = previous


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


def widen(values: Tensor, dtype: torch.dtype) -> Tensor:
    """8-bit values, each as the same number in bfloat16 or float32."""
    if values.dtype is torch.int8 or values.device.type != "cpu":
        return values.to(dtype)
    # torch converts one at a time on a CPU. NaN, which no weight is, becomes 480.
    bits = values.view(torch.int8).to(torch.int16)
    bits <<= 4
    bits &= FP8_AS_BF16_BITS
    return bits.view(torch.bfloat16).mul_(FP8_AS_BF16_FACTOR).to(dtype)


def _has_type(dtype: torch.dtype, device: torch.device) -> bool:
    return dtype is torch.int8 or capability(device) >= FIRST_FP8_CAPABILITY
