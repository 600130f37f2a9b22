"""A full block is committed with the next block's first step if that is known in time."""

from dataclasses import replace

import pytest

from tests.support.engines import make_engine, run_all
from unmask.models.registry import LoadedModel
from unmask.types import Request, SamplingParams

PARAMS = SamplingParams(max_tokens=32, block_length=8, policy="low_confidence", steps=4)


def request(name: str, seed: int = 0) -> Request:
    params = replace(PARAMS, temperature=0.7, seed=seed, ignore_eos=True)
    return Request(name, tuple(range(seed, seed + 9)), params)


def forwards(tiny: LoadedModel, params: SamplingParams, attention: str, **config: int) -> int:
    """Forward passes of one request, alone."""
    loaded = replace(tiny, info=replace(tiny.info, attention=attention))
    engine = make_engine(loaded, overlap=True, **config)
    own = Request("a", tuple(range(9)), replace(params, ignore_eos=True))
    (answer,) = run_all(engine, [own]).values()
    assert answer.finish is not None
    return answer.finish.usage.forward_passes


NUM_BLOCKS, STEPS = 5, 4  # the first block holds the end of the prompt
WHOLE_BLOCKS = replace(PARAMS, policy="threshold", threshold=0.0, steps=None)


def test_a_block_of_known_steps_takes_no_more_passes_where_steps_overlap(
    tiny: LoadedModel,
) -> None:
    """The next block begins after the last step of the open one, before its result is known."""
    apart = forwards(tiny, PARAMS, "block_causal", overlap_rows=1000)
    assert apart <= NUM_BLOCKS * STEPS
    together = forwards(tiny, PARAMS, "block_causal", overlap_rows=0)
    assert together <= apart + 1  # the last block of an answer is computed once more


def test_a_block_that_may_be_full_at_any_step_takes_a_pass_more_where_steps_overlap(
    tiny: LoadedModel,
) -> None:
    apart = forwards(tiny, WHOLE_BLOCKS, "block_causal", overlap_rows=1000)
    together = forwards(tiny, WHOLE_BLOCKS, "block_causal", overlap_rows=0)
    assert together >= apart + NUM_BLOCKS - 1


def test_full_attention_commits_nothing_and_always_overlaps(tiny: LoadedModel) -> None:
    counts = [forwards(tiny, PARAMS, "full", overlap_rows=rows) for rows in (0, 1000)]
    assert counts[0] == counts[1]


@pytest.mark.usual_cases(2)
@pytest.mark.parametrize("overlap_rows", [0, 20, 30, 1000])
def test_answers_are_the_same_as_load_comes_and_goes(tiny: LoadedModel, overlap_rows: int) -> None:
    """With 20 or 30 rows the engine starts and stops overlapping within blocks."""
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
