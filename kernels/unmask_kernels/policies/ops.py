"""Torch references of the decoding policies, and the choice between them and the kernel.

Rows of many blocks lie one after another. A reference takes statistics of rows, and a quota and a
threshold for each row, and returns True for rows to fill: at least one of every block.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from unmask_kernels.dispatch import uses_triton
from unmask_kernels.policies.table import Policy, Statistic


@dataclass(frozen=True, slots=True)
class Scores:
    """Statistics of M masked rows of a step; rows of a block are consecutive, in order."""

    block: Tensor  # [M] int64, non-decreasing
    confidence: Tensor  # [M] float32 or float64; below 0 where a row is masked no more
    entropy: Tensor | None  # [M], nats
    margin: Tensor | None = None  # [M], between the two highest probabilities


@dataclass(frozen=True, slots=True)
class Rules:
    """The policy of each of B blocks; padding rows may follow these and belong to no block."""

    policies: frozenset[Policy]  # every one that may occur
    codes: Tensor  # [B] int32, their codes
    starts: Tensor  # [B + 1] int64, first row of each block
    quota: Tensor  # [B] int64, the fewest positions to fill
    threshold: Tensor  # [B] float32
    longest: int  # no block has more rows

    def reads(self, statistic: Statistic) -> bool:
        """True if a policy ranks by `statistic`, which must be computed then."""
        return any(policy.ranks_by == statistic for policy in self.policies)


Reference = Callable[[Scores, Tensor, Tensor], Tensor]
REFERENCES: dict[str, Reference] = {}


def reference(name: str) -> Callable[[Reference], Reference]:
    """Register the reference of the policy `name`."""

    def register(function: Reference) -> Reference:
        REFERENCES[name] = function
        return function

    return register


def rank_in_block(key: Tensor, block: Tensor) -> tuple[Tensor, Tensor]:
    """Rows sorted by block and then by falling `key`, and each sorted row's rank in its block.

    Equal keys keep their order, so the lower position wins.
    """
    order = torch.argsort(key, descending=True, stable=True)
    order = order[torch.argsort(block[order], stable=True)]
    sorted_block = block[order]
    first = torch.searchsorted(sorted_block, sorted_block)
    return order, torch.arange(len(order), device=key.device) - first


def _unsort(order: Tensor, flags: Tensor) -> Tensor:
    return torch.empty_like(flags).scatter_(0, order, flags)


def _sum_in_block(values: Tensor, rank: Tensor, block: Tensor) -> Tensor:
    """Inclusive running sum of sorted `values` within each block; others may hold infinities."""
    table = values.new_zeros(int(block.max()) + 1, int(rank.max()) + 1)
    table[block, rank] = values
    return table.cumsum(1)[block, rank]


def _highest(key: Tensor, scores: Scores, quota: Tensor) -> Tensor:
    order, rank = rank_in_block(key, scores.block)
    return _unsort(order, rank < quota[order])


@reference("low_confidence")
def low_confidence(scores: Scores, quota: Tensor, threshold: Tensor) -> Tensor:
    """The `quota` [M] most confident positions of each block."""
    return _highest(scores.confidence, scores, quota)


@reference("entropy")
def entropy(scores: Scores, quota: Tensor, threshold: Tensor) -> Tensor:
    """The `quota` [M] positions of each block with the least entropy."""
    assert scores.entropy is not None
    return _highest(-scores.entropy, scores, quota)


@reference("margin")
def margin(scores: Scores, quota: Tensor, threshold: Tensor) -> Tensor:
    """The `quota` [M] positions whose likeliest token is furthest ahead of the second."""
    assert scores.margin is not None
    return _highest(scores.margin, scores, quota)


@reference("sequential")
def sequential(scores: Scores, quota: Tensor, threshold: Tensor) -> Tensor:
    """The first `quota` [M] masked positions of each block, from left to right."""
    return _highest((scores.confidence >= 0).float(), scores, quota)


@reference("threshold")
def threshold(scores: Scores, quota: Tensor, threshold: Tensor) -> Tensor:
    """Every position at least `threshold` [M] confident, and never fewer than `quota`."""
    return _highest(scores.confidence, scores, quota) | (scores.confidence >= threshold)


@reference("factor")
def factor(scores: Scores, quota: Tensor, threshold: Tensor) -> Tensor:
    """The n most confident while (n + 1)(1 - confidence of the n-th) < `threshold` [M]."""
    order, rank = rank_in_block(scores.confidence, scores.block)
    fails = (rank + 2) * (1.0 - scores.confidence[order]) >= threshold[order]
    kept = _sum_in_block(fails.long(), rank, scores.block[order]) == 0
    return _unsort(order, kept | (rank < quota[order]))


@reference("entropy_bound")
def entropy_bound(scores: Scores, quota: Tensor, threshold: Tensor) -> Tensor:
    """The least uncertain positions; all entropies but the largest sum to at most `threshold` [M].

    That sum bounds the error of committing them together.
    """
    assert scores.entropy is not None
    order, rank = rank_in_block(-scores.entropy, scores.block)
    ordered = scores.entropy[order].double()
    before = _sum_in_block(ordered, rank, scores.block[order]) - ordered
    return _unsort(order, (before <= threshold[order]) | (rank < quota[order]))


@reference("entropy_threshold")
def entropy_threshold(scores: Scores, quota: Tensor, threshold: Tensor) -> Tensor:
    """Every position with less entropy than `threshold` [M], and never fewer than `quota`."""
    assert scores.entropy is not None
    return _highest(-scores.entropy, scores, quota) | (scores.entropy < threshold)


def _single(values: Tensor | None) -> Tensor | None:
    return None if values is None else values.float()


def select(scores: Scores, rules: Rules) -> Tensor:
    """Apply each block's policy: a boolean [M], True for positions to fill in this step."""
    if uses_triton(scores.confidence.device):
        from unmask_kernels.policies import gpu

        return gpu.select(
            scores.confidence.float(),
            _single(scores.entropy) if rules.reads("entropy") else None,
            _single(scores.margin) if rules.reads("margin") else None,
            rules.starts,
            rules.codes,
            rules.quota,
            rules.threshold,
            rules.longest,
        )
    quota, threshold = rules.quota[scores.block], rules.threshold[scores.block]
    selected: Tensor | None = None
    for policy in sorted(rules.policies, key=lambda policy: policy.code):
        chosen = REFERENCES[policy.name](scores, quota, threshold)
        if selected is None:
            selected = chosen
        else:
            selected = torch.where(rules.codes[scores.block] == policy.code, chosen, selected)
    assert selected is not None
    return selected
