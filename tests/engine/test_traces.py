"""Policies that remember a block's steps: the same answers in any company, preempted or not."""

import gc
from dataclasses import replace
from itertools import cycle
from typing import Any

import pytest
import torch

from tests.support.draws import TRACED
from tests.support.engines import make_engine, run_all, run_alone
from tests.support.graphs import Recordings, in_turn
from unmask.engine.run.runner import MaskRunner
from unmask.engine.run.traces import Trace
from unmask.errors import InvalidRequest
from unmask.likelihood import likelihood_request
from unmask.models.registry import LoadedModel
from unmask.types import RefinementOptions, Request, SamplingParams
from unmask_kernels.policies.traces import Commits, Credits, Stability, divergence

PLAIN = SamplingParams(max_tokens=40, block_length=16, ignore_eos=True)


@pytest.fixture(scope="module")
def tiny(tiny_on_cpu: LoadedModel) -> LoadedModel:
    return tiny_on_cpu


def requests(num_requests: int) -> list[Request]:
    """Traced requests of every kind, and others between them."""
    kinds: list[dict[str, Any]] = [*TRACED, {"policy": "threshold", "threshold": 0.05}]
    return [
        Request(
            f"r{i}",
            tuple(range(3 + i, 20 + 3 * i)),
            replace(PLAIN, **params, logprobs=2 if i % 3 == 0 else None),
            RefinementOptions(tokens=True) if i % 4 == 1 else None,
        )
        for i, params in zip(range(num_requests), cycle(kinds), strict=False)
    ]


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize(
    "changes",
    [
        {"num_pages": 14, "overlap": True, "steps_ahead": 2},
        {"num_pages": 400, "max_batch_tokens": 40},
        {"num_pages": 400, "graphs": True, "overlap": True, "max_batch_tokens": 100},
    ],
    ids=["preempted", "chunked", "graphs"],
)
def test_company_changes_nothing(tiny: LoadedModel, changes: dict[str, Any]) -> None:
    engine = make_engine(tiny, recorder=in_turn(Recordings(), Recordings()), **changes)
    batch = requests(8)
    answers = run_all(engine, batch)
    assert (engine.scheduler.num_preempted > 0) == (changes["num_pages"] == 14)
    for request in batch:
        alone = run_alone(tiny, request)
        assert answers[request.request_id].essence == alone.essence
        assert answers[request.request_id].logprobs == alone.logprobs


def test_a_trace_ends_with_its_sequence(tiny: LoadedModel) -> None:
    engine = make_engine(tiny)
    assert isinstance(engine.runner, MaskRunner)
    kept = engine.runner.traces.kept
    for request in requests(4):
        engine.add(request)
    engine.step()
    engine.step()
    assert len(kept) == 3
    for request in requests(4):
        engine.abort(request.request_id)
    while engine.has_work:
        engine.step()
    gc.collect()
    assert len(kept) == 0


def test_a_step_that_is_run_again_goes_on_from_the_same_state() -> None:
    states = [Credits(torch.zeros(2, k, dtype=torch.int64), torch.zeros(2, k)) for k in (1, 2)]
    trace = Trace(block_start=16, step=3, before=states[0], after=states[1])
    assert trace.state_before(16, 3) is states[0]
    assert trace.state_before(16, 4) is states[1]
    for other in ((16, 5), (16, 2), (16, 0), (32, 4)):
        assert trace.state_before(*other) is None


def test_a_token_is_stable_after_two_small_changes_of_its_position() -> None:
    head = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    hidden = torch.ones(1, 8)
    offsets, state, found = torch.tensor([3]), None, []
    for shift in (0.0, 1e-4, 2e-4, 5.0, 5.0, 5.0):
        state, is_stable = Stability.step(
            state, hidden + shift * torch.arange(8), offsets, 6, lambda x: x @ head.T, 0.01
        )
        found.append(bool(is_stable))
    assert found == [False, False, True, False, False, True]
    # A position that was not scored before begins by itself.
    _, is_stable = Stability.step(
        state, hidden.repeat(2, 1), torch.tensor([3, 4]), 6, lambda x: x @ head.T, 100.0
    )
    assert is_stable.tolist() == [True, False]


