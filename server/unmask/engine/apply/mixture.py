"""Applies results to open blocks whose embeddings are mixed with the mask token's (DMax)."""

import numpy as np

from unmask.engine.schedule.batch import StepBatch, StepResult
from unmask.engine.schedule.query_range import BoolArray, IntArray
from unmask.engine.schedule.sequence import Sequence
from unmask.engine.schedule.table import FloatArray

SURE = 0.9  # confidence of all tokens at which a block is revised no more


def note_mixture(sequence: Sequence, batch: StepBatch, result: StepResult, rows: slice) -> None:
    """Keep a step's confidences as shares of embeddings; tell whether the block is final (DMax)."""
    positions, confidence = batch.scored_positions[rows], result.confidence[rows]
    chosen = result.selected[rows]
    stays = sequence.masked[positions] & ~chosen
    keep_shares(sequence, positions, confidence, stays)
    is_out = sequence.block_step >= sequence.num_block_steps
    sequence.is_settled = is_mixed_for_good(confidence, chosen, stays, is_out=is_out)


def keep_shares(
    sequence: Sequence, positions: IntArray, confidence: FloatArray, stays: BoolArray
) -> None:
    """Keep confidences as shares of tokens' embeddings; where a mask `stays`, its own is whole."""
    sequence.shares[positions] = np.where(stays, 1.0, confidence)


def is_mixed_for_good(
    confidence: FloatArray, chosen: BoolArray, stays: BoolArray, *, is_out: bool
) -> bool:
    """True if a block is final after a step.

    It is once it has no mask and all of its tokens are confident or none changed, or the step was
    the last allowed.
    """
    is_sure = confidence.min() >= SURE or not chosen.any()
    return bool(not stays.any() and (is_sure or is_out))
