"""What scored positions become: a token and its statistics each, and who takes it in this step."""

from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.decoding.policies import BY_ENTROPY, Rules, Scores, select
from unmask.models.family import Model
from unmask_kernels.scoring.constraints import Constraints
from unmask_kernels.scoring.ops import score_rows
from unmask_kernels.scoring.types import NEXT_TO_NOTHING, Draws, GuidedRows, LastTokens, RowStats


@dataclass(frozen=True, slots=True)
class SamplingInputs:
    """What decides about M scored rows of B blocks, one block after another, on the device."""

    mask_token_id: int
    spans: Tensor  # [M] int64, the block of each row
    rules: Rules
    editing: Tensor | None  # [B] float32, confidence that replaces a token (LLaDA2.1)
    sampled: Draws | None
    guided: GuidedRows | None = None
    constraints: Constraints | None = None
    last: LastTokens | None = None
    num_top: int = 0


def decide(
    model: Model, hidden: Tensor, current: Tensor, given: SamplingInputs, *, is_known: bool
) -> tuple[RowStats, Tensor]:
    """Score `hidden` [M, C], and select positions [M] that take their token.

    `current` [M] are the tokens that rows hold. What a step before resolved is left alone, unless
    `is_known`: then no row but those that are masked, or may be edited, is scored at all.
    """
    names = given.rules.names
    scores = score_rows(
        model.final_norm(hidden),
        model.lm_head,
        mask_token_id=given.mask_token_id,
        draws=given.sampled,
        guided=given.guided,
        constraints=given.constraints,
        last=given.last,
        with_entropy=not BY_ENTROPY.isdisjoint(names),
        with_margin="margin" in names,
        num_top=given.num_top,
    )
    is_masked = None
    if not is_known or given.editing is not None:
        is_masked = current.eq(given.mask_token_id)
    selected = select(_considered(scores, given, is_masked), given.rules)
    if is_masked is not None:
        selected &= is_masked
        if given.editing is not None:
            selected |= edits(scores, current, given.editing[given.spans]) & ~is_masked
    return scores, selected


def edits(scores: RowStats, current: Tensor, limits: Tensor) -> Tensor:
    """Committed tokens [M] that another one replaces, being surer than `limits` (LLaDA2.1)."""
    return (scores.token != current) & (scores.confidence > limits)


def _considered(scores: RowStats, given: SamplingInputs, is_masked: Tensor | None) -> Scores:
    """What a policy sees: rows that are masked no more have no confidence and no certainty."""
    confidence, entropy, margin = scores.confidence, scores.entropy, scores.margin
    if scores.ranking is not None:
        ranking = scores.ranking
        if is_masked is not None:
            ranking = torch.where(is_masked, ranking, -1.0)
        highest = ranking.new_zeros(len(given.rules.starts))
        highest.scatter_reduce_(0, given.spans, ranking, "amax")
        # Where nothing but last tokens is left in a block, they are filled as any others.
        confidence = torch.where(highest[given.spans] > NEXT_TO_NOTHING, ranking, confidence)
    if is_masked is not None:
        confidence = torch.where(is_masked, confidence, -1.0)
        entropy = None if entropy is None else torch.where(is_masked, entropy, torch.inf)
        margin = None if margin is None else torch.where(is_masked, margin, -1.0)
    return Scores(given.spans, confidence, entropy, margin)
