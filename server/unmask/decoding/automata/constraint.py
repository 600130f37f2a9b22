"""Constraint of a sequence: the state before its open block."""

import ctypes

from unmask.decoding.automata.automaton import Bools, Int64s, TokenAutomaton
from unmask.decoding.automata.blocks import Block
from unmask_kernels.native import automata as native
from unmask_kernels.native.layout import pointer


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
    ) -> Block:
        """The open block: its tokens [L], and which are masks [L] or may be replaced [L].

        `room` is the number of tokens that the answer may have behind the block.
        """
        return Block.of_tokens(self.automaton, self.state, tokens, masked, room, editable)
