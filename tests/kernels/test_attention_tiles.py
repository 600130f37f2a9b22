"""The script that compares tiles of attention is gone through without a GPU."""

import pytest
import torch

from benchmarks import attention_tiles
from benchmarks.device.attention import Shape
from benchmarks.device.timing import Ceilings

SMALL = Shape(rows=1, queries=4, heads=2, kv_heads=1, head_dim=16, context=70)


@pytest.mark.usefixtures("triton_kernels")
def test_every_configuration_is_timed_and_the_best_comes_first(device: torch.device) -> None:
    tiles = list(attention_tiles.configs())
    assert len(tiles) == len(set(tiles))
    some = tiles[:3]
    rows = attention_tiles.measure(SMALL, some, Ceilings(1e12, 1e14), device)
    assert [row["us"] for row in rows] == sorted(row["us"] for row in rows)
    assert {row["num_stages"] for row in rows} == {tile.num_stages for tile in some}
    assert all(isinstance(row["same_bits"], bool) for row in rows)
    best = attention_tiles.overall([rows], some)
    assert set(best) == set(some)
    first = rows[0]
    assert (best[0].num_stages, best[0].tma) == (first["num_stages"], first["tma"])
