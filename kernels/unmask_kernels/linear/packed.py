"""Protocol of weights that are packed for products of their own."""

from typing import Protocol, Self

from torch import Tensor

from unmask_kernels.layers.ops import Activation


class PackedWeight(Protocol):
    """A packed weight [N, K], with or without a bias; its products are batch-invariant."""

    def product(self, x: Tensor) -> Tensor:
        """Rows [M, N] of rows [M, K]."""
        ...

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        """Rows [M, N] added to `residual`, which may be overwritten."""
        ...

    def activate(self, x: Tensor, activation: Activation) -> Tensor:
        """Activated rows [M, N]."""
        ...

    def gate(self, x: Tensor, up: Self, activation: Activation) -> Tensor:
        """Activation of rows [M, N], times the rows of `up`, a weight of this shape."""
        ...
