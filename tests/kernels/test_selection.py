"""The policies' kernel selects the positions of the torch references."""

import itertools
from typing import get_args

import pytest
import torch

from tests.support.rules import make_rules
from unmask_kernels import dispatch
from unmask_kernels.policies.gpu import SIZES
from unmask_kernels.policies.ops import REFERENCES, Scores, select
from unmask_kernels.policies.table import CODES, POLICIES, PolicyName

NAMES = tuple(policy.name for policy in POLICIES)


def both(policies: list[str], rows: list[int], *, rounded: bool, device: torch.device) -> None:
    """Check one step of random blocks; rounded numbers have many equals."""
    count = sum(rows)
    confidence, entropy, margin = torch.rand(count), torch.rand(count) * 2, torch.rand(count)
    if rounded:
        confidence, entropy, margin = ((t * 8).round() / 8 for t in (confidence, entropy, margin))
    resolved = torch.rand(count) < 0.2  # by a step that is still running
    confidence, margin = (t.masked_fill(resolved, -1.0) for t in (confidence, margin))
    entropy = entropy.masked_fill(resolved, torch.inf)
    block = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor(rows))
    quota = torch.randint(1, 4, (len(rows),))
    threshold = torch.rand(len(rows)) * torch.tensor(
        [2.0 if p != "threshold" else 1 for p in policies]
    )
    scores = Scores(*(t.to(device) for t in (block, confidence, entropy, margin)))
    numbers = quota.to(device), threshold.to(device)
    rules = make_rules(policies, scores.block, *numbers, longest=max(rows))
    with dispatch.backend("torch"):
        expected = select(scores, rules)
    with dispatch.backend("triton"):
        result = select(scores, rules)
    assert result.dtype == torch.bool
    assert torch.equal(result, expected)
    assert expected.any()


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("policy", NAMES)
def test_a_policy_picks_the_same(policy: str, rounded: bool, device: torch.device) -> None:
    torch.manual_seed(0)
    for _ in range(3):
        both([policy] * 4, [1, 16, 5, 32], rounded=rounded, device=device)


def test_policies_share_a_launch(device: torch.device) -> None:
    torch.manual_seed(1)
    policies = [*NAMES, *NAMES]
    sizes = itertools.cycle([3, 8, 20, 31, 1, 2, 4, 40, 6, 33, 2, 9, 5, 17])
    rows = list(itertools.islice(sizes, len(policies)))
    both(policies, rows, rounded=False, device=device)


def test_the_longest_block_is_ranked_whole(device: torch.device) -> None:
    torch.manual_seed(2)
    both(["factor", "low_confidence"], [SIZES[-1], 7], rounded=True, device=device)


def test_every_policy_has_a_name_a_code_and_a_reference() -> None:
    assert get_args(PolicyName) == NAMES
    assert [policy.code for policy in POLICIES] == list(range(len(POLICIES)))
    assert {name: code for code, name in enumerate(NAMES)} == CODES
    assert set(REFERENCES) == set(NAMES)
