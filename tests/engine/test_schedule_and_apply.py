"""Schedule and apply without a model: thousands of steps whose results are made up."""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.cases import examples
from tests.support.simulation import MODEL, PAGE, Simulation, token_at
from unmask.engine.schedule.limits import EngineLimits
from unmask.types import ModelInfo, ModeName, Request, SamplingParams

MODELS = (
    MODEL,
    replace(MODEL, shift=True),
    replace(MODEL, attention="full"),
    replace(MODEL, attention="causal_prefix"),
    replace(MODEL, attention="causal"),
    replace(MODEL, attention="causal_window"),
    replace(MODEL, can_edit=True, default_sampling=SamplingParams(block_length=8)),
)
MODES: tuple[ModeName, ...] = ("diffusion", "ar", "self_speculation")
PARAMS: tuple[dict[str, Any], ...] = (
    {},
    {"steps": 8},
    {"steps": 2},
    {"block_length": 4, "steps": 4},
    {"block_length": 12},
    {"block_length": 1},
    {"logprobs": 0},
)


@given(
    model=st.sampled_from(MODELS),
    kinds=st.lists(st.sampled_from(PARAMS), min_size=1, max_size=9),
    ahead=st.integers(0, 2),
    num_pages=st.sampled_from([26, 400]),
    max_batch_tokens=st.sampled_from([96, 400]),
    num_clients=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
@settings(max_examples=examples(25, 60), deadline=None, derandomize=True)
def test_every_answer_is_whole_whoever_shares_its_steps(
    model: ModelInfo,
    kinds: list[dict[str, Any]],
    ahead: int,
    num_pages: int,
    max_batch_tokens: int,
    num_clients: int,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    limits = EngineLimits(
        max_batch_tokens, num_pages, PAGE, max_num_seqs=5, rows_per_client=8 if seed % 2 else 256
    )
    simulation = Simulation(model, limits, ahead, random)
    requests = [
        Request(
            str(i),
            tuple(range(3, 4 + int(random.integers(1, 40)))),
            SamplingParams(max_tokens=int(random.integers(1, 50)), ignore_eos=True, **kind),
            client=str(random.integers(num_clients)),
            priority=int(random.integers(2)),
        )
        for i, kind in enumerate(kinds)
    ]
    for i, request in enumerate(requests):
        modes = model.modes
        mode = MODES[i % 3] if MODES[i % 3] in modes else None
        if mode == "ar":
            request = replace(request, sampling=replace(request.sampling, block_length=None))
        simulation.add(replace(request, sampling=replace(request.sampling, mode=mode)))
        simulation.step()
    steps = 0
    while simulation.sessions or simulation.pending:
        simulation.step()
        steps += 1
        assert steps < 5000
    for request in requests:
        start, count = len(request.prompt_token_ids), request.sampling.max_tokens or 0
        expected = [token_at(position) for position in range(start, start + count)]
        assert simulation.answers[request.request_id] == expected
    assert simulation.pool.num_held == 0


def test_most_sequences_of_a_step_repeat_their_last_pass() -> None:
    """Eight steps a block: the first and the second are laid out anew, the others repeat."""
    limits = EngineLimits(1024, 400, PAGE, max_num_seqs=8)
    simulation = Simulation(MODEL, limits, 1, np.random.default_rng(0))
    params = SamplingParams(max_tokens=64, steps=8, ignore_eos=True)
    for i in range(8):
        simulation.add(Request(str(i), (5, 6, 7), params))
        simulation.step()
    num_spans = 0
    while simulation.sessions or simulation.pending:
        simulation.step()
        num_spans += len(simulation.pending[-1].spans) if simulation.pending else 0
    assert simulation.num_repeats > num_spans // 3


def test_a_preempted_block_begins_with_its_seed_though_thoughts_end_there() -> None:
    """The end replaces the seed; passes before and after the preemption are the same."""
    model = replace(MODEL, shift=True, end_think_token_id=198)
    simulation = Simulation(model, EngineLimits(96, 8, PAGE), 0, np.random.default_rng(0))
    params = SamplingParams(cache="block", ignore_eos=True)
    quick = replace(params, max_tokens=16, steps=2)
    slow = replace(params, max_tokens=8, steps=8, max_thinking_tokens=0)
    simulation.add(Request("quick", tuple(range(3, 11)), quick))
    simulation.add(Request("slow", tuple(range(13, 21)), slow))
    scheduler, scored = simulation.scheduler, dict[int, list[list[int]]]()
    while (batch := scheduler.schedule()) is not None:
        for i, span in enumerate(batch.denoised):
            if span.sequence.request.request_id == "slow":
                query = span.query.scored
                scored.setdefault(int(batch.decoding.steps[i]), []).append(list(query))
        scheduler.advance(batch)
        simulation.apply(batch)
    assert scheduler.num_preempted
    assert scored[0] == [[8], [8]]
    assert scored[1] == [list(range(9, 16))] * 2
    assert simulation.answers["slow"] == [198, *map(token_at, range(9, 16))]
