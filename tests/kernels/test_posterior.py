"""Reverse steps of uniform-state diffusion: kernels give torch's, with the published chances."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from unmask_kernels import dispatch
from unmask_kernels.noise.posterior import reverse_step, token_logits
from unmask_kernels.noise.types import Blocks, CanvasScores, Reversed

NUM_KEPT, VOCAB, ROWS = 6, 120, [4, 0, 2, 5]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def some_blocks() -> Blocks:
    """A step near noise, one in the middle, a last one, and one that draws every token."""
    chances = [[0.1, 0.5, 0.2, 0.3], [60.0, 0.1, 0.3, 0.1], [59.0, 0.0, 0.5, 0.0], [0, 0, 1, 0]]
    return Blocks(
        rows=torch.tensor(ROWS),
        seeds=torch.randint(0, 2**60, (len(ROWS),)),
        starts=torch.randint(0, 500, (len(ROWS),)),
        steps=torch.randint(0, 9, (len(ROWS),)),
        temperature=torch.tensor([0.8, 0.5, 0.4, 0.4]),
        chances=torch.tensor(chances, dtype=torch.float32),
        is_last=torch.tensor([False, False, True, False]),
    )


def scores_of(hidden: Tensor, embedding: Tensor, blocks: Blocks, length: int) -> CanvasScores:
    logits = hidden.float() @ embedding.float().T
    tempered = logits / blocks.temperature.repeat_interleave(length)[:, None]
    best = logits.argmax(-1)
    zeros = torch.zeros(len(hidden))
    return CanvasScores(
        drawn=torch.randint(0, VOCAB, (len(hidden),)),
        best=best,
        confidence=zeros,
        entropy=zeros,
        tempered_norm=tempered.logsumexp(-1),
        log_norm=logits.logsumexp(-1),
        soft=hidden,
        top_ids=None,
        top_logprobs=None,
    )


def on(device: torch.device, value: Blocks | CanvasScores) -> Blocks | CanvasScores:
    tensors = {
        name: getattr(value, name).to(device)
        for name in value.__slots__
        if getattr(value, name) is not None
    }
    return replace(value, **tensors)


def stepped(
    backend: dispatch.Backend,
    device: torch.device,
    kept: tuple[Tensor, Tensor],
    blocks: Blocks,
    given: tuple[Tensor, Tensor],
    scores: CanvasScores,
) -> tuple[Reversed, list[Tensor]]:
    own = [tensor.clone().to(device) for tensor in kept]
    moved, hidden = [on(device, value) for value in (blocks, scores)], given[0].to(device)
    with dispatch.backend(backend):
        taken = reverse_step(*own, moved[0], hidden, given[1].to(device), moved[1], VOCAB)
    return taken, [tensor.cpu() for tensor in own]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("length", "columns"), [(1, 32), (8, 48), (17, 100)])
def test_kernels_take_the_steps_of_torch(
    dtype: torch.dtype, length: int, columns: int, device: torch.device
) -> None:
    hidden = torch.randn(len(ROWS) * length, columns).to(dtype)
    embedding = (0.3 * torch.randn(VOCAB, columns)).to(dtype)
    blocks = some_blocks()
    scores = scores_of(hidden, embedding, blocks, length)
    kept = (
        torch.randint(0, VOCAB, (NUM_KEPT, length + 3))[:, :length],
        torch.randint(0, VOCAB, (NUM_KEPT, length)),
    )
    given = (kept, blocks, (hidden, embedding), scores)
    expected, after = stepped("torch", torch.device("cpu"), *given)
    result, own = stepped("triton", device, *given)
    assert torch.equal(result.tokens.cpu(), expected.tokens)
    assert torch.equal(result.resolved.cpu(), expected.resolved)
    assert torch.equal(result.finished.cpu(), expected.finished)
    torch.testing.assert_close(result.confidence.cpu(), expected.confidence, rtol=1e-4, atol=1e-6)
    for one, other, before in zip(own, after, kept, strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one[ROWS].flatten(), expected.tokens)
        assert torch.equal(one[[1, 3]], before[[1, 3]])
    assert expected.finished.view(len(ROWS), length)[2].all()
    assert torch.equal(expected.tokens[-length:], scores.drawn[-length:])


def test_tokens_stay_are_drawn_or_become_noise_as_often_as_published(device: torch.device) -> None:
    """The posterior of one position, over as many seeds as there are blocks."""
    count, columns = 4000, 8
    hidden = torch.randn(1, columns).expand(count, -1).contiguous()
    embedding = torch.randn(VOCAB, columns)
    before, after, temperature = 0.35, 0.6, 0.7
    ratio = before / after
    chances = [before * VOCAB, ratio - before, after - before, (1 - ratio) * (1 - after)]
    blocks = Blocks(
        rows=torch.arange(count),
        seeds=torch.arange(count),
        starts=torch.full((count,), 3),
        steps=torch.full((count,), 2),
        temperature=torch.full((count,), temperature),
        chances=torch.tensor(chances).expand(count, -1).contiguous(),
        is_last=torch.zeros(count, dtype=torch.bool),
    )
    scores = scores_of(hidden, embedding, blocks, 1)
    p = (hidden[0] @ embedding.T / temperature).softmax(-1)
    held = int(p.argsort()[VOCAB // 2])
    drawn = torch.multinomial(p, count, replacement=True)
    scores = replace(scores, drawn=drawn)
    kept = torch.full((count, 1), held), torch.zeros(count, 1, dtype=torch.int64)
    own = [tensor.to(device) for tensor in kept]
    given = on(device, blocks), hidden.to(device), embedding.to(device), on(device, scores)
    reverse_step(*own, *given, VOCAB)
    got = own[0].cpu().flatten().bincount(minlength=VOCAB) / count
    one_hot = torch.nn.functional.one_hot(torch.tensor(held), VOCAB)
    numerator = (chances[0] * p[held] + chances[1]) * one_hot + chances[2] * p + chances[3] / VOCAB
    expected = numerator / (before * VOCAB * p[held] + 1 - before)
    assert expected.sum() == pytest.approx(1.0, abs=1e-5)
    error = (expected * (1 - expected) / count).sqrt()
    assert ((got - expected).abs() <= 5 * error + 1e-3).all()


def test_a_norm_that_leaves_the_held_token_out_never_keeps_it(
    backend: dispatch.Backend, device: torch.device
) -> None:
    hidden, embedding = torch.randn(len(ROWS), 16), torch.randn(VOCAB, 16)
    blocks = some_blocks()
    scores = scores_of(hidden, embedding, blocks, 1)
    scores = replace(scores, tempered_norm=torch.full_like(scores.log_norm, torch.inf))
    sure = replace(blocks, chances=torch.tensor([[1e6, 0.0, 0.5, 0.0]] * len(ROWS)))
    own = [torch.zeros(NUM_KEPT, 1, dtype=torch.int64, device=device) for _ in range(2)]
    given = on(device, sure), hidden.to(device), embedding.to(device), on(device, scores)
    taken = reverse_step(*own, *given, VOCAB)
    assert torch.equal(taken.tokens.cpu(), scores.drawn)


def test_logits_of_tokens_are_those_of_the_head() -> None:
    hidden, embedding = torch.randn(5, 16), torch.randn(VOCAB, 16)
    ids = torch.randint(0, VOCAB, (5, 3))
    expected = (hidden @ embedding.T).gather(1, ids)
    torch.testing.assert_close(token_logits(hidden, embedding, ids), expected)
