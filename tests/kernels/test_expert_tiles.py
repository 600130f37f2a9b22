"""The benchmark of the grouped products' tiles runs without a GPU."""

import time
from dataclasses import replace

import pytest
import torch

from benchmarks.device import expert_tiles, experts
from benchmarks.device.timing import Ceilings

SMALL = experts.Shape("tiny", 32, 64, 64, 4, 2, held="fp8")


def test_every_tile_of_both_products_is_a_candidate_once() -> None:
    for shape in experts.SHAPES:
        for rows in expert_tiles.ROWS:
            for held in ("fp8", None):
                own = replace(shape, rows=rows, held=held)
                configs = list(expert_tiles.candidates(own))
                assert len(configs) == len(set(configs)) > 7
                assert {c.rows for c in configs} == set(expert_tiles.TILE_ROWS[rows])
                # Where a sum ends follows the dtype alone.
                assert len({(c.gate_up.inputs, c.down.inputs) for c in configs}) == 1


@pytest.mark.usual_cases(1)
@pytest.mark.usefixtures("triton_kernels")
@pytest.mark.parametrize("held", ["fp8", None])
def test_products_are_timed_apart_and_the_best_comes_first(
    held: str | None, device: torch.device
) -> None:
    shape = replace(SMALL, held=held)
    some = list(expert_tiles.candidates(shape))[:2]
    row = expert_tiles.measure(shape, some, device, time.monotonic() + 100.0)
    assert row["failed"] == []
    for name in ("gate_up", "down"):
        times = [own["us"] for own in row[name]]
        assert times == sorted(times)
        assert all(own["same_bits"] for own in row[name])
    lines = list(expert_tiles.table(row, Ceilings(1e12, 1e14)))
    assert "best: tiles of" in lines[1]
    assert not any("OTHER BITS" in line or "failed" in line for line in lines)


@pytest.mark.usefixtures("triton_kernels")
def test_every_tile_of_a_router_is_timed(
    device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(SMALL, num_experts=16, hidden=160)
    monkeypatch.setattr(experts, "SHAPES", (small,))
    result = expert_tiles.measure_routing(3, device)
    assert len(result["us"]) == 3 + len(expert_tiles.SCORE_TILES)
    assert result["same_bits"]


@pytest.mark.usefixtures("triton_kernels")
def test_a_candidate_that_fails_is_told_and_the_others_are_timed(device: torch.device) -> None:
    usual = expert_tiles.current(SMALL)
    broken = replace(usual, gate_up=replace(usual.gate_up, outputs=48))  # no power of two
    row = expert_tiles.measure(SMALL, [broken], device, time.monotonic() + 100.0)
    assert len(row["failed"]) == 1
    assert row["gate_up"]
    assert any("failed: 1" in line for line in expert_tiles.table(row, Ceilings(1e12, 1e14)))
