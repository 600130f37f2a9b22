"""Rules that call each other, as expressions: without loss where they are regular.

A rule that calls itself at its beginning or its end is a loop. Within itself, as a bracket within
brackets, it is followed to a bounded depth (a context-free language has no automaton).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from unmask.decoding.automata.errors import GrammarTooLarge, GrammarTooSlow
from unmask.decoding.automata.expressions import (
    NOTHING,
    Call,
    Compiled,
    Concatenation,
    Edge,
    Expression,
    Graph,
    Intersection,
    Repetition,
    Union,
    calls,
    concatenation,
    is_nothing,
    repetition,
    union,
)
from unmask.decoding.automata.limits import Budget
from unmask.decoding.automata.linear import components, linear
from unmask.decoding.automata.minimal import minimize
from unmask.decoding.automata.nfa import compile_bytes

MAX_NESTING = 5  # times that rules are followed within themselves
MAX_STATES = 10_000  # where rules are followed more than once
MAX_SUBSETS = 4 * MAX_STATES  # the same, before an automaton is minimized


@dataclass(frozen=True, slots=True)
class Rules:
    """Expressions of rules by name, with calls, and the rule of an answer."""

    bodies: Mapping[str, Expression]
    start: str


def language_of_rules(rules: Rules, budget: Budget) -> Expression:
    """Texts of the rules, nested as deep as `MAX_NESTING` and `MAX_STATES` allow.

    Raises `GrammarTooLarge` where not even one rule within itself is small enough.
    """
    try:
        bodies = linear(rules.bodies, rules.start, budget)
        expansion = _Expansion(bodies, rules.start, budget)
        found = expansion.compiled(rules.start, 0)
        if not expansion.heads:
            return found
        for depth in range(1, MAX_NESTING + 1):
            if depth > 1:
                expansion.budget = budget.narrowed(MAX_SUBSETS)
            try:
                deeper = expansion.compiled(rules.start, depth)
            except GrammarTooLarge as error:
                if depth == 1 or isinstance(error, GrammarTooSlow):
                    raise
                return found
            if depth > 1 and _num_states(deeper) > MAX_STATES:
                return found
            found = deeper
    except RecursionError:
        raise GrammarTooLarge("the rules call each other too deeply") from None
    return found


def _num_states(expression: Expression) -> int:
    return expression.dfa.num_states if isinstance(expression, Compiled) else 0


class _Expansion:
    """Rules with their calls replaced, each made once for each depth that is left."""

    def __init__(self, bodies: Mapping[str, Expression], start: str, budget: Budget) -> None:
        self._bodies = bodies
        self.budget = budget
        self._known: dict[tuple[str, int], Expression] = {}
        graph = dict[str, tuple[str, ...]]()
        for name, body in bodies.items():
            budget.check_time()
            graph[name] = tuple(calls(body))
        self._component = components(graph)
        self.heads = frozenset(_heads(graph, start))

    def compiled(self, name: str, depth: int) -> Expression:
        """Automaton of a rule, of the fewest states."""
        dfa = minimize(compile_bytes(self._rule(name, depth), {}, self.budget)).as_dfa()
        return NOTHING if dfa is None else Compiled(dfa)

    def _rule(self, name: str, depth: int) -> Expression:
        key = name, depth
        if key not in self._known:
            self.budget.check("parts", len(self._known), self.budget.limits.parts)
            made = self._expanded(self._bodies[name], name, depth)
            # What stands in many places is made small first.
            if name in self.heads or isinstance(made, Intersection):
                dfa = minimize(compile_bytes(made, {}, self.budget)).as_dfa()
                made = NOTHING if dfa is None else Compiled(dfa)
            self._known[key] = made
        return self._known[key]

    def _expanded(self, body: Expression, caller: str, depth: int) -> Expression:
        self.budget.check_time()
        match body:
            case Call(name):
                nests = name in self.heads and self._component[name] == self._component[caller]
                return NOTHING if nests and not depth else self._rule(name, depth - nests)
            case Concatenation(parts):
                inner = [self._expanded(part, caller, depth) for part in parts]
                return concatenation(*(part for part in inner if not _is_empty(part)))
            case Union(parts):
                return union([self._expanded(part, caller, depth) for part in parts])
            case Repetition(part, least, most, separator):
                inner = [self._expanded(one, caller, depth) for one in (part, separator)]
                return repetition(inner[0], least, most, inner[1])
            case Intersection(left, right):
                sides = [self._expanded(one, caller, depth) for one in (left, right)]
                return Intersection(*sides)
            case Graph(_, edges, _):
                expanded = (
                    Edge(edge.source, self._expanded(edge.expression, caller, depth), edge.target)
                    for edge in edges
                )
                live = tuple(edge for edge in expanded if not is_nothing(edge.expression))
                return replace(body, edges=live)
        return body


def _is_empty(expression: Expression) -> bool:
    return isinstance(expression, Concatenation) and not expression.parts


def _heads(graph: Mapping[str, Iterable[str]], start: str) -> set[str]:
    """Rules that a call leads back to from within: every way from a rule to itself has one."""
    heads, active, seen = set[str](), set[str](), set[str]()

    def visit(name: str) -> None:
        seen.add(name)
        active.add(name)
        for called in graph[name]:
            if called in active:
                heads.add(called)
            elif called not in seen:
                visit(called)
        active.remove(name)

    visit(start)
    return heads
