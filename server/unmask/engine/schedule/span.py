"""A sequence's part in a step."""

from dataclasses import dataclass
from typing import NamedTuple

from unmask.engine.schedule.query_range import IntArray, QueryRange
from unmask.engine.schedule.sequence import Sequence


class Span(NamedTuple):
    """One pass of a sequence; `block_start` is where the block that it denoises begins.

    With CFG there is a second one, `without_prompt`, on pages of its own. `bounds` are the numbers
    of `Bounds`.
    """

    sequence: Sequence
    query: QueryRange
    block_start: int
    row: int
    without_prompt: bool
    bounds: tuple[int, ...]

    @classmethod
    def from_pass(
        cls, sequence: Sequence, query: QueryRange, *, without_prompt: bool = False
    ) -> "Span":
        """The part of a sequence that has a row of the table."""
        start, row, scored = sequence.block_start, sequence.table_row, query.scored
        assert row is not None, "a sequence has a row from its admission on"
        opened, end = start, min(sequence.block_end, query.end) if scored else start
        opens_next = bool(scored) and scored.start == sequence.block_end
        if opens_next:
            start, end = scored.start, query.end
            if sequence.is_canvas:  # the tokens of the open canvas are its draft
                opened = start
        causal_end = query.end if query.is_causal else opened
        bounds = (
            *(query.start, query.end, query.horizon, scored.start, scored.stop),
            *(opened, end, row, opens_next, without_prompt),
            sequence.num_prompt if sequence.has_prompt_block else causal_end,
        )
        return cls(sequence, query, start, row, without_prompt, bounds)

    @property
    def verifies(self) -> bool:
        """True if the pass tells which tokens of a draft are right."""
        return self.query.is_causal and self.query.scored.start > self.block_start


@dataclass(frozen=True, slots=True)
class Bounds:
    """The numbers of S spans, an array [S] each.

    `open_start` to `open_end` are the rows with a slot among the device's open tokens: those of the
    open block, and of the next one where the span opens it. Rows before `causal_end` see nothing
    after them where attention is causal at all; if it is `end`, they have the logits of the next.
    Where a prompt sees all of itself, it is the prompt's end.
    """

    start: IntArray
    end: IntArray
    horizon: IntArray
    scored_start: IntArray
    scored_end: IntArray
    open_start: IntArray
    open_end: IntArray
    row: IntArray
    opens_next: IntArray
    without_prompt: IntArray
    causal_end: IntArray

    @classmethod
    def from_numbers(cls, numbers: IntArray) -> "Bounds":
        """Bounds of `Span.bounds`, [S, 11]."""
        return cls(*numbers.T.copy())
