"""Deterministic automata from nondeterministic ones: sets of states (subset construction)."""

import ctypes
import itertools
from collections.abc import Iterable

import numpy as np

from unmask.decoding.automata.dfa import Dfa, Int32s, Nfa, dfa_of, partition
from unmask.decoding.automata.errors import GrammarTooLarge, GrammarTooSlow
from unmask.decoding.automata.limits import Budget
from unmask_kernels.native import automata as native
from unmask_kernels.native.layout import pointer

MAX_ENTRIES = 200_000_000  # of the lists that C makes of each set's moves
ENTRIES_PER_S = 30_000_000  # that C makes at least, so that it ends about when its time does


def determinize(nfa: Nfa, budget: Budget, *, uses_c: bool = True) -> Dfa:
    """Automaton whose states are sets of states that the same words lead to."""
    symbols, columns_of = partition({symbols for moves in nfa.moves for symbols, _ in moves})
    library = native.automata_library() if uses_c else None
    if library is not None:
        return _determinize_in_c(library, nfa, symbols, columns_of, budget)
    closure = _Closures(nfa, budget)
    moves = [[(columns_of[along], closure[target]) for along, target in m] for m in nfa.moves]
    numbers = {closure[0]: 0}
    subsets, rows = [closure[0]], list[dict[int, int]]()
    for subset in subsets:  # grows
        if len(rows) % 256 == 0:
            budget.check("subsets", len(subsets), budget.limits.subsets)
        reached: dict[int, frozenset[int]] = {}
        for state in subset:
            for own_columns, target in moves[state]:
                for column in own_columns:
                    reached[column] = reached.get(column, frozenset()) | target
        row = {}
        for column, after in sorted(reached.items()):
            number = row[column] = numbers.setdefault(after, len(subsets))
            if number == len(subsets):
                subsets.append(after)
        rows.append(row)
    budget.check("subsets", len(subsets), budget.limits.subsets)
    return dfa_of(symbols, rows, [nfa.end in subset for subset in subsets])


class _Closures(dict[int, frozenset[int]]):
    """States that free moves lead to, of each state: those with moves, and the end."""

    def __init__(self, nfa: Nfa, budget: Budget) -> None:
        self._nfa, self._budget = nfa, budget

    def __missing__(self, start: int) -> frozenset[int]:
        if len(self) % 64 == 0:  # together they may be the square of the automaton
            self._budget.check_time()
        nfa, seen, open_ = self._nfa, {start}, [start]
        while open_:
            for target in nfa.free[open_.pop()]:
                if target not in seen:
                    seen.add(target)
                    open_.append(target)
        self[start] = found = frozenset(s for s in seen if nfa.moves[s] or s == nfa.end)
        return found


def _determinize_in_c(
    library: ctypes.CDLL,
    nfa: Nfa,
    symbols: tuple[frozenset[int], ...],
    columns_of: dict[frozenset[int], tuple[int, ...]],
    budget: Budget,
) -> Dfa:
    closure = _Closures(nfa, budget)
    set_ids = {along: i for i, along in enumerate(columns_of)}
    closure_ids: dict[frozenset[int], int] = {closure[0]: 0}
    moves = [
        (set_ids[along], closure_ids.setdefault(closure[target], len(closure_ids)))
        for own in nfa.moves
        for along, target in own
    ]
    move_arrays = np.array(moves, np.int32).reshape(-1, 2).T.copy()
    arrays = (
        *(_starts(nfa.moves), move_arrays[0], move_arrays[1]),
        *(_starts(columns_of.values()), _flat(columns_of.values())),
        *(_starts(closure_ids), _flat(map(sorted, closure_ids))),
    )
    given = native.Nfa(*map(pointer, arrays), len(nfa.moves), len(symbols), 0, nfa.end)
    made = native.Subsets()
    limit = budget.limits.subsets
    most = min(MAX_ENTRIES, int(ENTRIES_PER_S * budget.remaining_s))
    try:
        status = library.find_subsets(ctypes.byref(given), limit, most, ctypes.byref(made))
        budget.check_time()
        if status == native.TOO_LARGE and most < MAX_ENTRIES and made.num_subsets <= limit:
            raise GrammarTooSlow(budget.limits.seconds)
        if status == native.TOO_LARGE:
            raise GrammarTooLarge(f"the grammar is too large: over {limit} subsets")
        if status == native.NO_MEMORY:
            raise MemoryError
        moves = made.num_moves
        return Dfa(
            symbols,
            sources=native.copied(made.sources, moves),
            columns=native.copied(made.columns, moves),
            targets=native.copied(made.targets, moves),
            accepts=native.copied(made.accepts, made.num_subsets).astype(np.bool_),
        )
    finally:
        library.free_subsets(ctypes.byref(made))


def _starts(lists: Iterable[Iterable[object]]) -> Int32s:
    """Offsets of several lists in one array of all, and the end of the last."""
    return np.array([0, *itertools.accumulate(len(list(part)) for part in lists)], np.int32)


def _flat(lists: Iterable[Iterable[int]]) -> Int32s:
    return np.fromiter(itertools.chain.from_iterable(lists), np.int32)
