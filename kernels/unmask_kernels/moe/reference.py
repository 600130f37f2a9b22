"""Grouping of rows by expert in plain torch."""

import torch
from torch import Tensor


def align_block_size(ids: Tensor, num_experts: int, tile: int) -> tuple[Tensor, Tensor]:
    """Pairs in the order of their experts, padded to whole tiles by expert; each tile's expert.

    Pairs [R * K] are those of `ids` [R, K]; their number marks padding, and expert -1 a tile of
    padding. Lengths follow the shapes alone, so that the host never waits for the device.
    """
    flat = ids.flatten()
    num_pairs = len(flat)
    num_tiles = -(-num_pairs // tile) + min(num_experts, num_pairs)
    counts = torch.zeros(num_experts, dtype=torch.int64, device=ids.device)
    counts.index_add_(0, flat, torch.ones_like(flat))
    tiles = (counts + tile - 1) // tile
    tile_ends = tiles.cumsum(0)
    order = flat.argsort(stable=True)
    expert = flat[order]
    rank = torch.arange(num_pairs, device=ids.device) - (counts.cumsum(0) - counts)[expert]
    place = (tile_ends - tiles)[expert] * tile + rank
    row_of = torch.full((num_tiles * tile,), num_pairs, dtype=torch.int32, device=ids.device)
    row_of[place] = order.int()
    index = torch.arange(num_tiles, device=ids.device)
    expert_of = torch.searchsorted(tile_ends, index, right=True).int()
    return row_of, torch.where(index < tile_ends[-1], expert_of, -1)
