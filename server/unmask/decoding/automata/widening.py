"""JSON schemas read as far as they are supported; without other keywords they allow more."""

from typing import Any

from unmask.decoding.automata.errors import NotSupported
from unmask.decoding.automata.expressions import Expression
from unmask.decoding.automata.json_text import Spacing
from unmask.decoding.automata.limits import Budget
from unmask.decoding.automata.places import part_at, unescaped
from unmask.decoding.automata.schema import json_schema

MAX_LEFT_OUT = 32  # keywords


def widened_json_schema(schema: Any, spacing: Spacing, budget: Budget) -> Expression:
    """Texts of values that match a schema, whose keywords that are not supported are taken away.

    Raises `InvalidGrammar` for one that is wrong, or of which too many keywords are not supported.
    """
    for _ in range(MAX_LEFT_OUT):
        try:
            return json_schema(schema, spacing, budget)
        except NotSupported as error:
            if not _leave_out(schema, error.path):
                raise
    return json_schema(schema, spacing, budget)


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
