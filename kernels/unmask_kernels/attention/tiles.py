"""Attention plans for a GPU: tiles of queries, and chunks of keys, whole or in grains."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unmask_kernels.native.layout import Tiles, layout_library, pointer

ToDevice = Callable[[Sequence[npt.NDArray[np.generic]]], Sequence[Tensor]]

HOPPER = 90
CONSUMER = 120  # Blackwell with the matrix instructions and 99 KiB of shared memory of sm_89
ITEM_FIELDS, TILE_FIELDS = 8, 4  # int32 fields of an item and of a merged tile
# A chunk that would end later than so many times the mean is split into grains. On an H100 fewer
# programs are faster, so 8 requests of 1,024 keys, 2.1 times, are best left whole: 30 us against
# 35. One request takes 19 in grains and 22 whole.
LATE = 2.5
PARTS_A_LANE = 8
MAX_PART_BYTES = 64 * 2**20  # of the results of split grains, merged from memory
# Of the results of chunks, of the tiles that run together; as much as a canvas's graph may have.
MAX_CHUNK_BYTES = 2**30


@dataclass(frozen=True, slots=True)
class TileConfig:
    """Tile sizes of attention.

    `grain` and `chunk` decide the last bit, and so never follow the load: grains of keys begin at
    multiples of `grain`, are merged in order into chunks, which begin at multiples of `chunk`, and
    chunks are merged in order. Heads too wide for the registers take `columns` of values at a time.
    `programs` run at once on the chip.
    """

    rows: int = 128  # queries times query heads a KV head
    keys: int = 64
    columns: int = 256
    chunk: int = 1024
    grain: int = 1024
    num_warps: int = 8
    num_stages: int = 3  # page numbers take every second one
    tma: bool = False
    programs: int = 132
    fp8_scores: bool = True  # 8-bit keys are multiplied unwidened
    fp8_tma: bool = True

    def __post_init__(self) -> None:
        assert self.chunk % self.grain == self.grain % self.keys == 0, "units hold whole units"


def tile_config(head_dim: int, dtype: torch.dtype, capability: int) -> TileConfig:
    """The configuration for a head size and dtype of queries on a chip, such as 90 for sm_90."""
    if dtype == torch.float32:
        rows = 32 if head_dim > 128 else 64
        return TileConfig(rows=rows, keys=32, num_warps=4, num_stages=1)
    if capability < HOPPER or (capability >= CONSUMER and head_dim > 128):
        if head_dim <= 128:
            return TileConfig(rows=64, keys=32, grain=512, num_warps=4, programs=216)
        rows = 64 if head_dim <= 256 else 32
        return TileConfig(rows=rows, keys=32, grain=512, num_stages=2, programs=108)
    if head_dim > 256:  # 8-bit keys are widened: there are no registers for more
        if capability == HOPPER:
            return TileConfig(rows=128, keys=32, num_stages=3, fp8_scores=False)
        return TileConfig(rows=128, keys=32, columns=128, num_stages=1, fp8_scores=False)
    if capability == HOPPER:
        if head_dim <= 128:  # 128 rows are 15% faster at 8,192 keys, and slower at 1,024
            two = TileConfig(rows=64, chunk=4096, grain=512, num_warps=4, programs=264)
            return replace(two, num_stages=5, tma=True)
        # Halves of 1,024 keys: one canvas of 256 queries would leave half of the chip idle.
        return TileConfig(rows=128, keys=32, chunk=512, grain=512, num_stages=5, tma=True)
    if head_dim < 64:
        return TileConfig(rows=64, num_warps=4)
    if head_dim <= 128:
        return TileConfig(rows=128)
    return TileConfig(rows=64, num_stages=2)


def num_lanes(config: TileConfig, num_kv_heads: int, head_dim: int) -> int:
    """Items that run at once: programs over all KV heads and columns."""
    return max(1, config.programs // (num_kv_heads * max(1, head_dim // config.columns)))


def most_parts(config: TileConfig, num_kv_heads: int, head_dim: int) -> int:
    """Most grains that a plan may split off, to be merged from memory."""
    if config.grain == config.chunk:
        return 0
    part_bytes = 4 * num_kv_heads * config.rows * head_dim
    lanes = num_lanes(config, num_kv_heads, head_dim)
    return min(PARTS_A_LANE * lanes, MAX_PART_BYTES // part_bytes)


@dataclass(frozen=True, slots=True)
class TilePlan:
    """Items, each a tile of queries with a chunk of its keys or one grain of that.

    Made once a step, shared by all layers. A tile of one item writes its result at once; tiles of
    several write partial results into consecutive slots, to be merged. The split does not change a
    bit. Lists may be longer than their `counts`. Tiles whose results would be too many are a plan
    of their own, the `rest`, which runs after the others.
    """

    config: TileConfig
    tile_queries: int  # of a full tile
    num_slots: int
    starts: Tensor  # [T] int32
    horizons: Tensor  # [T] int32
    pages: Tensor  # [P] int32, the pages of each sequence, one sequence after another
    # [8 N] int32: first query, number of queries, index of the first page, first key, end of keys,
    # first key and end of keys that all queries see, slot or -1
    items: Tensor
    counts: Tensor  # [2] int32, of items and of merged tiles
    tiles: Tensor  # [4 M] int32: first query, number of queries, first slot, number of slots
    closes: Tensor  # [S] int32, 1 for the last slot of a chunk
    rest: "TilePlan | None" = field(default=None, kw_only=True)

    def parts(self) -> "Iterator[TilePlan]":
        """This plan and those that run after it."""
        part: TilePlan | None = self
        while part is not None:
            yield part
            part = part.rest


def make_tile_plan(
    query_starts: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64] | None,
    horizons: npt.NDArray[np.int64],
    pages: npt.NDArray[np.int64],
    page_starts: npt.NDArray[np.int64],
    *,
    group_size: int,
    num_kv_heads: int,
    head_dim: int,
    config: TileConfig,
    to_device: ToDevice,
    uses_c: bool = True,
) -> TilePlan:
    """Cut the queries of each sequence into tiles, and the keys that a tile sees into items.

    `to_device` copies all arrays to the device at once. `uses_c` is False to have NumPy make the
    items in any case.
    """
    tile_queries = config.rows // group_size
    if not tile_queries:
        raise ValueError(
            f"attention's tiles have {config.rows} rows: {group_size} query heads of one KV head "
            "do not fit"
        )
    sequence_starts = np.asarray(query_starts, np.int64)
    limit = most_parts(config, num_kv_heads, head_dim)
    lanes = num_lanes(config, num_kv_heads, head_dim)
    begins = np.zeros(len(horizons), np.int32) if starts is None else starts
    sizes = tile_queries, config.chunk, config.grain, config.keys, lanes, limit, LATE
    whole = None
    if uses_c:
        whole = _whole_items(sequence_starts, starts, horizons, page_starts, Tiles(*sizes))
    if whole is not None:
        none, counts = np.empty(0, np.int32), np.array([len(whole), 0])
        parts = (begins, horizons, pages, whole, counts, none, none)
        return TilePlan(config, tile_queries, 0, *to_device([_flat(part) for part in parts]))
    num_tiles = -(-np.diff(sequence_starts) // tile_queries)
    owner = np.repeat(np.arange(len(num_tiles)), num_tiles)
    query = sequence_starts[owner] + _within(num_tiles) * tile_queries
    rows = np.minimum(sequence_starts[owner + 1] - query, tile_queries)
    first_pages = np.asarray(page_starts, np.int64)[owner]
    every = _QueryTiles(query, rows, first_pages, _reach(query, starts, horizons))
    most_chunks = max(1, MAX_CHUNK_BYTES // (4 * num_kv_heads * config.rows * head_dim))
    runs = [_run_arrays(own, config, lanes, limit) for own in every.runs(config.chunk, most_chunks)]
    shared, of_runs = (begins, horizons, pages), [array for run in runs for array in run]
    tensors = iter(to_device([_flat(values) for values in (*shared, *of_runs)]))
    common = [next(tensors) for _ in shared]
    plan: TilePlan | None = None
    groups = [[next(tensors) for _ in run] for run in runs]
    for run, own in zip(reversed(runs), reversed(groups), strict=True):
        plan = TilePlan(config, tile_queries, len(run[-1]), *common, *own, rest=plan)
    assert plan is not None, "there is a run, if only of no tiles"
    return plan


@dataclass(frozen=True, slots=True)
class _QueryTiles:
    """Tiles of queries: the first one, how many, their first page, and the keys that they see."""

    query: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    first_pages: npt.NDArray[np.int64]
    reach: "_Reach"

    def num_chunks(self, chunk: int) -> npt.NDArray[np.int64]:
        """Chunks of keys that each tile sees."""
        found: npt.NDArray[np.int64] = -(-self.reach.last // chunk) - self.reach.first // chunk
        return found.clip(1)

    def runs(self, chunk: int, most: int) -> list["_QueryTiles"]:
        """Tiles in turn, of each run at most so many chunks to be merged, the last tile's apart."""
        num_chunks = self.num_chunks(chunk)
        merged = np.where(num_chunks > 1, num_chunks, 0)
        total = int(merged.sum())
        if total <= most:
            return [self]
        run = (np.cumsum(merged) - merged) // most
        return [self.select(np.flatnonzero(run == number)) for number in np.unique(run)]

    def select(self, tiles: npt.NDArray[np.int64]) -> "_QueryTiles":
        """Some tiles, by their indices."""
        reach = self.reach.select(tiles)
        return _QueryTiles(self.query[tiles], self.rows[tiles], self.first_pages[tiles], reach)


