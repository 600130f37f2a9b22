"""Regular expressions as languages, over Unicode characters.

Lookahead is a difference or an intersection of languages, outside of loops.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeAlias

from unmask.decoding.automata.characters import ALL, Characters, utf8
from unmask.decoding.automata.errors import GrammarTooLarge, InvalidGrammar
from unmask.decoding.automata.expressions import (
    Difference,
    Expression,
    Intersection,
    concatenation,
    optional,
    repetition,
    union,
)
from unmask.decoding.automata.regex_parts import Anchor, Group, Look, Part, Repeated, read_pattern

MAX_LENGTH = 40_000  # characters of a pattern, which take half a second to read
MAX_WAYS = 64  # through groups with a lookahead, each of which is written out
Writer: TypeAlias = Callable[[Characters], Expression]


def regex(
    pattern: str,
    *,
    searches: bool = False,
    looks: bool = False,
    widens: bool = False,
    character: Writer = utf8,
) -> Expression:
    """Texts that a pattern matches as a whole, or somewhere if it `searches`.

    `character` writes one character of a set. Lookahead is for patterns that see the whole text
    (`looks`). One that `widens` matches what it does in any language: `$` is also before the end of
    a last line, as in Python. Raises `InvalidGrammar` with the place.
    """
    if len(pattern) > MAX_LENGTH:
        raise GrammarTooLarge(f"an expression has at most {MAX_LENGTH} characters")
    group = read_pattern(pattern, looks=looks, widens=widens)
    if sum(map(_num_copies, group.alternatives)) > MAX_WAYS:
        raise GrammarTooLarge(f"there are over {MAX_WAYS} ways through groups with lookahead")
    writing = _Writing(lru_cache(maxsize=None)(character), widens)
    before = [repetition(writing.character(ALL))] if searches else []
    return union(_text(parts, before, before, writing) for parts in _flattened(group))


@dataclass(frozen=True, slots=True)
class _Writing:
    """Writer of characters, and whether what is written is as wide as in any language."""

    character: Writer
    widens: bool

    def end(self) -> list[Expression]:
        """Text behind an anchor at the end: Python's $ is also before the end of a last line."""
        return [optional(self.character(Characters.in_text("\n")))] if self.widens else []


def _text(
    parts: list[Part],
    before: list[Expression],
    behind: list[Expression],
    writing: _Writing,
) -> Expression:
    """Parts with what may stand before and behind them, unless an anchor is there."""
    starts = not before
    while parts and parts[0] is Anchor.START:
        starts, parts = True, parts[1:]
    while parts and parts[-1] is Anchor.END:
        behind, parts = writing.end(), parts[:-1]
    rest = _to_the_end(parts, behind, writing, is_first=starts)
    return rest if starts else concatenation(*before, rest)


def _to_the_end(
    parts: list[Part], behind: list[Expression], writing: _Writing, *, is_first: bool
) -> Expression:
    """Texts of parts and what stands behind them; `is_first` if nothing stands before them."""
    at = next((i for i, part in enumerate(parts) if _looks(part)), len(parts))
    written = [_expression(part, writing.character) for part in parts[:at]]
    if at == len(parts):
        return concatenation(*written, *behind)
    is_first = is_first and at == 0
    ways: list[list[Part]] = [[]]
    match parts[at]:
        case Group(alternatives):
            ways = alternatives
        case Repeated(inner, 0, 1):
            ways = [[], [inner]]
        case Repeated():
            raise InvalidGrammar("lookahead in what is repeated is not supported")
    rest = union(
        _to_the_end([*way, *parts[at + 1 :]], behind, writing, is_first=is_first) for way in ways
    )
    if isinstance(look := parts[at], Look):
        seen = union(_seen(look, own, writing, is_first) for own in _flattened(look.group))
        rest = (Difference if look.forbids else Intersection)(rest, seen)
    return concatenation(*written, rest)


def _looks(part: Part) -> bool:
    """True if there is a lookahead in a part."""
    match part:
        case Group(alternatives):
            return any(_looks(inner) for parts in alternatives for inner in parts)
        case Repeated(inner, _, _):
            return _looks(inner)
    return isinstance(part, Look)


def _num_copies(parts: list[Part]) -> int:
    """Times that what follows groups with a lookahead is written out; 0 without one."""
    looking = [part for part in parts if _looks(part)]
    return math.prod(map(_num_ways, looking)) if looking else 0


def _num_ways(part: Part) -> int:
    match part:
        case Group(alternatives):
            return sum(max(_num_copies(parts), 1) for parts in alternatives)
        case Repeated(inner, _, _):
            return 1 + _num_ways(inner)
        case Look(group, _):
            return _num_ways(group)
    return 1


def _seen(look: Look, parts: list[Part], writing: _Writing, is_first: bool) -> Expression:
    """Texts that begin with an alternative of a lookahead."""
    if not is_first and parts and parts[0] is Anchor.START:
        raise InvalidGrammar("^ is supported at the ends of a pattern only")
    writing = replace(writing, widens=writing.widens != look.forbids)
    return _text(parts, [], [repetition(writing.character(ALL))], writing)


def _flattened(group: Group) -> list[list[Part]]:
    """Alternatives, with those of a group that is one by itself."""
    found = []
    for parts in group.alternatives:
        inner = parts[0] if len(parts) == 1 else None
        found += _flattened(inner) if isinstance(inner, Group) else [parts]
    return found


def _expression(part: Part, character: Writer) -> Expression:
    match part:
        case Characters():
            return character(part)
        case Group(alternatives):
            return union(
                concatenation(*(_expression(inner, character) for inner in parts))
                for parts in alternatives
            )
        case Repeated(inner, least, most):
            return repetition(_expression(inner, character), least, most)
        case Anchor():
            raise InvalidGrammar(f"{part.value} is supported at the ends of a pattern only")
        case Look():
            raise AssertionError("parts with lookahead are written to the end")
