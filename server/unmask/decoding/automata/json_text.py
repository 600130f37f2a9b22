"""JSON as expressions: values, objects and arrays from parts."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from unmask.decoding.automata.characters import ANY_JSON_STRING
from unmask.decoding.automata.expressions import (
    EMPTY,
    Edge,
    Expression,
    Graph,
    Item,
    concatenation,
    counted_listing,
    listing,
    literal,
    one_of,
    optional,
    repetition,
    union,
)

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

DIGIT = one_of(b"0123456789")
NONZERO = one_of(b"123456789")
MAX_INDENT = 16  # spaces after the end of a line


@dataclass(frozen=True, slots=True, eq=False)
class Spacing:
    """White space in objects and arrays: `gap` after commas and colons, `edge` elsewhere."""

    gap: Expression
    edge: Expression

    @property
    def comma(self) -> Expression:
        return concatenation(self.edge, literal(","), self.gap)

    @property
    def colon(self) -> Expression:
        return concatenation(literal(":"), optional(literal(" ")))


# At most one space, so that no loop of spaces fills an answer.
COMPACT = Spacing(optional(literal(" ")), EMPTY)
# At most one space, or a new line with a bounded indentation.
_BREAK = concatenation(literal("\n"), repetition(literal(" "), 0, MAX_INDENT))
INDENTED = Spacing(union((EMPTY, literal(" "), _BREAK)), union((EMPTY, _BREAK)))


def digits(least: int = 0, most: int | None = None) -> Expression:
    return repetition(DIGIT, least, most)


WHOLE = union((literal("0"), concatenation(NONZERO, digits())))
INTEGER = concatenation(optional(literal("-")), WHOLE)
NUMBER = concatenation(
    INTEGER,
    optional(concatenation(literal("."), digits(1))),
    # Two digits, so that doubles have the number.
    optional(concatenation(one_of(b"eE"), optional(one_of(b"+-")), digits(1, 2))),
)
BOOLEAN = union((literal("true"), literal("false")))
NULL = literal("null")


def any_value(nesting: int, spacing: Spacing) -> Expression:
    """Any JSON value whose objects and arrays are nested at most so deep."""
    value = union((ANY_JSON_STRING, NUMBER, BOOLEAN, NULL))
    for _ in range(nesting):
        value = union((value, any_object(value, spacing), array(repeated(value, spacing), spacing)))
    return value


def any_object(
    value: Expression, spacing: Spacing, names: Expression = ANY_JSON_STRING
) -> Expression:
    """Object of any members with such names and values."""
    return json_object([Item(member(names, value, spacing), is_repeated=True)], spacing)


def member(name: Expression, value: Expression, spacing: Spacing) -> Expression:
    return concatenation(name, spacing.colon, value)


def json_object(
    members: Sequence[Item], spacing: Spacing, least: int = 0, most: int | None = None
) -> Expression:
    """Object of members in their order, `least` to `most` of them with different names."""
    if least == 0 and most is None:
        content = listing(members, spacing.comma)
    else:
        content = counted_listing(members, spacing.comma, least, most)
    return _bracketed("{", content, "}", spacing)


def repeated(
    value: Expression, spacing: Spacing, least: int = 0, most: int | None = None
) -> Expression:
    """Elements of an array, without its brackets."""
    return repetition(value, least, most, spacing.comma)


def distinct(values: Sequence[Json], spacing: Spacing, least: int, most: int) -> Expression:
    """Elements of an array, each of the values at most once, in their order."""
    # A node is how many values were passed by, and how many of them are there.
    size = len(values) + 1
    edges = []
    for i, value in enumerate(values):
        element = json_literal(value, spacing)
        for count in range(i + 1):
            node = i * size + count
            with_comma = concatenation(spacing.comma, element) if count else element
            edges.append(Edge(node, with_comma, node + size + 1))
            edges.append(Edge(node, EMPTY, node + size))
    last = len(values) * size
    ends = frozenset(last + count for count in range(least, min(most, len(values)) + 1))
    return Graph(last + size, tuple(edges), ends)


def array(elements: Expression, spacing: Spacing) -> Expression:
    return _bracketed("[", elements, "]", spacing)


def _bracketed(opening: str, content: Expression, closing: str, spacing: Spacing) -> Expression:
    return concatenation(literal(opening), spacing.edge, content, spacing.edge, literal(closing))


def json_literal(value: Json, spacing: Spacing) -> Expression:
    """One value, in the order of its own members; characters are not escaped without need."""
    match value:
        case dict():
            members = [
                Item(member(json_literal(name, spacing), json_literal(own, spacing), spacing), True)
                for name, own in value.items()
            ]
            return json_object(members, spacing)
        case list():
            elements = [Item(json_literal(own, spacing), is_required=True) for own in value]
            return array(listing(elements, spacing.comma), spacing)
        case _:
            return literal(json.dumps(value, ensure_ascii=False))
