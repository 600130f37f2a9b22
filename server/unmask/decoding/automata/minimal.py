"""The least deterministic automaton of a language."""

from dataclasses import dataclass

import numpy as np

from unmask.decoding.automata.dfa import Bools, Dfa, Int32s
from unmask_kernels.native.automata import automata_library
from unmask_kernels.native.layout import pointer


@dataclass(frozen=True, slots=True)
class ByteAutomaton:
    """The least deterministic automaton of a language: 0 is dead, 1 the start.

    A language without words has no state but the dead one.
    """

    moves: Int32s  # [S, C]
    accepts: Bools  # [S]
    columns: tuple[frozenset[int], ...]  # symbols of each of C columns; others lead nowhere

    def as_dfa(self) -> Dfa | None:
        """The same as a part of others; None without words."""
        if len(self.moves) == 1:
            return None
        sources, columns = np.nonzero(self.moves)
        targets = self.moves[sources, columns] - 1
        numbers = (sources - 1).astype(np.int32), columns.astype(np.int32)
        return Dfa(self.columns, *numbers, targets, self.accepts[1:])

    def matches(self, symbols: bytes | list[int]) -> bool:
        column_of = {symbol: i for i, column in enumerate(self.columns) for symbol in column}
        state = min(len(self.moves) - 1, 1)
        for symbol in symbols:
            state = int(self.moves[state, column_of[symbol]]) if symbol in column_of else 0
        return bool(self.accepts[state])


def minimize(dfa: Dfa, *, uses_c: bool = True) -> ByteAutomaton:
    """The least automaton of the same words; states that lead to none become the dead one."""
    library = automata_library() if uses_c else None
    is_live = dfa.accepts.copy()
    if library is None:
        _mark_live(dfa, is_live)
    elif not library.mark_live(
        dfa.num_states,
        len(dfa.sources),
        *map(pointer, (dfa.sources, dfa.targets, is_live)),
    ):
        raise MemoryError
    if not is_live[0]:
        return ByteAutomaton(np.zeros((1, 0), np.int32), np.zeros(1, np.bool_), ())
    number = (np.cumsum(is_live) - 1).astype(np.int32)
    kept = np.flatnonzero(is_live[dfa.sources] & is_live[dfa.targets])
    kept = kept[np.argsort(dfa.columns[kept], kind="stable")]
    columns, sources = dfa.columns[kept], number[dfa.sources[kept]]
    targets, accepts = number[dfa.targets[kept]], dfa.accepts[is_live]
    if library is None:
        set_of = _refine(columns, sources, targets, accepts)
    else:
        set_of = np.zeros(len(accepts), np.int32)
        arrays = (sources, columns, targets, accepts, set_of)
        if library.minimize(len(accepts), len(columns), *map(pointer, arrays)) < 0:
            raise MemoryError
    return _merged(dfa.symbols, (columns, sources, targets), accepts, set_of)


def _mark_live(dfa: Dfa, is_live: Bools) -> None:
    """Add states that lead to marked ones; reference of mark_live in minimize.c."""
    count = -1
    while count != (count := int(is_live.sum())):
        is_live[dfa.sources[is_live[dfa.targets]]] = True


def _refine(columns: Int32s, sources: Int32s, targets: Int32s, accepts: Bools) -> Int32s:
    """Moore's refinement: sets of states that agree on where each symbol leads."""
    table = np.full((len(accepts), int(columns.max(initial=0)) + 1), len(accepts))
    table[sources, columns] = targets
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
    columns: tuple[frozenset[int], ...],
    moves: tuple[Int32s, Int32s, Int32s],
    accepts: Bools,
    set_of: Int32s,
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
