"""Sets of characters, and expressions of one character: as UTF-8, and within a JSON string."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from unmask.decoding.automata.expressions import (
    Edge,
    Expression,
    Graph,
    concatenation,
    literal,
    one_of,
    repetition,
    union,
)

LAST = 0x10FFFF
SURROGATES = (0xD800, 0xDFFF)  # no characters; UTF-8 has none
# Ends of the ranges whose UTF-8 has one to four bytes.
SIZES = (0x7F, 0x7FF, 0xFFFF, LAST)
ESCAPES = {'"': '"', "\\": "\\", "/": "/", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}
_Bytes: TypeAlias = tuple[tuple[int, int], ...]  # ranges of bytes, one after the other

HEX = b"0123456789abcdefABCDEF"


@dataclass(frozen=True, slots=True)
class Characters:
    """Set of Unicode scalar values, as sorted ranges with gaps between, ends included."""

    ranges: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, ranges: Iterable[tuple[int, int]]) -> "Characters":
        """Characters of ranges in any order, surrogates left out."""
        merged: list[tuple[int, int]] = []
        for low, high in sorted(_without_surrogates(ranges)):
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = merged[-1][0], max(merged[-1][1], high)
            else:
                merged.append((low, high))
        return cls(tuple(merged))

    @classmethod
    def in_text(cls, text: str) -> "Characters":
        return cls.of((ord(character), ord(character)) for character in text)

    def __or__(self, other: "Characters") -> "Characters":
        return Characters.of((*self.ranges, *other.ranges))

    def __and__(self, other: "Characters") -> "Characters":
        return ~(~self | ~other)

    def __sub__(self, other: "Characters") -> "Characters":
        return self & ~other

    def __invert__(self) -> "Characters":
        gaps, start = [], 0
        for low, high in self.ranges:
            gaps.append((start, low - 1))
            start = high + 1
        return Characters.of((*gaps, (start, LAST)))

    def __contains__(self, character: str) -> bool:
        return any(low <= ord(character) <= high for low, high in self.ranges)


def _without_surrogates(ranges: Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    first, last = SURROGATES
    for low, high in ranges:
        parts = ((low, min(high, first - 1)), (max(low, last + 1), high))
        yield from (part for part in parts if part[0] <= part[1])


ALL = Characters.of(((0, LAST),))
PLAIN = Characters.of(((0x20, LAST),)) - Characters.in_text('"\\')  # in a JSON string as they are


def utf8(characters: Characters) -> Expression:
    """UTF-8 of one character of a set."""
    # Nodes are what is still to come, so that characters with the same last bytes share them.
    leads: dict[_Bytes, set[int]] = {}
    for low, high in characters.ranges:
        for first, *tail in _byte_ranges(low, high):
            leads.setdefault(tuple(tail), set()).update(range(first[0], first[1] + 1))
    if leads.keys() <= {()}:
        return union(one_of(bytes_) for bytes_ in leads.values())
    tails = sorted({tail[i:] for tail in leads for i in range(len(tail) + 1)}, key=len)
    nodes = {tail: i for i, tail in enumerate(tails, 1)}
    edges = [Edge(0, one_of(bytes_), nodes[tail]) for tail, bytes_ in leads.items()]
    edges += [
        Edge(nodes[tail], one_of(range(tail[0][0], tail[0][1] + 1)), nodes[tail[1:]])
        for tail in tails[1:]
    ]
    return Graph(len(nodes) + 1, tuple(edges), frozenset((nodes[()],)))


def _byte_ranges(low: int, high: int) -> list[_Bytes]:
    """Sequences of ranges of bytes whose products are the UTF-8 of a range of characters."""
    for last in SIZES:
        if low <= last < high:
            return [*_byte_ranges(low, last), *_byte_ranges(last + 1, high)]
    # A range whose ends differ in a byte must have all values of the bytes behind that one.
    for shift in (6, 12, 18):
        block = (1 << shift) - 1
        if low | block >= high or high <= SIZES[0]:
            break
        if low & block:
            return [*_byte_ranges(low, low | block), *_byte_ranges((low | block) + 1, high)]
        if high & block != block:
            start = high & ~block
            return [*_byte_ranges(low, start - 1), *_byte_ranges(start, high)]
    return [tuple(zip(chr(low).encode(), chr(high).encode(), strict=True))]


def json_character(characters: Characters) -> Expression:
    """One character of a set within a JSON string, with escapes of two characters only."""
    escapes = "".join(escape for c, escape in ESCAPES.items() if c in characters)
    escaped = [concatenation(literal("\\"), one_of(escapes.encode()))] if escapes else []
    return union((utf8(characters & PLAIN), *escaped))


def _any_json_character() -> Expression:
    """One character, as itself or as any escape of JSON."""
    digit = one_of(HEX)
    slash_u = literal("\\u")
    high = concatenation(one_of(b"dD"), one_of(b"89abAB"), digit, digit)
    low = concatenation(one_of(b"dD"), one_of(b"cdefCDEF"), digit, digit)
    code = union(
        (
            concatenation(one_of(set(HEX) - set(b"dD")), digit, digit, digit),
            concatenation(one_of(b"dD"), one_of(b"01234567"), digit, digit),
            concatenation(high, slash_u, low),
        )
    )
    short = concatenation(literal("\\"), one_of("".join(ESCAPES.values()).encode()))
    return union((utf8(PLAIN), short, concatenation(slash_u, code)))


ANY_JSON_CHARACTER = _any_json_character()
ANY_JSON_STRING = concatenation(literal('"'), repetition(ANY_JSON_CHARACTER), literal('"'))
