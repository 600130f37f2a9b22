"""The benchmark of attention's configurations runs without a GPU."""

from dataclasses import replace

import pytest
import torch

from benchmarks import attention_tiles
from benchmarks.device.attention import Shape
from benchmarks.device.timing import Ceilings
from unmask_kernels.attention.tiles import TileConfig

SMALL = Shape(rows=1, queries=4, heads=2, kv_heads=1, head_dim=16, context=70)
TILES = TileConfig(rows=16, keys=16, chunk=64, grain=16, num_warps=4)


@pytest.mark.usefixtures("triton_kernels")
def test_the_fastest_configuration_comes_first_and_one_that_fails_last(
    device: torch.device,
) -> None:
    tried = {
        "no power of two": replace(TILES, rows=24),
        "usual": TILES,
        "large grains": replace(TILES, grain=64),
    }
    rows = attention_tiles.measure(SMALL, tried, Ceilings(1e12, 1e14), device)
    assert rows[-1]["name"] == "no power of two"
    good = rows[:-1]
    assert [row["us"] for row in good] == sorted(row["us"] for row in good)
    assert {row["name"]: row["dealings"] > 1 for row in good} == {
        "usual": True,
        "large grains": False,
    }
    assert all(row["is_right"] and row["same_bits"] for row in good)
    lines = list(attention_tiles.table("small", SMALL, rows))
    assert "FAILED" in lines[-1]
    assert attention_tiles.best_of([rows])[0] == (good[0]["name"], 1.0)


def test_every_candidate_has_a_name_and_differs_from_the_others() -> None:
    for group in attention_tiles.groups():
        assert len(set(group.configs.values())) == len(group.configs)
        assert next(iter(group.configs)) == "usual"
