"""Numbers of rows, and sizes of attention plans, that CUDA graphs are captured for."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from unmask.engine.schedule.limits import EngineLimits
from unmask.models.kv_cache import LayerShape
from unmask.models.registry import LoadedModel
from unmask_kernels.attention.static_tiles import TileSize
from unmask_kernels.attention.tiles import TileConfig, most_parts, tile_config
from unmask_kernels.dispatch import capability

# Multiples of 128 up to 2,048, as steps of requests in independent phases have any number of rows;
# padding above is a small share of a step. Others are for models and devices of a smaller row unit.
ROWS = (
    *(16, 32, 64, 96, *range(128, 512, 64), *range(512, 2048, 128)),
    *(2048, 2304, 2560, 2816, 3072, 3584, 4096, 4352, 4608, 4864, 5120),
)
SHORTEST_BLOCK = 4  # that a request is expected to ask for
CHUNKS_FACTOR = 4  # from one size to the next
MAX_SCRATCH_BYTES = 256 * 2**20  # of attention's parts before they are merged


@dataclass(frozen=True, slots=True)
class GraphSize:
    """Limits of the steps of a graph.

    It takes `num_sequences` whose keys end at `max_horizon`, or more shorter ones.
    """

    num_rows: int
    num_sequences: int
    max_horizon: int
    tiles: Mapping[LayerShape, TileSize]


def graph_sizes(limits: EngineLimits, loaded: LoadedModel) -> list[GraphSize]:
    """Every size, smallest first, for sequences of short blocks, or of the model's own."""
    own_block = loaded.info.default_sampling.block_length
    block = min(SHORTEST_BLOCK, own_block) if isinstance(own_block, int) else SHORTEST_BLOCK
    sizes: list[GraphSize] = []
    for num_rows in row_counts(limits.max_batch_tokens, loaded.model.row_unit):
        num_sequences = min(limits.max_num_seqs, -(-num_rows // block))
        sizes += _sizes(num_rows, num_sequences, limits.page_size, loaded)
    return sizes


def row_counts(max_batch_tokens: int, unit: int) -> list[int]:
    """Numbers of rows with a graph, multiples of `unit`, up to the first that holds every step."""
    counts = [count for count in ROWS if count % unit == 0]
    return [
        num_rows
        for smaller, num_rows in itertools.pairwise((0, *counts))
        if smaller < max_batch_tokens
    ]


def _sizes(
    num_rows: int, num_sequences: int, page_size: int, loaded: LoadedModel
) -> Iterator[GraphSize]:
    """Sizes for one chunk of keys, for several and for many."""
    kinds, longest = tile_configs(loaded), loaded.info.max_model_len
    chunk, num_chunks = min(kind.chunk for kind in kinds.values()), 1
    while True:
        tiles = {
            shape: _tiles(shape, kind, num_rows, num_sequences, num_chunks, page_size)
            for shape, kind in kinds.items()
        }
        if any(_scratch_bytes(s, kinds[s], t) > MAX_SCRATCH_BYTES for s, t in tiles.items()):
            return
        yield GraphSize(num_rows, num_sequences, min(num_chunks * chunk, longest), tiles)
        if num_chunks * chunk >= longest:
            return
        num_chunks = min(num_chunks * CHUNKS_FACTOR, -(-longest // chunk))


def tile_configs(loaded: LoadedModel) -> dict[LayerShape, TileConfig]:
    """Attention's tile configuration for layers of each shape."""
    chip = capability(loaded.device)
    return {s: tile_config(s.head_dim, loaded.dtype, chip) for s in loaded.model.layers}


def largest(sizes: list[GraphSize]) -> dict[LayerShape, TileSize]:
    """Tiles that every size is a part of."""
    joined = dict(sizes[0].tiles)
    for size in sizes:
        joined = {shape: tiles.joined(size.tiles[shape]) for shape, tiles in joined.items()}
    return joined


def _tiles(
    shape: LayerShape,
    kind: TileConfig,
    num_rows: int,
    num_sequences: int,
    num_chunks: int,
    page_size: int,
) -> TileSize:
    # Tiles are full, but for the last one of each sequence and of the padding.
    num_tiles = -(-num_rows // max(1, kind.rows // shape.group_size)) + num_sequences + 1
    num_items = num_tiles * num_chunks
    num_parts = most_parts(kind, shape.num_kv_heads, shape.head_dim)
    in_chunks = num_chunks > 1
    return TileSize(
        rows=num_rows,
        pages=num_items * -(-kind.chunk // page_size),
        items=num_items + num_parts,
        tiles=num_tiles if in_chunks or num_parts else 0,
        slots=(num_items if in_chunks else 0) + num_parts,
    )


def _scratch_bytes(shape: LayerShape, kind: TileConfig, size: TileSize) -> int:
    return 4 * size.slots * shape.num_kv_heads * kind.rows * shape.head_dim


def tiles_for(
    loaded: LoadedModel,
    num_rows: int,
    num_sequences: int,
    num_chunks: Mapping[LayerShape, int],
    page_size: int,
) -> tuple[dict[LayerShape, TileSize], int]:
    """Tiles for numbers of chunks by shape, and the most bytes of a shape's partial results."""
    kinds = tile_configs(loaded)
    tiles = {
        shape: _tiles(shape, kinds[shape], num_rows, num_sequences, count, page_size)
        for shape, count in num_chunks.items()
    }
    return tiles, max(_scratch_bytes(shape, kinds[shape], own) for shape, own in tiles.items())
