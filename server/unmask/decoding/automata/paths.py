"""The likeliest text of a block, a class for each position (DINGO, Suresh et al., 2025)."""

import ctypes

import numpy as np
import numpy.typing as npt

from unmask.decoding.automata.automaton import Int32s, TokenAutomaton
from unmask_kernels.native import automata as native
from unmask_kernels.native.layout import pointer

Scores = npt.NDArray[np.float32]


def likeliest(
    automaton: TokenAutomaton, state: int, room: int, scores: Scores, *, uses_c: bool = True
) -> Int32s:
    """Classes [L] whose scores [L, C] have the largest sum, from `state` to an end within `room`.

    Scores are finite, and log-probabilities but for a constant of each position. Such a text has to
    exist.
    """
    library = native.automata_library() if uses_c else None
    if library is None:
        return _likeliest(automaton, state, room, scores)
    found = np.empty(len(scores), np.int32)
    scores = np.ascontiguousarray(scores, np.float32)
    given = ctypes.byref(automaton.for_c), state, room
    last = library.best_path(*given, pointer(scores), *scores.shape, pointer(found))
    if last < 0:
        raise MemoryError
    assert last, "the limit of tokens was checked"
    return found


def _likeliest(automaton: TokenAutomaton, state: int, room: int, scores: Scores) -> Int32s:
    """Reference of `best_path` of token_paths.c."""
    order = np.argsort(automaton.targets, kind="stable")
    states = np.arange(automaton.num_states + 1)
    sources = np.repeat(states[:-1], np.diff(automaton.starts))[order]
    classes = automaton.classes[order]
    starts = np.searchsorted(automaton.targets[order], states)
    reached = np.flatnonzero(np.diff(starts))
    best = np.full((len(scores) + 1, automaton.num_states), -np.inf)
    best[0, state] = 0.0
    for i, own in enumerate(scores):
        ways = best[i][sources] + own[classes]
        best[i + 1, reached] = np.maximum.reduceat(ways, starts[reached])
    ends = np.where(automaton.distance <= room, best[-1], -np.inf)
    at = int(ends.argmax())
    assert ends[at] > -np.inf, "the limit of tokens was checked"
    found = np.empty(len(scores), np.int32)
    for i in range(len(scores) - 1, -1, -1):
        into = slice(starts[at], starts[at + 1])
        way = int((best[i][sources[into]] + scores[i][classes[into]]).argmax())
        found[i], at = classes[into][way], int(sources[into][way])
    return found
