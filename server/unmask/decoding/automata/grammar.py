"""Grammars of answers: small values that describe a text, and are keys of caches."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from unmask.decoding.automata.errors import InvalidGrammar
from unmask.decoding.automata.expressions import (
    Expression,
    Special,
    concatenation,
    literal,
    repetition,
    union,
)
from unmask.decoding.automata.free_text import text_without
from unmask.decoding.automata.json_text import COMPACT, INDENTED, any_object, any_value
from unmask.decoding.automata.limits import Budget
from unmask.decoding.automata.minimal import ByteAutomaton, minimize
from unmask.decoding.automata.nfa import compile_bytes
from unmask.decoding.automata.regex import regex
from unmask.decoding.automata.schema import json_schema

OBJECT_NESTING = 5  # of objects and arrays in any JSON object


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """JSON that matches a schema, given as its text; `json_schema_of` makes one.

    White space is at most one space behind a comma or a colon, or with `indents` also a new line
    and a bounded indentation around commas and inside brackets.
    """

    schema: str
    indents: bool = False


@dataclass(frozen=True, slots=True)
class JsonObject:
    """Any JSON object whose objects and arrays are nested at most `OBJECT_NESTING` deep."""

    indents: bool = False


@dataclass(frozen=True, slots=True)
class Regex:
    """Text that an expression matches as a whole."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Text:
    """Any text that contains none of some tags."""

    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Literal:
    """One text."""

    text: str


@dataclass(frozen=True, slots=True)
class SpecialToken:
    """One special token, by its text in the vocabulary."""

    token: str


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
    JsonSchema | JsonObject | Regex | Text | Literal | SpecialToken | Chain | Choice | Repeated
)


def json_schema_of(schema: Any, *, indents: bool = False) -> JsonSchema:
    """Grammar of a schema; the order of properties is the order of answers, and so of its key."""
    try:
        text = json.dumps(schema, separators=(",", ":"))
    except RecursionError:
        raise InvalidGrammar("the schema is nested too deeply") from None
    return JsonSchema(text, indents)


def choice_of(texts: tuple[str, ...]) -> Choice:
    """Grammar of one of several texts."""
    return Choice(tuple(map(Literal, texts)))


def language_of(grammar: Grammar, specials: Mapping[str, int], budget: Budget) -> ByteAutomaton:
    """Automaton of a grammar; raises `InvalidGrammar` and `GrammarTooLarge`."""
    language = minimize(compile_bytes(_expression(grammar, budget), specials, budget))
    budget.check("states", len(language.moves), budget.limits.states)
    return language


def _expression(grammar: Grammar, budget: Budget) -> Expression:
    match grammar:
        case JsonSchema(schema, indents):
            return json_schema(json.loads(schema), INDENTED if indents else COMPACT, budget)
        case JsonObject(indents):
            spacing = INDENTED if indents else COMPACT
            return any_object(any_value(OBJECT_NESTING - 1, spacing), spacing)
        case Regex(pattern):
            return regex(pattern)
        case Text(tags):
            if "" in tags:
                raise InvalidGrammar("a tag is empty")
            return text_without(tags)
        case Literal(text):
            return literal(text)
        case SpecialToken(token):
            return Special(token)
        case Chain(parts):
            return concatenation(*(_expression(part, budget) for part in parts))
        case Choice(parts):
            return union([_expression(part, budget) for part in parts])
        case Repeated(part, least, most):
            return repetition(_expression(part, budget), least, most)
