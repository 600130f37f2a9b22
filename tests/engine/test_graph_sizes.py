"""Graph sizes hold whole steps and long contexts within a bound on memory."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from unmask.engine.run.graphs.sizes import (
    MAX_SCRATCH_BYTES,
    graph_sizes,
    largest,
    row_counts,
    tile_configs,
)
from unmask.engine.schedule.limits import EngineLimits
from unmask.models.kv_cache import LayerShape
from unmask.models.registry import LoadedModel
from unmask.types import SamplingParams

WIDE, NARROW = LayerShape(8, 128, 4), LayerShape(2, 64, 8)


@dataclass
class Shapes:
    """Parts of a model that determine the sizes."""

    row_unit: int
    layers: Sequence[LayerShape] = (WIDE, NARROW, WIDE)


def limits(max_batch_tokens: int = 2048, max_num_seqs: int = 64) -> EngineLimits:
    return EngineLimits(max_batch_tokens, num_pages=400, page_size=32, max_num_seqs=max_num_seqs)


def large(tiny: LoadedModel, max_model_len: int, row_unit: int = 1) -> LoadedModel:
    info = replace(tiny.info, max_model_len=max_model_len)
    device = torch.device("cpu")  # where graphs may have as few rows as any
    return replace(tiny, model=Shapes(row_unit), info=info, dtype=torch.bfloat16, device=device)


@pytest.mark.parametrize(
    ("max_batch_tokens", "largest_rows"), [(1, 16), (16, 16), (17, 32), (97, 128), (8192, 5120)]
)
def test_the_largest_graph_holds_a_whole_step_up_to_5120_rows(
    tiny: LoadedModel, max_batch_tokens: int, largest_rows: int
) -> None:
    sizes = graph_sizes(limits(max_batch_tokens), large(tiny, 1000))
    assert sizes[-1].num_rows == largest_rows
    assert [size.num_rows for size in sizes] == sorted({size.num_rows for size in sizes})


def test_graphs_of_a_gpu_have_numbers_of_rows_that_its_products_do_not_depend_on(
    tiny: LoadedModel,
) -> None:
    config = limits(300)
    for unit, expected in ((128, [128, 256, 384]), (64, [64, 128, 192, 256, 320])):
        sizes = graph_sizes(config, large(tiny, 1000, unit))
        assert [size.num_rows for size in sizes] == expected


@pytest.mark.parametrize(
    ("num_requests", "block", "steps"),
    [(32, 32, 8), (64, 32, 8), (128, 32, 8), (64, 16, 7), (128, 8, 4), (256, 4, 2)],
)
def test_steps_of_requests_in_independent_phases_are_padded_by_less_than_5_percent(
    num_requests: int, block: int, steps: int
) -> None:
    """In the first of its `steps` a block shares the pass that commits the one before."""
    random = np.random.default_rng(0)
    commits = random.integers(0, steps, (4000, num_requests)) == 0
    rows = block * (num_requests + commits.sum(1))
    counts = row_counts(8192, 128)
    assert (rows <= counts[-1]).mean() > 0.99
    rows = rows[rows <= counts[-1]]
    padded = np.array([counts[bisect_left(counts, own)] for own in rows])
    assert padded.sum() < 1.05 * rows.sum()


def test_a_graph_has_room_for_as_many_short_blocks_as_there_are_rows_for(
    tiny: LoadedModel,
) -> None:
    sizes = graph_sizes(limits(max_num_seqs=100), large(tiny, 1000))
    assert {size.num_rows: size.num_sequences for size in sizes} == {
        size.num_rows: min(100, size.num_rows // 4) for size in sizes
    }


def test_a_model_of_blocks_of_one_has_room_for_as_many_requests_as_rows(tiny: LoadedModel) -> None:
    loaded = large(tiny, 1000)
    info = replace(loaded.info, default_sampling=SamplingParams(block_length=1))
    sizes = graph_sizes(limits(max_num_seqs=128), replace(loaded, info=info))
    assert {size.num_sequences for size in sizes if size.num_rows >= 128} == {128}


def test_contexts_of_every_length_have_a_graph_unless_its_scratch_is_too_large(
    tiny: LoadedModel,
) -> None:
    loaded = large(tiny, 100_000)
    sizes = graph_sizes(limits(), loaded)
    reaches = {rows: [s.max_horizon for s in sizes if s.num_rows == rows] for rows in (16, 1024)}
    assert reaches[16] == [4096, 16_384, 65_536, 100_000]
    assert reaches[1024][0] == 4096
    assert reaches[1024][-1] < 100_000
    kinds = tile_configs(loaded)
    for size in sizes:
        for shape, tiles in size.tiles.items():
            scratch = 4 * tiles.slots * shape.num_kv_heads * kinds[shape].rows * shape.head_dim
            assert scratch <= MAX_SCRATCH_BYTES


def test_the_room_that_is_shared_holds_every_size(tiny: LoadedModel) -> None:
    sizes = graph_sizes(limits(), large(tiny, 5000))
    joined = largest(sizes)
    for size in sizes:
        for shape, tiles in size.tiles.items():
            assert joined[shape].holds(tiles)
