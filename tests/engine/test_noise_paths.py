"""Best tokens of a grammar's classes: those of each class, by logits, noise and filters."""

import pytest
import torch
from torch import Tensor

from tests.support.automata import BYTES, automaton_of
from unmask.decoding.automata.automaton import TokenAutomaton
from unmask.engine.run.noise_paths import GROUP, LOWEST, OUTSIDE, GroupScores, TokenGroups
from unmask.engine.run.staging import Staging
from unmask_kernels.scoring.types import Draws, Truncation

MADE = automaton_of('[^x"]+("|12x)', BYTES)  # one class has more tokens than a group
NUM_ROWS = 70  # more than are in memory at a time


def logits_of(num_rows: int = NUM_ROWS) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(num_rows, len(MADE.class_of), generator=generator)


def draws_of(truncation: Truncation | None = None) -> Draws:
    numbers = torch.arange(NUM_ROWS)
    spread = torch.linspace(0.1, 2, NUM_ROWS)
    temperature = torch.linspace(0.2, 1, NUM_ROWS)
    return Draws(temperature, numbers, numbers + 7, numbers % 3, None, truncation, spread)


def scored(logits: Tensor, draws: Draws | None = None) -> GroupScores:
    groups = TokenGroups.of(MADE, Staging(torch.device("cpu")))
    return GroupScores.of_rows(lambda rows: rows, logits, groups, draws)


def tokens_of(made: TokenAutomaton, klass: int) -> Tensor:
    return torch.from_numpy((made.class_of == klass).nonzero()[0])


def check(found: GroupScores, expected: Tensor) -> None:
    """Scores of each class, and its tokens, are the highest of `expected` [L, V]."""
    best = found.best_of_classes(MADE.num_classes)
    assert (best[:, 0] == LOWEST).all()
    for klass in range(1, MADE.num_classes):
        own = tokens_of(MADE, klass)
        highest, place = expected[:, own].max(-1)
        assert torch.allclose(best[:, klass], highest)
        tokens, _ = found.best_of_class(torch.full((len(expected),), klass))
        assert torch.equal(tokens, own[place])


def test_tokens_are_the_likeliest_of_each_class() -> None:
    assert max(len(tokens_of(MADE, klass)) for klass in range(1, MADE.num_classes)) > GROUP
    logits = logits_of()
    found = scored(logits)
    check(found, logits)
    wanted = torch.arange(NUM_ROWS) % (MADE.num_classes - 1) + 1
    tokens, probabilities = found.best_of_class(wanted)
    assert torch.equal(torch.from_numpy(MADE.class_of)[tokens].long(), wanted)
    expected = logits.softmax(-1).gather(1, tokens[:, None])[:, 0]
    assert torch.allclose(probabilities, expected)


def test_noise_is_that_of_the_draws_at_their_temperature() -> None:
    logits, draws = logits_of(), draws_of()
    assert draws.spread is not None
    noise = draws.spread[:, None] * draws.noise(0, logits.shape[1])
    check(scored(logits, draws), logits / draws.temperature[:, None] + noise)


def test_tokens_that_filters_leave_out_come_last() -> None:
    logits, off = logits_of(), torch.ones(NUM_ROWS)
    truncation = Truncation(None, torch.full((NUM_ROWS,), 3), off, 0 * off)
    draws = draws_of(truncation)
    assert draws.spread is not None
    noise = draws.spread[:, None] * draws.noise(0, logits.shape[1])
    expected = logits / draws.temperature[:, None] + noise - OUTSIDE
    kept = logits.topk(3).indices
    expected.scatter_add_(1, kept, torch.full_like(kept, OUTSIDE, dtype=torch.float32))
    found = scored(logits, draws)
    for klass in range(1, MADE.num_classes):
        tokens, _ = found.best_of_class(torch.full((NUM_ROWS,), klass))
        own = tokens_of(MADE, klass)
        is_kept = torch.isin(own, kept[0])
        if is_kept.any():
            assert tokens[0] in own[is_kept]
        assert torch.allclose(
            found.best_of_classes(MADE.num_classes)[:, klass],
            expected[:, own].amax(-1),
            atol=1e-2,
        )


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
def test_logits_that_are_not_finite_leave_a_token_of_the_class(wrong: float) -> None:
    logits = logits_of()
    logits[3] = wrong
    found = scored(logits)
    assert found.best_of_classes(MADE.num_classes).isfinite().all()
    for klass in range(1, MADE.num_classes):
        tokens, _ = found.best_of_class(torch.full((NUM_ROWS,), klass))
        assert (MADE.class_of[tokens.numpy()] == klass).all()
