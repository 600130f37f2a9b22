"""Steps of canvases: accepted tokens, renoised tokens, and the end of a canvas."""

import pytest
import torch

from unmask_kernels.noise.reference import (
    CanvasState,
    Denoised,
    Predictions,
    Rules,
    accept,
    denoise,
    temperature_at,
)

SURE = 1e-3


def rules(
    bound: float = 0.1, *, stability: int = 1, confidence: float = 0.005, last: bool = False
) -> Rules:
    return Rules(
        torch.tensor([bound]),
        torch.tensor([stability]),
        torch.tensor([confidence]),
        torch.tensor([last]),
    )


def run(drafts: list[list[int]], rule: Rules, entropy: float = SURE) -> list[bool]:
    """True for each step after which a canvas is finished, given the tokens it predicts."""
    state = CanvasState.start(torch.zeros(1, len(drafts[0]), dtype=torch.int64))
    finished = []
    for draft in drafts:
        best = torch.tensor([draft])
        flat = torch.full(best.shape, entropy)
        # What is drawn is never twice the same, and must not matter.
        drawn = best + 1 + len(finished)
        done = denoise(state, Predictions(drawn, best, flat), torch.zeros_like(best), rule)
        state = done.state
        finished.append(bool(done.finished))
    return finished


@pytest.mark.parametrize(
    ("entropy", "bound", "expected"),
    [
        ([0.3, 0.1, 0.2], 0.25, {1, 2}),
        ([0.3, 0.1, 0.2], 0.35, {0, 1, 2}),
        ([0.3, 0.1, 0.2], 0.05, {1}),
        ([3.0, 2.0, 2.5], 0.0, {1}),
        ([0.0, 0.0, 5.0], 0.0, {0, 1, 2}),
        ([0.2, 0.2, 0.2], 0.2, {0, 1}),
    ],
)
def test_the_most_certain_are_accepted_up_to_the_bound(
    entropy: list[float], bound: float, expected: set[int]
) -> None:
    # Numbers with few digits would not sum to the bound in binary, so all are halves of halves.
    scaled = torch.tensor([entropy]).mul(10).round().div(16)
    found = accept(scaled, torch.tensor([bound * 10 / 16]))
    assert set(found[0].nonzero().flatten().tolist()) == expected


def test_what_is_not_accepted_becomes_noise_again() -> None:
    state = CanvasState.start(torch.tensor([[7, 7, 7]]))
    predictions = Predictions(
        torch.tensor([[1, 2, 3]]), torch.tensor([[4, 5, 6]]), torch.tensor([[0.1, 2.0, 0.1]])
    )
    done = denoise(state, predictions, torch.tensor([[91, 92, 93]]), rules(0.15))
    assert done.accepted.tolist() == [[True, False, True]]
    assert done.state.tokens.tolist() == [[1, 92, 3]]
    assert done.state.draft.tolist() == [[4, 5, 6]]
    assert done.finished.tolist() == [False]


@pytest.mark.parametrize(
    ("stability", "expected"),
    [
        (0, [True, True, True, True, True, True]),
        (1, [False, False, True, True, False, True]),
        (2, [False, False, False, True, False, False]),
    ],
)
def test_a_canvas_is_finished_once_its_draft_is_stable(
    stability: int, expected: list[bool]
) -> None:
    drafts = [[1, 2], [1, 3], [1, 3], [1, 3], [4, 3], [4, 3]]
    assert run(drafts, rules(stability=stability)) == expected


def test_a_stable_canvas_that_is_unsure_goes_on_to_its_last_step() -> None:
    same = [[1, 2]] * 3
    assert run(same, rules(confidence=0.005), entropy=0.006) == [False, False, False]
    assert run(same, rules(confidence=0.007), entropy=0.006) == [False, True, True]
    assert run(same, rules(last=True), entropy=9.0) == [True, True, True]


def test_temperatures_fall_from_the_highest_not_quite_to_the_lowest() -> None:
    found = [temperature_at(0.4, 0.8, step, 4) for step in range(4)]
    assert found == pytest.approx([0.8, 0.7, 0.6, 0.5])


def test_a_canvas_is_the_same_in_any_company() -> None:
    torch.manual_seed(0)
    count, width = 40, 256
    entropy = torch.rand(count, width).pow(8)
    ids = [torch.randint(0, 9, (count, width)) for _ in range(4)]
    ids[3][::2] = ids[1][::2]
    rule = Rules(
        torch.rand(count) * 20,
        torch.randint(0, 3, (count,)),
        torch.rand(count) * 0.2,
        torch.rand(count) < 0.1,
    )

    def run(rows: slice) -> Denoised:
        state = CanvasState(ids[0][rows], ids[1][rows], torch.arange(count)[rows] % 3)
        predictions = Predictions(ids[2][rows], ids[3][rows], entropy[rows])
        given = (rule.entropy_bound, rule.stability, rule.confidence, rule.is_last)
        return denoise(state, predictions, ids[0][rows] + 9, Rules(*(t[rows] for t in given)))

    whole = run(slice(0, count))
    assert 0 < whole.finished.sum() < count
    for i in range(count):
        alone = run(slice(i, i + 1))
        assert torch.equal(alone.state.tokens[0], whole.state.tokens[i])
        assert torch.equal(alone.state.unchanged[0], whole.state.unchanged[i])
        assert torch.equal(alone.finished[0], whole.finished[i])