def _run_arrays(
    own: _QueryTiles, config: TileConfig, lanes: int, limit: int
) -> tuple[npt.NDArray[np.generic], ...]:
    """Items, counts, merged tiles and closing slots of tiles that run together."""
    query, rows, first_pages, reach = own.query, own.rows, own.first_pages, own.reach

    # A chunk of a tile's keys.
    first_chunk, num_chunks = reach.first // config.chunk, own.num_chunks(config.chunk)
    tile = np.repeat(np.arange(len(query)), num_chunks)
    chunk = first_chunk[tile] + _within(num_chunks)
    low = np.maximum(reach.first[tile] // config.keys * config.keys, chunk * config.chunk)
    high = np.minimum(reach.last[tile], (chunk + 1) * config.chunk)
    first_grain = low // config.grain
    grains = np.maximum(-(-high // config.grain) - first_grain, 1)
    is_split = _split(high - low, grains, lanes, limit)

    # An item: a chunk, or a grain of one that is split.
    num_items = np.where(is_split, grains, 1)
    has_slots = is_split | (num_chunks > 1)[tile]
    num_slots = np.where(has_slots, num_items, 0)
    first_slot = np.cumsum(num_slots) - num_slots
    piece = np.repeat(np.arange(len(tile)), num_items)
    within, split = _within(num_items), is_split[piece]
    grain_low = (first_grain[piece] + within) * config.grain
    item_low = np.where(split, np.maximum(low[piece], grain_low), low[piece])
    item_high = np.where(split, np.minimum(high[piece], grain_low + config.grain), high[piece])
    owned = tile[piece]
    items = _items(
        config,
        query[owned],
        rows[owned],
        first_pages[owned],
        reach.select(owned),
        item_low,
        item_high,
        np.where(has_slots[piece], first_slot[piece] + within, -1),
    )

    merged = np.flatnonzero(has_slots & (chunk == first_chunk[tile]))
    tile_slots = np.add.reduceat(num_slots, merged) if len(merged) else merged
    tiles = np.empty((len(merged), TILE_FIELDS), np.int32)
    tiles[:, 0] = query[tile[merged]]
    tiles[:, 1] = rows[tile[merged]]
    tiles[:, 2] = first_slot[merged]
    tiles[:, 3] = tile_slots
    closes = (within == num_items[piece] - 1)[has_slots[piece]]
    return items, np.array([len(items), len(tiles)]), tiles, closes


def _whole_items(
    query_starts: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64] | None,
    horizons: npt.NDArray[np.int64],
    page_starts: npt.NDArray[np.int64],
    tiles: Tiles,
) -> npt.NDArray[np.int32] | None:
    """Items by C; None without it, if a tile sees several chunks of keys, or one is split."""
    library = layout_library()
    if library is None:
        return None
    first_pages = np.asarray(page_starts, np.int64)
    # A sequence has at most one tile that is not full.
    most_items = len(horizons) // tiles.tile_queries + len(query_starts)
    items = np.empty((most_items, ITEM_FIELDS), np.int32)
    count = library.plan_tiles(
        tiles,
        pointer(query_starts),
        len(query_starts) - 1,
        None if starts is None else pointer(starts),
        pointer(horizons),
        pointer(first_pages),
        most_items,
        pointer(items),
    )
    return None if count < 0 else items[:count]


def _flat(values: npt.NDArray[np.generic]) -> npt.NDArray[np.int32]:
    return values.reshape(-1).astype(np.int32, copy=False)


@dataclass(frozen=True, slots=True)
class _Reach:
    """Keys of each tile: the range that any of its queries sees, and the one that all see."""

    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    all_from: npt.NDArray[np.int64]
    all_to: npt.NDArray[np.int64]

    def select(self, tiles: npt.NDArray[np.int64]) -> "_Reach":
        """Keys of some tiles, by their indices."""
        return _Reach(self.first[tiles], self.last[tiles], self.all_from[tiles], self.all_to[tiles])


def _items(
    config: TileConfig,
    query: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    first_pages: npt.NDArray[np.int64],
    reach: _Reach,
    low: npt.NDArray[np.int64],
    high: npt.NDArray[np.int64],
    slots: npt.NDArray[np.int64] | int = -1,
) -> npt.NDArray[np.int32]:
    """Items [N, 8] of tiles that see keys from `low` to `high`, long ones first.

    So programs end at about the same time.
    """
    items = np.empty((len(query), ITEM_FIELDS), np.int32)
    items[:, 0] = query
    items[:, 1] = rows
    items[:, 2] = first_pages
    items[:, 3] = low
    items[:, 4] = high
    items[:, 5] = -(-reach.all_from // config.keys) * config.keys
    items[:, 6] = np.minimum(reach.all_to, high) // config.keys * config.keys
    items[:, 7] = slots
    return items[np.argsort(low - high, kind="stable")]


def _reach(
    query: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64] | None,
    horizons: npt.NDArray[np.int64],
) -> _Reach:
    if not len(query):
        return _Reach(query, query, query, query)
    last, all_to = np.maximum.reduceat(horizons, query), np.minimum.reduceat(horizons, query)
    if starts is None:
        none = np.zeros_like(query)
        return _Reach(none, last, none, all_to)
    first, all_from = np.minimum.reduceat(starts, query), np.maximum.reduceat(starts, query)
    return _Reach(first, last, all_from, all_to)


def _within(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Ranges 0, 1, ..., count - 1 of each count, concatenated."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def _split(
    lengths: npt.NDArray[np.int64], grains: npt.NDArray[np.int64], lanes: int, limit: int
) -> npt.NDArray[np.bool_]:
    """Mask of chunks to split: those that would end long after the mean, up to `limit` grains.

    Chunks run in waves of `lanes`, the longest first, and a wave begins about when those before it
    end.
    """
    is_split = np.zeros(len(lengths), np.bool_)
    if limit == 0 or not (grains > 1).any():
        return is_split
    order = np.argsort(-lengths, kind="stable")
    longest = lengths[order]
    before = np.cumsum(longest) - longest
    begins = before[np.arange(len(order)) // lanes * lanes] / lanes
    late = (grains[order] > 1) & (begins + longest > LATE * longest.sum() / lanes)
    late &= np.cumsum(np.where(late, grains[order], 0)) <= limit
    is_split[order] = late
    return is_split
