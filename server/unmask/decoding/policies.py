"""Decoding policies: which masked positions a step fills, as pure functions of row statistics.

Rows of many blocks lie one after another. A policy sees, for each row, the index of its block and
its parameters, and returns a boolean per row. Every policy fills at least one position of a block.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.types import MAX_BLOCK_LENGTH, PolicyName
from unmask_kernels.dispatch import uses_triton
from unmask_kernels.policies.table import CODES

BY_ENTROPY: frozenset[PolicyName] = frozenset(("entropy_bound", "entropy"))


@dataclass(frozen=True, slots=True)
class Scores:
    """Statistics of M masked rows of a step; rows of a block are consecutive, in order."""

    block: Tensor  # [M] int64, non-decreasing
    confidence: Tensor  # [M] float32 or float64; below 0 where a row is masked no more
    entropy: Tensor | None  # [M], nats
    margin: Tensor | None = None  # [M], between the two highest probabilities


@dataclass(frozen=True, slots=True)
class Rules:
    """How each of B blocks is filled; rows that belong to none may follow theirs."""

    names: frozenset[PolicyName]  # of every policy that occurs
    codes: Tensor  # [B] int32, of `unmask_kernels.policies.table`
    starts: Tensor  # [B + 1] int64, where the rows of a block begin
    quota: Tensor  # [B] int64, the fewest positions to fill
    limit: Tensor  # [B] float32, the policy's own number
    longest: int = MAX_BLOCK_LENGTH  # no block has more rows


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
    """Inclusive running sum of sorted `values` within each block, whatever the others hold."""
    table = values.new_zeros(int(block.max()) + 1, int(rank.max()) + 1)
    table[block, rank] = values
    return table.cumsum(1)[block, rank]


def _highest(key: Tensor, scores: Scores, quota: Tensor) -> Tensor:
    order, rank = rank_in_block(key, scores.block)
    return _unsort(order, rank < quota[order])


def low_confidence(scores: Scores, quota: Tensor) -> Tensor:
    """The `quota` [M] most confident positions of each block (LLaDA, Nie et al., 2025)."""
    return _highest(scores.confidence, scores, quota)


def entropy(scores: Scores, quota: Tensor) -> Tensor:
    """The `quota` [M] positions of each block with the least entropy (Dream, Ye et al., 2025)."""
    assert scores.entropy is not None
    return _highest(-scores.entropy, scores, quota)


def margin(scores: Scores, quota: Tensor) -> Tensor:
    """The `quota` [M] positions whose first choice is furthest before the second (Dream)."""
    assert scores.margin is not None
    return _highest(scores.margin, scores, quota)


def sequential(scores: Scores, quota: Tensor) -> Tensor:
    """The first `quota` [M] masked positions of each block, in their order (SDAR)."""
    return _highest((scores.confidence >= 0).float(), scores, quota)


def threshold(scores: Scores, quota: Tensor, limit: Tensor) -> Tensor:
    """Every position at least `limit` [M] confident, and never fewer than `quota` (Fast-dLLM)."""
    return low_confidence(scores, quota) | (scores.confidence >= limit)


def factor(scores: Scores, quota: Tensor, limit: Tensor) -> Tensor:
    """The n most confident while (n + 1)(1 - confidence of the n-th) < `limit` (Fast-dLLM)."""
    order, rank = rank_in_block(scores.confidence, scores.block)
    fails = (rank + 2) * (1.0 - scores.confidence[order]) >= limit[order]
    kept = _sum_in_block(fails.long(), rank, scores.block[order]) == 0
    return _unsort(order, kept | (rank < quota[order]))


def entropy_bound(scores: Scores, quota: Tensor, limit: Tensor) -> Tensor:
    """The least uncertain positions whose entropies, but for the largest, sum to at most `limit`.

    EB-Sampler (Ben-Hamu et al., 2025): that sum bounds the error of committing them together.
    """
    assert scores.entropy is not None
    order, rank = rank_in_block(-scores.entropy, scores.block)
    ordered = scores.entropy[order].double()
    before = _sum_in_block(ordered, rank, scores.block[order]) - ordered
    return _unsort(order, (before <= limit[order]) | (rank < quota[order]))


def _single(values: Tensor | None) -> Tensor | None:
    return None if values is None else values.float()


def select(scores: Scores, rules: Rules) -> Tensor:
    """Apply to each block its own policy: a boolean [M], the positions to fill in this step."""
    if uses_triton(scores.confidence.device):
        from unmask_kernels.policies import gpu as selection

        return selection.select(
            scores.confidence.float(),
            None if BY_ENTROPY.isdisjoint(rules.names) else _single(scores.entropy),
            _single(scores.margin) if "margin" in rules.names else None,
            rules.starts,
            rules.codes,
            rules.quota,
            rules.limit,
            rules.longest,
        )
    row_quota, row_limit = rules.quota[scores.block], rules.limit[scores.block]
    selected: Tensor | None = None
    for name in sorted(rules.names):
        if name == "low_confidence":
            chosen = low_confidence(scores, row_quota)
        elif name == "threshold":
            chosen = threshold(scores, row_quota, row_limit)
        elif name == "factor":
            chosen = factor(scores, row_quota, row_limit)
        elif name == "entropy":
            chosen = entropy(scores, row_quota)
        elif name == "margin":
            chosen = margin(scores, row_quota)
        elif name == "sequential":
            chosen = sequential(scores, row_quota)
        else:
            chosen = entropy_bound(scores, row_quota, row_limit)
        if selected is None:
            selected = chosen
        else:
            selected = torch.where(rules.codes[scores.block] == CODES[name], chosen, selected)
    assert selected is not None
    return selected
