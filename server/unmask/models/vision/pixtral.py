"""Pixtral's vision tower with Mistral 3's projector (transformers 5.23), as Nemotron's VLM has it.

A row of the tower is a patch, with attention to all patches of its image. Squares of patches are
joined to the rows of a prompt, and between two lines of them is a token's embedding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask.image_cubic import LOWEST, STEPS, UPPER
from unmask.image_fits import Size
from unmask.models.layers import PatchRotation, squares
from unmask.models.vision.pixtral_config import PixtralConfig
from unmask.models.vision.vision_config import DEVIATION, LARGEST, MEAN, TURNED
from unmask_kernels.layers.ops import rms_norm

EPS = 1e-5  # of the tower's norms, which no configuration has


@dataclass(frozen=True, slots=True)
class PixtralLayer:
    """Attention to all of an image, then a gated MLP, each after a norm."""

    attention_norm: Tensor  # [C]
    qkv: Tensor  # [3 * C, C]
    out: Tensor  # [C, C]
    mlp_norm: Tensor  # [C]
    gate: Tensor  # [I, C]
    up: Tensor  # [I, C]
    down: Tensor  # [C, I]
    num_heads: int

    def __call__(self, x: Tensor, rotation: PatchRotation) -> Tensor:
        """Rows [T, C] after the layer."""
        x = x + self._attend(rms_norm(x, self.attention_norm, EPS), rotation)
        normed = rms_norm(x, self.mlp_norm, EPS)
        inner = F.silu(F.linear(normed, self.gate)) * F.linear(normed, self.up)
        return x + F.linear(inner, self.down)

    def _attend(self, x: Tensor, rotation: PatchRotation) -> Tensor:
        heads = F.linear(x, self.qkv).view(len(x), 3, self.num_heads, -1)
        query, key, value = heads.unbind(1)
        of_query, of_key, of_value = (
            part.transpose(0, 1)[None] for part in (rotation(query), rotation(key), value)
        )
        mixed = F.scaled_dot_product_attention(of_query, of_key, of_value)  # [1, H, T, D]
        return F.linear(mixed[0].transpose(0, 1).flatten(1), self.out)


@dataclass(frozen=True, slots=True)
class PixtralProjector:
    """Patches of a unit to a row of a prompt."""

    norm: Tensor  # [C]
    merge: Tensor  # [C, C * S * S], of the patches of a unit
    first: Tensor  # [H, C]
    second: Tensor  # [H, H]

    def __call__(self, x: Tensor, size: Size, config: PixtralConfig) -> Tensor:
        """Rows [N, H] of patches [T, C], of an image of as many units in height and width."""
        (rows, columns), side = size, config.unit_side
        normed = rms_norm(x, self.norm, config.projector_eps)
        units = squares(normed.view(rows * side, columns * side, -1), side)
        merged = F.linear(units, self.merge)
        return F.linear(F.gelu(F.linear(merged, self.first)), self.second)


@dataclass(frozen=True, slots=True)
class PixtralTower:
    """Weights of the tower and of the projector, and images to units."""

    config: PixtralConfig
    patches: Tensor  # [C, 3 * P * P], of the colours of a patch
    norm: Tensor  # [C], of embeddings
    layers: Sequence[PixtralLayer]
    projector: PixtralProjector

    def units(self, pixels: Tensor) -> Tensor:
        """Vectors [H / U, W / U, N] of the units of an image.

        `pixels` [2 * H, W, 3] are its halved levels in uint8, see `image_cubic`. Vectors are in the
        dtype of the weights.
        """
        unit = self.config.unit_size
        size = pixels.shape[0] // 2 // unit, pixels.shape[1] // unit
        x = rms_norm(self._embed(pixels), self.norm, EPS)
        rotation = self._rotation(*size)
        for layer in self.layers:
            x = layer(x, rotation)
        return self.projector(x, size, self.config).view(*size, -1)

    def _embed(self, pixels: Tensor) -> Tensor:
        """Embeddings [T, C] of patches."""
        upper, lower = pixels.float().chunk(2)
        levels = (upper * UPPER + lower) / STEPS + LOWEST
        mean, deviation = (levels.new_tensor(part) for part in (MEAN, DEVIATION))
        colours = (levels / LARGEST - mean) / deviation
        patches = squares(colours, self.config.patch_size).to(self.patches.dtype)
        return F.linear(patches, self.patches)

    def _rotation(self, rows: int, columns: int) -> PatchRotation:
        """Of a head's frequencies, every other one is for rows, and those between for columns."""
        config, device = self.config, self.patches.device
        count = 2 * config.hidden_size // config.num_heads // TURNED
        inverse = config.rope_theta ** -(torch.arange(count, device=device) / count)
        down, across = (torch.arange(n * config.unit_side, device=device) for n in (rows, columns))
        places = torch.stack(torch.meshgrid(down, across, indexing="ij"), -1).flatten(0, 1)
        of_places = places[..., None] * inverse.view(-1, 2).T  # [T, 2, D / 4]
        angles = of_places.flatten(1)[:, None]
        return PatchRotation(angles.cos(), angles.sin())


@dataclass(frozen=True, slots=True)
class PixtralLines:
    """Rows of a prompt: an image's units, and between two lines of them a token's embedding."""

    tower: PixtralTower
    line_end: Tensor  # [N]

    def __call__(self, pixels: Tensor, source: Size) -> Tensor:
        """Rows [R, N] of an image, line by line; nothing depends on the `source`'s size."""
        units = self.tower.units(pixels)
        ends = self.line_end.to(units.dtype).expand(len(units), 1, -1)
        return torch.cat((units, ends), 1).flatten(0, 1)[:-1]
