"""Choices of blocks with a grammar: those that can stand together, and what follows from them."""

from dataclasses import dataclass

import numpy as np

from unmask.engine.schedule.batch import StepBatch, StepResult
from unmask.engine.schedule.query_range import BoolArray, IntArray
from unmask.engine.schedule.sequence import Sequence
from unmask.engine.schedule.structure import RowClasses


@dataclass(frozen=True, slots=True)
class ForcedTokens:
    """Tokens that could be nothing else, of spans in order."""

    spans: IntArray  # [F]
    positions: IntArray  # [F]
    tokens: IntArray  # [F]

    def fill(self, span: int, sequence: Sequence) -> None:
        """Write a span's own tokens."""
        own = slice(*np.searchsorted(self.spans, (span, span + 1)))
        positions = self.positions[own]
        sequence.tokens[positions], sequence.masked[positions] = self.tokens[own], False


def settle(
    classes: RowClasses,
    batch: StepBatch,
    result: StepResult,
    live: IntArray,
    rows: IntArray,
    owner: IntArray,
) -> tuple[BoolArray, ForcedTokens]:
    """True for chosen `rows` [K], of the `live` spans `owner` [K], that their grammar leaves.

    Of a block's choices those are dropped that exclude likelier ones; the likeliest always stays.
    Positions that only one token may take then are filled.
    """
    positions, tokens = batch.scored_positions[rows], result.tokens[rows]
    order = np.lexsort((positions, -result.confidence[rows], owner))
    firsts, pasts = (np.searchsorted(owner, classes.spans + i) for i in (0, 1))
    which = np.ones(len(classes.spans), np.bool_)
    if len(live) < len(batch.denoised):
        which = np.isin(classes.spans, live)
    blocks = classes.blocks.select(which, firsts, pasts)
    keeps = np.empty(len(rows), np.bool_)
    keeps[order] = blocks.accept(positions[order], tokens[order])
    block, filled, forced = blocks.fill_forced()
    return keeps, ForcedTokens(classes.spans[which][block], filled, forced)
