"""Torch references of the decoding policies, and the choice between them and the kernel.

Rows of many blocks lie one after another. A reference takes statistics of rows, and for each row a
quota and the policy's numbers, and returns True for rows to fill: of a block with a quota at least
so many, and of one without only those that the policy's number lets through.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from unmask_kernels.dispatch import uses_triton
from unmask_kernels.philox import position_noise
from unmask_kernels.policies.table import CODES, Policy, Statistic

READY = 2.0  # above any confidence
FAR = 1 << 12  # above the sum of the longest block and the widest radius
NOWHERE = -(1 << 40)


@dataclass(frozen=True, slots=True)
class Scores:
    """Statistics of M masked rows of a step; rows of a block are consecutive, in order."""

    block: Tensor  # [M] int64, non-decreasing
    confidence: Tensor  # [M] float32 or float64; below 0 where a row is masked no more
    entropy: Tensor | None  # [M], nats
    margin: Tensor | None = None  # [M], between the two highest probabilities
    # [M] float32, random, not below 0 where `ancestral` fills; -inf where a row is masked no more
    noise: Tensor | None = None
    positions: Tensor | None = None  # [M] int64, rising within a block
    is_stable: Tensor | None = None  # [M] bool


@dataclass(frozen=True, slots=True)
class Rules:
    """The policy of each of B blocks; padding rows may follow these and belong to no block."""

    policies: frozenset[Policy]  # every one that may occur
    codes: Tensor  # [B] int32, their codes
    starts: Tensor  # [B + 1] int64, first row of each block
    quota: Tensor  # [B] int64, the fewest positions to fill
    numbers: Tensor  # [B, MAX_NUMBERS] float32, in the order of the policy's row
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
def low_confidence(scores: Scores, quota: Tensor, numbers: Tensor) -> Tensor:
    """The `quota` [M] most confident positions of each block."""
    return _highest(scores.confidence, scores, quota)


@reference("entropy")
def entropy(scores: Scores, quota: Tensor, numbers: Tensor) -> Tensor:
    """The `quota` [M] positions of each block with the least entropy."""
    assert scores.entropy is not None
    return _highest(-scores.entropy, scores, quota)


@reference("margin")
def margin(scores: Scores, quota: Tensor, numbers: Tensor) -> Tensor:
    """The `quota` [M] positions whose likeliest token is furthest ahead of the second."""
    assert scores.margin is not None
    return _highest(scores.margin, scores, quota)


@reference("sequential")
def sequential(scores: Scores, quota: Tensor, numbers: Tensor) -> Tensor:
    """The first `quota` [M] masked positions of each block, from left to right."""
    return _highest((scores.confidence >= 0).float(), scores, quota)


@reference("threshold")
def threshold(scores: Scores, quota: Tensor, numbers: Tensor) -> Tensor:
    """Every position whose confidence reaches the threshold, and never fewer than `quota`."""
    return _highest(scores.confidence, scores, quota) | (scores.confidence >= numbers[:, 0])


@reference("factor")
def factor(scores: Scores, quota: Tensor, numbers: Tensor) -> Tensor:
    """The n most confident while (n + 1)(1 - confidence of the n-th) is below the factor."""
    order, rank = rank_in_block(scores.confidence, scores.block)
    fails = (rank + 2) * (1.0 - scores.confidence[order]) >= numbers[order, 0]
    kept = _sum_in_block(fails.long(), rank, scores.block[order]) == 0
    return _unsort(order, kept | (rank < quota[order]))


@reference("entropy_bound")
def entropy_bound(scores: Scores, quota: Tensor, numbers: Tensor) -> Tensor:
    """The least uncertain positions; all entropies but the largest sum to at most the bound.

    That sum bounds the error of committing them together.
    """
    assert scores.entropy is not None
    order, rank = rank_in_block(-scores.entropy, scores.block)
    ordered = scores.entropy[order].double()
    before = _sum_in_block(ordered, rank, scores.block[order]) - ordered
    return _unsort(order, (before <= numbers[order, 0]) | (rank < quota[order]))


@reference("entropy_threshold")
def entropy_threshold(scores: Scores, quota: Tensor, numbers: Tensor) -> Tensor:
    """Every position with less entropy than the threshold, and never fewer than `quota`."""
    assert scores.entropy is not None
    return _highest(-scores.entropy, scores, quota) | (scores.entropy < numbers[:, 0])


@reference("random")
def random(scores: Scores, quota: Tensor, numbers: Tensor) -> Tensor:
    """The `quota` [M] positions of each block with the highest noise.

    LLaDA's `remasking="random"` (ML-GSAI/LLaDA, generate.py).
    """
    assert scores.noise is not None
    return _highest(scores.noise, scores, quota)


@reference("remdm_cap")
@reference("remdm_rescale")
@reference("remdm_loop")
@reference("remdm_conf")
@reference("ancestral")
def ancestral(scores: Scores, quota: Tensor, numbers: Tensor) -> Tensor:
    """Positions whose noise reaches their step's bound, and never fewer than `quota` [M].

    `_ddpm_update` of kuleshov-group/mdlm (diffusion.py); Dream's alg `origin`. ReMDM fills masks
    alike, by other chances.
    """
    assert scores.noise is not None
    return _highest(scores.noise, scores, quota) | (scores.noise >= 0)


@reference("dmax")
def dmax(scores: Scores, quota: Tensor, numbers: Tensor) -> Tensor:
    """The first masked positions before one that is below the threshold; at least `quota` [M].

    `get_transfer_index_uniform` of czg1225/DMax (parallel_strategy.py).
    """
    is_masked = scores.confidence >= 0
    order, rank = rank_in_block(torch.zeros_like(scores.confidence), scores.block)
    fails = (is_masked & (scores.confidence < numbers[:, 0])).long()
    is_before = _unsort(order, _sum_in_block(fails[order], rank, scores.block[order]) == 0)
    return sequential(scores, quota, numbers) | (is_masked & is_before)


@reference("hierarchical")
def hierarchical(scores: Scores, quota: Tensor, numbers: Tensor) -> Tensor:
    """Positions above the threshold, and the best of each run of masked ones above the low one.

    Never fewer than `quota` [M]. `HierarchyDecoder` of inclusionAI/dInfer (parallel_strategy.py).
    """
    assert scores.positions is not None
    confidence, block, positions = scores.confidence, scores.block, scores.positions
    is_masked = confidence >= 0
    goes_on = torch.zeros_like(is_masked)
    goes_on[1:] = is_masked[:-1] & (block[1:] == block[:-1]) & (positions[1:] == positions[:-1] + 1)
    run = (~(goes_on & is_masked)).cumsum(0) - 1
    best = torch.full_like(confidence, -1.0).scatter_reduce_(0, run, confidence, "amax")[run]
    is_best = (confidence == best) & (confidence > numbers[:, 1])
    return _highest(confidence, scores, quota) | is_best | (confidence > numbers[:, 0])


@reference("local_leap")
def local_leap(scores: Scores, quota: Tensor, numbers: Tensor) -> Tensor:
    """Positions that reach the threshold, or the relaxed one near one of these.

    Near is at most `radius` positions away. Never fewer than `quota` [M]. LocalLeap (Kong et al.,
    2025), `get_transfer_index` of friedrichor/LocalLeap.
    """
    assert scores.positions is not None
    confidence, block, positions = scores.confidence, scores.block, scores.positions
    is_anchor = confidence >= numbers[:, 0]
    # On one line, where blocks are too far apart to be near.
    place = positions - positions[torch.searchsorted(block, block)] + FAR * block
    before = torch.where(is_anchor, place, -FAR).cummax(0).values
    after = torch.where(is_anchor, -place, NOWHERE).flip(0).cummax(0).values.flip(0)
    is_near = torch.minimum(place - before, -after - place) <= numbers[:, 2]
    asked = torch.where(is_near, numbers[:, 1], numbers[:, 0])
    return _highest(confidence, scores, quota) | (confidence >= asked)


@reference("klass")
def klass(scores: Scores, quota: Tensor, numbers: Tensor) -> Tensor:
    """Stable positions above the threshold, and if they are fewer than `quota` [M] the best others.

    KLASS (Kim et al., 2025), `stable_confident_decode` of shkim0116/KLASS.
    """
    is_ready = _is_ready(scores, numbers[:, 0])
    return is_ready | _highest(scores.confidence + READY * is_ready, scores, quota)


def _is_ready(scores: Scores, threshold: Tensor) -> Tensor:
    assert scores.is_stable is not None
    return scores.is_stable & (scores.confidence > threshold)


@reference("credit")
def credit(scores: Scores, quota: Tensor, numbers: Tensor) -> Tensor:
    """Every position whose confidence, with credits, reaches the threshold; at least `quota` [M].

    `CreditThresholdParallelDecoder` of inclusionAI/dInfer (parallel_strategy.py).
    """
    return threshold(scores, quota, numbers)


def _single(values: Tensor | None) -> Tensor | None:
    return None if values is None else values.float()


def noise_of(seeds: Tensor, steps: Tensor, block: Tensor, positions: Tensor) -> Tensor:
    """Gumbel noise [M] float32 of rows, by seeds and steps [B] of the blocks that they are in.

    It depends on seed, position and step alone.
    """
    if uses_triton(block.device):
        from unmask_kernels.policies import gpu

        return gpu.noise_of(seeds, steps, block, positions)
    return position_noise(seeds[block], positions, steps[block])


def select(scores: Scores, rules: Rules) -> Tensor:
    """Apply each block's policy: a boolean [M], True for positions to fill in this step."""
    if uses_triton(scores.confidence.device):
        from unmask_kernels.policies import gpu

        confidence = scores.confidence.float()
        if scores.is_stable is not None:  # the kernel knows ready rows by their confidence
            is_ready = _is_ready(scores, rules.numbers[scores.block, 0])
            is_ready &= rules.codes[scores.block] == CODES["klass"]
            confidence = confidence + READY * is_ready
        return gpu.select(
            confidence,
            _single(scores.entropy) if rules.reads("entropy") else None,
            _single(scores.margin) if rules.reads("margin") else None,
            scores.noise if rules.reads("noise") else None,
            scores.positions,
            rules.starts,
            rules.codes,
            rules.quota,
            rules.numbers,
            rules.longest,
        )
    quota, numbers = rules.quota[scores.block], rules.numbers[scores.block]
    selected: Tensor | None = None
    for policy in sorted(rules.policies, key=lambda policy: policy.code):
        chosen = REFERENCES[policy.name](scores, quota, numbers)
        if selected is None:
            selected = chosen
        else:
            selected = torch.where(rules.codes[scores.block] == policy.code, chosen, selected)
    assert selected is not None
    return selected
