"""Schemas that refer to themselves in several places: nested as deep as is small enough."""

import json
from random import Random
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.support.automata import random_word, schema_language
from unmask.decoding.automata.errors import GrammarTooLarge
from unmask.decoding.automata.language import language_of
from unmask.decoding.automata.limits import Budget, Limits
from unmask.grammar import json_schema_of

TEXT = {"type": "string"}


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


def listed(name: str) -> dict[str, Any]:
    return {"type": "array", "items": ref(name)}


def node(kind: str, **properties: Any) -> dict[str, Any]:
    named = {"kind": {"const": kind}, **properties}
    return {"type": "object", "properties": named, "required": [*named]}


SCHEMAS: dict[str, tuple[Any, Any, Any]] = {
    "document": (
        {
            **listed("block"),
            "$defs": {
                "block": {"anyOf": [ref(name) for name in ("paragraph", "list", "quote", "table")]},
                "paragraph": node("p", content=listed("inline")),
                "list": node("ul", items=listed("item")),
                "item": node("li", content=listed("block")),
                "quote": node("q", content=listed("block")),
                "table": node("t", rows={"type": "array", "items": listed("block")}),
                "inline": {"anyOf": [ref("text"), ref("link")]},
                "text": node("x", text=TEXT, bold={"type": "boolean"}),
                "link": node("a", href=TEXT, content=listed("inline")),
            },
        },
        {"kind": "p", "content": []},
        lambda inner: {"kind": "q", "content": [inner, inner]},
    ),
    "expression": (
        {
            "$defs": {
                "any": {"anyOf": [ref(name) for name in ("binary", "call", "if", "value")]},
                "binary": node("b", op={"enum": ["+", "-"]}, left=ref("any"), right=ref("any")),
                "call": node("c", name=TEXT, arguments=listed("any")),
                "if": node("if", a=ref("any"), b=ref("any"), c=ref("any")),
                "value": node("v", value={"type": ["string", "number", "null"]}),
            },
            "type": "array",
            "items": ref("any"),
        },
        {"kind": "v", "value": 1},
        lambda inner: {"kind": "b", "op": "+", "left": inner, "right": inner},
    ),
}


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_of_several_references_are_nested_less_deep(name: str) -> None:
    schema, inner, outer = SCHEMAS[name]
    found = schema_language(schema)
    assert len(found.moves) <= 10_000
    nested, depth = inner, 0
    while found.matches(json.dumps([nested]).encode()):
        nested, depth = outer(nested), depth + 1
    assert 2 <= depth <= 5
    random, validator = Random(0), Draft202012Validator(schema)
    for _ in range(5):
        validator.validate(json.loads(random_word(found, random, random.randint(0, 300))))


def test_a_schema_that_is_too_large_when_it_is_nested_once_is_refused() -> None:
    limits = Limits(subsets=100)
    with pytest.raises(GrammarTooLarge, match="subsets"):
        language_of(json_schema_of(SCHEMAS["document"][0]), {}, Budget(limits))
