"""SigLIP's vision tower, and LLaVA-OneVision's projector to a text model (transformers 5.23).

A row of the tower is a patch. It has full attention to all patches of its tile. Tiles of an image
are computed in batches of one size, so results depend on the image alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask.image_fits import Size, Tiles
from unmask.models.layers import BiasedLinear, LayerNorm, Projector, squares
from unmask.models.vision.siglip_config import SiglipConfig
from unmask.models.vision.tile_map import pack
from unmask.models.vision.vision_config import LARGEST, MIDDLE, NUM_COLOURS

TILES_AT_ONCE = 8  # of the published size they take 100 MiB


@dataclass(frozen=True, slots=True)
class SiglipLayer:
    """Attention within tiles, then an MLP with GELU, each after a norm."""

    attention_norm: LayerNorm
    qkv: BiasedLinear
    out: BiasedLinear
    mlp_norm: LayerNorm
    up: BiasedLinear
    down: BiasedLinear
    num_heads: int
    gelu: Literal["tanh", "none"] = "tanh"  # approximation

    def __call__(self, x: Tensor) -> Tensor:
        """Rows [B, T, C] of tiles after the layer."""
        x = x + self._attend(self.attention_norm(x))
        inner = F.gelu(self.up(self.mlp_norm(x)), approximate=self.gelu)
        return x + self.down(inner)

    def _attend(self, x: Tensor) -> Tensor:
        heads = self.qkv(x).view(*x.shape[:2], 3, self.num_heads, -1)  # [B, T, 3, H, D]
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.out(mixed.transpose(1, 2).flatten(2))


@dataclass(frozen=True, slots=True)
class SiglipTower:
    """Weights of the tower and of the projector, and images to rows of a prompt."""

    config: SiglipConfig
    tiles: Tiles
    patches: BiasedLinear  # of the colours of a patch, [C, 3 * P * P]
    positions: Tensor  # [T, C], embeddings of the patches of a tile
    layers: Sequence[SiglipLayer]
    projector: Projector
    newline: Tensor  # [C] of the text model, at the end of each line of a map

    def __call__(self, pixels: Tensor, source: Size) -> Tensor:
        """Rows [N, C] of an image of the size `source`, whose tiles are `pixels` [B * S, S, 3].

        First are the patches of the small copy, then those of the other tiles as one map without
        padding. Behind an only tile is the end of a line. They are in the dtype of the weights.
        """
        size = self.config.image_size
        tiles = pixels.view(-1, size, size, NUM_COLOURS)
        rows = torch.cat([self._encode(some) for some in torch.split(tiles, TILES_AT_ONCE)])
        if len(tiles) == 1:
            return torch.cat((rows[0], self.newline[None]))
        packed = pack(rows[1:], self.tiles.side, self.tiles.map_of(*source), self.newline)
        return torch.cat((rows[0], packed))

    def _encode(self, tiles: Tensor) -> Tensor:
        """Rows [B, T, C] of the text model, of tiles [B, S, S, 3]."""
        x = self._embed(tiles)
        for layer in self.layers:
            x = layer(x)
        return self.projector(x)

    def _embed(self, tiles: Tensor) -> Tensor:
        """Embeddings [B, T, C] of patches."""
        side, size = self.config.side, self.config.patch_size
        colours = (tiles[:, : side * size, : side * size].float() / LARGEST - MIDDLE) / MIDDLE
        patches = squares(colours, size).to(self.positions.dtype)
        return self.patches(patches) + self.positions
