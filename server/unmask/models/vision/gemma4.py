"""Gemma 4's vision tower, and the projection to DiffusionGemma's embeddings (transformers 5.23).

A row of the tower is a patch. It has full attention to all patches of its image, so results depend
on this image alone. Square cells of patches are averaged to the rows of a prompt.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask.image_fits import Size
from unmask.models.vision.gemma4_config import HALVES, NUM_AXES, Gemma4VisionConfig
from unmask.models.vision.vision_config import LARGEST, NUM_COLOURS


@dataclass(frozen=True, slots=True)
class ClippedLinear:
    """Linear layer whose inputs and outputs may have bounds."""

    weight: Tensor  # [N, K]
    bounds: Tensor | None  # [4], least and largest input, then output

    def __call__(self, x: Tensor) -> Tensor:
        """Outputs [T, N] of rows `x` [T, K]."""
        if self.bounds is None:
            return F.linear(x, self.weight)
        least, largest, least_output, largest_output = self.bounds.unbind()
        outputs = F.linear(x.clamp(least, largest), self.weight)
        return outputs.clamp(least_output, largest_output)


@dataclass(frozen=True, slots=True)
class Rotation:
    """Cosines and sines [T, 1, 2, D / 4] of patches: of columns, then of rows."""

    cos: Tensor
    sin: Tensor

    def __call__(self, heads: Tensor) -> Tensor:
        """Heads [T, H, D], turned by their column in the first half, their row in the second."""
        first, second = heads.view(*heads.shape[:2], NUM_AXES, HALVES, -1).unbind(-2)
        turned = (
            first * self.cos - second * self.sin,
            second * self.cos + first * self.sin,
        )
        return torch.stack(turned, dim=-2).flatten(-3)


@dataclass(frozen=True, slots=True)
class TowerAttention:
    """Attention of all patches to all patches; scores are not scaled."""

    query: ClippedLinear
    key: ClippedLinear
    value: ClippedLinear
    out: ClippedLinear
    query_norm: Tensor  # [D]
    key_norm: Tensor  # [D]
    eps: float

    def __call__(self, x: Tensor, rotation: Rotation) -> Tensor:
        """Outputs [T, C] of rows `x` [T, C]."""
        size, eps = len(self.query_norm), self.eps
        query, key, value = (
            product(x).view(len(x), -1, size) for product in (self.query, self.key, self.value)
        )
        query = rotation(_norm(query, self.query_norm, eps))
        key = rotation(_norm(key, self.key_norm, eps))
        mixed = F.scaled_dot_product_attention(
            query.transpose(0, 1)[None],  # [1, H, T, D]
            key.transpose(0, 1)[None],
            _norm(value, None, eps).transpose(0, 1)[None],
            scale=1.0,
            enable_gqa=query.shape[1] != key.shape[1],
        )
        return self.out(mixed[0].transpose(0, 1).flatten(1))


@dataclass(frozen=True, slots=True)
class TowerMlp:
    """Gated MLP with the tanh form of GELU."""

    gate: ClippedLinear
    up: ClippedLinear
    down: ClippedLinear

    def __call__(self, x: Tensor) -> Tensor:
        """Outputs [T, C] of rows `x` [T, C]."""
        return self.down(F.gelu(self.gate(x), approximate="tanh") * self.up(x))


@dataclass(frozen=True, slots=True)
class TowerLayer:
    """Attention and MLP, each with a norm before and after it."""

    attention: TowerAttention
    mlp: TowerMlp
    norms: Tensor  # [4, C], before and after attention, before and after the MLP
    eps: float

    def __call__(self, x: Tensor, rotation: Rotation) -> Tensor:
        """Rows [T, C] after the layer."""
        before_attention, after_attention, before_mlp, after_mlp = self.norms.unbind()
        mixed = self.attention(_norm(x, before_attention, self.eps), rotation)
        x = x + _norm(mixed, after_attention, self.eps)
        mixed = self.mlp(_norm(x, before_mlp, self.eps))
        return x + _norm(mixed, after_mlp, self.eps)


@dataclass(frozen=True, slots=True)
class Standardization:
    """Bias and scale [C] of pooled rows."""

    bias: Tensor
    scale: Tensor


@dataclass(frozen=True, slots=True)
class Gemma4Tower:
    """Weights of the tower, and images to rows of a prompt."""

    config: Gemma4VisionConfig
    patches: Tensor  # [C, 3 * P * P], projection of the colours of a patch
    positions: Tensor  # [2, num_positions, C], embeddings of columns, then of rows
    layers: Sequence[TowerLayer]
    standardization: Standardization | None
    projection: Tensor  # [hidden size of the text model, C]

    def __call__(self, pixels: Tensor, source: Size) -> Tensor:
        """Rows [N, C] of an image [H, W, 3] of whole cells, in uint8; C is the text model's.

        A row is a cell, from left to right and from top to bottom. It is in the dtype of the
        weights, and takes the place of a scaled embedding. Nothing depends on the `source`'s size.
        """
        height, width, _ = pixels.shape
        assert height % self.config.cell == width % self.config.cell == 0, "no whole cells"
        num_rows, num_columns = (size // self.config.patch_size for size in (height, width))
        x = self._embed(pixels, num_rows, num_columns)
        rotation = self._rotation(num_rows, num_columns)
        for layer in self.layers:
            x = layer(x, rotation)
        pooled = self._pool(x, num_rows, num_columns)
        return F.linear(_norm(pooled, None, self.config.rms_norm_eps), self.projection)

    def _embed(self, pixels: Tensor, num_rows: int, num_columns: int) -> Tensor:
        """Embeddings [T, C] of patches; the colours of a pixel are side by side."""
        size = self.config.patch_size
        colours = 2 * (pixels.float() / LARGEST - 0.5)
        patches = colours.view(num_rows, size, num_columns, size, NUM_COLOURS)
        patches = patches.transpose(1, 2).reshape(num_rows * num_columns, -1)
        embedded = F.linear(patches.to(self.patches.dtype), self.patches)
        of_columns, of_rows = self.positions[0, :num_columns], self.positions[1, :num_rows]
        return embedded + (of_columns[None] + of_rows[:, None]).flatten(0, 1)

    def _rotation(self, num_rows: int, num_columns: int) -> Rotation:
        device, size = self.patches.device, self.config.head_dim // NUM_AXES
        exponents = torch.arange(0, size, HALVES, dtype=torch.float32, device=device) / size
        inverse = 1.0 / self.config.rope_theta**exponents
        columns, rows = (torch.arange(n, device=device) for n in (num_columns, num_rows))
        places = torch.stack((columns.repeat(num_rows), rows.repeat_interleave(num_columns)), 1)
        angles = (places[..., None] * inverse)[:, None]
        return Rotation(angles.cos().to(self.patches.dtype), angles.sin().to(self.patches.dtype))

    def _pool(self, x: Tensor, num_rows: int, num_columns: int) -> Tensor:
        """Means [N, C] of the patches of each cell, scaled in float32."""
        side = self.config.pooling
        cells = x.view(num_rows // side, side, num_columns // side, side, -1)
        # The reference rounds means, and nothing of what follows before its end.
        pooled = cells.float().mean((1, 3)).flatten(0, 1).to(x.dtype).float()
        pooled *= math.sqrt(self.config.hidden_size)
        if (standard := self.standardization) is not None:
            pooled = (pooled - standard.bias.float()) * standard.scale.float()
        return pooled.to(x.dtype)


def _norm(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    """RMS norm over the last dimension, in float32."""
    wide = None if weight is None else weight.float()
    return F.rms_norm(x.float(), x.shape[-1:], wide, eps).to(x.dtype)
