"""Sets of states over a block of L tokens, in NumPy: the reference of block_sets.c, block_masks.c.

`left[i]` are the states that the tokens before position i allow, `right[i]` those from which the
tokens from i on can be read and the room behind the block is enough to end. A position may take a
class that leads a state of `left[i]` to one of `right[i + 1]`. Between two fixed tokens anything
may stand, so the sets are exact: a class is allowed if and only if some answer has it there.
"""

import numpy as np

from unmask.decoding.automata.automaton import Bools, Int32s, Int64s, TokenAutomaton, Words

MASKED = -1  # in place of a class


class BlockSets:
    """The sets of an open block with classes [L], `MASKED` for masks; `room` tokens may follow."""

    def __init__(self, automaton: TokenAutomaton, state: int, classes: Int32s, room: int) -> None:
        self._automaton, self._classes = automaton, classes.copy()
        size = len(classes) + 1, automaton.num_states
        self._left, self._right = np.zeros(size, np.bool_), np.zeros(size, np.bool_)
        self._left[0, state] = True
        self._right[-1] = automaton.distance <= room
        self._sources = np.repeat(np.arange(automaton.num_states), np.diff(automaton.starts))
        self._renew()

    def _renew(self) -> None:
        for i, klass in enumerate(self._classes):
            self._left[i + 1] = _after(self._automaton, klass, self._left[i])
        for i in range(len(self._classes) - 1, -1, -1):
            self._right[i] = _before(self._automaton, self._classes[i], self._right[i + 1])

    @property
    def is_possible(self) -> bool:
        """True if some answer has the block's tokens and fits the room."""
        return bool((self._left[0] & self._right[0]).any())

    def _is_live(self, i: int) -> Bools:
        """Edges [E] that a token at position i may take."""
        leads_on = self._right[i + 1][self._automaton.targets]
        is_live: Bools = self._left[i][self._sources] & leads_on
        return is_live

    def mask(self, position: int) -> Words:
        """Bits of the classes that a position may take in place of its own: [words]."""
        allowed = np.zeros((self._automaton.num_words, 32), np.bool_)
        allowed.ravel()[self._automaton.classes[self._is_live(position)]] = True
        return np.packbits(allowed, axis=1, bitorder="little").view("<u4")[:, 0]

    def accept(self, positions: Int64s, tokens: Int64s, most_work: int) -> Bools:
        """Take choices in their order, if possible with all that are taken; True for those.

        None is taken after `most_work` states were visited: here in all sets of a block, in C in
        those that change.
        """
        automaton, accepted, num_sets = self._automaton, np.zeros(len(positions), np.bool_), 0
        most_sets = max(1, most_work // automaton.num_states)
        for k, (i, klass) in enumerate(zip(positions, automaton.class_of[tokens], strict=True)):
            sources, targets = _moves(automaton, klass)
            accepted[k] = (self._left[i][sources] & self._right[i + 1][targets]).any()
            accepted[k] &= num_sets < most_sets
            if accepted[k] and self._classes[i] != klass:
                self._classes[i] = klass
                self._renew()
                num_sets += len(self._classes)
        return accepted

    def fill_forced(self) -> tuple[Int64s, Int64s]:
        """Take all masked positions that only one token may fill; returns them and their tokens."""
        automaton, forced = self._automaton, np.full(len(self._classes), MASKED, np.int32)
        for i in np.flatnonzero(self._classes == MASKED):
            allowed = np.unique(automaton.classes[self._is_live(i)])
            if len(allowed) == 1 and automaton.forced[allowed[0]] >= 0:
                forced[i] = allowed[0]
        positions = np.flatnonzero(forced != MASKED)
        self._classes[positions] = forced[positions]
        self._renew()
        return positions, automaton.forced[forced[positions]]


def _after(automaton: TokenAutomaton, klass: int, states: Bools) -> Bools:
    """States after a token of a class, or after any."""
    reached = np.zeros(automaton.num_states, np.bool_)
    if klass == MASKED:
        sources = np.repeat(np.arange(automaton.num_states), np.diff(automaton.starts))
        reached[automaton.targets[states[sources]]] = True
    else:
        sources, targets = _moves(automaton, klass)
        reached[targets[states[sources]]] = True
    return reached


def _before(automaton: TokenAutomaton, klass: int, states: Bools) -> Bools:
    """States that a token of a class, or any, leads to one of `states`."""
    able = np.zeros(automaton.num_states, np.bool_)
    if klass == MASKED:
        sources = np.repeat(np.arange(automaton.num_states), np.diff(automaton.starts))
        able[sources[states[automaton.targets]]] = True
    else:
        sources, targets = _moves(automaton, klass)
        able[sources[states[targets]]] = True
    return able


def _moves(automaton: TokenAutomaton, klass: int) -> tuple[Int32s, Int32s]:
    """Sources and targets of a class."""
    moves = slice(*automaton.class_starts[klass : klass + 2])
    return automaton.move_sources[moves], automaton.move_targets[moves]
