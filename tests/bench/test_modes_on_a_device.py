"""Loads of models with several modes: fixed work in each, and which is fastest."""

from typing import Any

import pytest
import torch

from benchmarks.device import acceptance, crossover
from benchmarks.device import engine as engines
from benchmarks.device.families import TINY, sizes
from benchmarks.device.loads import CASES, NEMOTRON, Load, best_work
from benchmarks.device.timing import Ceilings
from unmask.engine.engine import Engine
from unmask.types import Delta, Request, SamplingParams

BLOCK = 8
MODEL = TINY["tiny Nemotron"]
SMALL: dict[str, Any] = {"context": 64, "num_tokens": 16, "block": BLOCK}
AR = {"mode": "ar", "block": 1, "tokens_per_forward": 1.0}
DIFFUSION = {"mode": "diffusion", "tokens_per_forward": 2.0}
SPECULATION = {"mode": "self_speculation", "accepted": 4, "tokens_per_forward": 2.0}


def engine_for(load: Load) -> Engine:
    loaded = engines.load(MODEL, torch.device("cpu"), 1200, block_length=BLOCK)
    return engines.start(loaded, [load])


@pytest.mark.parametrize("overlap", [None, 0], ids=["in turn", "overlapping"])
@pytest.mark.parametrize("mode", [AR, DIFFUSION, SPECULATION], ids=lambda mode: mode["mode"])
def test_a_mode_commits_what_its_steps_can_and_no_more(
    mode: dict[str, Any], overlap: int | None
) -> None:
    load = Load(3, **SMALL | mode | {"overlap_rows": overlap})
    engine = engine_for(load)
    measured = engines.measure(engine, sizes(MODEL), load, Ceilings(1e9, 1e9), least_s=0.3)
    assert measured["problems"] == []
    # A third of the steps waits for a result where a cycle has two, and some begin answers.
    least = 0.5 if overlap == 0 else 0.8
    assert least < measured["share_of_possible"] <= (1 if load.accepted is None else 1.05)
    assert measured["rows_a_step"] <= 3 * load.block
    assert measured["mode"] == load.mode
    engine.check_integrity()
    assert not engine.has_work


@pytest.mark.parametrize("kept", [1, 3, BLOCK])
def test_as_many_tokens_are_kept_of_every_draft_as_the_load_assumes(kept: int) -> None:
    engine = engine_for(Load(1, **SMALL))
    params = SamplingParams(
        max_tokens=1 + 2 * kept, mode="self_speculation", block_length=BLOCK, ignore_eos=True
    )
    counts: list[int] = []
    with acceptance.fixed(kept):
        engine.add(Request("one", tuple(range(1, 40)), params))
        while engine.has_work:
            for event in engine.step():
                assert isinstance(event, Delta)
                counts.append(len(event.token_ids))
    assert counts == [1, kept, kept]


def test_without_an_assumption_the_model_decides() -> None:
    params = SamplingParams(
        max_tokens=24, mode="self_speculation", block_length=BLOCK, ignore_eos=True
    )
    answers = []
    for mode in (params, SamplingParams(max_tokens=24, mode="ar", ignore_eos=True)):
        torch.manual_seed(0)  # of the weights
        engine, tokens = engine_for(Load(1, **SMALL)), list[int]()
        with acceptance.fixed(None):
            engine.add(Request("one", tuple(range(1, 40)), mode))
            while engine.has_work:
                for event in engine.step():
                    assert isinstance(event, Delta)
                    tokens += event.token_ids
        answers.append(tokens)
    assert answers[0] == answers[1]


def test_work_of_a_mode_is_a_block_a_pass_or_a_row() -> None:
    usual = sizes(MODEL)
    ar = best_work(usual, Load(4, **SMALL | AR))
    assert (ar.rows, ar.scored) == (4, 4)
    speculation = best_work(usual, Load(4, **SMALL | SPECULATION))
    assert (speculation.rows, speculation.scored) == (4 * BLOCK, 4 * (2 * BLOCK - 1) / 2)
    # Blocks of 8 in 4 steps: one row for the first token, then 7, 4.67 and 2.33 masked ones.
    diffusion = best_work(usual, Load(4, **SMALL | DIFFUSION))
    assert diffusion.rows == 4 * BLOCK
    assert diffusion.scored == pytest.approx(4 * (1 + 7 + 14 / 3 + 7 / 3) / 4)


def test_the_plan_has_every_mode_at_every_number_of_requests() -> None:
    [case] = [case for case in CASES if case.model == NEMOTRON]
    loads = {(load.concurrency, load.mode, load.accepted) for load in case.loads}
    modes = ("ar", None), ("diffusion", None), ("self_speculation", 4), ("self_speculation", 8)
    assert loads == {(n, *mode) for n in (1, 8, 32, 64, 128, 256) for mode in modes}
    names = {case.part(load) for load in case.loads}
    assert len(names) == len(loads)
    assert f"{NEMOTRON} bf16, self_speculation, 4 of 32: 8 at 1024" in names
    assert f"{NEMOTRON} bf16, 32 by 4: 8 at 1024" in names


def test_the_fastest_mode_of_each_number_of_requests_is_first() -> None:
    def row(mode: str, count: int, rate: float, accepted: int | None = None) -> dict[str, Any]:
        fields = {"model": "M", "quantization": "none", "block": 32, "accepted": accepted}
        return fields | {"mode": mode, "concurrency": count, "tokens_per_s": rate}

    rows = [
        row("ar", 1, 90.0),
        row("self_speculation", 1, 400.0, 8),
        row("ar", 64, 4000.0),
        row("self_speculation", 64, 2500.0, 8),
        {"model": "no modes", "mode": None},
    ]
    assert list(crossover.lines(rows)) == [
        "modes of M, 1 requests, tokens/s: self_speculation if 8 of 32 are kept 400, ar 90",
        "modes of M, 64 requests, tokens/s: ar 4,000, self_speculation if 8 of 32 are kept 2,500",
    ]
