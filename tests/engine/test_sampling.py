"""Statistics of scored rows as policies get them."""

import itertools

import pytest
import torch

from tests.support.rules import make_rules
from unmask.engine.run.inputs import RandomOrder
from unmask.engine.run.sampling import ordered_at_random, policy_scores
from unmask_kernels.policies.ops import Scores, select
from unmask_kernels.scoring.types import LastTokens, RowStats

END = 9


def test_ends_are_filled_as_any_others_where_nothing_else_of_a_block_is_left() -> None:
    token = torch.tensor([END, 3, END, END, END, 5])
    confidence = torch.tensor([0.9, 0.4, 0.8, 0.7, 0.95, 0.99], dtype=torch.float64)
    block = torch.tensor([0, 0, 0, 1, 1, 1])
    last = LastTokens(torch.arange(6), torch.tensor([END]))
    shares = torch.tensor([0.9, 0.2, 0.8, 0.7, 0.95, 0.0], dtype=torch.float64)
    scores = RowStats(
        token, confidence, None, None, None, None, last.rank(confidence, token, shares)
    )

    found = policy_scores(scores, block, 2, None).confidence
    assert found[0] > found[2] > 0
    assert found[0] < 1e-9
    assert found[1] == 0.4 / 0.8
    assert found[5] == 0.99
    # Once the last row is resolved, its block has nothing but ends.
    resolved = torch.tensor([True, True, True, True, True, False])
    found = policy_scores(scores, block, 2, resolved).confidence
    assert found.tolist()[3:] == [0.7, 0.95, -1.0]
    assert found[0] < 1e-9


@pytest.mark.parametrize("policy", ["low_confidence", "entropy", "margin"])
def test_positions_are_drawn_as_torchs_multinomial_draws_them(policy: str) -> None:
    """Dream draws two of three positions from softmax(confidence / alg_temp), none twice."""
    certain, temperature, trials = [0.9, 0.6, 0.2], 0.5, 4000
    weights = (torch.tensor(certain).double() / temperature).softmax(-1).tolist()
    expected = {
        pair: sum(
            weights[i] * weights[j] / (1 - weights[i]) for i, j in itertools.permutations(pair)
        )
        for pair in itertools.combinations(range(3), 2)
    }
    statistic = torch.tensor(certain * trials)
    block = torch.arange(trials).repeat_interleave(3)
    scores = Scores(block, statistic, -statistic, statistic, positions=torch.arange(3 * trials))
    keys = torch.arange(trials), torch.zeros(trials, dtype=torch.int64)
    order = RandomOrder(*keys, torch.full((trials,), temperature), torch.zeros(trials))
    drawn = ordered_at_random(scores, order, None)
    numbers = torch.full((trials,), 2), torch.zeros(trials)
    chosen = select(drawn, make_rules([policy] * trials, block, *numbers)).view(trials, 3)
    assert (chosen.sum(1) == 2).all()
    for pair, share in expected.items():
        # Four standard deviations.
        margin = 4 * (share * (1 - share) / trials) ** 0.5
        assert abs(float(chosen[:, pair].all(1).double().mean()) - share) < margin


def test_blocks_without_a_temperature_keep_their_statistics() -> None:
    block, statistic = torch.tensor([0, 0, 1, 1]), torch.tensor([0.9, -1.0, 0.4, -1.0])
    entropy = torch.tensor([0.1, torch.inf, 2.0, torch.inf])
    scores = Scores(block, statistic, entropy, statistic, positions=torch.arange(4))
    order = RandomOrder(*[torch.arange(2)] * 2, torch.tensor([0.0, 0.3]), torch.zeros(2))
    drawn = ordered_at_random(scores, order, statistic >= 0)
    assert drawn.entropy is not None
    assert drawn.noise is not None
    assert torch.equal(drawn.confidence[:2], statistic[:2])
    assert torch.equal(drawn.entropy[:2], entropy[:2])
    assert drawn.confidence[2] != statistic[2]
    # Rows that are filled come last in any order.
    assert drawn.confidence[3] == drawn.noise[3] == drawn.noise[1] == -torch.inf
    assert drawn.entropy[3] == torch.inf
