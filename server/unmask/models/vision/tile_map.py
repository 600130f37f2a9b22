"""Patches of tiles as one map: without padding, shrunk if it is large, with ends of lines."""

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask.image_fits import TileMap


def pack(tiles: Tensor, side: int, tile_map: TileMap, newline: Tensor) -> Tensor:
    """Rows [N, C] of a prompt for tiles [B, T, C] of `side` patches, line after line.

    Each line of the map ends with `newline` [C]. A map is shrunk bilinearly, as LLaVA-OneVision's
    `pack_image_features` does it (transformers 5.23).
    """
    down, across = tile_map.tiles
    parts = tiles.view(down, across, side, side, -1).permute(4, 0, 2, 1, 3)
    whole = parts.flatten(1, 2).flatten(2, 3)  # [C, rows, columns]
    (above, left), (_, rows, columns) = tile_map.cut, whole.shape
    kept = whole[:, above : rows - above, left : columns - left]
    if tile_map.shrunk is not None:
        kept = F.interpolate(kept[None], tile_map.shrunk, mode="bilinear")[0]
    lines = kept.permute(1, 2, 0)
    ends = newline.expand(len(lines), 1, -1)
    return torch.cat((lines, ends), 1).flatten(0, 1)
