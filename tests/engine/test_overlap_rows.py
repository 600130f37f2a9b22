"""Few rows do not overlap: a full block is committed with the next block's first step."""

from dataclasses import replace

import pytest

from tests.support.engines import make_engine, run_all
from unmask.models.registry import LoadedModel
from unmask.types import Request, SamplingParams

PARAMS = SamplingParams(max_tokens=32, block_length=8, policy="low_confidence", steps=4)


def request(name: str, seed: int = 0) -> Request:
    params = replace(PARAMS, temperature=0.7, seed=seed, ignore_eos=True)
    return Request(name, tuple(range(seed, seed + 9)), params)


def forwards(tiny: LoadedModel, overlap_rows: int, attention: str = "block_causal") -> int:
    """Passes of one request, alone."""
    loaded = replace(tiny, info=replace(tiny.info, attention=attention))
    engine = make_engine(loaded, overlap=True, overlap_rows=overlap_rows)
    (answer,) = run_all(engine, [request("a")]).values()
    finish = answer.finish
    assert finish is not None
    return finish.usage.forward_passes


def test_a_block_takes_a_pass_less_while_steps_are_small(tiny: LoadedModel) -> None:
    num_blocks, steps = 5, 4  # the first of them holds the end of the prompt
    assert forwards(tiny, overlap_rows=1000) <= num_blocks * steps
    assert forwards(tiny, overlap_rows=0) >= forwards(tiny, overlap_rows=1000) + num_blocks - 1


def test_full_attention_commits_nothing_and_always_overlaps(tiny: LoadedModel) -> None:
    assert forwards(tiny, 0, "full") == forwards(tiny, 1000, "full")


@pytest.mark.parametrize("overlap_rows", [0, 20, 30, 1000])
def test_answers_are_the_same_as_load_comes_and_goes(tiny: LoadedModel, overlap_rows: int) -> None:
    """With 20 or 30 rows the engine begins and ends overlapping in the midst of blocks."""
    alone = {}
    for i in range(6):
        alone |= run_all(make_engine(tiny), [request(str(i), i)])
    engine = make_engine(tiny, overlap=True, overlap_rows=overlap_rows, max_num_seqs=6)
    waiting = [request(str(i), i) for i in range(6)]
    found: dict[str, list[int]] = {own.request_id: [] for own in waiting}
    num_steps = 0
    while waiting or engine.has_work:
        if waiting and num_steps % 3 == 0:
            engine.add(waiting.pop(0))
        num_steps += 1
        for event in engine.step():
            found[event.request_id] += event.token_ids
    assert found == {name: answer.token_ids for name, answer in alone.items()}
