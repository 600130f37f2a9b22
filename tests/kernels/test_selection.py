"""The policies' kernel selects the positions of the torch references."""

import itertools
import math
from typing import get_args

import pytest
import torch

from tests.support.rules import make_rules
from unmask_kernels import dispatch
from unmask_kernels.policies.gpu import SIZES
from unmask_kernels.policies.ops import REFERENCES, Scores, noise_of, select
from unmask_kernels.policies.table import CODES, POLICIES, Policy, PolicyName

NAMES = tuple(policy.name for policy in POLICIES)
INF = float("inf")
# The highest numbers drawn for a policy; those of others are one, up to two.
MOST = {
    "threshold": (1.0, 0.0, 0.0),
    "hierarchical": (1.2, 0.8, 0.0),
    "local_leap": (1.2, 0.8, 9.0),
    "klass": (1.0, 0.0, 0.0),
    "credit": (1.0, 0.0, 0.0),
    "dmax": (1.0, 0.0, 0.0),
}


def both(
    policies: list[str],
    rows: list[int],
    *,
    rounded: bool,
    device: torch.device,
    fewest: int = 1,
) -> None:
    """Check one step of random blocks; rounded numbers have many equals."""
    count = sum(rows)
    confidence, entropy, margin = torch.rand(count), torch.rand(count) * 2, torch.rand(count)
    if rounded:
        confidence, entropy, margin = ((t * 8).round() / 8 for t in (confidence, entropy, margin))
    noise, positions = torch.randn(count), torch.randint(1, 4, (count,)).cumsum(0)
    resolved = torch.rand(count) < 0.2  # by a step that is still running
    confidence, margin = (t.masked_fill(resolved, -1.0) for t in (confidence, margin))
    entropy, noise = (t.masked_fill(resolved, n) for t, n in ((entropy, INF), (noise, -INF)))
    block = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor(rows))
    quota = torch.randint(fewest, 4, (len(rows),))
    most = torch.tensor([MOST.get(policy, (2.0, 0.0, 0.0)) for policy in policies])
    rows_of = block, confidence, entropy, margin, noise, positions, torch.rand(count) < 0.5
    scores = Scores(*(t.to(device) for t in rows_of))
    numbers = quota.to(device), (torch.rand(len(rows), 3) * most).to(device)
    rules = make_rules(policies, scores.block, *numbers, longest=max(rows))
    with dispatch.backend("torch"):
        expected = select(scores, rules)
    with dispatch.backend("triton"):
        result = select(scores, rules)
    assert result.dtype == torch.bool
    assert torch.equal(result, expected)
    assert expected.any()


@pytest.mark.parametrize("policy", [policy.name for policy in POLICIES if policy.may_wait])
def test_blocks_without_a_quota_are_left_alike(policy: str, device: torch.device) -> None:
    torch.manual_seed(3)
    both([policy] * 8, [1, 16, 5, 0, 2, 7, 32, 3], rounded=False, device=device, fewest=-3)


@pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy.may_wait])
def test_a_block_without_a_quota_may_take_nothing(policy: Policy) -> None:
    """Nothing is sure here; policies that take the surest in any case are refused."""
    block = torch.zeros(6, dtype=torch.int64)
    unsure = torch.full((6,), 0.01)
    scores = Scores(block, unsure, 9 + unsure, unsure, unsure, torch.arange(6), block > 0)
    strict = torch.tensor([[0.9 if policy.name == "factor" else 0.8] * 3])
    rules = make_rules([policy.name], block, torch.tensor([0]), strict, longest=6)
    assert not select(scores, rules).any()


@pytest.mark.usual_cases(16)
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


def test_noise_is_that_of_the_reference_and_of_its_key_alone(device: torch.device) -> None:
    count, random = 300, torch.Generator().manual_seed(4)
    block = torch.arange(count) // 60
    seeds, steps = (torch.randint(0, 2**62, (5,), generator=random) for _ in range(2))
    steps %= 100
    positions = torch.randint(0, 10**6, (count,), generator=random)
    keys = [t.to(device) for t in (seeds, steps, block, positions)]
    with dispatch.backend("torch"):
        expected = noise_of(*keys)
    with dispatch.backend("triton"):
        noise = noise_of(*keys)
        some = noise_of(keys[0][2:], keys[1][2:], keys[2][120:] - 2, keys[3][120:])
    torch.testing.assert_close(noise, expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(some, noise[120:])
    # Gumbel's mean and variance.
    assert abs(float(expected.mean()) - 0.577) < 0.2
    assert abs(float(expected.var()) - math.pi**2 / 6) < 0.5
    assert len(expected.unique()) == count


def test_every_policy_has_a_name_a_code_and_a_reference() -> None:
    assert get_args(PolicyName) == NAMES
    assert [policy.code for policy in POLICIES] == list(range(len(POLICIES)))
    assert {name: code for code, name in enumerate(NAMES)} == CODES
    assert set(REFERENCES) == set(NAMES)
