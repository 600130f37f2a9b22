"""Batch-invariant matrix products with fixed weights.

On a CPU the weight is packed once, for C kernels or for oneDNN, which fuse the activation, gate or
sum that follows: a product of few rows is as fast as its weight is read. int8 is W8A8 where the CPU
has instructions for it; other 8-bit weights are widened as they are used and multiplied by MKL,
which sums fewer than 16 rows in another order. On a GPU
that multiplies e4m3, products of e4m3 weights are W8A8. Weights of 4 bits are packed for a kernel
that unpacks them in registers (W4A16).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.dispatch import uses_triton
from unmask_kernels.layers.ops import (
    Activation,
    activated,
    gated,
    gated_quantized,
    rms_norm,
    rms_norm_quantized,
)
from unmask_kernels.linear import cpu as native
from unmask_kernels.linear import four_bits, int8, onednn
from unmask_kernels.linear.packed import PackedWeight
from unmask_kernels.linear.padding import pad_to_bucket
from unmask_kernels.linear.quantized import product, row_product
from unmask_kernels.quantization.four_bits import FourBitWeight, join_four_bits
from unmask_kernels.quantization.ops import join, quantize_rows, takes_quantized_rows
from unmask_kernels.quantization.types import QuantizedRows, QuantizedWeight

FEWEST_WIDENED_ROWS = 16


@dataclass(frozen=True, slots=True)
class Linear:
    """A weight [N, K], with or without a bias, ready to be multiplied with rows [M, K]."""

    weight: Tensor | None  # [N, K], of 8 bits if there are scales; None once it is packed
    bias: Tensor | None = None  # [N]
    scales: Tensor | None = None  # [N] float32
    packed: PackedWeight | None = None  # includes the bias

    @property
    def is_plain(self) -> bool:
        """True for an unpacked weight without scales and bias."""
        return self.weight is not None and self.scales is None and self.bias is None

    @property
    def is_invariant(self) -> bool:
        """True if a product of our own serves it, batch-invariant for any number of rows."""
        return self.takes_quantized_rows or self.packed is not None

    @property
    def takes_quantized_rows(self) -> bool:
        """True if it multiplies activations in e4m3; they may come quantized."""
        return (
            self.weight is not None
            and self.scales is not None
            and (self.takes_groups or takes_quantized_rows(self.weight))
        )

    @property
    def takes_groups(self) -> bool:
        """True if every 128 inputs have scales, of rows too."""
        return self.scales is not None and self.scales.ndim > 1

    def __call__(self, x: Tensor | QuantizedRows) -> Tensor:
        """Rows [M, N]."""
        if self.takes_quantized_rows or isinstance(x, QuantizedRows):
            return self._row_product(x, None)
        if self.packed is not None:
            return self.packed.product(x)
        assert self.weight is not None
        if self.scales is None:
            return F.linear(x, self.weight, self.bias)
        rows = pad_to_bucket(x, FEWEST_WIDENED_ROWS)
        part_inputs = onednn.cut(x.shape[1])
        out = product(rows, self.weight, self.scales, part_inputs)[: len(x)]
        return out if self.bias is None else out.add_(self.bias)

    def activate(self, x: Tensor, activation: Activation) -> Tensor:
        """Activated rows [M, N]; on a GPU a pass of its own."""
        if self.packed is not None:
            return self.packed.activate(x, activation)
        return activated(self(x), activation)

    def add(self, x: Tensor | QuantizedRows, residual: Tensor) -> Tensor:
        """Rows [M, N] added to `residual` [M, N], which may be overwritten."""
        if self.takes_quantized_rows or isinstance(x, QuantizedRows):
            return self._row_product(x, residual)
        if self.packed is not None:
            return self.packed.add(x, residual)
        if self.scales is not None:
            return residual.add_(self(x))
        assert self.weight is not None
        residual.addmm_(x, self.weight.T)
        return residual if self.bias is None else residual.add_(self.bias)

    def _row_product(self, x: Tensor | QuantizedRows, residual: Tensor | None) -> Tensor:
        assert self.weight is not None
        assert self.scales is not None
        rows = x
        if isinstance(rows, Tensor):
            rows = quantize_rows(rows, grouped=self.takes_groups)
        return row_product(rows, self.weight, self.scales, bias=self.bias, residual=residual)


@dataclass(frozen=True, slots=True)
class GatedLinear:
    """Gate and up weights [N, K]: the activated gate times up (Shazeer, 2020)."""

    gate: Linear
    up: Linear | None  # None if `gate` holds both, for one product
    activation: Activation = "silu"

    @property
    def is_invariant(self) -> bool:
        """True if products of our own serve it, batch-invariant for any number of rows."""
        return self.gate.is_invariant

    @property
    def takes_quantized_rows(self) -> bool:
        """True if it multiplies activations in e4m3; they may come quantized."""
        return self.gate.takes_quantized_rows

    @property
    def takes_groups(self) -> bool:
        """True if every 128 inputs have scales, of rows too."""
        return self.gate.takes_groups

    def quantized(self, x: Tensor | QuantizedRows, *, grouped: bool) -> QuantizedRows:
        """Rows [M, N], quantized for the next product."""
        if self.up is None:
            return gated_quantized(self.gate(x), self.activation, grouped=grouped)
        return quantize_rows(self(x), grouped=grouped)

    def __call__(self, x: Tensor | QuantizedRows) -> Tensor:
        """Rows [M, N]."""
        if self.up is None:
            return gated(self.gate(x), self.activation)
        gate, up = self.gate.packed, self.up.packed
        if gate is None or up is None:
            return activated(self.gate(x), self.activation) * self.up(x)
        assert isinstance(x, Tensor)
        return gate.gate(x, up, self.activation)


def rms_norm_for(
    product: Linear | GatedLinear, x: Tensor, weight: Tensor, eps: float
) -> Tensor | QuantizedRows:
    """`rms_norm` of rows [M, C], quantized if the next `product` takes e4m3."""
    if product.takes_quantized_rows:
        return rms_norm_quantized(x, weight, eps, grouped=product.takes_groups)
    return rms_norm(x, weight, eps)


def make_linear(
    weight: Tensor | QuantizedWeight | FourBitWeight,
    bias: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> Linear:
    """Prepare a weight [N, K] and a bias [N]; packed if it has 4 bits, or for a CPU's kernels.

    A CPU's products of int8 are for rows in one `dtype`, and weight-only if it is not told.
    """
    if isinstance(weight, FourBitWeight):
        return Linear(None, packed=four_bits.pack(weight, bias))
    if isinstance(weight, QuantizedWeight):
        if dtype is not None and int8.serves(weight, dtype):
            return Linear(None, packed=int8.pack(weight, bias, dtype))
        # Scales of a group lie side by side, as a kernel reads them.
        scales = weight.scales if weight.scales.ndim == 1 else weight.scales.T.contiguous().T
        return Linear(weight.values, bias, scales)
    if native.serves(weight):
        return Linear(None, packed=native.pack(weight, bias))
    if uses_onednn(weight):
        return Linear(None, packed=onednn.pack(weight, bias))
    return Linear(weight, bias)


def make_gated_linear(
    gate: Tensor | QuantizedWeight | FourBitWeight,
    up: Tensor | QuantizedWeight | FourBitWeight,
    activation: Activation = "silu",
    dtype: torch.dtype | None = None,
) -> GatedLinear:
    """Prepare gate and up weights [N, K] of one kind."""
    if isinstance(gate, FourBitWeight):
        assert isinstance(up, FourBitWeight)
        return GatedLinear(make_linear(join_four_bits((gate, up))), None, activation)
    if isinstance(gate, QuantizedWeight):
        assert isinstance(up, QuantizedWeight)
        if int8.serves(gate, dtype):
            packed = [make_linear(weight, None, dtype) for weight in (gate, up)]
            return GatedLinear(packed[0], packed[1], activation)
        return GatedLinear(make_linear(join((gate, up))), None, activation)
    assert isinstance(up, Tensor)
    if not uses_triton(gate.device):  # a joint copy gains nothing, and takes memory
        return GatedLinear(make_linear(gate), make_linear(up), activation)
    return GatedLinear(make_linear(torch.cat((gate, up))), None, activation)


def packs(weight: Tensor) -> bool:
    """True if `make_linear` packs a weight."""
    return native.serves(weight) or uses_onednn(weight)


def uses_onednn(weight: Tensor) -> bool:
    """True if oneDNN serves the device and the dtype of a weight."""
    on_cpu = weight.device.type == "cpu" and not uses_triton(weight.device)
    return on_cpu and onednn.serves(weight.dtype)
