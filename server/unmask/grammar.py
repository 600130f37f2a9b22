"""Grammars of answers: small values that describe a text, and are keys of caches."""

import json
from dataclasses import dataclass
from typing import Any, TypeAlias

from unmask.errors import InvalidRequest

OBJECT_NESTING = 5  # of objects and arrays in any JSON object


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """JSON that matches a schema, given as its text; `json_schema_of` makes one.

    White space is at most one space behind a comma or a colon, or with `indents` also a new line
    and a bounded indentation around commas and inside brackets. Unless it `is_exact`, keywords that
    are not supported are left out.
    """

    schema: str
    indents: bool = False
    is_exact: bool = True


@dataclass(frozen=True, slots=True)
class JsonObject:
    """Any JSON object whose objects and arrays are nested at most `OBJECT_NESTING` deep."""

    indents: bool = False


@dataclass(frozen=True, slots=True)
class Regex:
    """Text that an expression matches as a whole."""

    pattern: str


@dataclass(frozen=True, slots=True)
class GrammarText:
    """Text of a grammar in GBNF (`name ::=`) or in Lark's language, its rules nested a few deep."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """Any text that contains none of some tags."""

    without: tuple[str, ...] = ()


ANY_TEXT = Text()
"""Grammar of a hole that has none of its own, so that nothing follows its end."""


@dataclass(frozen=True, slots=True)
class Literal:
    """One text."""

    text: str


@dataclass(frozen=True, slots=True)
class SpecialToken:
    """One special token, by its text in the vocabulary."""

    token: str


GEMMA_QUOTE = '<|"|>'
"""Text of the mark around strings."""


@dataclass(frozen=True, slots=True)
class GemmaArguments:
    """JSON of a schema in Gemma's notation, whose strings stand between two `quote` marks."""

    schema: JsonSchema
    quote: "Literal | SpecialToken"


@dataclass(frozen=True, slots=True)
class PythonArguments:
    """JSON of a schema as the arguments of a call in Python, with its brackets."""

    schema: JsonSchema


@dataclass(frozen=True, slots=True)
class Chain:
    """Parts one after the other."""

    parts: tuple["Grammar", ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some parts."""

    parts: tuple["Grammar", ...]


@dataclass(frozen=True, slots=True)
class Repeated:
    """A part `least` to `most` times; without end if `most` is None."""

    part: "Grammar"
    least: int = 0
    most: int | None = None


Grammar: TypeAlias = (
    JsonSchema
    | JsonObject
    | Regex
    | GrammarText
    | Text
    | Literal
    | SpecialToken
    | GemmaArguments
    | PythonArguments
    | Chain
    | Choice
    | Repeated
)


def goes_on(grammar: Grammar) -> bool:
    """True if an answer may go on as text wherever it may end."""
    match grammar:
        case Text():
            return True
        case Chain((*before, Repeated(part, 0))):
            return goes_on(part) and goes_on(Chain(tuple(before)))
        case Chain((*_, last)):
            return goes_on(last)
    return False


def json_schema_of(schema: Any, *, indents: bool = False, is_exact: bool = True) -> JsonSchema:
    """Grammar of a schema; the order of properties is the order of answers, and so of its key.

    Raises `InvalidRequest` for a value that is too deep or too long to be written.
    """
    try:
        text = json.dumps(schema, separators=(",", ":"))
    except RecursionError:
        raise InvalidRequest("the schema is nested too deeply") from None
    except ValueError as error:  # a number of thousands of digits
        raise InvalidRequest(f"the schema has no JSON text: {error}") from None
    return JsonSchema(text, indents, is_exact)


def choice_of(texts: tuple[str, ...]) -> Choice:
    """Grammar of one of several texts."""
    return Choice(tuple(map(Literal, texts)))
