"""Automata over symbols, deterministic and not, and intersections."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from unmask.decoding.automata.limits import Budget

Int32s = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Nfa:
    """States with moves along sets of symbols and free ones; 0 is the start, `end` accepts."""

    moves: list[list[tuple[frozenset[int], int]]] = field(default_factory=list)
    free: list[list[int]] = field(default_factory=list)
    end: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Dfa:
    """States 0 (the start) to S - 1, and M moves along columns, sorted by source and column.

    A column is a set of symbols that no state tells apart; symbols in no column lead nowhere.
    """

    symbols: tuple[frozenset[int], ...]  # of each column
    sources: Int32s  # [M]
    columns: Int32s  # [M]
    targets: Int32s  # [M]
    accepts: Bools  # [S]

    @property
    def num_states(self) -> int:
        return len(self.accepts)

    def edges(self) -> Iterator[tuple[int, frozenset[int], int]]:
        """Source, symbols and target of each move."""
        moves = (self.sources.tolist(), self.columns.tolist(), self.targets.tolist())
        for source, column, target in zip(*moves, strict=True):
            yield source, self.symbols[column], target


def dfa_of(
    symbols: tuple[frozenset[int], ...], rows: list[dict[int, int]], accepts: list[bool]
) -> Dfa:
    """Automaton of each state's targets by column."""
    moves = [
        (source, column, target)
        for source, row in enumerate(rows)
        for column, target in sorted(row.items())
    ]
    arrays = np.array(moves, np.int32).reshape(-1, 3).T.copy()
    return Dfa(symbols, arrays[0], arrays[1], arrays[2], np.array(accepts, np.bool_))


def intersect(left: Dfa, right: Dfa, budget: Budget) -> Dfa:
    """Words of both automata."""
    return _product(left, right, budget, subtracts=False)


def subtract(left: Dfa, right: Dfa, budget: Budget) -> Dfa:
    """Words of the left automaton that the right one does not have."""
    return _product(left, right, budget, subtracts=True)


def _product(left: Dfa, right: Dfa, budget: Budget, *, subtracts: bool) -> Dfa:
    """Pairs of states; in a difference, the state behind the right ones accepts nothing."""
    symbols, columns_of = partition({*left.symbols, *right.symbols})
    sides: list[list[dict[int, int]]] = []
    for dfa in (left, right):
        sides.append([{} for _ in range(dfa.num_states + 1)])
        for source, own, target in dfa.edges():
            sides[-1][source].update(dict.fromkeys(columns_of[own], target))
    dead = right.num_states
    pairs, numbers = [(0, 0)], {(0, 0): 0}
    rows = list[dict[int, int]]()
    for a, b in pairs:  # grows
        if len(rows) % 256 == 0:
            budget.check("subsets", len(pairs), budget.limits.subsets)
        row = {}
        columns = sides[0][a].keys()
        for column in columns if subtracts else columns & sides[1][b].keys():
            after = sides[0][a][column], sides[1][b].get(column, dead)
            if after not in numbers:
                numbers[after] = len(pairs)
                pairs.append(after)
            row[column] = numbers[after]
        rows.append(row)
    accepts = [*right.accepts.tolist(), False]
    return dfa_of(
        symbols, rows, [bool(left.accepts[a]) and accepts[b] != subtracts for a, b in pairs]
    )


def partition(
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
