"""Inputs of policies from scored rows."""

import torch

from tests.support.rules import make_rules
from unmask.engine.run.sampling import SamplingInputs, _considered
from unmask_kernels.scoring.ops import LastTokens, RowScores

END = 9


def test_ends_are_filled_as_any_others_where_nothing_else_of_a_block_is_left() -> None:
    token = torch.tensor([END, 3, END, END, END, 5])
    confidence = torch.tensor([0.9, 0.4, 0.8, 0.7, 0.95, 0.99], dtype=torch.float64)
    block = torch.tensor([0, 0, 0, 1, 1, 1])
    last = LastTokens(torch.arange(6), torch.tensor([END]))
    shares = torch.tensor([0.9, 0.2, 0.8, 0.7, 0.95, 0.0], dtype=torch.float64)
    scores = RowScores(
        token, confidence, None, None, None, None, last.rank(confidence, token, shares)
    )
    policies = ["threshold", "threshold"]
    rules = make_rules(policies, block, torch.tensor([1, 1]), torch.tensor([0.5, 0.5]))
    given = SamplingInputs(10, block, rules, None, None, last=last)

    found = _considered(scores, given, None).confidence
    assert found[0] > found[2] > 0
    assert found[0] < 1e-9
    assert found[1] == 0.4 / 0.8
    assert found[5] == 0.99
    # Once the last row is resolved, its block has nothing but ends.
    resolved = torch.tensor([True, True, True, True, True, False])
    found = _considered(scores, given, resolved).confidence
    assert found.tolist()[3:] == [0.7, 0.95, -1.0]
    assert found[0] < 1e-9
