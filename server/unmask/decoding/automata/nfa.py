"""Nondeterministic automata from expressions: one copy of each part."""

from collections.abc import Mapping

from unmask.decoding.automata.dfa import Dfa, Nfa, intersect, subtract
from unmask.decoding.automata.errors import GrammarTooLarge, InvalidGrammar
from unmask.decoding.automata.expressions import (
    Call,
    Compiled,
    Concatenation,
    Difference,
    Expression,
    Graph,
    Intersection,
    OneOf,
    Repetition,
    Special,
    Union,
)
from unmask.decoding.automata.limits import Budget
from unmask.decoding.automata.minimal import minimize
from unmask.decoding.automata.subsets import determinize


def compile_bytes(expression: Expression, specials: Mapping[str, int], budget: Budget) -> Dfa:
    """Deterministic automaton of an expression; `specials` are the symbols of special tokens."""
    return determinize(nfa_of(expression, specials, budget), budget)


def nfa_of(expression: Expression, specials: Mapping[str, int], budget: Budget) -> Nfa:
    """Automaton of an expression, with free moves between its parts."""
    builder = _Builder(specials, budget)
    try:
        builder.nfa.end = builder.build(expression, builder.state())
    except RecursionError:
        raise GrammarTooLarge("the grammar is too large: it is nested too deeply") from None
    return builder.nfa


class _Builder:
    """Adds parts to an automaton: each goes from a given state to the one that it returns."""

    def __init__(self, specials: Mapping[str, int], budget: Budget) -> None:
        self.nfa = Nfa()
        self._specials = specials
        self._budget = budget

    def state(self) -> int:
        nfa, budget = self.nfa, self._budget
        if len(nfa.moves) % 1024 == 0:
            budget.check("parts", len(nfa.moves), budget.limits.parts)
        nfa.moves.append([])
        nfa.free.append([])
        return len(nfa.moves) - 1

    def build(self, expression: Expression, at: int) -> int:
        match expression:
            case OneOf(symbols):
                return self._move(at, symbols)
            case Special(token):
                if token not in self._specials:
                    raise InvalidGrammar(f"this model has no special token {token!r}")
                return self._move(at, frozenset((self._specials[token],)))
            case Concatenation(parts):
                for part in parts:
                    at = self.build(part, at)
                return at
            case Union(parts):
                return self._join([self.build(part, at) for part in parts])
            case Repetition():
                return self._repeat(expression, at)
            case Graph(num_nodes, edges, ends):
                nodes = [self._join([at]), *(self.state() for _ in range(num_nodes - 1))]
                for edge in edges:
                    end = self.build(edge.expression, nodes[edge.source])
                    self.nfa.free[end].append(nodes[edge.target])
                return self._join([nodes[node] for node in ends])
            case Intersection(left, right) | Difference(left, right):
                first = compile_bytes(left, self._specials, self._budget)
                second = compile_bytes(right, self._specials, self._budget)
                join = intersect if isinstance(expression, Intersection) else subtract
                joined = minimize(join(first, second, self._budget)).as_dfa()
                return self._join([]) if joined is None else self._insert(joined, at)
            case Compiled(dfa):
                return self._insert(dfa, at)
            case Call(rule):
                raise AssertionError(f"the rule {rule} is replaced before")

    def _move(self, at: int, symbols: frozenset[int]) -> int:
        end = self.state()
        self.nfa.moves[at].append((symbols, end))
        return end

    def _join(self, ends: list[int]) -> int:
        end = self.state()
        for state in ends:
            self.nfa.free[state].append(end)
        return end

    def _repeat(self, repetition: Repetition, at: int) -> int:
        part, separator = repetition.part, repetition.separator
        ends = [at] if repetition.least == 0 else []
        copies = max(repetition.least, 1) if repetition.most is None else repetition.most
        for i in range(copies):
            # A state that the loop below may come back to, and no other part does.
            begun = self._join([self.build(separator, at) if i else at])
            at = self.build(part, begun)
            if i + 1 >= repetition.least:
                ends.append(at)
        if repetition.most is None:
            self.nfa.free[self.build(separator, at)].append(begun)
        return self._join(ends)

    def _insert(self, dfa: Dfa, at: int) -> int:
        """A copy of a deterministic automaton."""
        states = [self._join([at]), *(self.state() for _ in range(dfa.num_states - 1))]
        for source, symbols, target in dfa.edges():
            self.nfa.moves[states[source]].append((symbols, states[target]))
        return self._join([states[i] for i in range(dfa.num_states) if dfa.accepts[i]])
