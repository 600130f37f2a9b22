"""What a weight that was repacked for a CPU does."""

from typing import Protocol, Self

from torch import Tensor

from unmask_kernels.layers.ops import Activation


class PackedWeight(Protocol):
    """A weight [N, K], with or without a bias, whose every row is the same in any company."""

    def product(self, x: Tensor) -> Tensor:
        """Rows [M, N] of rows [M, K]."""
        ...

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        """Rows [M, N] added to `residual`, which may be overwritten."""
        ...

    def gate(self, x: Tensor, up: Self, activation: Activation) -> Tensor:
        """Rows [M, N] through an activation, times those of another weight of this shape."""
        ...
