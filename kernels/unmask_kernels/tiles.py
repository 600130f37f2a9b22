"""How attention's work is cut for a GPU: tiles of queries and chunks of keys."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Put = Callable[[Sequence[npt.NDArray[np.generic]]], Sequence[Tensor]]  # arrays to a device


@dataclass(frozen=True, slots=True)
class TileConfig:
    """The shape of attention's programs, which decides the last bit and so never follows the load.

    A chunk is as many keys as one program reads; they begin at multiples of that number. Heads that
    are too wide for the registers are mixed some columns at a time.
    """

    rows: int = 128  # queries times query heads a key head
    keys: int = 64
    columns: int = 256
    chunk: int = 1024
    num_warps: int = 8
    num_stages: int = 3
    tma: bool = False


def tile_config(head_dim: int, dtype: torch.dtype, capability: int) -> TileConfig:
    """The configuration for a head size and dtype of queries on a chip, such as 90 for sm_90."""
    if dtype == torch.float32:
        return TileConfig(rows=32 if head_dim > 128 else 64, keys=32, num_warps=4, num_stages=1)
    if capability == 90 and head_dim <= 128:  # the fastest of those timed on an H100
        return TileConfig(rows=64, chunk=4096, num_warps=4, num_stages=2, tma=True)
    if capability >= 90:
        if head_dim <= 128:
            return TileConfig(rows=128, keys=64)
        if head_dim <= 256:
            return TileConfig(rows=64, keys=64, num_stages=2)
        return TileConfig(rows=128, keys=32, columns=128, num_stages=2)
    if head_dim <= 128:
        return TileConfig(rows=64, keys=32, num_warps=4)
    return TileConfig(rows=64 if head_dim <= 256 else 32, keys=32, num_stages=2)


@dataclass(frozen=True, slots=True)
class TilePlan:
    """Tiles, and items: a tile with one chunk of its keys. Made once a step, shared by all layers.

    Items and tiles without rows are room to spare. A tile of one chunk writes its result at once,
    the others their parts into slots that follow each other. Where `has_spare_rows`, queries may
    have no item; their result is zero.
    """

    config: TileConfig
    num_slots: int
    windowed: bool
    has_spare_rows: bool
    starts: Tensor  # [T] int32
    horizons: Tensor  # [T] int32
    pages: Tensor  # [P] int32, the pages of each sequence, one sequence after another
    item_query: Tensor  # [N] int32, its first query
    item_rows: Tensor  # [N] int32, how many queries
    item_page: Tensor  # [N] int32, where the pages of its sequence begin
    item_chunk: Tensor  # [N] int32
    item_slot: Tensor  # [N] int32, where its part goes; negative where there is but one
    tile_query: Tensor  # [M] int32, of the tiles of several chunks
    tile_rows: Tensor  # [M] int32
    tile_slot: Tensor  # [M] int32
    tile_parts: Tensor  # [M] int32


def make_tile_plan(
    query_starts: Sequence[int],
    starts: npt.NDArray[np.int64] | None,
    horizons: npt.NDArray[np.int64],
    pages: npt.NDArray[np.int64],
    page_starts: Sequence[int],
    *,
    group_size: int,
    config: TileConfig,
    put: Put,
) -> TilePlan:
    """Cut the queries of each sequence into tiles, and the keys that a tile sees into chunks.

    `put` brings all arrays to the device at once.
    """
    tile_queries = max(1, config.rows // group_size)
    sequence_starts = np.asarray(query_starts, np.int64)
    counts = np.diff(sequence_starts)
    num_tiles = -(-counts // tile_queries)
    owner = np.repeat(np.arange(len(counts)), num_tiles)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(num_tiles) - num_tiles, num_tiles)
    query = sequence_starts[owner] + within * tile_queries
    rows = np.minimum(sequence_starts[owner + 1] - query, tile_queries)
    begins = np.zeros_like(horizons) if starts is None else starts
    if len(query):
        last = np.maximum.reduceat(horizons, query)
        first_chunk = np.minimum.reduceat(begins, query) // config.chunk
    else:
        last = first_chunk = query
    parts = np.maximum(-(-last // config.chunk) - first_chunk, 1)

    tile = np.repeat(np.arange(len(parts)), parts)
    part = np.arange(len(tile)) - np.repeat(np.cumsum(parts) - parts, parts)
    several = parts > 1
    slots = np.where(several, parts, 0)
    first_slot = np.cumsum(slots) - slots
    # Long items first, so that the chip is not left waiting for the last of them.
    chunk = first_chunk[tile] + part
    length = np.minimum(last[tile], (chunk + 1) * config.chunk) - chunk * config.chunk
    order = np.argsort(-length, kind="stable")

    of_items = (
        query[tile],
        rows[tile],
        np.asarray(page_starts, np.int64)[owner][tile],
        chunk,
        np.where(several[tile], first_slot[tile] + part, -1),
    )
    of_tiles = (query, rows, first_slot, parts)
    arrays = [begins, horizons, pages]
    arrays += [values[order] for values in of_items]
    arrays += [values[several] for values in of_tiles]
    tensors = put([values.astype(np.int32) for values in arrays])
    return TilePlan(config, int(slots.sum()), bool(begins.any()), False, *tensors)
