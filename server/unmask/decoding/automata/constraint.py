"""Constraint of a sequence: the state before its open block, and the block's masks and checks."""

import ctypes

import numpy as np
import numpy.typing as npt

from unmask.decoding.automata import sets
from unmask.decoding.automata.automaton import Bools, Int32s, Int64s, TokenAutomaton, Words
from unmask.decoding.automata.sets import MASKED
from unmask_kernels.native import automata as native
from unmask_kernels.native.layout import pointer

MAX_WORK = 1 << 26  # states that the choices of one step may visit, some 0.1 s
ALL_WORK = np.iinfo(np.int64).max


class Constraint:
    """An automaton and its state after all tokens before the open block.

    Both follow from the answer so far, so that a preempted sequence is replayed by `advance`.
    """

    __slots__ = ("automaton", "state")

    def __init__(self, automaton: TokenAutomaton) -> None:
        self.automaton = automaton
        self.state = 1

    @property
    def shortest(self) -> int:
        """Fewest tokens that make the answer whole; 0 if it may end here."""
        return int(self.automaton.distance[self.state])

    @property
    def is_complete(self) -> bool:
        """True if the answer may end here, or has ended."""
        return self.shortest == 0

    @property
    def can_only_end(self) -> bool:
        """True if no token but an end of sequence may follow."""
        automaton = self.automaton
        first, past = automaton.starts[self.state : self.state + 2]
        return bool((automaton.classes[first:past] == automaton.num_classes - 1).all())

    def advance(self, tokens: Int64s) -> None:
        """Move behind a block's tokens, which `Block.accept` took."""
        automaton, state = self.automaton, self.state
        classes = automaton.class_of[tokens]
        library = native.automata_library()
        if library is None:
            for klass in classes.tolist():
                state = automaton.after(state, klass)
        else:
            given = ctypes.byref(automaton.for_c), pointer(classes)
            state = library.end_state(*given, len(classes), state)
        assert state != 0, "these tokens are in no answer"
        self.state = state

    def open_block(
        self, tokens: Int64s, masked: Bools, room: int, editable: Bools | None = None
    ) -> "Block":
        """The open block: its tokens [L], and which are masks [L] or may be replaced [L].

        `room` is the number of tokens that the answer may have behind the block.
        """
        classes = np.where(masked, MASKED, self.automaton.class_of[tokens]).astype(np.int32)
        return Block(self.automaton, self.state, classes, room, editable)


class Block:
    """Open block of L positions: sets of states on both sides of each, renewed by choices."""

    __slots__ = ("_classes", "_has_edits", "_left", "_library", "_native", "_right", "automaton")

    def __init__(
        self,
        automaton: TokenAutomaton,
        state: int,
        classes: Int32s,
        room: int,
        editable: Bools | None = None,
        *,
        uses_c: bool = True,
    ) -> None:
        """`classes` [L] are the tokens' own, `MASKED` for masks; they are changed by `accept`."""
        self.automaton = automaton
        self._library = native.automata_library() if uses_c else None
        self._classes = classes
        size = len(classes) + 1, automaton.num_states
        self._left = np.zeros(size, np.bool_)
        self._right = np.zeros(size, np.bool_)
        self._left[0, state] = True
        self._right[-1] = automaton.distance <= room
        free = classes
        if editable is not None and editable.any():
            free = np.where(editable, np.int32(MASKED), classes)
        self._has_edits = free is not classes
        if self._library is None:
            sets.block_sets(automaton, classes, free, self._left, self._right)
            return
        self._native = ctypes.byref(automaton.for_c)
        if not self._library.block_sets(
            self._native, pointer(classes), pointer(free), len(classes), room, *self._sets()
        ):
            raise MemoryError

    def _sets(self) -> tuple[int, int]:
        return pointer(self._left), pointer(self._right)

    @property
    def is_possible(self) -> bool:
        """True if some answer has the block's tokens and fits the room."""
        return bool((self._left[0] & self._right[0]).any())

    def masks(self) -> Words:
        """Bits of the classes that each position may take: [L, words].

        For masked positions and editable ones, in place of their own class; no others count.
        """
        masks = np.empty((len(self._classes), self.automaton.num_words), np.uint32)
        if self._library is None:
            sets.block_masks(self.automaton, self._left, self._right, masks)
        else:
            self._library.block_masks(self._native, len(masks), *self._sets(), pointer(masks))
        return masks

    def accept(self, positions: Int64s, tokens: Int64s, most_work: int = MAX_WORK) -> Bools:
        """Take tokens [K] in their order, if possible with all that are taken; True for those.

        The first is possible if its mask allowed it, so that each step takes one at least. The
        others are for later steps once `most_work` states were visited.
        """
        chosen = self.automaton.class_of[tokens]
        most_sets = max(1, most_work // self.automaton.num_states)
        if self._library is None:
            ours = self.automaton, self._classes, self._left, self._right
            return sets.block_accept(*ours, positions, chosen, most_sets)
        accepted = np.empty(len(positions), np.bool_)
        positions = np.ascontiguousarray(positions, np.int64)
        is_done = self._library.block_accept(
            self._native,
            pointer(self._classes),
            len(self._classes),
            *self._sets(),
            pointer(positions),
            pointer(chosen),
            len(chosen),
            most_sets,
            pointer(accepted),
        )
        if not is_done:
            raise MemoryError
        return accepted

    def fill_forced(self) -> tuple[Int64s, Int64s]:
        """Take all masked positions that only one token may fill; returns them and their tokens.

        They exclude nothing, as all answers have them.
        """
        forced = np.empty_like(self._classes)
        if self._library is None:
            sets.block_forced(self.automaton, self._classes, self._left, self._right, forced)
        else:
            self._library.block_forced(
                self._native,
                pointer(self._classes),
                len(forced),
                *self._sets(),
                pointer(forced),
            )
        tokens: npt.NDArray[np.int64] = np.where(
            forced == MASKED, -1, self.automaton.forced[forced]
        )
        positions = np.flatnonzero(tokens >= 0)
        if self._has_edits:  # the tokens around them may change
            self.accept(positions, tokens[positions], ALL_WORK)
        self._classes[positions] = forced[positions]
        return positions, tokens[positions]
