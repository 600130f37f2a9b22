"""Expressions: regular languages built from parts, over bytes and special tokens.

Symbols below 256 are bytes; a special token is a symbol of its own, so that no text spells it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from unmask.decoding.automata.dfa import Dfa
from unmask.decoding.automata.errors import InvalidGrammar

NUM_BYTES = 256


@dataclass(frozen=True, slots=True, eq=False)
class OneOf:
    """One symbol of a set."""

    symbols: frozenset[int]


@dataclass(frozen=True, slots=True, eq=False)
class Special:
    """A special token, by its text in the vocabulary."""

    token: str


@dataclass(frozen=True, slots=True, eq=False)
class Concatenation:
    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True, eq=False)
class Union:
    """Any of the parts; none matches nothing at all."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True, eq=False)
class Repetition:
    """A part `least` to `most` times, without end if `most` is None, with separators between."""

    part: "Expression"
    least: int
    most: int | None
    separator: "Expression"


@dataclass(frozen=True, slots=True, eq=False)
class Intersection:
    """Texts that both parts match."""

    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """Texts that the left part matches and the right one does not; they call no rules."""

    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """A way from one node of a graph to another, along an expression."""

    source: int
    expression: "Expression"
    target: int


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """Paths along expressions from node 0 to one of the `ends`."""

    num_nodes: int
    edges: tuple[Edge, ...]
    ends: frozenset[int]


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """Words of an automaton that is built already."""

    dfa: Dfa


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """Another rule of a grammar by its name, which `rules` replaces."""

    rule: str


Expression: TypeAlias = (
    OneOf
    | Special
    | Concatenation
    | Union
    | Repetition
    | Intersection
    | Difference
    | Graph
    | Compiled
    | Call
)

BYTES = tuple(OneOf(frozenset((byte,))) for byte in range(NUM_BYTES))
EMPTY = Concatenation(())  # the empty text only
NOTHING = Union(())  # no text at all


def one_of(symbols: Iterable[int]) -> OneOf:
    return OneOf(frozenset(symbols))


def literal(text: str) -> Expression:
    """One text; raises `InvalidGrammar` for half of a surrogate pair, which is none."""
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise InvalidGrammar(f"{text!r:.80} is no Unicode text") from None
    return concatenation(*(BYTES[byte] for byte in data))


def concatenation(*parts: Expression) -> Expression:
    """Parts one after the other; `NOTHING` if one of them is."""
    if any(is_nothing(part) for part in parts):
        return NOTHING
    return parts[0] if len(parts) == 1 else Concatenation(parts)


def union(parts: Iterable[Expression]) -> Expression:
    some = tuple(part for part in parts if not is_nothing(part))
    return some[0] if len(some) == 1 else Union(some)


def optional(part: Expression) -> Expression:
    return repetition(part, 0, 1)


def repetition(
    part: Expression, least: int = 0, most: int | None = None, separator: Expression = EMPTY
) -> Expression:
    """A repeated part; of `NOTHING` only the empty text, if `least` allows it."""
    if most is not None and most < least:
        return NOTHING
    if most == 0 or (is_nothing(part) and least == 0):
        return EMPTY
    if is_nothing(part):
        return NOTHING
    return part if least == most == 1 else Repetition(part, least, most, separator)


def is_nothing(part: Expression) -> bool:
    """True for a union of no parts."""
    return isinstance(part, Union) and not part.parts


def calls(body: Expression) -> Iterator[str]:
    """Names of the rules that an expression calls."""
    match body:
        case Call(name):
            yield name
        case Concatenation(parts) | Union(parts):
            yield from _calls_of(parts)
        case Repetition(part, _, _, separator):
            yield from _calls_of((part, separator))
        case Intersection(left, right):
            yield from _calls_of((left, right))
        case Graph(_, edges, _):
            yield from _calls_of(edge.expression for edge in edges)


def _calls_of(parts: Iterable[Expression]) -> Iterator[str]:
    for part in parts:
        if not isinstance(part, OneOf):  # most parts are
            yield from calls(part)


def num_symbols(body: Expression) -> int:
    """Symbols and calls that are written, those of a repetition so often as it copies them."""
    match body:
        case Concatenation(parts) | Union(parts):
            return sum(map(num_symbols, parts))
        case Repetition(part, least, most, separator):
            copies = max(least, 1) if most is None else most
            return copies * (num_symbols(part) + num_symbols(separator))
        case Intersection(left, right) | Difference(left, right):
            return num_symbols(left) + num_symbols(right)
        case Graph(_, edges, _):
            return sum(num_symbols(edge.expression) for edge in edges)
        case Compiled(dfa):
            return dfa.num_states
    return 1


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """A part of a list that may be left out, unless it is required, or be repeated."""

    expression: Expression
    is_required: bool = False
    is_repeated: bool = False


def listing(items: Sequence[Item], separator: Expression) -> Expression:
    """Items in their order, with separators between those that are there."""
    if any(item.is_required and is_nothing(item.expression) for item in items):
        return NOTHING
    # Node 0 to N: none has been written before item i. N + 1 to 2 N + 1: some have been. The rest:
    # item i is next. Each item is there once, whatever comes before it.
    count = len(items)
    edges = []
    for i, item in enumerate(items):
        fresh, used, begun = i, count + 1 + i, 2 * count + 2 + i
        edges.append(Edge(fresh, EMPTY, begun))
        edges.append(Edge(used, separator, begun))
        edges.append(Edge(begun, item.expression, used + 1))
        if item.is_repeated:
            edges.append(Edge(used + 1, separator, begun))
        if not item.is_required:
            edges.append(Edge(fresh, EMPTY, fresh + 1))
            edges.append(Edge(used, EMPTY, used + 1))
    return Graph(3 * count + 2, tuple(edges), frozenset((count, 2 * count + 1)))


def counted_listing(
    items: Sequence[Item], separator: Expression, least: int, most: int | None
) -> Expression:
    """Items in their order, at most `most`, `least` of them different ones; the last may repeat."""
    if most == 0 and not any(item.is_required for item in items):
        return EMPTY if least == 0 else NOTHING
    if any(item.is_required and is_nothing(item.expression) for item in items):
        return NOTHING
    count = len(items)
    cap = least if most is None else most  # more than that many are not told apart
    # A node is the next item, how many are there, and whether the repeated one is among them.
    nodes: dict[tuple[int, int, int], int] = {(0, 0, 0): 0}
    edges = list[Edge]()
    ends = set[int]()
    for at, used, repeats in (queue := [(0, 0, 0)]):  # grows
        node = nodes[at, used, repeats]
        if at == count and used + min(repeats, 1) >= least:
            ends.add(node)
        after = list[tuple[Expression, tuple[int, int, int]]]()
        if at < count:
            item = items[at]
            written = item.expression
            if used + repeats:
                written = concatenation(separator, written)
            if not item.is_required or repeats:
                after.append((EMPTY, (at + 1, used, repeats)))
            if item.is_repeated and most is None:
                after.append((written, (at, used, 1)))
            elif item.is_repeated and used + repeats < cap:
                after.append((written, (at, used, repeats + 1)))
            elif not item.is_repeated and (most is None or used < cap):
                after.append((written, (at + 1, min(used + 1, cap), 0)))
        for expression, key in after:
            if key not in nodes:
                nodes[key] = len(nodes)
                queue.append(key)
            edges.append(Edge(node, expression, nodes[key]))
    return Graph(len(nodes), tuple(edges), frozenset(ends))
