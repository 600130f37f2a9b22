"""Policies against a table of cases and against plain definitions."""

import math
from typing import Any

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
TABLE: list[tuple[str, list[float], list[float] | None, int, Any, set[int]]] = [
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
    # Two runs, and of each the best position that is sure enough.
    ("hierarchical", [0.5, 0.6, -1.0, 0.7, 0.8], None, 1, (0.9, 0.4), {1, 4}),
    ("hierarchical", [0.5, 0.3, -1.0, 0.2, 0.1], None, 1, (0.9, 0.4), {0}),
    ("hierarchical", [0.3, 0.2, -1.0, 0.2, 0.1], None, 1, (0.9, 0.4), {0}),
    ("hierarchical", [0.95, 0.92, -1.0, 0.41, 0.91], None, 1, (0.9, 0.4), {0, 1, 4}),
    ("hierarchical", [0.3, 0.2, 0.1], None, 2, (0.9, 0.4), {0, 1}),
    # Four fifths are enough within two positions of nine tenths.
    ("local_leap", [0.85, 0.85, 0.2, 0.95, 0.85], None, 1, (0.9, 0.8, 2.0), {1, 3, 4}),
    ("local_leap", [0.85, 0.85, 0.2, 0.89, 0.85], None, 1, (0.9, 0.8, 2.0), {3}),
    ("local_leap", [0.85, 0.85, 0.2, 0.95, 0.7], None, 1, (0.9, 0.8, 0.0), {3}),
    ("local_leap", [0.85, -1.0, 0.95], None, 1, (0.9, 0.8, 1.0), {2}),
    ("local_leap", [0.1, 0.2, 0.3], None, 2, (0.9, 0.8, 1.0), {1, 2}),
    ("credit", [0.2, 0.9, 0.95], None, 1, 0.9, {1, 2}),
    ("credit", [0.2, 0.3, 0.1], None, 1, 0.9, {1}),
    # The first ones, up to one that is not sure; rows that are masked no more do not count.
    ("dmax", [0.9, 0.5, 0.4, 0.8], None, 1, 0.5, {0, 1}),
    ("dmax", [0.4, 0.9, 0.9], None, 1, 0.5, {0}),
    ("dmax", [0.4, 0.9, 0.9], None, 2, 0.5, {0, 1}),
    ("dmax", [-1.0, 0.9, -1.0, 0.6, 0.1], None, 1, 0.5, {1, 3}),
    ("dmax", [0.0, 0.1, 0.0], None, 1, 0.0, {0, 1, 2}),
    # A row that is masked no more comes after all others.
    ("sequential", [-1.0, 0.2, 0.0], None, 2, 0.0, {1, 2}),
]


def chosen(
    policies: list[str],
    blocks: list[int],
    confidence: list[float],
    entropy: list[float] | None,
    quota: list[int],
    threshold: list[Any],
) -> set[int]:
    sure = torch.tensor(confidence)
    scores = Scores(
        torch.tensor(blocks),
        sure,
        None if entropy is None else torch.tensor(entropy),
        noise=torch.where(sure < 0, -torch.inf, torch.arange(len(blocks)) % 7),
        positions=torch.arange(len(blocks)),
        is_stable=torch.arange(len(blocks)) % 2 == 0,
    )
    numbers = [one if isinstance(one, tuple) else (one,) for one in threshold]
    padded = torch.tensor([(*one, 0.0, 0.0)[:3] for one in numbers])
    rules = make_rules(policies, scores.block, torch.tensor(quota), padded)
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
    threshold: Any,
    expected: set[int],
) -> None:
    blocks = [0] * len(confidence)
    assert chosen([policy], blocks, confidence, entropy, [quota], [threshold]) == expected


def test_positions_that_are_apart_are_no_run_and_not_near() -> None:
    sure = torch.tensor([0.95, 0.85, 0.85, 0.85])
    place = torch.tensor([3, 4, 7, 40])
    scores = Scores(torch.zeros(4, dtype=torch.int64), sure, None, positions=place)
    of_runs = make_rules(["hierarchical"], scores.block, torch.tensor([1]), torch.tensor([0.9]))
    assert select(scores, of_runs).tolist() == [True, False, True, True]
    numbers = torch.tensor([[0.9, 0.8, 4.0]])
    near = make_rules(["local_leap"], scores.block, torch.tensor([1]), numbers)
    assert select(scores, near).tolist() == [True, True, True, False]


def test_what_is_near_in_another_block_is_not_near() -> None:
    sure, block = torch.tensor([0.85, 0.95, 0.85, 0.1]), torch.tensor([0, 0, 1, 1])
    scores = Scores(block, sure, None, positions=torch.tensor([8, 9, 9, 10]))
    numbers = torch.tensor([[0.9, 0.8, 4.0]] * 2)
    rules = make_rules(["local_leap"] * 2, block, torch.tensor([1, 0]), numbers)
    assert select(scores, rules).tolist() == [True, True, False, False]


def test_only_stable_positions_are_taken_while_there_are_enough() -> None:
    sure = torch.tensor([0.7, 0.95, 0.99, 0.65, -1.0])
    stable = torch.tensor([True, False, False, True, True])

    def picked(quota: int, threshold: float) -> list[bool]:
        scores = Scores(torch.zeros(5, dtype=torch.int64), sure, None, is_stable=stable)
        numbers = torch.tensor([[threshold]])
        rules = make_rules(["klass"], scores.block, torch.tensor([quota]), numbers)
        return select(scores, rules).tolist()

    assert picked(1, 0.6) == [True, False, False, True, False]
    assert picked(1, 0.68) == [True, False, False, False, False]
    assert picked(3, 0.6) == [True, False, True, True, False]
    assert picked(1, 0.9) == [False, False, True, False, False]


def test_the_highest_noise_is_filled_first() -> None:
    noise = torch.tensor([0.5, -2.0, -torch.inf, 3.0])
    scores = Scores(torch.zeros(4, dtype=torch.int64), torch.rand(4), None, noise=noise)
    rules = make_rules(["random"], scores.block, torch.tensor([2]), torch.tensor([0.0]))
    assert select(scores, rules).tolist() == [True, False, False, True]


def test_noise_that_reaches_its_bound_is_filled_and_the_quota() -> None:
    noise = torch.tensor([0.5, -2.0, -torch.inf, 0.0, -0.1, -0.2, -torch.inf])
    block = torch.tensor([0, 0, 0, 0, 1, 1, 1])
    scores = Scores(block, torch.rand(7), None, noise=noise)

    def filled(quota: int) -> list[bool]:
        rules = make_rules(["ancestral"] * 2, block, torch.tensor([quota] * 2), torch.zeros(2))
        return select(scores, rules).tolist()

    assert filled(0) == [True, False, False, True, False, False, False]
    assert filled(1) == [True, False, False, True, True, False, False]


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
