"""Statistics of rows by pieces of the vocabulary, against a float64 softmax."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from unmask_kernels import dispatch
from unmask_kernels.dispatch import Backend
from unmask_kernels.linear.ops import make_linear
from unmask_kernels.scoring.gpu.scores import score_hidden, score_logits
from unmask_kernels.scoring.ops import score_rows
from unmask_kernels.scoring.types import Draws, GuidedRows, RowStats, Truncation

MASK = 2500


def inputs(num_rows: int, vocab_size: int, dtype: torch.dtype, device: torch.device):
    torch.manual_seed(0)
    hidden = torch.randn(num_rows, 32).to(device, dtype)
    return hidden, torch.randn(vocab_size, 32).to(device, dtype)


def draws(num_rows: int, device: torch.device) -> Draws:
    temperatures = torch.linspace(0.0, 2.0, num_rows)  # the first row is not drawn
    seeds = torch.arange(num_rows) * 2**40 + 7
    positions, steps = torch.arange(num_rows) * 3, torch.arange(num_rows) % 5
    return Draws(*(tensor.to(device) for tensor in (temperatures, seeds, positions, steps)))


def check(result: RowStats, logits: Tensor) -> None:
    exact = logits.cpu().double()
    probs = exact.softmax(-1)
    top = probs.index_fill(1, torch.tensor([MASK]), 0.0).topk(2).values
    token = result.token.cpu()
    close = {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(result.log_norm.cpu().double(), exact.logsumexp(-1), **close)
    torch.testing.assert_close(
        result.confidence.cpu().double(), probs.gather(1, token[:, None])[:, 0], **close
    )
    entropy = torch.special.entr(probs).sum(-1)
    torch.testing.assert_close(result.entropy.cpu().double(), entropy, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(result.margin.cpu().double(), top[:, 0] - top[:, 1], **close)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("vocab_size", [2504, 4096, 9000])
def test_statistics_are_those_of_a_softmax(
    vocab_size: int, dtype: torch.dtype, device: torch.device
) -> None:
    hidden, head = inputs(5, vocab_size, dtype, device)
    logits = hidden @ head.T
    result = score_logits(logits, MASK, None)
    check(result, logits)
    masked = logits.float()
    masked[:, MASK] = -math.inf
    assert torch.equal(result.token, masked.argmax(-1))


def test_the_mask_token_has_its_share_but_is_never_taken(device: torch.device) -> None:
    logits = torch.zeros(3, 3000, device=device)
    logits[:, MASK] = torch.tensor([100.0, 6.0, 300.0])
    logits[1, 17] = 5.0
    result = score_logits(logits, MASK, None)
    assert result.token.tolist() == [0, 17, 0]  # the lowest of equals
    check(result, logits)
    assert result.margin[0] == 0


def test_slices_of_the_head_give_what_whole_logits_give(device: torch.device) -> None:
    hidden, head = inputs(4, 9000, torch.float32, device)
    by_slice = score_hidden(hidden, head, MASK, draws(4, device))
    whole = score_logits(hidden @ head.T, MASK, draws(4, device))
    assert torch.equal(by_slice.token, whole.token)
    torch.testing.assert_close(by_slice.entropy, whole.entropy, rtol=1e-5, atol=1e-5)


def test_rows_are_batch_invariant(device: torch.device) -> None:
    hidden, head = inputs(5, 5000, torch.bfloat16, device)
    logits = hidden @ head.T
    whole = score_logits(logits, MASK, draws(5, device))
    for row in range(5):
        alone = draws(5, device).select(slice(row, row + 1))
        result = score_logits(logits[row : row + 1], MASK, alone)
        for name in ("token", "confidence", "entropy", "margin", "log_norm"):
            assert torch.equal(getattr(result, name), getattr(whole, name)[row : row + 1]), name


def test_draws_are_those_of_the_torch_path(device: torch.device) -> None:
    num_rows = 24
    hidden, head = inputs(num_rows, 2600, torch.float32, device)
    own = draws(num_rows, device)
    result = score_logits(hidden @ head.T, MASK, own)
    rows = torch.arange(1, num_rows, device=device)
    sampled = replace(own.select(rows), rows=rows)
    expected = score_rows(hidden, make_linear(head), mask_token_id=MASK, draws=sampled)
    assert torch.equal(result.token, expected.token)
    assert (result.token[1:] != score_logits(hidden @ head.T, MASK, None).token[1:]).any()
    torch.testing.assert_close(
        result.confidence, expected.confidence, rtol=1e-4, atol=1e-6, check_dtype=False
    )
    check(result, hidden @ head.T)


def test_no_rows_have_no_statistics(device: torch.device) -> None:
    hidden, head = inputs(0, 2504, torch.float32, device)
    assert score_hidden(hidden, head, MASK, None).token.numel() == 0


@pytest.mark.parametrize("top_k", [None, 5])
def test_guided_rows_get_what_the_torch_path_gives_them(
    top_k: int | None, device: torch.device
) -> None:
    hidden, head = inputs(6, 3000, torch.float32, device)
    own = draws(6, device)
    truncation = None
    if top_k is not None:
        which, one = torch.tensor([0, 1], device=device), torch.ones(2, device=device)
        truncation = Truncation(which, torch.full_like(which, top_k), one, 0 * one)
    drawn = torch.tensor([1, 4], device=device)
    sampled = replace(own.select(drawn), rows=drawn, truncation=truncation)
    rows = torch.tensor([0, 2, 4], device=device)
    guided = GuidedRows(rows, hidden.flip(0)[:3], torch.tensor([0.5, 2.0, 1.0], device=device))

    def score(name: Backend, guidance: GuidedRows | None) -> RowStats:
        with dispatch.backend(name):
            return score_rows(
                hidden,
                make_linear(head),
                mask_token_id=MASK,
                draws=sampled,
                guided=guidance,
                with_entropy=True,
                with_margin=True,
                num_top=3,
            )

    result, expected = score("triton", guided), score("torch", guided)
    assert torch.equal(result.token, expected.token)
    assert torch.equal(result.top_ids, expected.top_ids)
    for name in ("confidence", "entropy", "margin", "top_logprobs"):
        torch.testing.assert_close(
            getattr(result, name), getattr(expected, name), rtol=1e-4, atol=1e-5, check_dtype=False
        )
    unguided = score("triton", None)
    changed = (result.entropy - unguided.entropy).abs() > 1e-4
    assert changed.nonzero().flatten().tolist() == [0, 2, 4]
