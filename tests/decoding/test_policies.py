"""Policies against a table of cases and against plain definitions."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.support.rules import make_rules
from unmask.types import POLICY_NAMES
from unmask_kernels.policies.ops import REFERENCES, Scores, rank_in_block, reference, select
from unmask_kernels.policies.table import Policy

# Confidences and entropies of one block, quota, threshold, and the positions that must be filled.
TABLE = [
    ("low_confidence", [0.2, 0.9, 0.5], None, 1, 0.0, {1}),
    ("low_confidence", [0.2, 0.9, 0.5], None, 2, 0.0, {1, 2}),
    ("low_confidence", [0.5, 0.5, 0.5], None, 2, 0.0, {0, 1}),
    ("low_confidence", [0.5], None, 4, 0.0, {0}),
    ("threshold", [0.2, 0.9, 0.95], None, 1, 0.9, {1, 2}),
    ("threshold", [0.2, 0.3, 0.1], None, 1, 0.9, {1}),
    ("threshold", [0.2, 0.3, 0.1], None, 2, 0.9, {0, 1}),
    ("threshold", [0.2, 0.3, 0.1], None, 1, 0.0, {0, 1, 2}),
    # (n + 1)(1 - c_n): 2 * 0.01, 3 * 0.1, 4 * 0.4
    ("factor", [0.9, 0.99, 0.6], None, 1, 1.0, {0, 1}),
    ("factor", [0.9, 0.99, 0.6], None, 1, 2.0, {0, 1, 2}),
    ("factor", [0.1, 0.2], None, 1, 0.5, {1}),
    # A later position that would pass is not taken once an earlier one fails.
    ("factor", [0.5, 0.5, 0.5], None, 1, 0.9, {0}),
    ("entropy_bound", [0.0] * 3, [0.3, 0.1, 0.2], 1, 0.25, {1, 2}),
    ("entropy_bound", [0.0] * 3, [0.3, 0.1, 0.2], 1, 0.35, {0, 1, 2}),
    ("entropy_bound", [0.0] * 3, [3.0, 2.0, 2.5], 1, 0.1, {1}),
    ("entropy_bound", [0.0] * 3, [0.3, 0.1, 0.2], 1, 0.0, {1}),
    ("entropy_threshold", [0.0] * 3, [0.3, 0.1, 0.2], 1, 0.25, {1, 2}),
    ("entropy_threshold", [0.0] * 3, [0.25, 0.5, 0.5], 1, 0.25, {0}),
    ("entropy_threshold", [0.0] * 3, [0.5, 0.5, 1.0], 1, 0.25, {0}),
    ("entropy_threshold", [0.0] * 3, [0.5, 0.25, 1.0], 2, 0.0, {0, 1}),
    # Whatever is without uncertainty is not taken beyond the quota.
    ("entropy", [0.0] * 3, [0.3, 0.0, 0.0], 1, 0.0, {1}),
    ("entropy", [0.9, 0.1, 0.1], [0.3, 0.1, 0.2], 2, 0.0, {1, 2}),
    ("sequential", [0.2, 0.9, 0.5], None, 1, 0.0, {0}),
    ("sequential", [0.2, 0.1, 0.5], None, 2, 0.0, {0, 1}),
    # A row that is masked no more comes after all others.
    ("sequential", [-1.0, 0.2, 0.0], None, 2, 0.0, {1, 2}),
]


def chosen(
    policies: list[str],
    blocks: list[int],
    confidence: list[float],
    entropy: list[float] | None,
    quota: list[int],
    threshold: list[float],
) -> set[int]:
    scores = Scores(
        torch.tensor(blocks),
        torch.tensor(confidence),
        None if entropy is None else torch.tensor(entropy),
    )
    rules = make_rules(policies, scores.block, torch.tensor(quota), torch.tensor(threshold))
    picked = select(scores, rules)
    return set(picked.nonzero().flatten().tolist())


def test_the_margin_decides_where_it_is_asked_for() -> None:
    confidence, margin = torch.tensor([0.6, 0.5, 0.4]), torch.tensor([0.1, 0.3, 0.2])
    scores = Scores(torch.zeros(3, dtype=torch.int64), confidence, None, margin)
    rules = make_rules(["margin"], scores.block, torch.tensor([2]), torch.tensor([0.0]))
    picked = select(scores, rules)
    assert picked.tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("policy", "confidence", "entropy", "quota", "threshold", "expected"), TABLE
)
def test_a_policy_fills_the_positions_of_the_table(
    policy: str,
    confidence: list[float],
    entropy: list[float] | None,
    quota: int,
    threshold: float,
    expected: set[int],
) -> None:
    blocks = [0] * len(confidence)
    assert chosen([policy], blocks, confidence, entropy, [quota], [threshold]) == expected


def test_a_block_is_not_told_of_the_entropies_of_others() -> None:
    """Positions that are not candidates have infinite entropy."""
    entropy = [0.3, math.inf, 0.3, 0.1, 0.2]
    picked = chosen(
        ["entropy_bound"] * 2, [0, 0, 1, 1, 1], [0.0] * 5, entropy, [1, 1], [0.25, 0.25]
    )
    assert picked == {0, 3, 4}


def test_blocks_of_different_policies_share_a_step() -> None:
    cases = [case for case in TABLE if case[3] == 1]
    blocks, confidence, entropy, expected = [], [], [], set()
    for i, (_, row, uncertain, _, _, filled) in enumerate(cases):
        expected |= {len(blocks) + position for position in filled}
        blocks += [i] * len(row)
        confidence += row
        entropy += uncertain or [0.0] * len(row)
    policies = [case[0] for case in cases]
    thresholds = [case[4] for case in cases]
    assert chosen(policies, blocks, confidence, entropy, [1] * len(cases), thresholds) == expected


@given(
    policy=st.sampled_from([name for name in POLICY_NAMES if name != "margin"]),
    rows=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 8)), min_size=1, max_size=40),
    quota=st.integers(1, 40),
    threshold=st.floats(0, 10),
)
@settings(deadline=None, derandomize=True)
def test_every_step_fills_its_quota(
    policy: str, rows: list[tuple[float, float]], quota: int, threshold: float
) -> None:
    confidence, entropy = [row[0] for row in rows], [row[1] for row in rows]
    filled = chosen([policy], [0] * len(rows), confidence, entropy, [quota], [threshold])
    assert len(filled) >= min(quota, len(rows))


def test_a_row_and_a_function_make_a_policy() -> None:
    policy = Policy("last_first", len(POLICY_NAMES), "position", "From right to left.", "no paper")

    @reference(policy.name)
    def last_first(scores: Scores, quota: Tensor, threshold: Tensor) -> Tensor:
        order, rank = rank_in_block(torch.arange(len(quota)), scores.block)
        return torch.empty_like(quota, dtype=torch.bool).scatter_(0, order, rank < quota[order])

    try:
        scores = Scores(torch.tensor([0, 0, 0, 1, 1]), torch.full((5,), 0.5), None)
        quota, threshold = torch.tensor([2, 1]), torch.zeros(2)
        rules = make_rules([policy, "sequential"], scores.block, quota, threshold)
        assert select(scores, rules).tolist() == [False, True, True, True, False]
        assert rules.reads("position")
        assert not rules.reads("entropy")
    finally:
        del REFERENCES[policy.name]
