"""LFM2's notation of arguments: those of a Python call, with values as in JSON.

Constants may be spelled in either way, `True` or `true`, as its templates write both.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from unmask.decoding.automata.expressions import EMPTY, NUM_BYTES, Expression, OneOf, literal

QUOTE, BACKSLASH, COLON, COMMA, SPACE = b'"\\:, '
OPENING, CLOSING = frozenset(b"{["), frozenset(b"}]")
OBJECT, OBJECT_END = b"{}"
# Constants of JSON whose first letter is capital in Python.
CAPITALS = dict(zip(b"tf", b"TF", strict=True))
NULL, REST_OF_NULL = b"n"[0], frozenset(b"ul")
# Bytes of a name before its argument.
NAMES = frozenset(range(NUM_BYTES)) - frozenset(b'()[]{}=:,"\\') - frozenset(range(0x21))


class _Place(Enum):
    START = auto()
    OPENED = auto()  # behind the bracket of a call
    NEXT = auto()  # behind a comma between arguments
    NAME = auto()  # before the first character of a name
    NAMED = auto()  # in a name
    NAME_END = auto()
    VALUE = auto()  # before, in or behind a value
    NONE = auto()  # behind None, where JSON still spells null
    STRING = auto()
    ESCAPE = auto()
    END = auto()


State: TypeAlias = tuple[_Place, int]  # open brackets, of which the first is the call's
Move: TypeAlias = tuple[Expression, State]


@dataclass(frozen=True, slots=True)
class Python:
    """Arguments of a call between its brackets; JSON of an object."""

    start: State = (_Place.START, 0)

    def moves(self, state: State, symbols: frozenset[int]) -> Iterator[Move]:
        """Texts and states behind a set of symbols of JSON."""
        place, depth = state
        match place:
            case _Place.START:
                if OBJECT in symbols:
                    yield literal("("), (_Place.OPENED, 1)
            case _Place.OPENED | _Place.NEXT:
                if SPACE in symbols:
                    yield EMPTY, state
                if QUOTE in symbols:
                    yield EMPTY, (_Place.NAME, depth)
                if place is _Place.OPENED and OBJECT_END in symbols:
                    yield literal(")"), (_Place.END, 0)
            case _Place.NAME | _Place.NAMED:
                if shown := symbols & NAMES:
                    yield OneOf(shown), (_Place.NAMED, depth)
                if QUOTE in symbols and place is _Place.NAMED:
                    yield EMPTY, (_Place.NAME_END, depth)
            case _Place.NAME_END:
                if COLON in symbols:
                    yield literal("="), (_Place.VALUE, depth)
            case _Place.STRING | _Place.ESCAPE:
                yield from _string(state, symbols)
            case _Place.VALUE | _Place.NONE:
                if place is _Place.NONE and symbols & REST_OF_NULL:
                    yield EMPTY, state
                    symbols -= REST_OF_NULL
                yield from _value(depth, symbols)

    def accepts(self, state: State) -> bool:
        """True behind all arguments."""
        return state[0] is _Place.END


def _string(state: State, symbols: frozenset[int]) -> Iterator[Move]:
    """Strings are those of JSON."""
    place, depth = state
    if place is _Place.ESCAPE:
        yield OneOf(symbols), (_Place.STRING, depth)
        return
    if plain := symbols - {QUOTE, BACKSLASH}:
        yield OneOf(plain), state
    if BACKSLASH in symbols:
        yield _one(BACKSLASH), (_Place.ESCAPE, depth)
    if QUOTE in symbols:
        yield _one(QUOTE), (_Place.VALUE, depth)


def _value(depth: int, symbols: frozenset[int]) -> Iterator[Move]:
    """Brackets, constants, numbers and quotes of values."""
    inside = depth > 1
    behind = _Place.VALUE, depth
    if QUOTE in symbols:
        yield _one(QUOTE), (_Place.STRING, depth)
    if shown := symbols & OPENING:
        yield OneOf(shown), (_Place.VALUE, depth + 1)
    if inside and (shown := symbols & CLOSING):
        yield OneOf(shown), (_Place.VALUE, depth - 1)
    if not inside and OBJECT_END in symbols:
        yield literal(")"), (_Place.END, 0)
    if not inside and SPACE in symbols:
        yield EMPTY, behind
    if not inside and COMMA in symbols:
        yield literal(", "), (_Place.NEXT, depth)
    if NULL in symbols:
        yield literal("None"), (_Place.NONE, depth)
    shown = symbols - OPENING - CLOSING - {QUOTE}
    shown -= frozenset() if inside else {SPACE, COMMA}
    shown |= {CAPITALS[symbol] for symbol in shown & CAPITALS.keys()}
    if shown:
        yield OneOf(shown), behind


def _one(symbol: int) -> Expression:
    return OneOf(frozenset((symbol,)))
