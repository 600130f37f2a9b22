"""Weights of linear layers as they are held: joined along their outputs, in one format."""

from collections.abc import Sequence

import torch
from torch import Tensor

from unmask_kernels.native.memory import reserve
from unmask_kernels.quantization.four_bits import (
    FourBitWeight,
    dequantize_four_bits,
    join_four_bits,
)
from unmask_kernels.quantization.ops import dequantize, join
from unmask_kernels.quantization.types import QuantizedWeight

Matrix = Tensor | QuantizedWeight
Weight = Matrix | FourBitWeight


def concatenated(parts: Sequence[Weight], dtype: torch.dtype) -> Weight:
    """Weights joined along their outputs; dequantized to `dtype` if their formats differ."""
    weights = to_one_format(parts, dtype)
    if len(weights) == 1:
        return weights[0]
    if packed := [weight for weight in weights if isinstance(weight, FourBitWeight)]:
        return join_four_bits(packed)
    if quantized := [weight for weight in weights if isinstance(weight, QuantizedWeight)]:
        return join(quantized)
    tensors = [weight for weight in weights if isinstance(weight, Tensor)]
    shape = sum(len(tensor) for tensor in tensors), *tensors[0].shape[1:]
    return torch.cat(tensors, out=reserve(shape, tensors[0].dtype, tensors[0].device))


def to_one_format(parts: Sequence[Weight], dtype: torch.dtype) -> Sequence[Weight]:
    """The weights unchanged if they share a format, else all dequantized to `dtype`.

    Those of 4 bits must have one order of inputs (act-order) too.
    """
    formats = {(held_format(part), _num_groups(part)) for part in parts}
    packed = [part for part in parts if isinstance(part, FourBitWeight)]
    is_one = len(formats) == 1 and all(part.shares_rows(packed[0]) for part in packed)
    return parts if is_one else [_widened(part, dtype) for part in parts]


def held_format(held: Weight) -> str:
    """Format that a weight is held in, for people."""
    if isinstance(held, FourBitWeight):
        return held.codes
    return dtype_name(held.dtype if isinstance(held, Tensor) else held.values.dtype)


def dtype_name(dtype: torch.dtype) -> str:
    """A dtype's name in `torch`, such as bfloat16."""
    return str(dtype).removeprefix("torch.")


def _num_groups(held: Weight) -> int:
    """Scales of an output; 0 if there are none."""
    if isinstance(held, Tensor):
        return 0
    return held.scales.shape[1] if held.scales.ndim > 1 else 1


def _widened(held: Weight, dtype: torch.dtype) -> Tensor:
    if isinstance(held, FourBitWeight):
        return dequantize_four_bits(held, dtype)
    return held if isinstance(held, Tensor) else dequantize(held, dtype)
