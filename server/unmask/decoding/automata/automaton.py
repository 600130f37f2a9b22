"""Automata over tokens: a language's states, and the classes of tokens that move them alike."""

import ctypes
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from unmask.decoding.automata.errors import GrammarTooLarge, NoAnswer
from unmask.decoding.automata.limits import Budget
from unmask.decoding.automata.minimal import ByteAutomaton
from unmask.decoding.automata.vocabulary import Vocabulary
from unmask_kernels.native import automata as native
from unmask_kernels.native.layout import pointer

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint32]
FAR = 2**30  # distance of a state that leads to no answer


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class TokenAutomaton:
    """States 0 (dead), 1 (the start) to S - 1 (after an end of sequence), and C classes of tokens.

    Class 0 are the tokens that no state allows; the last are the ends of sequence, which lead from
    accepting states to the last state, and from there to itself.
    """

    accepts: Bools  # [S] the answer may end here; the last state is not among them
    distance: Int32s  # [S] fewest tokens to an accepting state, `FAR` if there is no way
    class_of: Int32s  # [V]
    forced: Int64s  # [C] the only token of a class, or an end of sequence; -1 for several
    starts: Int32s  # [S + 1] first edge of each state
    targets: Int32s  # [E] edges of a state are sorted by target and class
    classes: Int32s  # [E]
    next_starts: Int32s  # [S + 1] first of the states that edges of a state lead to
    next_states: Int32s  # [P] each of them once
    before_starts: Int32s  # [S + 1] the same, of the states with edges to a state
    before_states: Int32s  # [P]
    class_starts: Int32s  # [C + 1] first move of each class
    move_sources: Int32s  # [E] the edges again; moves of a class are sorted by source
    move_targets: Int32s  # [E]
    leaving: Words  # [S, words] bits of the classes that lead on from a state
    for_c: native.Automaton = field(init=False, repr=False)  # the same for C

    def __post_init__(self) -> None:
        arrays = (
            *(self.starts, self.targets, self.classes),
            *(self.next_starts, self.next_states, self.before_starts, self.before_states),
            *(self.class_starts, self.move_sources, self.move_targets),
            *(self.distance, self.leaving, self.class_of),
        )
        farthest = max(int(self.distance[1]), int(self.distance[self.targets].max()))
        sizes = self.num_states, self.num_words, farthest
        object.__setattr__(
            self, "for_c", native.Automaton(*map(pointer, arrays), pointer(self.forced), *sizes)
        )

    def __reduce__(self) -> tuple[type["TokenAutomaton"], tuple[npt.NDArray[Any], ...]]:
        """Its arrays, of which a copy in another process is made; pointers are not sent."""
        return TokenAutomaton, tuple(getattr(self, own.name) for own in fields(self) if own.init)

    @property
    def num_states(self) -> int:
        return len(self.accepts)

    @property
    def num_classes(self) -> int:
        return len(self.forced)

    @property
    def num_words(self) -> int:
        """Words of 32 bits in a mask of classes."""
        return -(-self.num_classes // 32)

    @property
    def num_bytes(self) -> int:
        """Memory of the arrays."""
        arrays = (getattr(self, own.name) for own in fields(self) if own.init)
        return sum(array.nbytes for array in arrays)

    def after(self, state: int, klass: int) -> int:
        """State that a token of a class leads to; 0 if there is none."""
        first, past = self.class_starts[klass : klass + 2].tolist()
        place = first + int(np.searchsorted(self.move_sources[first:past], state))
        is_there = place < past and self.move_sources[place] == state
        return int(self.move_targets[place]) if is_there else 0

    @property
    def shortest(self) -> int:
        """Fewest tokens of an answer, ends of sequence not counted."""
        return int(self.distance[1])


@dataclass(frozen=True, slots=True)
class _Functions:
    """Functions of states: f is the pairs [starts[f], starts[f + 1]); 0 leaves no state alive."""

    of_node: Int32s  # [N]
    starts: Int64s
    sources: Int32s
    targets: Int32s

    @property
    def count(self) -> int:
        return len(self.starts) - 1


def build_automaton(
    language: ByteAutomaton,
    vocabulary: Vocabulary,
    budget: Budget,
    allowed: Bools | None = None,
    *,
    uses_c: bool = True,
) -> TokenAutomaton:
    """Automaton of a language over a vocabulary, of the `allowed` tokens [V] only.

    Raises `NoAnswer` if these tokens spell no word, and `GrammarTooLarge`.
    """
    if len(language.moves) == 1:
        raise NoAnswer("no answer matches this grammar")
    library = native.automata_library() if uses_c else None
    functions = (
        _compose(language, vocabulary, budget)
        if library is None
        else _compose_in_c(library, language, vocabulary, budget)
    )
    function_of = np.zeros(vocabulary.num_tokens, np.int32)
    has_text = vocabulary.node_of >= 0
    function_of[has_text] = functions.of_node[vocabulary.node_of[has_text]]
    if allowed is not None:
        function_of[~allowed] = 0
    is_used = np.zeros(functions.count, np.bool_)
    is_used[function_of] = True
    is_used[0] = False
    edges = _edges(language, functions, np.flatnonzero(is_used), budget)
    accepts = np.append(language.accepts, False)
    distance = _distances(edges[0], edges[1], accepts)
    if distance[1] == FAR:
        raise NoAnswer("the tokens of this model spell no answer that matches this grammar")
    sources, targets, owners = (x[distance[edges[1]] < FAR] for x in edges)
    # Functions that lead on somewhere are classes, the end of sequence behind them.
    kept = np.unique(owners)
    budget.check("classes", len(kept), budget.limits.classes)
    class_of_function = np.zeros(functions.count + 1, np.int32)
    class_of_function[kept] = np.arange(1, len(kept) + 1)
    class_of = class_of_function[function_of]
    class_of[list(vocabulary.eos_ids)] = len(kept)
    edges = sources, targets, class_of_function[owners]
    return assemble(accepts, distance, class_of, edges, end_id=vocabulary.eos_ids[0])


def _edges(
    language: ByteAutomaton, functions: _Functions, used: Int64s, budget: Budget
) -> tuple[Int32s, Int32s, Int32s]:
    """Sources, targets and functions of all edges; ends of sequence are one more function."""
    counts = np.diff(functions.starts)[used]
    budget.check("edges", int(counts.sum()), budget.limits.edges)
    pairs = _ranges(functions.starts[used], counts)
    done = len(language.moves)
    ends = np.append(np.flatnonzero(language.accepts), done).astype(np.int32)
    owners = np.repeat(used, counts)
    return (
        np.concatenate((functions.sources[pairs], ends)),
        np.concatenate((functions.targets[pairs], np.full(len(ends), done, np.int32))),
        np.concatenate((owners, np.full(len(ends), functions.count))).astype(np.int32),
    )


def _ranges(starts: Int64s, counts: Int64s) -> Int64s:
    """Numbers from each start on, so many of each, one range after the other."""
    offsets: Int64s = np.repeat(starts - (counts.cumsum() - counts), counts)
    return offsets + np.arange(len(offsets))


def assemble(
    accepts: Bools,
    distance: Int32s,
    class_of: Int32s,
    edges: tuple[Int32s, Int32s, Int32s],
    *,
    end_id: int,
) -> TokenAutomaton:
    """Automaton of edges (source, target, class) in any order; `end_id` is of the last class."""
    order = np.lexsort((edges[2], edges[1], edges[0]))
    sources, targets, classes = (np.asarray(x[order], np.int32) for x in edges)
    num_states, num_classes = len(accepts), int(classes.max()) + 1
    starts = np.searchsorted(sources, np.arange(num_states + 1)).astype(np.int32)
    is_first = np.ones(len(sources), np.bool_)  # of the edges between two states
    is_first[1:] = (np.diff(sources) != 0) | (np.diff(targets) != 0)
    own, next_states = sources[is_first], targets[is_first]
    by_next = np.argsort(next_states, kind="stable")
    next_starts, before_starts = (
        np.searchsorted(ends, np.arange(num_states + 1)).astype(np.int32)
        for ends in (own, next_states[by_next])
    )
    by_class = np.argsort(classes, kind="stable")
    class_starts = np.searchsorted(classes[by_class], np.arange(num_classes + 1))
    forced = np.full(num_classes, -1, np.int64)
    forced[class_of] = np.arange(len(class_of))
    forced[np.bincount(class_of, minlength=num_classes) != 1] = -1
    forced[0] = -1
    forced[-1] = end_id
    leaving = np.zeros((num_states, -(-num_classes // 32)), np.uint32)
    np.bitwise_or.at(leaving, (sources, classes >> 5), np.uint32(1) << (classes & 31))
    return TokenAutomaton(
        accepts=accepts,
        distance=distance,
        class_of=class_of,
        forced=forced,
        starts=starts,
        targets=targets,
        classes=classes,
        next_starts=next_starts,
        next_states=next_states,
        before_starts=before_starts,
        before_states=own[by_next],
        class_starts=class_starts.astype(np.int32),
        move_sources=sources[by_class],
        move_targets=targets[by_class],
        leaving=leaving,
    )


def _compose(language: ByteAutomaton, vocabulary: Vocabulary, budget: Budget) -> _Functions:
    """Reference of token_moves.c: functions as vectors of states."""
    column_of = _column_of(language, vocabulary)
    dead = len(language.columns)
    identity = np.arange(len(language.moves), dtype=np.int32)
    vectors = [np.zeros_like(identity), identity]
    numbers = {vector.tobytes(): i for i, vector in enumerate(vectors)}
    after: dict[tuple[int, int], int] = {}
    of_node = np.zeros(len(vocabulary.symbol), np.int32)
    path = [1] + [0] * vocabulary.max_depth
    columns, depths = column_of[vocabulary.symbol].tolist(), vocabulary.depth.tolist()
    nexts, node = vocabulary.next.tolist(), 0
    while node < len(nexts):
        key = path[depths[node]], columns[node]
        number = after.get(key)
        if number is None:
            if key[1] == dead:
                number = 0
            else:
                vector = language.moves[vectors[key[0]], key[1]]
                number = numbers.setdefault(vector.tobytes(), len(vectors))
                if number == len(vectors):
                    vectors.append(vector)
                    size = len(vectors) * len(identity)
                    budget.check("edges", size, 4 * budget.limits.edges)
            after[key] = number
        path[depths[node] + 1] = of_node[node] = number
        node = node + 1 if number else nexts[node]
    functions, sources = np.nonzero(vectors)
    starts = np.searchsorted(functions, np.arange(len(vectors) + 1))
    targets = np.array(vectors)[functions, sources]
    return _Functions(of_node, starts, sources.astype(np.int32), targets.astype(np.int32))


def _column_of(language: ByteAutomaton, vocabulary: Vocabulary) -> Int32s:
    """Column of each symbol; one more column for those that lead nowhere."""
    column_of = np.full(vocabulary.num_symbols, len(language.columns), np.int32)
    for i, symbols in enumerate(language.columns):
        column_of[list(symbols)] = i
    return column_of


def _compose_in_c(
    library: ctypes.CDLL, language: ByteAutomaton, vocabulary: Vocabulary, budget: Budget
) -> _Functions:
    column_of = _column_of(language, vocabulary)
    moves = np.pad(language.moves, ((0, 0), (0, 1)))
    of_node = np.zeros(len(vocabulary.symbol), np.int32)
    table = native.Table(pointer(moves), pointer(column_of), *moves.shape)
    nodes = (vocabulary.symbol, vocabulary.depth, vocabulary.next)
    trie = native.Trie(*map(pointer, nodes), len(of_node), vocabulary.max_depth)
    made = native.Functions()
    try:
        status = library.token_moves(
            ctypes.byref(table),
            ctypes.byref(trie),
            4 * budget.limits.edges,
            pointer(of_node),
            ctypes.byref(made),
        )
        if status == native.TOO_LARGE:
            raise GrammarTooLarge(
                f"the grammar is too large: over {budget.limits.edges} edges of tokens"
            )
        if status == native.NO_MEMORY:
            raise MemoryError
        count, num_pairs = made.num_functions, made.num_pairs
        starts = native.copied(made.starts, count + 1)
        sources = native.copied(made.sources, num_pairs)
        targets = native.copied(made.targets, num_pairs)
    finally:
        library.free_token_moves(ctypes.byref(made))
    return _Functions(of_node, starts, sources, targets)


def _distances(sources: Int32s, targets: Int32s, accepts: Bools) -> Int32s:
    """Fewest edges from each state to an accepting one; the last state, the end, is at 0."""
    distance = np.where(accepts, 0, FAR).astype(np.int32)
    distance[-1] = 0
    order = np.argsort(targets, kind="stable")
    before, starts = sources[order], np.searchsorted(targets[order], np.arange(len(accepts) + 1))
    reached = np.flatnonzero(accepts)
    steps = 0
    while len(reached):
        steps += 1
        edges = _ranges(starts[reached], starts[reached + 1] - starts[reached])
        found = np.unique(before[edges])
        reached = found[distance[found] == FAR]
        distance[reached] = steps
    return distance
