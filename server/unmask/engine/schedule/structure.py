"""Structure of an answer: masks of a sequence's open block, and the choices that they leave."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from unmask.decoding.automata.automaton import Int32s, TokenAutomaton, Words
from unmask.decoding.automata.blocks import Block, StepBlocks
from unmask.decoding.automata.constraint import Constraint
from unmask.decoding.automata.paths import likeliest
from unmask.engine.schedule.decoding import Decoding
from unmask.engine.schedule.query_range import BoolArray, IntArray

FloatArray = npt.NDArray[np.float32]


class Canvas(Protocol):
    """The parts of a sequence that its structure reads and fills."""

    tokens: IntArray
    masked: BoolArray
    block_start: int
    block_end: int
    has_seed: bool
    is_canvas: bool  # of noise, without masks
    decoding: Decoding


@dataclass(frozen=True, slots=True)
class OpenBlock:
    """The positions [start, end) of a part in the open block."""

    start: int
    end: int
    block: Block
    state: int  # of the automaton, before it


@dataclass(frozen=True, slots=True)
class RowClasses:
    """Masks of classes for the M scored rows of a step; see `ClassMasks`."""

    automata: tuple[TokenAutomaton, ...]
    grammar_of_row: npt.NDArray[np.int32]  # [M], negative for none
    words: Words  # [M, W]
    blocks: StepBlocks
    spans: IntArray  # [P] span of each block, in order

    @classmethod
    def of_parts(
        cls, spans: list[int], parts: Sequence["Part"], starts: IntArray, positions: IntArray
    ) -> "RowClasses | None":
        """Masks of parts of spans, whose rows begin at `starts` in `positions` [M].

        None if no row is of any of the parts.
        """
        opened = [part.opened for part in parts]
        number_of: dict[TokenAutomaton, int] = {}
        for part in parts:
            number_of.setdefault(part.automaton, len(number_of))
        table = np.empty((len(parts), 5), np.int64)
        table[:, 0] = [own.block.address for own in opened]
        table[:, 1] = [own.start for own in opened]
        which = np.array(spans, np.int64)
        table[:, 2], table[:, 3] = starts.take(which), starts.take(which + 1)
        table[:, 4] = [number_of[part.automaton] for part in parts]
        blocks = StepBlocks([own.block for own in opened], table)
        grammar_of_row = np.full(len(positions), -1, np.int32)
        num_words = max(automaton.num_words for automaton in number_of)
        words = np.zeros((len(positions), num_words), np.uint32)
        blocks.write_masks(positions, words, grammar_of_row)
        if (grammar_of_row < 0).all():
            return None
        return cls(tuple(number_of), grammar_of_row, words, blocks, which)


class Part:
    """Positions [start, end) of a canvas that match a grammar as a whole.

    It keeps the state behind its final tokens, and its part of the open block.
    """

    def __init__(self, automaton: TokenAutomaton, start: int, end: int) -> None:
        self.automaton, self.start, self.end = automaton, start, end
        self._final = Constraint(automaton)
        self._open: OpenBlock | None = None

    def close(self) -> None:
        """Forget the open block."""
        self._open = None

    @property
    def can_only_end(self) -> bool:
        """True if nothing but an end of sequence may follow the final tokens."""
        return self._final.can_only_end

    def begin(self, canvas: Canvas) -> bool:
        """Open the canvas's block, once more if it is the same; False if it has none of this."""
        start, end = max(canvas.block_start, self.start), min(canvas.block_end, self.end)
        if start >= end:
            return False
        is_same = self._open is not None and self._open.start == start
        state = self._open.state if is_same and self._open else self._final.state
        opened, room = slice(start, end), self.end - end
        tokens, masked = canvas.tokens[opened], canvas.masked[opened]
        edits = canvas.decoding.editing_threshold is not None
        editable = np.ones_like(masked) if edits else None  # those that are still masked, later
        block = Block.of_tokens(self.automaton, state, tokens, masked, room, editable)
        assert block.is_possible, "the limit of tokens was checked, and so was every choice"
        self._open = OpenBlock(start, end, block, state)
        return True

    @property
    def opened(self) -> OpenBlock:
        assert self._open is not None, "a block is open"
        return self._open

    def likeliest(self, scores: FloatArray) -> Int32s:
        """Classes of the likeliest text of its part of the open block, by the scores [L, C]."""
        opened, automaton = self.opened, self.automaton
        return likeliest(automaton, opened.state, self.end - opened.end, scores)

    def advance(self, tokens: list[int], start: int) -> None:
        """Move behind those of the tokens, final from position `start` on, that are its own."""
        own = tokens[max(0, self.start - start) : max(0, self.end - start)]
        self._final.advance(np.array(own, np.int64))


class Structure:
    """Grammars of an answer, or of each of its holes, and the open block of the canvas.

    Positions of no part have no constraint.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = tuple(parts)
        self._open: tuple[Part, ...] = ()
        self.is_open = False  # a block's sets take memory, so a sequence that waits has none

    def close(self) -> None:
        """Forget the open block."""
        for part in self._parts:
            part.close()
        self._open, self.is_open = (), False

    @property
    def can_only_end(self) -> bool:
        """True if nothing but an end of sequence may follow the final tokens."""
        return len(self._parts) == 1 and self._parts[0].can_only_end

    @property
    def only(self) -> Part:
        """The part of an answer without holes."""
        [part] = self._parts
        return part

    def begin(self, canvas: Canvas) -> None:
        """Open the canvas's block, once more if it is the same, and fill what can only be one.

        A pass is left to do: one position stays masked, with a seed the first.
        """
        self._open, self.is_open = tuple(p for p in self._parts if p.begin(canvas)), True
        if canvas.is_canvas:
            return
        positions, tokens = self._forced()
        if not len(positions):
            return
        if canvas.has_seed:
            keep = positions != canvas.block_start
        else:
            num_masked = np.count_nonzero(canvas.masked[canvas.block_start : canvas.block_end])
            keep = np.arange(len(positions)) < num_masked - 1
        canvas.tokens[positions[keep]], canvas.masked[positions[keep]] = tokens[keep], False

    @property
    def open_parts(self) -> tuple[Part, ...]:
        """Parts that have a part of the open block."""
        return self._open

    def _forced(self) -> tuple[IntArray, IntArray]:
        """Positions that only one token may take now, and these tokens."""
        opened = [part.opened for part in self._open]
        if not opened:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        table = np.zeros((len(opened), 5), np.int64)
        table[:, 0] = [own.block.address for own in opened]
        table[:, 1] = [own.start for own in opened]
        return StepBlocks([own.block for own in opened], table).fill_forced()[1:]

    def advance(self, tokens: list[int], start: int) -> None:
        """Move behind tokens that are final from position `start` on."""
        for part in self._parts:
            if part.start < start + len(tokens) and part.end > start:
                part.advance(tokens, start)
