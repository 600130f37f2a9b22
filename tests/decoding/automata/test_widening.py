"""Schemas of tools that are not strict: keywords that are too large or cannot be joined."""

import json
from typing import Any

import pytest

from tests.support.automata import BYTES
from unmask.decoding.automata.cache import AutomatonCache
from unmask.decoding.automata.errors import GrammarTooLarge, InvalidGrammar
from unmask.decoding.automata.language import language_of
from unmask.decoding.automata.limits import Budget, Limits
from unmask.decoding.automata.minimal import ByteAutomaton
from unmask.grammar import Chain, Choice, Literal, Repeated, json_schema_of

FEW = 20_000  # states of the least automaton, and of the others on the way
TEXT = {"type": "string", "maxLength": 200}
MANY = {f"p{i}": {"type": "string", "maxLength": 100} for i in range(40)}
ITEM = {"type": "object", "properties": {"a": TEXT, "b": {"$ref": "#/$defs/b"}}}
LEAST = [{"minLength": i} for i in range(40)]
KINDS = [{"enum": [[i, j] for j in range(4)]} for i in range(40)]

TAKEN: dict[str, tuple[Any, Any, Any]] = {
    "large maxLength": ({"type": "string", "maxLength": 65536}, "a", 1),
    "largest maxLength": ({"type": "string", "maxLength": 2147483647}, "a", 1),
    "maxLength beyond any": ({"type": "string", "maxLength": 10**30, "minLength": 1}, "a", ""),
    "minLength": ({"type": "string", "minLength": 5000}, "a", 1),
    "maxItems": ({"type": "array", "items": TEXT, "maxItems": 1000}, ["a"], ["a" * 201]),
    "maxItems of anything": ({"type": "array", "maxItems": 200}, [{}], 1),
    "maxProperties": ({"type": "object", "maxProperties": 9999}, {"a": 1}, 1),
    "sizes within sizes": (
        {"type": "array", "maxItems": 100, "items": TEXT},
        ["a" * 201],
        ["a"] * 101,
    ),
    "sizes behind references": (
        {
            "type": "array",
            "maxItems": 100,
            "items": {"$ref": "#/$defs/a"},
            "$defs": {"a": ITEM, "b": {"type": "string", "maxLength": 90}},
        },
        [{"a": "a" * 201, "b": "a" * 91}],
        ["a"],
    ),
    "many sizes": ({"type": "object", "properties": MANY}, {"p0": "a" * 101}, {"p0": 1}),
    "a list of large parts": (
        {"type": "array", "maxItems": 100, "items": {"type": "object", "properties": MANY}},
        [{"p0": "a"}] * 101,
        [{"p0": 1}],
    ),
    "sizes of names": (
        {
            "type": "object",
            "additionalProperties": {"type": "null"},
            "propertyNames": {"maxLength": 9999},
        },
        {"a": None},
        {"a": 1},
    ),
    "a size of what must not match": ({"type": "string", "not": {"maxLength": 9999}}, "a", 1),
    "a size of a branch": (
        {"oneOf": [{"type": "string", "maxLength": 9999}, {"type": "null"}]},
        None,
        1,
    ),
    "a small bound": ({"type": "number", "minimum": 1e-12}, 0.5, "a"),
    "a small exclusive bound": ({"type": "number", "exclusiveMaximum": -1e-12}, -0.5, "a"),
    "a small step": ({"type": "number", "multipleOf": 1e-12}, 0.5, "a"),
    "two formats": (
        {"type": "string", "allOf": [{"format": "date"}, {"format": "email"}]},
        "a@b.c",
        1,
    ),
    "two formats of a property": (
        {"allOf": [{"properties": {"a": {"format": form}}} for form in ("date", "email")]},
        {"a": "a@b.c"},
        {"b": 1},
    ),
    "two steps": ({"type": "number", "allOf": [{"multipleOf": s} for s in (0.5, 0.1)]}, 1.3, "a"),
    "many pairs": ({"type": "string", "allOf": [{"anyOf": LEAST}, {"anyOf": LEAST}]}, "a", 1),
    "many alternatives": ({"anyOf": [{"anyOf": KINDS * 30}]}, [2, 3], None),
}


def compiled(schema: Any) -> ByteAutomaton:
    limits = Limits(states=FEW, subsets=FEW, parts=5 * FEW)
    return language_of(json_schema_of(schema, is_exact=False), {}, Budget(limits))


@pytest.mark.parametrize("name", TAKEN)
def test_a_schema_is_taken_without_what_is_too_large(name: str) -> None:
    schema, accepted, refused = TAKEN[name]
    found = compiled(schema)
    assert found.matches(json.dumps(accepted).encode())
    assert refused is None or not found.matches(json.dumps(refused).encode())


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "maxLength": 256},
        {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 200},
        {"type": "object", "properties": {f"p{i}": TEXT for i in range(5)}},
        {"oneOf": [{"type": "string", "maxLength": 200}, {"type": "string", "minLength": 250}]},
    ],
)
def test_sizes_that_are_small_enough_are_kept(schema: Any) -> None:
    exact = language_of(json_schema_of(schema), {}, Budget())
    assert len(compiled(schema).moves) == len(exact.moves)


@pytest.mark.parametrize(
    "schema",
    [
        {"maxLength": -1},
        {"maxLength": 1.5},
        {"maxItems": True},
        {"minimum": "1"},
        {"minimum": True},
        {"multipleOf": 0},
        {"multipleOf": -1e-12},
    ],
)
def test_values_that_mean_nothing_are_refused(schema: Any) -> None:
    with pytest.raises(InvalidGrammar):
        compiled(schema)


def test_sizes_are_left_out_where_all_tools_together_are_too_large() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 90}}}
    cache = AutomatonCache(Limits(states=1000))

    def tools(is_exact: bool) -> Chain:
        call = Choice((json_schema_of(schema, is_exact=is_exact), Literal("none")))
        return Chain((Literal("call"), Repeated(Chain((Literal("!"), call)), 0, 3)))

    assert cache.automaton(BYTES, tools(False)).num_states < 1000
    with pytest.raises(GrammarTooLarge, match="over 1000 states"):
        cache.automaton(BYTES, tools(True))
