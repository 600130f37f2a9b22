"""Products with weights of 4 bits: weight-only, activations stay in their type (W4A16)."""

from dataclasses import dataclass, replace
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.dispatch import uses_triton
from unmask_kernels.layers.ops import Activation, activated
from unmask_kernels.quantization.four_bits import FourBitWeight, dequantize_four_bits, has_tiles


@dataclass(frozen=True, slots=True)
class FourBitProduct:
    """Implements `PackedWeight`; sums are of weights that are rounded to the type of the rows."""

    weight: FourBitWeight  # scales and zero points of a group lie side by side
    bias: Tensor | None = None  # [N]

    def product(self, x: Tensor) -> Tensor:
        """Implements `PackedWeight.product`."""
        if uses_triton(x.device):
            from unmask_kernels.linear.gpu import four_bits

            if self.weight.input_order is not None:
                x = x.index_select(1, self.weight.input_order)
            out = four_bits.four_bit_product(x, self.weight)
        else:
            out = F.linear(x, dequantize_four_bits(self.weight, x.dtype))
        return out if self.bias is None else out.add_(self.bias)

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        """Implements `PackedWeight.add`."""
        return residual.add_(self.product(x))

    def activate(self, x: Tensor, activation: Activation) -> Tensor:
        """Implements `PackedWeight.activate`."""
        return activated(self.product(x), activation)

    def gate(self, x: Tensor, up: Self, activation: Activation) -> Tensor:
        """Implements `PackedWeight.gate`."""
        return self.activate(x, activation) * up.product(x)


def pack(weight: FourBitWeight, bias: Tensor | None) -> FourBitProduct:
    """Prepare a weight and a bias [N] for products."""
    zeros = None if weight.zeros is None else _outputs_contiguous(weight.zeros)
    scales = _outputs_contiguous(weight.scales)
    return FourBitProduct(replace(weight, scales=scales, zeros=zeros), bias)


def holds_four_bits(device: torch.device, shape: tuple[int, int], num_groups: int) -> bool:
    """True if a kernel multiplies a weight [N, K] of 4 bits with so many groups of inputs."""
    return uses_triton(device) and has_tiles(shape[1], num_groups)


def _outputs_contiguous(values: Tensor) -> Tensor:
    return values.T.contiguous().T
