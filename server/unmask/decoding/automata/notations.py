"""Arguments of calls in notations other than JSON, made from automata of JSON.

A notation reads JSON symbol by symbol and writes its own text, so that every schema that JSON has
an automaton for has one in each notation.
"""

from collections.abc import Iterator
from typing import Protocol, TypeVar

from unmask.decoding.automata.dfa import Dfa
from unmask.decoding.automata.errors import InvalidGrammar
from unmask.decoding.automata.expressions import Edge, Expression, Graph
from unmask.decoding.automata.limits import Budget

State = TypeVar("State")


class Notation(Protocol[State]):
    """Texts of a notation by symbols of JSON."""

    @property
    def start(self) -> State:
        """The state before a value."""
        ...

    def moves(self, state: State, symbols: frozenset[int]) -> Iterator[tuple[Expression, State]]:
        """Texts and states behind a set of symbols of JSON."""
        ...

    def accepts(self, state: State) -> bool:
        """True behind a whole value."""
        ...


def rewritten(dfa: Dfa, notation: Notation[State], budget: Budget) -> Expression:
    """Texts of the JSON that an automaton has, in a notation; raises `InvalidGrammar` for none."""
    known: dict[tuple[State, frozenset[int]], list[tuple[Expression, State]]] = {}
    edges_of: list[list[tuple[frozenset[int], int]]] = [[] for _ in range(dfa.num_states)]
    for source, symbols, target in dfa.edges():
        edges_of[source].append((symbols, target))
    pairs, numbers, edges = [(0, notation.start)], {(0, notation.start): 0}, list[Edge]()
    for i, (own, state) in enumerate(pairs):  # grows
        if i % 256 == 0:
            budget.check("parts", len(edges), budget.limits.parts)
        for symbols, target in edges_of[own]:
            if (state, symbols) not in known:
                known[state, symbols] = list(notation.moves(state, symbols))
            for text, behind in known[state, symbols]:
                pair = target, behind
                if pair not in numbers:
                    numbers[pair] = len(pairs)
                    pairs.append(pair)
                edges.append(Edge(i, text, numbers[pair]))
    ends = frozenset(
        i for i, (own, state) in enumerate(pairs) if dfa.accepts[own] and notation.accepts(state)
    )
    if not ends:
        raise InvalidGrammar(
            "the notation of this model's calls cannot write these arguments: a name that is "
            "required or a text has characters that it does not have"
        )
    return Graph(len(pairs), tuple(edges), ends)