def test_the_divergence_is_that_of_the_distributions() -> None:
    now, last = torch.randn(2, 3, 40, generator=torch.Generator().manual_seed(1))
    expected = torch.nn.functional.kl_div(
        last.double().log_softmax(-1), now.double().softmax(-1), reduction="none"
    ).sum(-1)
    torch.testing.assert_close(divergence(now, last), expected, rtol=1e-8, atol=1e-9)


def test_credits_of_a_token_add_up_and_decay() -> None:
    logits = torch.tensor([[2.0, 0.0, 9.0], [0.0, 2.0, 9.0]])
    first = logits[:, :3].double().softmax(-1)[0, 0].float() ** 0.2
    state, offsets = None, torch.tensor([1])
    for row, credit in (
        (0, [first, 0.0]),
        (1, [first * 0.8, first]),
        (0, [first * (0.64 + 1), first * 0.8]),
        (0, [first * (0.512 + 0.8 + 1), first * 0.64]),
    ):
        state, fused = Credits.step(state, logits[row : row + 1], offsets, 2, mask_token=2)
        expected = logits[row].clone()
        expected[:2] += 0.7 * torch.log1p(torch.tensor(credit))
        torch.testing.assert_close(fused[0], expected)
        assert not state.credits[0].any()


@pytest.mark.parametrize(
    ("traits", "params", "field"),
    [
        ({}, {"policy": "credit", "temperature": 0.5}, "temperature"),
        ({"attention": "full"}, {"policy": "credit", "cfg_scale": 1.0}, "cfg_scale"),
        ({"attention": "full"}, {"policy": "klass", "cfg_scale": 1.0}, "cfg_scale"),
        ({"attention": "causal", "shift": True}, {"policy": "klass"}, "policy"),
        ({"attention": "causal_window"}, {"policy": "credit"}, "policy"),
        ({}, {"policy": "klass", "eos_last": True}, "eos_last"),
        ({}, {"policy": "credit", "alg_temp": 0.5}, "alg_temp"),
        ({}, {"policy": "credit", "kl_threshold": 0.5}, "kl_threshold"),
    ],
)
def test_what_cannot_be_remembered_is_refused_by_name(
    tiny: LoadedModel, traits: dict[str, Any], params: dict[str, Any], field: str
) -> None:
    loaded = replace(tiny, info=replace(tiny.info, max_model_len=200, **traits))
    engine = make_engine(loaded)
    with pytest.raises(InvalidRequest) as refused:
        engine.check(Request("r", (5, 6), replace(PLAIN, **params)))
    assert refused.value.field == field


def test_a_step_may_read_a_prompt_beside_them(tiny: LoadedModel) -> None:
    reading = likelihood_request("read", tuple(range(3, 30)), 2, tiny.info)
    assert reading is not None
    batch = [*requests(4), reading]
    answers = run_all(make_engine(tiny), batch)
    for request in batch:
        assert answers[request.request_id].logprobs == run_alone(tiny, request).logprobs


def test_tokens_are_masked_again_by_the_confidence_they_were_committed_with() -> None:
    """A softmax of the negative probabilities, which positions with masks have no part in."""
    offsets = torch.arange(4)

    def step(before: Commits | None, confidence: list[float], masked: list[int]) -> Any:
        is_masked = torch.tensor([i in masked for i in range(4)])
        return Commits.step(before, torch.tensor(confidence), is_masked, offsets, 4)

    first, shares = step(None, [0.9, 0.2, 0.5, 0.6], [0, 1, 2, 3])
    assert shares.tolist() == [0, 0, 0, 0]
    second, shares = step(first, [0.1, 0.1, 0.7, 0.8], [2, 3])  # 0 and 1 were committed
    expected = torch.tensor([-0.9, -0.2]).softmax(0).tolist()
    assert shares.tolist() == pytest.approx([*expected, 0, 0])
    _, shares = step(second, [0.3, 0.3, 0.3, 0.3], [1, 3])  # 1 has a mask again, 2 a token
    expected = torch.tensor([-0.9, -0.7]).softmax(0).tolist()
    assert shares.tolist() == pytest.approx([expected[0], 0, expected[1], 0])
    _, again = step(second, [0.3, 0.3, 0.3, 0.3], [1, 3])
    assert (again == shares).all(), "a step may be run again"
