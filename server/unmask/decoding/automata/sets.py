"""Sets of states over a block of L tokens, in NumPy: the reference of block_masks.c.

`left[i]` are the states that the tokens before position i allow, `right[i]` those from which the
tokens from i on can be read and the room behind the block is enough to end. A position may take a
class that leads a state of `left[i]` to one of `right[i + 1]`. Between two fixed tokens anything
may stand, so the sets are exact: a class is allowed if and only if some answer has it there.
"""

import numpy as np

from unmask.decoding.automata.automaton import Bools, Int32s, Int64s, TokenAutomaton, Words

MASKED = -1  # in place of a class


def block_sets(
    automaton: TokenAutomaton, classes: Int32s, free_classes: Int32s, left: Bools, right: Bools
) -> None:
    """Fill left and right [L + 1, S] from left[0] and right[L].

    `free_classes` are `classes` with masks for tokens that may be replaced, which C makes use of.
    """
    del free_classes
    for i, klass in enumerate(classes):
        left[i + 1] = _after(automaton, klass, left[i])
    for i in range(len(classes) - 1, -1, -1):
        right[i] = _before(automaton, classes[i], right[i + 1])


def block_masks(automaton: TokenAutomaton, left: Bools, right: Bools, masks: Words) -> None:
    """Write bits of the classes that each position may take in place of its own: [L, words]."""
    sources = np.repeat(np.arange(automaton.num_states), np.diff(automaton.starts))
    for i in range(len(masks)):
        allowed = np.zeros((masks.shape[1], 32), np.bool_)
        is_live = left[i][sources] & right[i + 1][automaton.targets]
        allowed.ravel()[automaton.classes[is_live]] = True
        masks[i] = np.packbits(allowed, axis=1, bitorder="little").view("<u4")[:, 0]


def block_forced(
    automaton: TokenAutomaton, classes: Int32s, left: Bools, right: Bools, forced: Int32s
) -> None:
    """Write the class of each masked position that may take no other, `MASKED` elsewhere."""
    sources = np.repeat(np.arange(automaton.num_states), np.diff(automaton.starts))
    forced[:] = MASKED
    for i in np.flatnonzero(classes == MASKED):
        is_live = left[i][sources] & right[i + 1][automaton.targets]
        allowed = np.unique(automaton.classes[is_live])
        if len(allowed) == 1:
            forced[i] = allowed[0]


def block_accept(
    automaton: TokenAutomaton,
    classes: Int32s,
    left: Bools,
    right: Bools,
    positions: Int64s,
    chosen: Int32s,
    most_sets: int,
) -> Bools:
    """Take choices in their order, if they are possible with all that are taken; True for those.

    Changes `classes` and both sets. None is taken after `most_sets` sets were renewed: here all
    sets of a block, in C those that change.
    """
    accepted, num_sets = np.zeros(len(positions), np.bool_), 0
    for k, (i, klass) in enumerate(zip(positions, chosen, strict=True)):
        sources, targets = _moves(automaton, klass)
        accepted[k] = (left[i][sources] & right[i + 1][targets]).any()
        accepted[k] &= num_sets < most_sets
        if accepted[k] and classes[i] != klass:
            classes[i] = klass
            block_sets(automaton, classes, classes, left, right)
            num_sets += len(classes)
    return accepted


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
