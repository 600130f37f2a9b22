"""Deterministic automata over bytes: subsets, intersections, and the least number of states."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from unmask.decoding.automata.limits import Budget
from unmask_kernels.native.automata import automata_library
from unmask_kernels.native.layout import pointer

Int32s = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Nfa:
    """States with moves along sets of symbols and free ones; 0 is the start, `end` accepts."""

    moves: list[list[tuple[frozenset[int], int]]] = field(default_factory=list)
    free: list[list[int]] = field(default_factory=list)
    end: int = 0


@dataclass(frozen=True, slots=True)
class Dfa:
    """States 0 (the start) to S - 1, each with a target for some of the columns of symbols.

    A column is a set of symbols that no state tells apart; symbols in no column lead nowhere.
    """

    columns: tuple[frozenset[int], ...]
    rows: tuple[dict[int, int], ...]  # of each state, from columns to states
    accepts: tuple[bool, ...]

    @property
    def num_states(self) -> int:
        return len(self.rows)

    def edges(self) -> Iterator[tuple[int, frozenset[int], int]]:
        """Source, symbols and target of each move."""
        for source, row in enumerate(self.rows):
            for column, target in row.items():
                yield source, self.columns[column], target


@dataclass(frozen=True, slots=True)
class ByteAutomaton:
    """The least deterministic automaton of a language: 0 is dead, 1 the start.

    A language without words has no state but the dead one.
    """

    moves: Int32s  # [S, C]
    accepts: Bools  # [S]
    columns: tuple[frozenset[int], ...]  # symbols of each of C columns; others lead nowhere

    def matches(self, symbols: bytes | list[int]) -> bool:
        column_of = {symbol: i for i, column in enumerate(self.columns) for symbol in column}
        state = min(len(self.moves) - 1, 1)
        for symbol in symbols:
            state = int(self.moves[state, column_of[symbol]]) if symbol in column_of else 0
        return bool(self.accepts[state])


def determinize(nfa: Nfa, budget: Budget) -> Dfa:
    """Subset construction over sets of symbols that no move tells apart."""
    columns, columns_of = _partition({symbols for moves in nfa.moves for symbols, _ in moves})
    closure = _Closures(nfa)
    moves = [[(columns_of[symbols], closure[target]) for symbols, target in m] for m in nfa.moves]
    numbers = {closure[0]: 0}
    subsets, rows = [closure[0]], list[dict[int, int]]()
    for subset in subsets:  # grows
        if len(rows) % 256 == 0:
            budget.check("states", len(subsets), budget.limits.states)
        reached: dict[int, frozenset[int]] = {}
        for state in subset:
            for own_columns, target in moves[state]:
                for column in own_columns:
                    before = reached.get(column)
                    reached[column] = target if before is None else before | target
        row = {}
        for column, after in reached.items():
            number = numbers.get(after)
            if number is None:
                number = numbers[after] = len(subsets)
                subsets.append(after)
            row[column] = number
        rows.append(row)
    budget.check("states", len(subsets), budget.limits.states)
    return Dfa(columns, tuple(rows), tuple(nfa.end in subset for subset in subsets))


def intersect(left: Dfa, right: Dfa, budget: Budget) -> Dfa:
    """Words of both automata: pairs of their states."""
    columns, columns_of = _partition({*left.columns, *right.columns})
    sides = [
        [
            {c: t for column, t in row.items() for c in columns_of[dfa.columns[column]]}
            for row in dfa.rows
        ]
        for dfa in (left, right)
    ]
    pairs, numbers = [(0, 0)], {(0, 0): 0}
    rows = list[dict[int, int]]()
    for a, b in pairs:  # grows
        if len(rows) % 256 == 0:
            budget.check("states", len(pairs), budget.limits.states)
        row = {}
        for column in sides[0][a].keys() & sides[1][b].keys():
            after = sides[0][a][column], sides[1][b][column]
            if after not in numbers:
                numbers[after] = len(pairs)
                pairs.append(after)
            row[column] = numbers[after]
        rows.append(row)
    return Dfa(columns, tuple(rows), tuple(left.accepts[a] and right.accepts[b] for a, b in pairs))


def _partition(
    sets: set[frozenset[int]],
) -> tuple[tuple[frozenset[int], ...], dict[frozenset[int], tuple[int, ...]]]:
    """Columns: the coarsest parts that every set is a union of; and the columns of each set."""
    members: dict[int, list[int]] = {}
    ordered = sorted(sets, key=sorted)
    for i, symbols in enumerate(ordered):
        for symbol in symbols:
            members.setdefault(symbol, []).append(i)
    columns: dict[tuple[int, ...], set[int]] = {}
    for symbol, containing in sorted(members.items()):
        columns.setdefault(tuple(containing), set()).add(symbol)
    columns_of: dict[frozenset[int], list[int]] = {symbols: [] for symbols in ordered}
    for column, sharing in enumerate(columns):
        for i in sharing:
            columns_of[ordered[i]].append(column)
    parts = tuple(frozenset(symbols) for symbols in columns.values())
    return parts, {symbols: tuple(own) for symbols, own in columns_of.items()}


class _Closures(dict[int, frozenset[int]]):
    """States that free moves lead to, of each state: those with moves, and the end."""

    def __init__(self, nfa: Nfa) -> None:
        self._nfa = nfa

    def __missing__(self, start: int) -> frozenset[int]:
        nfa, seen, open_ = self._nfa, {start}, [start]
        while open_:
            for target in nfa.free[open_.pop()]:
                if target not in seen:
                    seen.add(target)
                    open_.append(target)
        self[start] = found = frozenset(s for s in seen if nfa.moves[s] or s == nfa.end)
        return found


def minimize(dfa: Dfa, *, uses_c: bool = True) -> ByteAutomaton:
    """The least automaton of the same words; states that lead to none become the dead one."""
    alive = _alive(dfa)
    count = sum(alive)
    if not alive[0]:
        return ByteAutomaton(np.zeros((1, 0), np.int32), np.zeros(1, np.bool_), ())
    number = list(itertools.accumulate(alive, initial=0))
    moves = np.array(
        [
            (column, number[source], number[target])
            for source, row in enumerate(dfa.rows)
            if alive[source]
            for column, target in row.items()
            if alive[target]
        ],
        np.int32,
    ).reshape(-1, 3)
    moves = np.ascontiguousarray(moves[np.argsort(moves[:, 0], kind="stable")].T)
    accepts = np.array(list(itertools.compress(dfa.accepts, alive)), np.bool_)
    library = automata_library() if uses_c else None
    if library is None:
        set_of = _refine(moves, accepts, len(dfa.columns))
    else:
        set_of = np.zeros(count, np.int32)
        column, source, target = moves
        arrays = (source, column, target, accepts.view(np.uint8), set_of)
        num_sets = library.minimize(count, moves.shape[1], *(pointer(array) for array in arrays))
        if num_sets < 0:
            raise MemoryError
    return _merged(dfa.columns, moves, accepts, set_of)


def _alive(dfa: Dfa) -> list[bool]:
    """States that lead to an accepting one."""
    sources: list[list[int]] = [[] for _ in dfa.rows]
    for source, row in enumerate(dfa.rows):
        for target in row.values():
            sources[target].append(source)
    alive = list(dfa.accepts)
    open_ = [state for state, accepts in enumerate(alive) if accepts]
    while open_:
        for source in sources[open_.pop()]:
            if not alive[source]:
                alive[source] = True
                open_.append(source)
    return alive


def _refine(moves: Int32s, accepts: Bools, num_columns: int) -> Int32s:
    """Moore's refinement: sets of states that agree on where each symbol leads."""
    column, source, target = moves
    table = np.full((len(accepts), num_columns), len(accepts))
    table[source, column] = target
    set_of = accepts.astype(np.int64)
    count = len(np.unique(set_of))
    while True:
        padded = np.append(set_of, -1)
        signature = np.column_stack((set_of, padded[table]))
        set_of = np.unique(signature, axis=0, return_inverse=True)[1].ravel()
        fresh = int(set_of.max()) + 1
        if fresh == count:
            return set_of.astype(np.int32)
        count = fresh


def _merged(
    columns: tuple[frozenset[int], ...], moves: Int32s, accepts: Bools, set_of: Int32s
) -> ByteAutomaton:
    """Automaton of sets in the order of their first states; columns that are alike are one."""
    _, first = np.unique(set_of, return_index=True)
    order = np.argsort(np.argsort(first)) + 1  # numbers of sets
    numbers = order[np.unique(set_of, return_inverse=True)[1].ravel()]
    table = np.zeros((len(first) + 1, len(columns)), np.int32)
    table[numbers[moves[1]], moves[0]] = numbers[moves[2]]
    accepting = np.zeros(len(first) + 1, np.bool_)
    accepting[numbers] = accepts
    merged: dict[bytes, int] = {}
    symbols: list[set[int]] = []
    kept = []
    for i, column in enumerate(columns):
        content = np.ascontiguousarray(table[:, i])
        if not content.any():
            continue
        at = merged.setdefault(content.tobytes(), len(symbols))
        if at == len(symbols):
            symbols.append(set())
            kept.append(i)
        symbols[at] |= column
    small = np.ascontiguousarray(table[:, kept])
    return ByteAutomaton(small, accepting, tuple(map(frozenset, symbols)))
