"""Choices of blocks with a grammar: those that can stand together, and what follows from them."""

import numpy as np

from unmask.engine.schedule.batch import StepBatch, StepResult
from unmask.engine.schedule.query_range import BoolArray, IntArray
from unmask.engine.schedule.sequence import Sequence


def kept_choices(
    batch: StepBatch, result: StepResult, rows: IntArray, owner: IntArray
) -> BoolArray:
    """True for chosen `rows` [K], of the spans `owner` [K], that their grammar leaves.

    Of a block's choices those are dropped that exclude likelier ones; the likeliest always stays.
    """
    keeps = np.ones(len(rows), np.bool_)
    for i in batch.decoding["is_structured"].nonzero()[0].tolist():
        own = slice(*np.searchsorted(owner, (i, i + 1)))
        chosen, structure = rows[own], batch.denoised[i].sequence.structure
        if len(chosen) and structure is not None:
            positions, tokens = batch.scored_positions[chosen], result.tokens[chosen]
            keeps[own] = structure.accept(positions, tokens, result.confidence[chosen])
    return keeps


def fill_forced(sequence: Sequence) -> int:
    """Fill positions of the open block that only one token may take now; returns how many."""
    assert sequence.structure is not None, "the request has a grammar"
    positions, tokens = sequence.structure.forced()
    sequence.tokens[positions], sequence.masked[positions] = tokens, False
    return len(positions)
