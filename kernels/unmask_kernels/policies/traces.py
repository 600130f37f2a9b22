"""State of a block from step to step, for the policies `klass`, `credit` and `remdm_conf`.

A row is one of R scored positions of a block of L; `offsets` [R] are their places in it. A step
makes a new state and leaves the old one as it is, so that a step may be computed again.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# KLASS (Kim et al., 2025): steps whose distributions must be alike, and what keeps logarithms
# finite. shkim0116/KLASS, src/model/llada_klass.py.
HISTORY, TINY = 2, 1e-12
# Credit decoding: weight of a credit in logits, exponent of an earned probability, share that is
# left after a step. `CreditThresholdParallelDecoder` of inclusionAI/dInfer, parallel_strategy.py.
ALPHA, GAMMA, BETA = 0.7, 0.2, 0.8


@dataclass(frozen=True, slots=True)
class Stability:
    """Last hidden states of positions, and for how many steps their tokens have been alike."""

    hidden: Tensor  # [L, C], after the last norm
    num_alike: Tensor  # [L] int64; -1 where a position was never scored

    @classmethod
    def step(
        cls,
        before: "Stability | None",
        hidden: Tensor,
        offsets: Tensor,
        block_len: int,
        make_logits: Callable[[Tensor], Tensor],
        bound: float,
    ) -> "tuple[Stability, Tensor]":
        """The next state, and True [R] for rows that have been stable for `HISTORY` steps.

        A row is alike if the divergence of its distribution from the last one is below `bound`.
        The last logits are computed again of `hidden` states, which are smaller.
        """
        if before is None:
            num_alike = torch.full((block_len,), -1, device=hidden.device)
            before = cls(hidden.new_zeros(block_len, hidden.shape[1]), num_alike)
        last, alike = before.hidden[offsets], before.num_alike[offsets]
        is_alike = divergence(make_logits(hidden), make_logits(last)) < bound
        alike = torch.where((alike >= 0) & is_alike, alike + 1, 0)
        after = cls(
            before.hidden.index_copy(0, offsets, hidden),
            before.num_alike.index_copy(0, offsets, alike),
        )
        return after, alike >= HISTORY


def divergence(logits: Tensor, last: Tensor) -> Tensor:
    """Kullback-Leibler divergence [R] float64 of rows of logits [R, V] from the last ones."""
    now, then = logits.double().softmax(-1), last.double().softmax(-1)
    return (now * ((now + TINY).log() - (then + TINY).log())).sum(-1)


@dataclass(frozen=True, slots=True)
class Credits:
    """Credits of tokens that have been a position's likeliest; of all others they are zero."""

    tokens: Tensor  # [L, K] int64, K steps
    credits: Tensor  # [L, K] float32

    @classmethod
    def step(
        cls,
        before: "Credits | None",
        logits: Tensor,
        offsets: Tensor,
        block_len: int,
        mask_token: int,
    ) -> "tuple[Credits, Tensor]":
        """The next state, and `logits` [R, V] with credits added.

        Credits decay, and each row's likeliest token but the mask token earns a power of its
        probability.
        """
        if before is None:
            tokens = torch.empty(block_len, 0, dtype=torch.int64, device=logits.device)
            before = cls(tokens, tokens.float())
        best = logits.index_fill(1, offsets.new_tensor([mask_token]), -torch.inf).argmax(-1)[
            :, None
        ]
        earned = logits.double().softmax(-1).gather(1, best).pow(GAMMA).float()
        tokens, credits = before.tokens[offsets], before.credits[offsets] * BETA
        is_known = tokens == best
        is_known &= is_known.cumsum(1) == 1  # a token may have empty entries behind its own
        credits = credits + torch.where(is_known, earned, 0.0)
        first = torch.where(is_known.any(1, keepdim=True), 0.0, earned)
        tokens, credits = torch.cat((tokens, best), 1), torch.cat((credits, first), 1)
        after = cls(
            F.pad(before.tokens, (0, 1)).index_copy(0, offsets, tokens),
            F.pad(before.credits, (0, 1)).index_copy(0, offsets, credits),
        )
        return after, logits.scatter_add(1, tokens, ALPHA * credits.log1p())


@dataclass(frozen=True, slots=True)
class Commits:
    """Confidences that tokens of a block had when they were committed."""

    confidence: Tensor  # [L] float32, probabilities; infinite where a position has a mask
    last: Tensor  # [L] float32, of the likeliest tokens in the last step

    @classmethod
    def step(
        cls,
        before: "Commits | None",
        confidence: Tensor,
        is_masked: Tensor,
        offsets: Tensor,
        block_len: int,
    ) -> "tuple[Commits, Tensor]":
        """The next state, and shares [R] of the chance that a step masks some token again.

        `confidence` [R] are probabilities in this step. The less confident a commit was, the larger
        is the token's share; those of a block sum to 1. `_ddpm_caching_update` of
        kuleshov-group/remdm (diffusion.py), sampler `remdm-conf`.
        """
        if before is None:
            masked = confidence.new_full((block_len,), torch.inf)
            before = cls(masked, masked)
        known = before.confidence[offsets]
        known = torch.where(known.isinf(), before.last[offsets], known)
        known = known.masked_fill(is_masked, torch.inf)
        after = cls(
            before.confidence.index_copy(0, offsets, known),
            before.last.index_copy(0, offsets, confidence),
        )
        shares = (-after.confidence.double()).softmax(0)[offsets]
        return after, shares.nan_to_num(0.0).float()  # a block of masks has none
