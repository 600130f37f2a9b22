"""How attention's work is cut for a GPU: tiles of queries and chunks of keys."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Int32s = npt.NDArray[np.int32]


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

    Items without rows are room to spare. A tile of one chunk writes its result at once, the others
    their parts into slots that follow each other.
    """

    config: TileConfig
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
    num_slots: int
    windowed: bool


def make_tile_plan(
    query_starts: Sequence[int],
    starts: npt.NDArray[np.int64] | None,
    horizons: npt.NDArray[np.int64],
    pages: npt.NDArray[np.int64],
    page_starts: Sequence[int],
    *,
    group_size: int,
    config: TileConfig,
    device: torch.device,
) -> TilePlan:
    """Cut the queries of each sequence into tiles, and the keys that a tile sees into chunks."""
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

    def put(values: npt.NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(values.astype(np.int32)).to(device, non_blocking=True)

    def put_items(values: npt.NDArray[np.int64]) -> Tensor:
        return put(values[order])

    return TilePlan(
        config=config,
        starts=put(begins),
        horizons=put(horizons),
        pages=put(pages),
        item_query=put_items(query[tile]),
        item_rows=put_items(rows[tile]),
        item_page=put_items(np.asarray(page_starts, np.int64)[owner][tile]),
        item_chunk=put_items(chunk),
        item_slot=put_items(np.where(several[tile], first_slot[tile] + part, -1)),
        tile_query=put(query[several]),
        tile_rows=put(rows[several]),
        tile_slot=put(first_slot[several]),
        tile_parts=put(parts[several]),
        num_slots=int(slots.sum()),
        windowed=bool(begins.any()),
    )
