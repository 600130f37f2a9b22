"""Quantization to 8 bits: weights once, with a scale for each output, activations token by token.

Weight-only products leave activations in their type: values are widened as they are used, which
both int8 and float8 (e4m3) survive unrounded in bfloat16, and scales are applied to the sums.
W8A8 products take `QuantizedRows`, activations that are quantized as they come.
"""

import contextlib
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.dispatch import capability, uses_triton
from unmask_kernels.quantization.types import (
    DTYPES,
    FIRST_FP8_CAPABILITY,
    FP8_AS_BF16_BITS,
    FP8_AS_BF16_FACTOR,
    GROUP_INPUTS,
    LARGEST,
    ROW_BYTES_UNIT,
    SMALLEST_TOP,
    Quantization,
    QuantizedRows,
    QuantizedWeight,
)

CHUNK_ROWS = 4096

_emulating = False


def quantize(weight: Tensor, kind: Quantization) -> QuantizedWeight:
    """Nearest 8-bit values of a weight [N, K], with each output scaled to its largest."""
    largest, dtype = LARGEST[kind], DTYPES[kind]
    values = torch.empty(weight.shape, dtype=dtype, device=weight.device)
    scales = torch.empty(len(weight), dtype=torch.float32, device=weight.device)
    for first in range(0, len(weight), CHUNK_ROWS):  # little of it in float32 at a time
        rows = slice(first, first + CHUNK_ROWS)
        wide = weight[rows].float()
        top = wide.abs().amax(1)
        scales[rows] = torch.where(top > 0, top / largest, 1.0)
        wide = wide / scales[rows, None]  # not in place: it may be the weight itself
        wide = wide.round_() if kind == "int8" else wide
        values[rows] = wide.clamp_(-largest, largest).to(dtype)
    return QuantizedWeight(values, scales)


def join(weights: Sequence[QuantizedWeight]) -> QuantizedWeight:
    """Weights with the same inputs as one weight, outputs in order."""
    # Bytes, as not every device can concatenate floats of 8 bits.
    values = torch.cat([w.values.view(torch.uint8) for w in weights])
    return QuantizedWeight(
        values.view(weights[0].values.dtype), torch.cat([w.scales for w in weights])
    )


def dequantize(weight: QuantizedWeight, dtype: torch.dtype) -> Tensor:
    """The weight [N, K], rounded once."""
    return (weight.values.float() * _spread(weight.scales, weight.values.shape[1])).to(dtype)


def quantize_rows(x: Tensor, *, grouped: bool = False) -> QuantizedRows:
    """Dynamic per-token quantization of rows [M, K] to e4m3: the largest of each becomes 448.

    With `grouped`, the largest of every 128 inputs of a row does.
    """
    if uses_triton(x.device):
        from unmask_kernels.quantization import gpu

        return gpu.quantize_rows(x, grouped=grouped)
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
    """The rows [M, K], rounded once."""
    return (rows.values.float() * _spread(rows.scales, rows.values.shape[1])).to(dtype)


def _spread(scales: Tensor, num_inputs: int) -> Tensor:
    """Scales [N] or [N, G] as [N, 1] or [N, K]."""
    if scales.ndim == 1:
        return scales[:, None]
    return scales.repeat_interleave(GROUP_INPUTS, 1)[:, :num_inputs]


def takes_quantized_rows(values: Tensor) -> bool:
    """True if products with weights [N, K] are W8A8; see `multiplies_fp8`."""
    return values.dtype is DTYPES["fp8"] and multiplies_fp8(values.device, values.shape[1])


def multiplies_fp8(device: torch.device, num_inputs: int) -> bool:
    """True if the chip's matrix units multiply e4m3 weights with e4m3 rows.

    Products are weight-only elsewhere, and if the number of inputs is no multiple of 16, which the
    copy engine needs.
    """
    on_units = uses_triton(device) and capability(device) >= FIRST_FP8_CAPABILITY
    return (on_units or _emulating) and num_inputs % ROW_BYTES_UNIT == 0


@contextlib.contextmanager
def emulated_w8a8() -> Iterator[None]:
    """Quantize activations on every device, to measure the loss of accuracy."""
    global _emulating
    previous, _emulating = _emulating, True
    try:
        yield
    finally:
        _emulating = previous


def widen(values: Tensor, dtype: torch.dtype) -> Tensor:
    """8-bit values as the same numbers in bfloat16 or float32."""
    if values.dtype is torch.int8 or values.device.type != "cpu":
        return values.to(dtype)
    # torch converts one at a time on a CPU. NaN, which no weight is, becomes 480.
    bits = values.view(torch.int8).to(torch.int16)
    bits <<= 4
    bits &= FP8_AS_BF16_BITS
    return bits.view(torch.bfloat16).mul_(FP8_AS_BF16_FACTOR).to(dtype)
