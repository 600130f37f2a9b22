"""Layers in plain torch, of vision towers and of ModernBERT's norms."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.layers.ops import rms_norm


@dataclass(frozen=True, slots=True)
class BiasedLinear:
    """Linear layer with a bias."""

    weight: Tensor  # [N, K]
    bias: Tensor  # [N]

    def __call__(self, x: Tensor) -> Tensor:
        """Outputs [..., N] of rows `x` [..., K]."""
        return F.linear(x, self.weight, self.bias)


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """Norm by mean and deviation (Ba et al., 2016)."""

    weight: Tensor  # [C]
    bias: Tensor | None  # [C]
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        """Normed rows [..., C]."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


@dataclass(frozen=True, slots=True)
class RmsNorm:
    """Norm by the root of the mean square (Zhang and Sennrich, 2019)."""

    weight: Tensor  # [C]
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        """Normed rows [..., C]."""
        return rms_norm(x, self.weight, self.eps)


@dataclass(frozen=True, slots=True)
class Projector:
    """MLP from the tower to the text model."""

    first: BiasedLinear
    second: BiasedLinear

    def __call__(self, x: Tensor) -> Tensor:
        """Rows [..., C] of the text model."""
        return self.second(F.gelu(self.first(x)))


@dataclass(frozen=True, slots=True)
class PatchRotation:
    """Cosines and sines [T, 1, D / 2] of patches in float32: of rows, then of columns."""

    cos: Tensor
    sin: Tensor

    def __call__(self, heads: Tensor) -> Tensor:
        """Heads [T, H, D], turned in float32: each dimension with that half a head behind it."""
        first, second = heads.float().chunk(2, -1)
        turned = first * self.cos - second * self.sin, second * self.cos + first * self.sin
        return torch.cat(turned, -1).to(heads.dtype)


def squares(x: Tensor, side: int) -> Tensor:
    """Squares [..., N, C * S * S] of a map [..., H, W, C], from left to right and top to bottom.

    Each channel has all places of a square side by side, as kernels of convolutions have.
    """
    *batch, height, width, channels = x.shape
    parts = x.reshape(*batch, height // side, side, width // side, side, channels)
    return parts.movedim((-3, -1), (-4, -3)).flatten(-3).flatten(-3, -2)
