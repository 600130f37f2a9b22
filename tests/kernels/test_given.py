"""Log-probabilities and ranks of given tokens, against a plain softmax."""

import pytest
import torch

from unmask_kernels.linear.ops import make_linear
from unmask_kernels.scoring.given import score_given
from unmask_kernels.scoring.ops import LOGIT_ROWS, score_rows

VOCAB, MASK = 90, 7


def inputs(rows: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Hidden states, tokens and the head's weight."""
    generator = torch.Generator().manual_seed(rows)
    hidden = torch.randn(rows, 32, generator=generator).to(device)
    tokens = torch.randint(VOCAB, (rows,), generator=generator).to(device)
    return hidden, tokens, (torch.randn(VOCAB, 32, generator=generator) / 4).to(device)


@pytest.mark.parametrize("rows", [0, 1, 5, LOGIT_ROWS, 2 * LOGIT_ROWS + 3])
def test_tokens_have_their_logit_less_all_others(
    device: torch.device, backend: str, rows: int
) -> None:
    hidden, tokens, weight = inputs(rows, device)
    logprobs, ranks = score_given(hidden, make_linear(weight), tokens, mask_token_id=MASK)
    expected = (hidden.double() @ weight.double().T).log_softmax(-1)
    own = expected.gather(1, tokens[:, None])
    torch.testing.assert_close(logprobs.double(), own[:, 0], atol=1e-5, rtol=1e-5)
    expected[:, MASK] = -torch.inf  # has a probability, but no rank
    assert ranks.tolist() == ((expected > own).sum(1) + 1).tolist()


def test_rows_are_the_same_alone(device: torch.device, backend: str) -> None:
    hidden, tokens, weight = inputs(LOGIT_ROWS + 9, device)
    logprobs, ranks = score_given(hidden, make_linear(weight), tokens, mask_token_id=MASK)
    for i in (0, 8, LOGIT_ROWS, LOGIT_ROWS + 8):
        one = slice(i, i + 1)
        alone = score_given(hidden[one], make_linear(weight), tokens[one], mask_token_id=MASK)
        assert torch.equal(alone[0], logprobs[one])
        assert torch.equal(alone[1], ranks[one])


def test_the_token_that_is_chosen_has_rank_one(device: torch.device, backend: str) -> None:
    hidden, _, weight = inputs(20, device)
    chosen = score_rows(hidden, make_linear(weight), mask_token_id=MASK)
    logprobs, ranks = score_given(hidden, make_linear(weight), chosen.token, mask_token_id=MASK)
    assert ranks.tolist() == [1] * 20
    torch.testing.assert_close(logprobs.exp(), chosen.confidence.float())


def test_tokens_as_likely_share_the_best_rank(device: torch.device) -> None:
    head = make_linear(torch.zeros(VOCAB, 32, device=device))
    tokens = torch.tensor([3, VOCAB - 1], device=device)
    _, ranks = score_given(torch.ones(2, 32, device=device), head, tokens, mask_token_id=MASK)
    assert ranks.tolist() == [1, 1]


def test_statistics_take_given_tokens_in_their_rows_alone(device: torch.device) -> None:
    hidden, tokens, weight = inputs(6, device)
    scores = score_rows(hidden, make_linear(weight), mask_token_id=MASK)
    rows = torch.tensor([1, 4], device=device)
    given = score_given(hidden[rows], make_linear(weight), tokens[rows], mask_token_id=MASK)
    found = scores.with_given(rows, tokens[rows], *given)
    assert found.given_logprobs is not None
    assert torch.equal(found.token[rows], tokens[rows])
    assert torch.equal(found.given_logprobs[rows], given[0])
    others = torch.tensor([0, 2, 3, 5], device=device)
    assert torch.equal(found.token[others], scores.token[others])
    assert torch.equal(found.confidence[others], scores.confidence[others])
