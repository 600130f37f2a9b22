"""The kernels of canvases of noise give the bits of the torch reference."""

import pytest
import torch

from unmask_kernels.noise.gpu import denoising
from unmask_kernels.noise.gpu.denoising import Kept, Moving
from unmask_kernels.noise.reference import CanvasState, Predictions, Rules, denoise
from unmask_kernels.philox import noise_tokens

NUM_KEPT, VOCAB = 9, 1000
ROWS = [4, 0, 7, 2, 8]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def some(length: int, device: torch.device) -> tuple[Kept, Moving]:
    """Canvases, five of them in a step, and a stride of tokens."""
    cells = torch.randint(0, VOCAB, (NUM_KEPT, length + 3), device=device)
    draft = torch.randint(0, VOCAB, (NUM_KEPT, length + 5), device=device)[:, :length]
    unchanged = torch.randint(0, 3, (NUM_KEPT,), device=device)
    count = len(ROWS)
    moving = Moving(
        rows=torch.tensor(ROWS, device=device),
        seeds=torch.randint(0, 2**60, (count,), device=device),
        starts=torch.randint(0, 500, (count,), device=device),
        steps=torch.randint(0, 9, (count,), device=device),
        bounds=torch.tensor([0.0, 0.4, 2.0, 50.0, 1.0], device=device),
        stability=torch.tensor([1, 1, 2, 3, 1], device=device),
        confidence=torch.tensor([9.0, 0.0, 9.0, 9.0, 0.5], device=device),
        is_last=torch.tensor([False, False, False, True, False], device=device),
    )
    return Kept(cells[:, :length], draft, unchanged), moving


def keys(moving: Moving, length: int, steps: torch.Tensor) -> tuple[torch.Tensor, ...]:
    positions = moving.starts[:, None] + torch.arange(length, device=steps.device)
    return (
        moving.seeds.repeat_interleave(length),
        positions.flatten(),
        steps.repeat_interleave(length),
    )


def copied(kept: Kept) -> Kept:
    return Kept(kept.tokens.clone(), kept.draft.clone(), kept.unchanged.clone())


@pytest.mark.parametrize("length", [1, 16, 17, 60])
def test_a_step_is_that_of_the_policy(length: int, device: torch.device) -> None:
    kept, moving = some(length, device)
    shape = len(ROWS), length
    best = torch.where(
        torch.tensor([True, False, True, False, True], device=device)[:, None],
        kept.draft[ROWS],
        torch.randint(0, VOCAB, shape, device=device),
    )
    entropy = torch.rand(shape, device=device)
    entropy[:, ::3] = 0.25  # of equals the first is more certain
    drawn = torch.randint(0, VOCAB, shape, device=device)
    noise = noise_tokens(*keys(moving, length, moving.steps + 1), VOCAB).view(shape)
    before = copied(kept)
    expected = denoise(
        CanvasState(before.tokens[ROWS], before.draft[ROWS], before.unchanged[ROWS]),
        Predictions(drawn, best, entropy),
        noise,
        Rules(moving.bounds, moving.stability, moving.confidence, moving.is_last),
    )
    accepted, finished = denoising.move(
        kept, moving, drawn.flatten(), best.flatten(), entropy.flatten(), VOCAB
    )
    assert torch.equal(accepted.view(shape), expected.accepted)
    assert torch.equal(finished.view(shape), expected.finished[:, None].expand(shape))
    assert expected.finished.any()
    assert not expected.finished.all()
    assert torch.equal(kept.tokens[ROWS], expected.state.tokens)
    assert torch.equal(kept.draft[ROWS], expected.state.draft)
    assert torch.equal(kept.unchanged[ROWS], expected.state.unchanged)
    others = [row for row in range(NUM_KEPT) if row not in ROWS]
    for one, other in zip(
        (kept.tokens, kept.draft, kept.unchanged),
        (before.tokens, before.draft, before.unchanged),
        strict=True,
    ):
        assert torch.equal(one[others], other[others])


@pytest.mark.parametrize("length", [1, 17, 60])
def test_canvases_begin_as_noise_where_they_are_fresh(length: int, device: torch.device) -> None:
    kept, moving = some(length, device)
    before = copied(kept)
    is_fresh = torch.tensor([True, False, True, False, False], device=device)
    denoising.begin(kept, moving, is_fresh, VOCAB)
    fresh, others = [4, 7], [row for row in range(NUM_KEPT) if row not in (4, 7)]
    noise = noise_tokens(*keys(moving, length, torch.zeros_like(moving.steps)), VOCAB)
    assert torch.equal(kept.tokens[fresh], noise.view(-1, length)[is_fresh])
    assert (kept.unchanged[fresh] == -1).all()
    assert torch.equal(kept.tokens[others], before.tokens[others])
    assert torch.equal(kept.draft, before.draft), "the last tokens of the canvas before"
    assert torch.equal(kept.unchanged[others], before.unchanged[others])
