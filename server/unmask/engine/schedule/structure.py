"""Structure of an answer: masks of a sequence's open block, and the choices that they leave."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from unmask.decoding.automata.automaton import TokenAutomaton, Words
from unmask.decoding.automata.constraint import Block, Constraint
from unmask.engine.schedule.decoding import Decoding
from unmask.engine.schedule.query_range import BoolArray, IntArray

FloatArray = npt.NDArray[np.float32]
ALL_CLASSES = np.uint32(2**32 - 1)


class Canvas(Protocol):
    """The parts of a sequence that its structure reads and fills."""

    tokens: IntArray
    masked: BoolArray
    num_prompt: int
    block_start: int
    block_end: int
    last_end: int
    has_seed: bool
    decoding: Decoding


@dataclass(frozen=True, slots=True)
class OpenBlock:
    """The part [start, end) of the canvas in which an open block holds the answer."""

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

    @classmethod
    def from_masks(
        cls, masks: Sequence[tuple[TokenAutomaton, slice, Words]], num_rows: int
    ) -> "RowClasses":
        """Rows of several grammars, each with the masks [N, words] of a slice of rows."""
        number_of: dict[TokenAutomaton, int] = {}
        grammar_of_row = np.full(num_rows, -1, np.int32)
        words = np.zeros((num_rows, max(mask.shape[1] for _, _, mask in masks)), np.uint32)
        for automaton, rows, mask in masks:
            grammar_of_row[rows] = number_of.setdefault(automaton, len(number_of))
            words[rows, : mask.shape[1]] = mask
        return cls(tuple(number_of), grammar_of_row, words)


class Structure:
    """Grammar of one answer: the state behind its final tokens, and its open block.

    Positions behind the end of the answer have no constraint.
    """

    def __init__(self, automaton: TokenAutomaton) -> None:
        self.automaton = automaton
        self._final = Constraint(automaton)
        self._open: OpenBlock | None = None

    @property
    def is_open(self) -> bool:
        """True if a block is open; its sets take memory, so none is in a sequence that waits."""
        return self._open is not None

    def close(self) -> None:
        """Forget the open block."""
        self._open = None

    @property
    def can_only_end(self) -> bool:
        """True if nothing but an end of sequence may follow the final tokens."""
        return self._final.can_only_end

    def begin(self, canvas: Canvas) -> None:
        """Open the canvas's block, once more if it is the same, and fill what can only be one.

        A pass is left to do: one position stays masked, with a seed the first.
        """
        start = max(canvas.block_start, canvas.num_prompt)
        end = min(canvas.block_end, canvas.last_end)
        before = Constraint(self.automaton)
        is_same = self._open is not None and self._open.start == start
        before.state = self._open.state if is_same and self._open else self._final.state
        opened, room = slice(start, end), canvas.last_end - end
        masked = canvas.masked[opened]
        edits = canvas.decoding.editing_threshold is not None
        editable = np.ones_like(masked) if edits else None  # those that are still masked, later
        block = before.open_block(canvas.tokens[opened], masked, room, editable)
        assert block.is_possible, "the limit of tokens was checked, and so was every choice"
        self._open = OpenBlock(start, end, block, before.state)
        positions, tokens = self.forced()
        if canvas.has_seed:
            keep = positions != canvas.block_start
        else:
            num_masked = np.count_nonzero(canvas.masked[canvas.block_start : canvas.block_end])
            keep = np.arange(len(positions)) < num_masked - 1
        canvas.tokens[positions[keep]], canvas.masked[positions[keep]] = tokens[keep], False

    def masks(self, positions: IntArray) -> Words:
        """Bits of the classes [N, words] that positions of the open block may take."""
        opened = self._opened()
        masks = opened.block.masks()
        words = np.full((len(positions), masks.shape[1]), ALL_CLASSES, np.uint32)
        is_inside = positions < opened.end
        words[is_inside] = masks[positions[is_inside] - opened.start]
        return words

    def accept(self, positions: IntArray, tokens: IntArray, confidence: FloatArray) -> BoolArray:
        """True for tokens [K] that can stand together, the most confident ones first."""
        opened = self._opened()
        order = np.lexsort((positions, -confidence))
        inside = order[positions[order] < opened.end]
        accepted = np.ones(len(positions), np.bool_)
        accepted[inside] = opened.block.accept(positions[inside] - opened.start, tokens[inside])
        return accepted

    def forced(self) -> tuple[IntArray, IntArray]:
        """Positions that only one token may take now, and these tokens."""
        opened = self._opened()
        positions, tokens = opened.block.fill_forced()
        return positions + opened.start, tokens

    def advance(self, tokens: list[int]) -> None:
        """Move behind tokens that have become final."""
        self._final.advance(np.array(tokens, np.int64))

    def _opened(self) -> OpenBlock:
        assert self._open is not None, "a block is open"
        return self._open
