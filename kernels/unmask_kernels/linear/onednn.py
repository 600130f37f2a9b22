"""oneDNN products with fused activations, gates and sums, made batch-invariant.

oneDNN may sum a bfloat16 product with more than 256 inputs in several parts, and treat a single row
as a vector. So weights are cut into parts of 256 inputs that are always summed in order, and rows
are padded; see `unmask_kernels.linear.padding`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from unmask_kernels.layers.ops import Activation, activated
from unmask_kernels.linear.padding import FEWEST_ROWS, pad_to_bucket

MAX_BF16_INPUTS = 256
MAX_PARTS = 16
ATTRIBUTES: dict[Activation, tuple[str, str]] = {
    "silu": ("swish", ""),
    "gelu_tanh": ("gelu", "tanh"),
}


@dataclass(frozen=True, slots=True)
class OneDnnWeight:
    """A weight [N, K] in oneDNN's layout; see `unmask_kernels.linear.packed.PackedWeight`."""

    parts: tuple[Tensor, ...]  # opaque, of consecutive inputs
    part_inputs: int
    bias: Tensor | None  # [N]

    def product(self, x: Tensor) -> Tensor:
        """Rows [M, N]."""
        return self._sum(x, None)

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        """Rows [M, N] added to `residual`, which may be overwritten."""
        return self._sum(x, residual)

    def activate(self, x: Tensor, activation: Activation) -> Tensor:
        """Activated rows [M, N]."""
        if len(self.parts) > 1:
            return activated(self.product(x), activation)
        return _product(_padded(x), self.parts[0], self.bias, *ATTRIBUTES[activation])[: len(x)]

    def gate(self, x: Tensor, up: "OneDnnWeight", activation: Activation) -> Tensor:
        """Activation of rows [M, N], times the rows of `up`, a weight of this shape."""
        if len(self.parts) > 1:
            return activated(self.product(x), activation) * up.product(x)
        rows = _padded(x)
        gates = _product(rows, self.parts[0], self.bias, *ATTRIBUTES[activation])
        return _binary(rows, up.parts[0], up.bias, gates, "mul")[: len(x)]

    def _sum(self, x: Tensor, total: Tensor | None) -> Tensor:
        rows = len(x)
        x, total = _padded(x), None if total is None else _padded(total)
        bias = self.bias
        for part, columns in zip(self.parts, torch.split(x, self.part_inputs, 1), strict=True):
            if total is None:
                total = _product(columns, part, bias, "none", "")
            else:
                total = _binary(columns, part, bias, total, "add")
            bias = None
        assert total is not None
        return total[:rows]


def _padded(x: Tensor) -> Tensor:
    return pad_to_bucket(x, FEWEST_ROWS)


def _product(
    x: Tensor, part: Tensor, bias: Tensor | None, activation: str, algorithm: str
) -> Tensor:
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, part, bias, activation, [], algorithm)
    return out


def _binary(x: Tensor, part: Tensor, bias: Tensor | None, other: Tensor, operation: str) -> Tensor:
    out: Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, other, part, bias, operation)
    return out


def pack(weight: Tensor, bias: Tensor | None) -> OneDnnWeight:
    """Pack a weight [N, K] and a bias [N].

    Parts are copied to one buffer first: with a copy for each, glibc would keep a hole between
    parts too small for an aligned allocation of that size, and loading would hold the weights
    twice.
    """
    num_inputs = weight.shape[1]
    part_inputs = cut(num_inputs) if weight.dtype is torch.bfloat16 else num_inputs
    parts: list[Tensor] = []
    buffer = weight.new_empty(len(weight) * part_inputs)
    for part in torch.split(weight, part_inputs, 1):
        copied = buffer[: part.numel()].view(part.shape).copy_(part)
        parts.append(torch.ops.mkldnn._reorder_linear_weight(copied, None))
    return OneDnnWeight(tuple(parts), part_inputs, bias)


def cut(num_inputs: int) -> int:
    """Inputs of a part, summed at a time."""
    return max(MAX_BF16_INPUTS, -(-num_inputs // MAX_PARTS))


def serves(dtype: torch.dtype) -> bool:
    """True if oneDNN multiplies this dtype on this machine."""
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    if dtype is torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype is torch.float32
