"""Applies results to open blocks whose embeddings are mixed with the mask token's (DMax)."""

import numpy as np

from unmask.engine.schedule.batch import StepBatch, StepResult
from unmask.engine.schedule.sequence import Sequence

SURE = 0.9  # confidence of all tokens at which a block is revised no more


def note_mixture(sequence: Sequence, batch: StepBatch, result: StepResult, rows: slice) -> None:
    """Keep a step's confidences as shares of embeddings; tell whether the block is final (DMax).

    It is once it has no mask and all of its tokens are confident or none changed, or the step was
    the last allowed.
    """
    positions, confidence = batch.scored_positions[rows], result.confidence[rows]
    stays = sequence.masked[positions] & ~result.selected[rows]
    sequence.shares[positions - sequence.block_start] = np.where(stays, 1.0, confidence)
    is_sure = confidence.min() >= SURE or not result.selected[rows].any()
    is_out = sequence.block_step >= sequence.num_block_steps
    sequence.is_settled = not stays.any() and bool(is_sure or is_out)
