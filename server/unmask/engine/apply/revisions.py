"""Tells which open blocks are final whose tokens may be revised: one, or several of a sequence."""

from itertools import pairwise

import numpy as np

from unmask.engine.apply.block_edits import note_edits
from unmask.engine.apply.mixture import is_mixed_for_good, keep_shares, note_mixture
from unmask.engine.schedule.batch import StepBatch, StepResult
from unmask.engine.schedule.revised_blocks import RevisedBlocks
from unmask.engine.schedule.sequence import Sequence


def note_rest(
    sequence: Sequence, batch: StepBatch, result: StepResult, rows: slice, num_chosen: int
) -> None:
    """Tell what is final after a step that chose so many positions of a sequence."""
    if isinstance(sequence.blocks, RevisedBlocks):
        _note_several(sequence, sequence.blocks, batch, result, rows)
    elif sequence.decoding.mixes:
        note_mixture(sequence, batch, result, rows)
    else:
        note_edits(sequence, num_chosen)


def _note_several(
    sequence: Sequence, blocks: RevisedBlocks, batch: StepBatch, result: StepResult, rows: slice
) -> None:
    """Tell which blocks are at rest after a step; the first ones are final up to one that is not.

    A block with mixed embeddings is as if it were alone, and one that is edited if it began without
    a mask, and nothing is replaced or no more steps are allowed.
    """
    decoding = sequence.decoding
    positions, chosen = batch.scored_positions[rows], result.selected[rows]
    confidence, was_masked = result.confidence[rows], sequence.masked[positions]
    stays = was_masked & ~chosen
    if decoding.mixes:
        keep_shares(sequence, positions, confidence, stays)
    bounds = sequence.block_start + np.arange(len(blocks.steps) + 1) * blocks.block_len
    rows_of = [slice(*ends) for ends in pairwise(np.searchsorted(positions, bounds).tolist())]
    for i, own in enumerate(rows_of):
        if decoding.mixes:
            is_out = blocks.steps[i] + 1 >= sequence.num_block_steps
            rests = is_mixed_for_good(confidence[own], chosen[own], stays[own], is_out=is_out)
        else:
            blocks.post_steps[i] += not was_masked[own].any()
            is_out = blocks.post_steps[i] >= decoding.max_post_steps
            rests = blocks.post_steps[i] > 0 and (is_out or not chosen[own].any())
        blocks.at_rest[i] = bool(rests)
    last = rows_of[-1]
    is_left = ~chosen[last][~was_masked[last]]  # tokens of the last block
    blocks.stable_share = float(is_left.mean()) if len(is_left) else 1.0
    sequence.is_settled = blocks.at_rest[0]
    if sequence.is_settled:
        sequence.closes_at = blocks.rests_to
        sequence.final_end = min(sequence.closes_at, sequence.last_end)
