"""Gemma 4's notation of arguments: bare names, and strings without escapes between two marks."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from unmask.decoding.automata.expressions import EMPTY, NUM_BYTES, Expression, OneOf
from unmask.grammar import GEMMA_QUOTE

QUOTE, BACKSLASH, COLON, COMMA = b'":'[0], b"\\"[0], b":"[0], b","[0]
OPENING, CLOSING, SPACE = frozenset(b"{["), frozenset(b"}]"), b" "[0]
LITERAL = frozenset(b"0123456789+-.eEtrufalsn")  # numbers, true, false and null
# Characters of escapes in JSON, and the bytes that they stand for.
ESCAPES = dict(zip(b'nrtbf"\\/', b'\n\r\t\b\f"\\/', strict=True))
# Bytes of names that no part of a notation is.
NAMES = frozenset(range(NUM_BYTES)) - frozenset(b'{}[]:,"\\<>') - frozenset(range(0x20))


class _Place(Enum):
    VALUE = auto()  # before a value
    OPENED = auto()  # behind the brace of an object
    NEXT = auto()  # behind a comma, before a value or a name
    WRITTEN = auto()  # in or behind a value
    NAME = auto()  # before the first character of a name
    NAMED = auto()  # in a name
    NAME_END = auto()
    STRING = auto()
    ESCAPE = auto()


State: TypeAlias = tuple[_Place, int]  # characters of the quote that a string has just spelled
Move: TypeAlias = tuple[Expression, State]
START: State = (_Place.VALUE, 0)


@dataclass(frozen=True, slots=True)
class Gemma:
    """Arguments in Gemma's notation; no string spells the mark, since it would end there."""

    quote: Expression  # the mark
    start: State = START

    def moves(self, state: State, symbols: frozenset[int]) -> Iterator[Move]:
        """Texts and states behind a set of symbols of JSON."""
        place, spelled = state
        match place:
            case _Place.STRING:
                yield from self._string(symbols, spelled)
            case _Place.ESCAPE:
                for symbol in symbols & ESCAPES.keys():
                    yield from _character(ESCAPES[symbol], spelled)
            case _Place.NAME | _Place.NAMED:
                if shown := symbols & NAMES:
                    yield OneOf(shown), (_Place.NAMED, 0)
                if QUOTE in symbols and place is _Place.NAMED:
                    yield EMPTY, (_Place.NAME_END, 0)
            case _Place.NAME_END:
                if COLON in symbols:
                    yield OneOf(frozenset((COLON,))), START
            case _:
                yield from self._outside(place, symbols)

    def accepts(self, state: State) -> bool:
        """True behind a whole value."""
        return state[0] is _Place.WRITTEN

    def _string(self, symbols: frozenset[int], spelled: int) -> Iterator[Move]:
        mark = frozenset(GEMMA_QUOTE.encode())
        if plain := symbols - mark - {BACKSLASH}:
            yield OneOf(plain), (_Place.STRING, 0)
        for symbol in (symbols & mark) - {QUOTE}:
            yield from _character(symbol, spelled)
        if BACKSLASH in symbols:
            yield EMPTY, (_Place.ESCAPE, spelled)
        if QUOTE in symbols:
            yield self.quote, (_Place.WRITTEN, 0)

    def _outside(self, place: _Place, symbols: frozenset[int]) -> Iterator[Move]:
        if SPACE in symbols:
            yield EMPTY, (place, 0)
        if place is not _Place.WRITTEN and QUOTE in symbols:
            if place is not _Place.OPENED:
                yield self.quote, (_Place.STRING, 0)
            if place is not _Place.VALUE:
                yield EMPTY, (_Place.NAME, 0)
        if place in (_Place.VALUE, _Place.NEXT):
            for symbol in symbols & OPENING:
                behind = _Place.OPENED if symbol == b"{"[0] else _Place.VALUE
                yield OneOf(frozenset((symbol,))), (behind, 0)
        if place is not _Place.OPENED and (shown := symbols & LITERAL):
            yield OneOf(shown), (_Place.WRITTEN, 0)
        if place is not _Place.NEXT and (shown := symbols & CLOSING):
            yield OneOf(shown), (_Place.WRITTEN, 0)
        if place is _Place.WRITTEN and COMMA in symbols:
            yield OneOf(frozenset((COMMA,))), (_Place.NEXT, 0)


def _character(symbol: int, spelled: int) -> Iterator[Move]:
    """A character of a string, unless it completes the mark."""
    mark = GEMMA_QUOTE.encode()
    text = mark[:spelled] + bytes((symbol,))
    sizes = range(len(mark), 0, -1)
    size = next((n for n in sizes if text.endswith(mark[:n])), 0)
    if size < len(mark):
        yield OneOf(frozenset((symbol,))), (_Place.STRING, size)
