"""What a weight that was repacked for a CPU does."""

from typing import Protocol

from torch import Tensor

from unmask_kernels.layers import Activation


class PackedWeight(Protocol):
    """A weight [N, K], with or without a bias, whose every row is the same in any company."""

    def product(self, x: Tensor) -> Tensor:
        """Rows [M, N] of rows [M, K]."""
        ...

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        """Rows [M, N] added to `residual`, which may be overwritten."""
        ...

    def multiply(self, x: Tensor, other: Tensor) -> Tensor:
        """Rows [M, N] multiplied by `other`, which may be overwritten."""
        ...

    def activate(self, x: Tensor, activation: Activation) -> Tensor:
        """Rows [M, N] through an activation."""
        ...
