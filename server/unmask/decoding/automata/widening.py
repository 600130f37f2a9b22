"""JSON schemas read as far as they are supported; without other keywords they allow more."""

import json
from dataclasses import replace
from typing import Any

from unmask.decoding.automata.errors import GrammarTooLarge, NotSupported
from unmask.decoding.automata.expressions import Expression
from unmask.decoding.automata.json_text import Spacing
from unmask.decoding.automata.limits import Budget
from unmask.decoding.automata.places import part_at, unescaped
from unmask.decoding.automata.schema import json_schema
from unmask.decoding.automata.sizes import Walk, sizes_to_leave_out
from unmask.grammar import (
    Chain,
    Choice,
    GemmaArguments,
    Grammar,
    JsonSchema,
    PythonArguments,
    Repeated,
    json_schema_of,
)

MAX_LEFT_OUT = 32  # keywords


def widened_json_schema(schema: Any, spacing: Spacing, budget: Budget) -> Expression:
    """Texts of values that match a schema, without keywords that are not supported or too large.

    Raises `InvalidGrammar` for one that is wrong, or of which too many keywords are not supported.
    """
    try:
        for paths in sizes_to_leave_out(schema):
            for path in paths:
                _leave_out(schema, path)
    except RecursionError:
        raise GrammarTooLarge("the schema is nested too deeply") from None
    for _ in range(MAX_LEFT_OUT):
        try:
            return json_schema(schema, spacing, budget, widens=True)
        except NotSupported as error:
            if not _leave_out(schema, error.path):
                raise
    return json_schema(schema, spacing, budget, widens=True)


def without_sizes(grammar: Grammar) -> Grammar:
    """A grammar whose schemas, but for those that are exact, have no size above 1."""
    match grammar:
        case JsonSchema(text, indents, is_exact=False):
            schema = json.loads(text)
            for path in Walk(schema, most=1).large:
                _leave_out(schema, path)
            return json_schema_of(schema, indents=indents, is_exact=False)
        case GemmaArguments() | PythonArguments():
            smaller = without_sizes(grammar.schema)
            assert isinstance(smaller, JsonSchema)
            return replace(grammar, schema=smaller)
        case Chain(parts):
            return Chain(tuple(map(without_sizes, parts)))
        case Choice(parts):
            return Choice(tuple(map(without_sizes, parts)))
        case Repeated(part):
            return replace(grammar, part=without_sizes(part))
    return grammar


def _leave_out(schema: Any, path: str) -> bool:
    """Take a keyword away, or an `oneOf` around it, whose branches become those of `anyOf`.

    One branch without a keyword may match more, and the others would not match that.
    """
    *parents, word = map(unescaped, path.split("/")[1:])
    try:
        keywords = part_at(schema, parents)
    except KeyError:
        return False  # in words of another draft
    if not isinstance(keywords, dict) or word not in keywords:
        return False
    if word == "oneOf":
        _loosen(keywords)
        return True
    del keywords[word]
    for i in range(len(parents) - 1, -1, -1):
        outer = part_at(schema, parents[:i])
        if parents[i] == "oneOf" and isinstance(outer.get("oneOf"), list):
            _loosen(outer)
    return True


def _loosen(keywords: dict[str, Any]) -> None:
    """Make `oneOf` any of its branches, of which one matches more than it says."""
    branches = keywords.pop("oneOf")
    if "anyOf" in keywords:
        keywords["allOf"] = [*keywords.get("allOf", ()), {"anyOf": branches}]
    else:
        keywords["anyOf"] = branches
