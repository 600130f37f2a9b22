"""Rules that call themselves at their beginning or end, as repetitions and graphs without calls.

Among rules that reach each other, an alternative `a` is parts one after the other. A rule

    x = x a | x b x | c x | d        is        p (a | b p)*    with p = c* d,

and several rules that begin (or end) with each other are a graph with a node for each of them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

from unmask.decoding.automata.expressions import (
    Call,
    Concatenation,
    Edge,
    Expression,
    Graph,
    Repetition,
    Union,
    calls,
    concatenation,
    num_symbols,
    repetition,
    union,
)
from unmask.decoding.automata.limits import Budget

# Of groups that are multiplied out; others stay as they are.
MAX_ALTERNATIVES = 1_000  # of one
MAX_SYMBOLS = 200_000  # of all alternatives of rules that reach each other
Alternative: TypeAlias = tuple[Expression, ...]


def linear(bodies: Mapping[str, Expression], start: str, budget: Budget) -> dict[str, Expression]:
    """The rules that `start` reaches, the same texts of each, with fewer calls."""
    graph = _reached({name: tuple(calls(body)) for name, body in bodies.items()}, start)
    component = components(graph)
    groups = {
        number: _Group({name: bodies[name] for name in names}, budget)
        for number, names in _members(component).items()
        if len(names) > 1 or names[0] in graph[names[0]]
    }
    made, open_ = dict[str, Expression](), [start]
    while open_:
        name = open_.pop()
        if name not in made:
            budget.check_time()
            group = groups.get(component[name])
            made[name] = bodies[name] if group is None else group.body(name)
            open_ += calls(made[name])
    return made


class _Group:
    """Rules that reach each other."""

    def __init__(self, bodies: Mapping[str, Expression], budget: Budget) -> None:
        self._names = bodies.keys()
        self._budget = budget
        self._num_symbols_left = MAX_SYMBOLS
        self._rules = {}
        for name, body in bodies.items():
            found = self._alternatives(body)
            # A rule that is itself adds nothing.
            self._rules[name] = [
                parts for parts in found if len(parts) != 1 or self._own(parts[0]) != name
            ]
        self._left = self._sides(lambda parts: parts[0])
        self._right = self._sides(lambda parts: parts[-1])

    def _sides(self, side: Callable[[Alternative], Expression]) -> dict[str, frozenset[str]]:
        """Of each rule, the rules that begin (or end) with each other through it, if any do."""
        graph = {
            name: {called for parts in found if parts and (called := self._own(side(parts)))}
            for name, found in self._rules.items()
        }
        component = components(graph)
        groups = dict.fromkeys(graph, frozenset[str]())
        for names in map(frozenset, _members(component).values()):
            groups |= {name: names for name in names if len(names) > 1 or name in graph[name]}
        return groups

    def _own(self, part: Expression) -> str | None:
        is_own = isinstance(part, Call) and part.rule in self._names
        return part.rule if is_own and isinstance(part, Call) else None

    def body(self, name: str) -> Expression:
        if self._left[name] == {name} or (not self._left[name] and self._right[name] == {name}):
            return self._alone(name)
        if self._left[name]:
            return self._begins(name, sorted(self._left[name]))
        if self._right[name]:
            # A rule that begins with itself is called, not followed.
            inner = sorted(n for n in self._right[name] if not self._left[n])
            return self._ends(name, inner)
        return union(concatenation(*parts) for parts in self._rules[name])

    def _alone(self, name: str) -> Expression:
        """Rule that begins or ends with itself, and with no other that leads back to it."""
        before, first, behind = list[Expression](), list[Expression](), list[Expression]()
        between = list[Expression]()
        for parts in self._alternatives_of(name):
            begins, ends = (bool(parts) and self._own(parts[i]) == name for i in (0, -1))
            if begins and ends:
                between.append(concatenation(*parts[1:-1]))
            elif begins:
                behind.append(concatenation(*parts[1:]))
            elif ends:
                before.append(concatenation(*parts[:-1]))
            else:
                first.append(concatenation(*parts))
        one = concatenation(repetition(union(before)), union(first))
        more = [*behind, *([concatenation(union(between), one)] if between else [])]
        return concatenation(one, repetition(union(more)))

    def _begins(self, name: str, names: list[str]) -> Expression:
        """Paths from node 0 to the end of a rule: nodes are the ends of rules."""
        nodes = {own: i for i, own in enumerate(names, 1)}
        edges = []
        for own in names:
            for parts in self._alternatives_of(own):
                source = nodes.get(self._own(parts[0]) or "", 0) if parts else 0
                rest = parts[1:] if source else parts
                edges.append(Edge(source, concatenation(*rest), nodes[own]))
        return Graph(len(nodes) + 1, tuple(edges), frozenset((nodes[name],)))

    def _ends(self, name: str, names: list[str]) -> Expression:
        """Paths from the beginning of a rule to the last node: nodes are beginnings of rules."""
        order = [name, *(own for own in names if own != name)]
        nodes = {own: i for i, own in enumerate(order)}
        edges = []
        for own in order:
            for parts in self._alternatives_of(own):
                target = nodes.get(self._own(parts[-1]) or "") if parts else None
                rest = parts if target is None else parts[:-1]
                end = len(nodes) if target is None else target
                edges.append(Edge(nodes[own], concatenation(*rest), end))
        return Graph(len(nodes) + 1, tuple(edges), frozenset((len(nodes),)))

    def _alternatives_of(self, name: str) -> Iterator[Alternative]:
        for parts in self._rules[name]:
            self._budget.check_time()
            yield parts

    def _alternatives(self, body: Expression) -> list[Alternative]:
        """Parts of each alternative, whose first and last are no groups that call these rules."""
        self._budget.check_time()
        if not any(name in self._names for name in calls(body)):
            return [(body,)]
        match body:
            case Union(parts):
                return [found for part in parts for found in self._alternatives(part)]
            case Repetition(part, 0, 1):
                return [(), *self._alternatives(part)]
            case Concatenation(parts) if parts:
                if len(parts) == 1:
                    return self._alternatives(parts[0])
                return self._product(parts, *(self._alternatives(parts[i]) for i in (0, -1)))
        return [(body,)]

    def _product(
        self, parts: Alternative, first: list[Alternative], last: list[Alternative]
    ) -> list[Alternative]:
        """Alternatives of all parts by those of the first and the last; one if they are many."""
        count = len(first) * len(last)
        if count > MAX_ALTERNATIVES:
            return [parts]
        if count > 1:
            size = count * sum(map(num_symbols, parts[1:-1]))
            for own, other in ((first, last), (last, first)):
                size += len(other) * sum(num_symbols(part) for found in own for part in found)
            if size > self._num_symbols_left:
                return [parts]
            self._num_symbols_left -= size
        return [(*a, *parts[1:-1], *b) for a in first for b in last]


def _reached(graph: Mapping[str, Iterable[str]], start: str) -> dict[str, tuple[str, ...]]:
    """The part of a graph that can be reached, in order."""
    found, open_ = dict[str, tuple[str, ...]](), [start]
    while open_:
        name = open_.pop()
        if name not in found:
            found[name] = tuple(graph[name])
            open_ += reversed(found[name])
    return found


def _members(component: Mapping[str, int]) -> dict[int, list[str]]:
    """Names of each component, in order."""
    members: dict[int, list[str]] = {}
    for name in sorted(component):
        members.setdefault(component[name], []).append(name)
    return members


def components(graph: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """Number of the strongly connected component of each node (Tarjan, 1972)."""
    order, low = dict[str, int](), dict[str, int]()
    open_, found = list[str](), dict[str, int]()

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        open_.append(name)
        for other in graph[name]:
            if other not in order:
                visit(other)
            if other not in found:
                low[name] = min(low[name], low[other])
        if low[name] == order[name]:
            while name not in found:
                found[open_.pop()] = order[name]

    for name in graph:
        if name not in order:
            visit(name)
    return found
