"""Keywords of JSON Schema that negate, choose, count and refer, against jsonschema."""

import json
from random import Random
from typing import Any

import jsonschema
import pytest

from tests.support.automata import random_word, schema_language
from unmask.decoding.automata.language import language_of
from unmask.decoding.automata.limits import Budget
from unmask.errors import InvalidRequest
from unmask.grammar import json_schema_of

ADDRESS = {
    "type": "object",
    "properties": {"country": {"enum": ["US", "NL"]}, "code": {"type": "string"}},
    "required": ["country", "code"],
    "if": {"properties": {"country": {"const": "US"}}},
    "then": {"properties": {"code": {"pattern": "^[0-9]{5}$"}}},
    "else": {"properties": {"code": {"pattern": "^[0-9]{4} [A-Z]{2}$"}}},
}
SHAPE = {
    "type": "object",
    "properties": {"kind": {"enum": ["circle", "box", "dot"]}, "r": {}, "w": {"type": "integer"}},
    "required": ["kind"],
    "allOf": [
        {
            "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
            "then": {"required": [needed]},
            "else": {"properties": {needed: False}},
        }
        for kind, needed in (("circle", "r"), ("box", "w"))
    ],
}
NEW = "https://json-schema.org/draft/2020-12/schema"
# Schema, texts that it accepts, texts that it refuses.
CASES: dict[str, tuple[Any, list[str], list[str]]] = {
    "not a type": ({"not": {"type": ["string", "number"]}}, ["null", "[]"], ['"a"', "1"]),
    "not an integer": (
        {"type": ["number", "null"], "not": {"type": "integer"}},
        ["1.5", "-0.25", "null"],
        ["1", "1.0", "99999999999999999999.5"],
    ),
    "not some values": (
        {"type": ["string", "integer", "boolean"], "not": {"enum": ["", "a", 0, True]}},
        ['"b"', '"aa"', "1", "-1", "false"],
        ['""', '"a"', '"\\u0061"', "0", "true", "null"],
    ),
    "not an empty string": (
        {"type": "string", "not": {"const": ""}, "maxLength": 2},
        ['"a"', '"\\n"'],
        ['""', '"abc"'],
    ),
    "not a pattern": (
        {"type": "string", "not": {"pattern": "^a+$"}},
        ['"b"', '"ab"', '""'],
        ['"a"', '"aa"', '"a\\n"'],
    ),
    "not within bounds": (
        {"type": "integer", "not": {"minimum": 3, "maximum": 5}},
        ["2", "6"],
        ["3", "4", "5"],
    ),
    "not required": (
        {"properties": {"a": {}, "b": {}}, "type": "object", "not": {"required": ["a"]}},
        ["{}", '{"b":1}'],
        ['{"a":1}', '{"a":1,"b":2}'],
    ),
    "no property at all": (
        {"type": "object", "not": {"required": ["a"]}},
        ["{}", '{"b":1,"c":2}'],
        ['{"a":1}', '{"b":1,"a":2}'],
    ),
    "neither, by anyOf": (
        {"type": "string", "not": {"anyOf": [{"minLength": 3}, {"const": "ab"}]}},
        ['"a"', '"ba"'],
        ['"ab"', '"abc"'],
    ),
    "not both, by allOf": (
        {"type": "integer", "not": {"allOf": [{"minimum": 0}, {"maximum": 9}]}},
        ["-1", "10"],
        ["0", "9"],
    ),
    "not not": ({"not": {"not": {"type": "null"}}}, ["null"], ["1"]),
    "not by reference": (
        {"$defs": {"n": {"type": "null"}}, "not": {"$ref": "#/$defs/n"}},
        ["1"],
        ["null"],
    ),
    "if, then, else": (
        ADDRESS,
        ['{"country":"US","code":"12345"}', '{"country":"NL","code":"1234 AB"}'],
        ['{"country":"US","code":"1234 AB"}', '{"country":"NL","code":"12345"}'],
    ),
    "several ifs": (
        SHAPE,
        ['{"kind":"circle","r":1}', '{"kind":"box","w":1}', '{"kind":"dot"}'],
        ['{"kind":"circle"}', '{"kind":"box","r":1,"w":1}', '{"kind":"dot","w":1}'],
    ),
    "then without if": ({"type": "integer", "then": {"minimum": 3}}, ["1"], ["null"]),
    "if alone": ({"type": "integer", "if": {"format": "date"}}, ["1"], ["null"]),
    "if true": ({"if": True, "then": {"const": 1}, "else": {"const": 2}}, ["1"], ["2"]),
    "exactly one of two names": (
        {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
        },
        ['{"a":1}', '{"b":1}'],
        ["{}", '{"a":1,"b":2}'],
    ),
    "exactly one of two that overlap": (
        {"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 2}]},
        ["1", "2.5"],
        ["2", "3"],
    ),
    "names that need others": (
        {
            "type": "object",
            "properties": {"a": {}, "b": {}, "c": {}},
            "dependentRequired": {"a": ["b"], "b": ["c"]},
        },
        ["{}", '{"c":1}', '{"b":1,"c":1}', '{"a":1,"b":1,"c":1}'],
        ['{"a":1}', '{"b":1}', '{"a":1,"b":1}'],
    ),
    "names that need schemas": (
        {
            "type": "object",
            "properties": {"a": {}, "b": {"type": "integer"}},
            "dependentSchemas": {"a": {"properties": {"b": {"minimum": 5}}, "required": ["b"]}},
        },
        ["{}", '{"b":1}', '{"a":1,"b":5}'],
        ['{"a":1}', '{"a":1,"b":4}'],
    ),
    "at least one property": (
        {"type": "object", "properties": {"a": {}, "b": {}}, "minProperties": 1},
        ['{"a":1}', '{"b":1}', '{"a":1,"b":1}'],
        ["{}"],
    ),
    "one or two properties": (
        {
            "type": "object",
            "properties": {name: {"const": 1} for name in "abcd"},
            "required": ["c"],
            "minProperties": 2,
            "maxProperties": 2.0,
        },
        ['{"a":1,"c":1}', '{"c":1, "d":1}'],
        ['{"c":1}', '{"a":1,"b":1}', '{"a":1,"b":1,"c":1}', "{}"],
    ),
    "at most so many of any name": (
        {"type": "object", "maxProperties": 2, "additionalProperties": {"const": 1}},
        ["{}", '{"a":1}', '{"a":1,"b":1}'],
        ['{"a":1,"b":1,"c":1}'],
    ),
    "some of any name": (
        {
            "properties": {"a": {"const": 1}},
            "additionalProperties": {"const": 2},
            "minProperties": 2,
        },
        ['{"a":1,"b":2}', '{"a":1,"b":2,"c":2}'],
        ["{}", '{"a":1}', '{"b":2,"b":2}'],
    ),
    "several patterns of names": (
        {
            "type": "object",
            "properties": {"ax": {"minimum": 3}, "z": {"const": 0}},
            "patternProperties": {"^a": {"type": "integer"}, "b$": {"maximum": 5}},
            "additionalProperties": {"type": "null"},
        },
        ['{"ax":3}', '{"z":0,"ab":5,"ac":6,"c":null}', '{"cb":4.5}'],
        ['{"ax":2}', '{"ax":3.5}', '{"ab":6}', '{"ab":2.5}', '{"ac":null}', '{"c":1}', '{"z":1}'],
    ),
    "patterns and no others": (
        {"patternProperties": {"^x-": {"type": "integer"}}, "additionalProperties": False},
        ["{}", '{"x-a":1}'],
        ['{"x-a":"b"}', '{"a":1}'],
    ),
    "patterns in two parts": (
        {
            "allOf": [
                {"patternProperties": {"^a": {"minimum": 1}}, "additionalProperties": False},
                {"properties": {"ab": {"maximum": 2}}, "patternProperties": {"c": {"const": 1}}},
            ]
        },
        ['{"ab":1}', '{"ab":2,"ac":1,"ad":3}'],
        ['{"ab":0}', '{"ab":3}', '{"ac":2}', '{"c":1}'],
    ),
    "contains": (
        {"type": "array", "items": {"type": "integer"}, "contains": {"minimum": 5}},
        ["[5]", "[1,5]", "[5, 1,7]"],
        ["[]", "[1,2]", '[5,"a"]'],
    ),
    "contains so many": (
        {
            "prefixItems": [{"type": "integer"}],
            "items": {"enum": ["a", "b", 1]},
            "contains": {"type": "string"},
            "minContains": 2,
            "maxContains": 3,
            "maxItems": 4,
        },
        ['[1,"a","b"]', '[1,"a","b","a"]', '[2,"a",1,"b"]'],
        ['[1,"a"]', '["a","b"]', '[1,"a",1,1]', '[1,"a","b","a",1]'],
    ),
    "contains none": (
        {"type": "array", "contains": {"const": 1}, "minContains": 0, "maxContains": 0},
        ["[]", "[2]"],
        ["[1]", "[2,1]"],
    ),
    "no properties but those of parts": (
        {
            "type": "object",
            "allOf": [{"properties": {"a": {"type": "integer"}}}],
            "properties": {"b": {"type": "null"}},
            "if": {"properties": {"c": {"const": 1}}, "required": ["c"]},
            "then": {"properties": {"d": {"const": 2}}},
            "unevaluatedProperties": False,
        },
        ["{}", '{"a":1}', '{"b":null}', '{"c":1,"d":2}'],
        ['{"e":1}', '{"c":2}', '{"d":2}'],
    ),
    "other properties of parts": (
        {
            "anyOf": [{"properties": {"a": {"const": 1}}}, {"patternProperties": {"^b": True}}],
            "unevaluatedProperties": {"type": "null"},
            "type": "object",
        },
        ['{"a":1,"c":null}', '{"bc":5}'],
        ['{"c":1}'],
    ),
    "elements of arrays, of which no property is": (
        {
            "dependentSchemas": {"a": {"items": {"type": "string"}}},
            "unevaluatedItems": {"type": "integer"},
        },
        ["[1]", '{"a":1}'],
        ['["a"]'],
    ),
    "no elements but those of parts": (
        {
            "type": "array",
            "allOf": [{"prefixItems": [{"type": "integer"}]}],
            "unevaluatedItems": False,
        },
        ["[]", "[1]"],
        ["[1,2]", '["a"]'],
    ),
    "listed values that match": (
        {"enum": ["a", "bc", 1, 20], "pattern": "^b", "maximum": 5},
        ['"bc"', "1"],
        ['"a"', "20"],
    ),
    "two patterns": (
        {"type": "string", "allOf": [{"pattern": "^a"}, {"pattern": "b$"}, {"maxLength": 3}]},
        ['"ab"', '"acb"'],
        ['"a"', '"accb"'],
    ),
    "multiples of both": (
        {"type": "integer", "allOf": [{"multipleOf": 4}, {"multipleOf": 6}]},
        ["0", "12", "-24"],
        ["4", "6"],
    ),
    "cents": (
        {"type": "number", "multipleOf": 0.01, "minimum": 0, "maximum": 9.5},
        ["0", "0.5", "9.50", "1.25"],
        ["9.51", "0.001", "1.005"],
    ),
    "quarters": ({"multipleOf": 0.25}, ["-3", "0.5", "1.25", "2.50"], ["0.1", "1.3", "0.255"]),
    "whole quarters": ({"type": "integer", "multipleOf": 0.25}, ["3"], ["0.25"]),
    "different numbers of a range": (
        {
            "type": "array",
            "items": {"type": "integer", "minimum": 1, "maximum": 49},
            "uniqueItems": True,
            "minItems": 2,
            "maxItems": 3,
        },
        ["[1,2]", "[7, 9,49]"],
        ["[1,1]", "[0,1]", "[49]", "[1,50]"],
    ),
    "an anchor": (
        {
            "items": {"$ref": "#word"},
            "type": "array",
            "$defs": {"w": {"$anchor": "word", "type": "string"}},
        },
        ['["a"]'],
        ["[1]"],
    ),
    "an address": (
        {
            "$id": "https://example.com/tree",
            "type": "object",
            "properties": {"nodes": {"type": "array", "items": {"$ref": "node"}}},
            "$defs": {
                "node": {
                    "$id": "https://example.com/node",
                    "type": "object",
                    "properties": {"value": {"$ref": "#/$defs/v"}, "tree": {"$ref": "tree"}},
                    "$defs": {"v": {"type": "integer"}},
                }
            },
        },
        ['{"nodes":[{"value":1,"tree":{"nodes":[]}}]}'],
        ['{"nodes":[{"value":"a"}]}', '{"nodes":[1]}'],
    ),
    "a dynamic reference": (
        {
            "$dynamicAnchor": "node",
            "type": "object",
            "properties": {"child": {"$dynamicRef": "#node"}},
        },
        ['{"child":{"child":{}}}'],
        ['{"child":1}'],
    ),
    "a name of an anchor in a value": (
        {"enum": [{"$anchor": "a"}], "$defs": {"b": {"$anchor": "a"}}},
        ['{"$anchor":"a"}'],
        ["{}"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_schema_accepts_texts_that_are_valid(name: str) -> None:
    schema, accepted, refused = CASES[name]
    found = schema_language(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for text in accepted:
        assert validator.is_valid(json.loads(text)), text
        assert found.matches(text.encode()), text
    for text in refused:
        assert not found.matches(text.encode()), text
    random = Random(name)
    is_of_floats = "cents" in name
    for _ in range(0 if is_of_floats else 30):  # jsonschema divides floats
        text = random_word(found, random, random.randint(0, 30)).decode()
        assert validator.is_valid(json.loads(text)), text


def test_dependencies_of_draft_7_are_of_names_or_schemas() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {}, "b": {}, "c": {}},
        "dependencies": {"a": ["b"], "b": {"required": ["c"]}},
    }
    found = schema_language(schema)
    accepted = ["{}", '{"c":1}', '{"b":1,"c":1}', '{"a":1,"b":1,"c":1}']
    assert all(found.matches(text.encode()) for text in accepted)
    assert not any(found.matches(text) for text in (b'{"a":1}', b'{"b":1}', b'{"a":1,"b":1}'))


OLD = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "definitions": {"n": {"type": "integer"}, "o": {"type": "object"}},
}


@pytest.mark.parametrize(
    "part",
    [
        {"not": {"$ref": "#/definitions/o", "required": ["a"]}},
        {"if": {"$ref": "#/definitions/n", "minimum": 5}, "else": {"type": "integer"}},
        {"oneOf": [{"$ref": "#/definitions/n", "minimum": 5}, {"type": "integer", "maximum": 3}]},
    ],
)
def test_keywords_beside_a_reference_are_not_negated_in_draft_7(part: Any) -> None:
    """Draft 7 reads over them: 3 matches both branches of `oneOf`, `{}` fails `not`."""
    with pytest.raises(InvalidRequest):
        schema_language({**OLD, **part})
    assert schema_language({**OLD, **part, "$schema": NEW})


def test_keywords_beside_a_reference_narrow_in_draft_7() -> None:
    schema = {**OLD, "items": {"$ref": "#/definitions/n", "minimum": 5}}
    found = schema_language(schema)
    assert [found.matches(text) for text in (b"[5]", b"[4]")] == [True, False]


def test_arrays_contain_at_least_one_in_draft_7() -> None:
    found = schema_language({**OLD, "contains": {"const": 1}, "minContains": 0})
    assert [found.matches(text) for text in (b"[1]", b"[]")] == [True, False]


def test_values_of_any_size_are_compared_with_steps() -> None:
    schema = {"enum": [1e300, 10**40, 5], "multipleOf": 0.0001}
    found = schema_language(schema)
    assert found.matches(b"1e+300")
    assert found.matches(b"5")


def test_a_branch_whose_keyword_is_left_out_may_match_beside_others() -> None:
    schema = {"oneOf": [{"type": "string", "format": "odd"}, {"minLength": 2, "type": "string"}]}
    found = language_of(json_schema_of(schema, is_exact=False), {}, Budget())
    assert [found.matches(text) for text in (b'"a"', b'"abc"', b"1")] == [True, True, False]


def test_a_negation_is_left_out_as_a_whole() -> None:
    schema = {"type": "object", "not": {"properties": {"a": {"format": "odd"}}, "required": ["b"]}}
    found = language_of(json_schema_of(schema, is_exact=False), {}, Budget())
    assert found.matches(b'{"b":1}')
