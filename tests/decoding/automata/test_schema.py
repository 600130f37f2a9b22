"""JSON Schema: accepted texts are valid, valid values of closed schemas are accepted."""

import json
import time
import tracemalloc
from random import Random
from typing import Any

import pytest

from tests.support.automata import random_word, schema_language
from tests.support.json_schema import is_valid, random_schema, random_value
from unmask.decoding.automata import schema as schema_module
from unmask.decoding.automata.errors import GrammarTooLarge, InvalidGrammar
from unmask.decoding.automata.expressions import Expression
from unmask.decoding.automata.language import language_of
from unmask.decoding.automata.limits import Budget, Limits
from unmask.decoding.automata.places import Place
from unmask.decoding.automata.schema_scalars import string
from unmask.errors import InvalidRequest
from unmask.grammar import Grammar, JsonObject, Regex, json_schema_of

POINT = {
    "type": "object",
    "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}, "z": {"type": "null"}},
    "required": ["x", "y"],
    "additionalProperties": False,
}
TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["value"],
        }
    },
}
CAT = {"properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}}, "required": ["kind"]}
DOG = {"properties": {"kind": {"const": "dog"}, "barks": {"type": "boolean"}}, "required": ["kind"]}
# Schema, texts that it accepts, texts that it refuses.
CASES: dict[str, tuple[Any, list[str], list[str]]] = {
    "object": (
        POINT,
        ['{"x":1,"y":-2}', '{"x": 1, "y": 20, "z": null}'],
        ['{"x":1}', '{"x":1.5,"y":2}', '{"x":1,"y":2,"a":3}', '{"x":1,"y":2,}', '{"x":01,"y":2}'],
    ),
    "any subset of properties": (
        {"type": "object", "properties": {"a": {"const": 1}, "b": {"const": 2}, "c": {"const": 3}}},
        ["{}", '{"a":1}', '{"b":2}', '{"a":1,"c":3}', '{"a":1,"b":2,"c":3}'],
        ['{,"a":1}', '{"a":1"b":2}', '{"a":2}', '{"a":1,}'],
    ),
    "no string": (
        {"anyOf": [{"type": "string", "minLength": 2, "maxLength": 0}, {"const": 1}]},
        ["1"],
        ['""', '"ab"'],
    ),
    "names with escapes by patterns": (
        {
            "type": "object",
            "properties": {"\x01a": True, "\n": True, '"': {"minimum": 1}},
            "patternProperties": {"a|^.$": {"type": "integer"}, "^\\s$": {"type": "integer"}},
            "additionalProperties": False,
        },
        ['{"\\u0001a":1}', '{"\\n":1,"\\"":2}'],
        ['{"\\u0001a":false}', '{"\\n":false}', '{"\\"":0}', '{"\\"":false}'],
    ),
    "other properties": (
        {
            "type": "object",
            "properties": {"a": {"type": "null"}},
            "additionalProperties": {"type": "integer"},
        },
        ["{}", '{"a":null}', '{"ab":1,"":2}', '{"a":null,"b":1,"c":2}'],
        ['{"a":1}', '{"b":null}', '{"\\u0061":1}'],
    ),
    "object of anything": (
        {"type": "object"},
        ["{}", '{"a":[1,{"b":"c"}],"d":true}'],
        ["[]", '{"a"}'],
    ),
    "no parameters": ({"type": "object", "properties": {}}, ["{}"], ['{"a":1}']),
    "required without a schema": (
        {"type": "object", "required": ["a"]},
        ['{"a":1}', '{"a":[]}'],
        ["{}", '{"b":1}'],
    ),
    "list": (
        {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3},
        ["[true]", "[true, false,true]"],
        ["[]", "[true,true,true,true]", "[1]", "[true,]"],
    ),
    "tuple": (
        {
            "type": "array",
            "prefixItems": [{"type": "integer"}, {"type": "string"}],
            "items": {"type": "null"},
            "minItems": 1.0,
            "maxItems": 4.0,
        },
        ["[1]", '[1,"a"]', '[1, "a", null,null]'],
        ["[]", '["a"]', '[1,"a",2]', '[1,"a",null,null,null]', "[1,null]"],
    ),
    "types": ({"type": ["integer", "null"]}, ["1", "null"], ["true", '"a"', "1.5"]),
    "nullable": ({"type": "integer", "nullable": True}, ["1", "null"], ["true"]),
    "enum": (
        {"enum": ["é", 1, None, {"a": [True, 2]}]},
        ['"é"', "1", "null", '{"a":[true,2]}', '{"a": [true, 2]}'],
        ["2", '"e"', '{"a":[true]}', '"\\u00e9"'],
    ),
    "enum of a type": ({"enum": ["a", 1, None], "type": "string"}, ['"a"'], ["1", "null"]),
    "enum beside patterns": (
        {"enum": ["a", "ab\n", "b"], "allOf": [{"pattern": "^a"}, {"pattern": "[ab]$"}]},
        ['"a"', r'"ab\n"'],
        ['"b"'],
    ),
    "enum beside what it must not match": (
        {"enum": ["a", "ab", "b"], "not": {"pattern": "b$"}},
        ['"a"'],
        ['"ab"', '"b"'],
    ),
    "enum of integers": (
        {"enum": [1.0, 2.5, 3, True], "type": "integer"},
        ["1.0", "3"],
        ["2.5", "true", "2"],
    ),
    "length in characters": (
        {"type": "string", "minLength": 2, "maxLength": 3, "contentEncoding": "base64"},
        ['"ab"', '"éé"', '"😀😀😀"', '"\\n\\""'],
        ['"a"', '"abcd"', '"é"', '"\\n"'],
    ),
    "pattern": (
        {"type": "string", "pattern": "^[a-z]+$", "maxLength": 3},
        ['"ab"', '"abc"'],
        ['""', '"abcd"', '"a1"'],
    ),
    "pattern anywhere": ({"type": "string", "pattern": "b\\d"}, ['"ab1c"', '"b2"'], ['"b"']),
    "integers": (
        {"type": "integer", "minimum": -5, "exclusiveMaximum": 120},
        ["-5", "0", "119"],
        ["-6", "120", "1.0", "007"],
    ),
    "numbers": (
        {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        ["1", "0.5", "1.0", "0.000001"],
        ["0", "0.0", "1.01", "-1", "1e-3"],
    ),
    "number": ({"type": "number"}, ["-1.5e10", "0", "1E+3"], ["+1", ".5", "1.", "1e999", "NaN"]),
    "multiples": ({"type": "integer", "multipleOf": 5}, ["0", "15", "-10"], ["1", "05"]),
    "alternatives": (
        {"anyOf": [{"type": "string", "maxLength": 1}, POINT]},
        ['"a"', '{"x":1,"y":1}'],
        ['"ab"', "1"],
    ),
    "exclusive alternatives": (
        {"oneOf": [CAT, DOG], "type": "object"},
        ['{"kind":"cat","lives":9}', '{"kind":"dog"}'],
        ['{"kind":"cow"}', '{"kind":"dog","lives":9}', "{}"],
    ),
    "one of two ranges": (
        {"oneOf": [{"type": "integer", "maximum": 2}, {"type": "integer", "exclusiveMinimum": 2}]},
        ["2", "3", "-100"],
        ["2.5", "null"],
    ),
    "all of two objects": (
        {
            "allOf": [
                {"properties": {"a": {"type": "integer", "minimum": 3}}, "required": ["a"]},
                {"properties": {"a": {"maximum": 5}, "b": {"type": "null"}}, "type": "object"},
            ]
        },
        ['{"a":3}', '{"a":5,"b":null}'],
        ['{"a":2}', '{"a":6}', '{"b":null}'],
    ),
    "integers that a double has exactly": (
        {"type": "integer", "minimum": -9007199254740991, "maximum": 9007199254740991},
        ["0", "-9007199254740991", "9007199254740991"],
        ["9007199254740992", "-9007199254740992", "90071992547409910"],
    ),
    "integers of 64 bits": (
        {"type": "integer", "minimum": 0, "maximum": 18446744073709551615},
        ["0", "18446744073709551615"],
        ["18446744073709551616", "-1"],
    ),
    "the narrower of two bounds": (
        {
            "allOf": [
                {"type": "integer", "minimum": 3, "maximum": 20},
                {"minimum": 5, "exclusiveMaximum": 12},
                {"minimum": 4, "exclusiveMaximum": 11},
            ]
        },
        ["5", "10"],
        ["3", "4", "11", "12", "20"],
    ),
    "the narrower of two sizes": (
        {
            "type": "array",
            "maxItems": 3,
            "items": {"type": "string", "allOf": [{"minLength": 2}, {"minLength": 1}]},
            "allOf": [{"minItems": 1, "maxItems": 2}, {"minItems": 0, "maxItems": 4}],
        },
        ['["ab"]', '["ab","cd"]'],
        ["[]", '["a"]', '["ab","ab","ab"]'],
    ),
    "base with alternatives": (
        {
            "type": "object",
            "properties": {"a": {"const": 1}, "b": {"const": 2}},
            "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
        },
        ['{"a":1}', '{"b":2}', '{"a":1,"b":2}'],
        ["{}"],
    ),
    "reference with more": (
        {"$defs": {"n": {"type": "integer"}}, "$ref": "#/$defs/n", "minimum": 0, "title": "N"},
        ["0", "5"],
        ["-1"],
    ),
    "recursion": (
        TREE,
        ['{"value":1}', '{"value":1,"children":[{"value":2,"children":[]},{"value":3}]}'],
        ['{"children":[]}', '{"value":1,"children":[1]}'],
    ),
    "escaped pointers": (
        {"$ref": "#/$defs/a~1b%25", "$defs": {"a/b%": {"const": 1}}},
        ["1"],
        ["2"],
    ),
    "names of any properties": (
        {
            "type": "object",
            "propertyNames": {"pattern": "^[a-z]{2}$"},
            "additionalProperties": {"type": "integer"},
        },
        ["{}", '{"ab":1}', '{"ab":1,"cd":2}'],
        ['{"a":1}', '{"abc":1}', '{"ab":"c"}', '{"ab":1,"A":2}'],
    ),
    "names of declared properties": (
        {
            "properties": {"ab": {"const": 1}, "abc": {"const": 2}},
            "propertyNames": {"maxLength": 2},
            "additionalProperties": True,
        },
        ["{}", '{"ab":1}', '{"ab":1,"c":[]}'],
        ['{"abc":2}', '{"ab":1,"abc":2}', '{"abd":2}'],
    ),
    "names that are listed": (
        {
            "type": "object",
            "propertyNames": {"type": "string", "enum": ["a", "b"]},
            "additionalProperties": {"type": "integer"},
            "required": ["a", "b"],
        },
        ['{"a":1,"b":2}'],
        ['{"a":1}', '{"a":1,"b":2,"c":3}'],
    ),
    "strings as names": (
        {"propertyNames": {"type": "string"}, "additionalProperties": {"type": "null"}},
        ["{}", '{"\\u00e9\\n":null}'],
        ['{"a":1}'],
    ),
    "no names": ({"type": "object", "propertyNames": False}, ["{}"], ['{"a":1}']),
    "names of a pattern": (
        {"type": "object", "patternProperties": {"^x-": {"type": "integer"}}},
        ["{}", '{"x-a":1}', '{"x-":1,"x-b":-2}'],
        ['{"x-a":"b"}', '{"a":1}'],
    ),
    "names of a pattern in a part": (
        {
            "allOf": [
                {"type": "object", "required": ["x-a"]},
                {"patternProperties": {"^x-": {"type": "integer"}}, "additionalProperties": False},
            ]
        },
        ['{"x-a":1}', '{"x-a":1,"x-b":2}'],
        ["{}", '{"x-a":null}', '{"x-b":1}'],
    ),
    "listed elements, each once": (
        {"type": "array", "items": {"enum": ["a", 1, 1.0, None]}, "uniqueItems": True},
        ["[]", '["a"]', '["a",1,null]', "[1, null]"],
        ['["a","a"]', "[1,1.0]", "[null,null]", '["b"]'],
    ),
    "some of the listed elements, each once": (
        {
            "items": {"anyOf": [{"type": "boolean"}, {"const": 1}]},
            "uniqueItems": True,
            "minItems": 1,
            "maxItems": 2,
        },
        ["[true]", "[false,true]", "[true,1]"],
        ["[]", "[true,true]", "[false,true,1]"],
    ),
    "one element, once": (
        {"type": "array", "items": {"type": "string"}, "uniqueItems": True, "maxItems": 1},
        ["[]", '["a"]'],
        ['["a","b"]'],
    ),
    "true": (True, ["1", '{"a":[{}]}', '"a"'], ["", "tru", "[1", "[[[[]]]]"]),
    "annotations": (
        {"title": "a", "default": 1, "$comment": "b", "examples": [1]},
        ["null"],
        ["a"],
    ),
}


# Words that are not those of draft 2020-12, or that validators do not check.
OLDER: dict[str, tuple[Any, list[str], list[str]]] = {
    "tuple of draft 7": (
        {"items": [{"type": "integer"}, {"type": "string"}], "additionalItems": False},
        ["[]", "[1]", '[1,"a"]'],
        ['["a"]', '[1,"a",1]'],
    ),
    "tuple of draft 7 with more": (
        {
            "type": "array",
            "items": [{"type": "integer"}],
            "additionalItems": {"type": "null"},
            "minItems": 1,
        },
        ["[1]", "[1,null,null]"],
        ["[]", "[1,1]"],
    ),
    "elements alone": (
        {"type": "array", "items": {"type": "null"}, "additionalItems": False},
        ["[]", "[null,null]"],
        ["[1]"],
    ),
    "exclusive bounds of draft 4": (
        {
            "type": "integer",
            "minimum": 0,
            "exclusiveMinimum": True,
            "maximum": 3,
            "exclusiveMaximum": False,
        },
        ["1", "3"],
        ["0", "4"],
    ),
    "an exclusive bound that is not there": (
        {"type": "integer", "exclusiveMinimum": True},
        ["0", "-1"],
        [],
    ),
    "integers of 32 bits": (
        {"type": "integer", "format": "int32"},
        ["0", "2147483647", "-2147483648"],
        ["2147483648", "-2147483649"],
    ),
    "bytes in bounds": (
        {"type": "integer", "format": "uint8", "minimum": 7, "maximum": 1000},
        ["7", "255"],
        ["6", "256"],
    ),
    "whole numbers": ({"type": "integer", "format": "uint"}, ["0", "12345678901"], ["-1"]),
    "doubles": ({"type": "number", "format": "double"}, ["-1.5", "1e10"], []),
    "numbers in texts": ({"type": "string", "format": "int64"}, ['"12"', '"a"'], ["12"]),
    "passwords": ({"type": "string", "format": "password"}, ['"\\u00e9"', '""'], ["1"]),
    "bounds of a double": (
        {"type": "number", "minimum": -1.7e308, "exclusiveMaximum": 1.7e308},
        ["0", "-100000000000000000000", "1.5"],
        ["100000000000000000001", "1e300"],
    ),
    "a format of zod": (
        {"type": "string", "format": "cuid2", "pattern": "^[0-9a-z]+$"},
        ['"a1"'],
        ['""', '"A"'],
    ),
    "parts of an OpenAPI document": (
        {"components": {"schemas": {"A": {"type": "null"}}}, "$ref": "#/components/schemas/A"},
        ["null"],
        ["1"],
    ),
    "paths": ({"type": "string", "format": "file-path"}, ['"a/b"'], ["1"]),
    "networks": ({"type": "string", "format": "ipv4network"}, ['"10.0.0.0/8"'], ["1"]),
    "encoded bytes": ({"type": "string", "format": "base64"}, ['"YQ=="'], ["1"]),
    "extensions": ({"x-order": 1, "type": "null", "x-nullable": True}, ["null"], ["1"]),
}


@pytest.mark.parametrize("name", OLDER)
def test_words_of_older_drafts_and_of_openapi_are_read(name: str) -> None:
    schema, accepted, refused = OLDER[name]
    found = schema_language(schema)
    assert [found.matches(text.encode()) for text in accepted] == [True] * len(accepted)
    assert [found.matches(text.encode()) for text in refused] == [False] * len(refused)


@pytest.mark.parametrize("name", CASES)
def test_a_schema_accepts_its_texts_only(name: str) -> None:
    schema, accepted, refused = CASES[name]
    found = schema_language(schema)
    for text in accepted:
        assert is_valid(json.loads(text), schema), text
        assert found.matches(text.encode()), text
    for text in refused:
        assert not found.matches(text.encode()), text


@pytest.mark.usual_cases(20)
@pytest.mark.parametrize("seed", range(150))
def test_texts_of_random_schemas_are_valid(seed: int) -> None:
    random = Random(seed)
    schema = random_schema(random, 2)
    if isinstance(schema, dict):
        schema["$defs"] = {"shared": random_schema(random, 0)}
    try:
        found = language_of(json_schema_of(schema, indents=seed % 5 == 0), {}, Budget())
    except InvalidGrammar as error:
        assert error.path.startswith("#")  # noqa: PT017
        return
    for _ in range(60):
        if len(found.moves) > 1:
            text = random_word(found, random, random.randint(0, 60)).decode()
            assert is_valid(json.loads(text), schema), (schema, text)
        value = random_value(random, 2)
        text = json.dumps(value, ensure_ascii=False)
        assert is_valid(value, schema) or not found.matches(text.encode()), (schema, text)


UNSUPPORTED = [
    ({"patternProperties": dict.fromkeys("abcde", True)}, "#/patternProperties", "over 4 patterns"),
    ({"patternProperties": {"(?<=a)": {}}}, "#/patternProperties", "lookbehind"),
    ({"propertyNames": {"type": True}}, "#/propertyNames/type", "one or several of"),
    ({"propertyNames": {"enum": 1}}, "#/propertyNames/enum", "a list"),
    ({"type": "object", "minProperties": 2}, "#/minProperties", "at most 1"),
    ({"properties": {"a/b": {"$dynamicRef": "b"}}}, "#/properties/a~1b/$dynamicRef", "not supp"),
    ({"not": {"format": "date"}}, "#/not", "in a negation"),
    ({"if": {"items": {"type": "string"}}, "then": False}, "#/if", "in a negation"),
    ({"not": {"const": [1]}}, "#/not", "object or an array"),
    ({"not": {"oneOf": [{}]}}, "#/not", "in a negation"),
    ({"if": {"if": {}, "then": False}, "else": {}}, "#/if", "in a negation"),
    (
        {"$defs": {"n": {"items": {"$ref": "#/$defs/n"}}}, "not": {"$ref": "#/$defs/n"}},
        "#/not",
        "in a negation",
    ),
    (
        {
            "$defs": {"n": {"properties": {"a": {"$ref": "#/$defs/n"}}}},
            "not": {"$ref": "#/$defs/n"},
        },
        "#/not",
        "within itself",
    ),
    (
        {"not": {"not": {"properties": {"a": {}}}}, "unevaluatedProperties": False},
        "#/unevaluatedProperties",
        "not",
    ),
    ({"not": 1}, "#/not", "a schema"),
    ({"dependentRequired": {"a": "b"}}, "#/dependentRequired", "lists of names"),
    ({"dependencies": {"a": "b"}}, "#/dependencies", "lists of names"),
    ({"contains": {}, "uniqueItems": True}, "#/uniqueItems", "beside contains"),
    ({"items": {"$ref": "x"}}, "#/items/$ref", "within the schema"),
    ({"$ref": "#a", "$defs": {"b": {"$anchor": "b"}}}, "#/$ref", "within the schema"),
    ({"type": "text"}, "#/type", "one or several of"),
    ({"type": []}, "#/type", "one or several of"),
    ({"minLength": -1}, "#/minLength", "whole number"),
    ({"minLength": 1.5}, "#/minLength", "whole number"),
    ({"maxItems": float("inf")}, "#/maxItems", "whole number"),
    ({"minimum": "1"}, "#/minimum", "a number"),
    ({"exclusiveMinimum": "1"}, "#/exclusiveMinimum", "a number"),
    ({"minimum": 1e300}, "#/minimum", "1e\\+20"),
    ({"maximum": 1e-300}, "#/maximum", "1e-09"),
    ({"required": "a"}, "#/required", "names"),
    ({"properties": []}, "#/properties", "object of schemas"),
    ({"items": [1]}, "#/items", "a schema"),
    ({"additionalItems": 1}, "#/additionalItems", "a schema"),
    ({"anyOf": []}, "#/anyOf", "not empty"),
    ({"uniqueItems": "yes"}, "#/uniqueItems", "true or false"),
    ({"uniqueItems": True}, "#/uniqueItems", "an enum"),
    ({"uniqueItems": True, "items": {"type": "integer", "minimum": 1}}, "#/uniqueItems", "range"),
    ({"uniqueItems": True, "items": {"enum": ["a"], "pattern": "a"}}, "#/items/enum", "beside"),
    ({"uniqueItems": True, "items": {"enum": [*range(65)]}}, "#/uniqueItems", "at most 64"),
    ({"format": "cuid2"}, "#/format", "date-time"),
    ({"format": "regex", "pattern": "a"}, "#/format", "date-time"),
    ({"pattern": "((?=a)b)*"}, "#/pattern", "lookahead"),
    ({"multipleOf": 0.3}, "#/multipleOf", "divides 1"),
    ({"multipleOf": 1.5}, "#/multipleOf", "whole"),
    ({"multipleOf": 2**-12}, "#/multipleOf", "fractions"),
    ({"type": "integer", "multipleOf": 9, "minimum": 0}, "#/multipleOf", "both"),
    ({"enum": [{"a": 1}], "properties": {"a": True}}, "#/properties", "beside enum"),
    ({"$ref": "https://example.com/a"}, "#/$ref", "within the schema"),
    ({"$ref": "#/$defs/a"}, "#/$ref", "not in the schema"),
    ({"oneOf": [{"format": "date"}, {"format": "time"}]}, "#/oneOf", "branches 0 and 1"),
    (
        {
            "oneOf": [
                {"patternProperties": {"^x": {"type": "string"}}},
                {"properties": {"k": {"type": "null"}}, "required": ["k"]},
            ]
        },
        "#/oneOf",
        "branches 0 and 1",
    ),
    ({"allOf": [{"format": "date"}, {"format": "time"}]}, "#/allOf/1", "format cannot be joined"),
    ({"const": "\ud800"}, "", "no Unicode"),
    ([], "#", "object or a boolean"),
]


@pytest.mark.parametrize(("schema", "path", "reason"), UNSUPPORTED)
def test_other_schemas_are_refused_by_the_path(schema: Any, path: str, reason: str) -> None:
    with pytest.raises(InvalidGrammar, match=reason) as caught:
        schema_language(schema)
    assert caught.value.path == path


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": "string", "minLength": 3, "maxLength": 2},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"enum": []},
        {"const": 1, "type": "string"},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"$ref": "#"},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"type": "array", "items": False, "minItems": 1},
        {"not": {}},
        {"oneOf": [CAT, CAT], "type": "object"},
        {"enum": ["a"], "pattern": "b"},
        {"type": "object", "minProperties": 2, "maxProperties": 1, "properties": {"a": {}}},
    ],
)
def test_a_schema_without_values_has_no_texts(schema: Any) -> None:
    assert len(schema_language(schema).moves) == 1


def test_recursion_is_bounded_and_leaves_out_what_is_deeper() -> None:
    found = schema_language(TREE)

    def nested(depth: int) -> bytes:
        return b'{"value":1,"children":[' * depth + b'{"value":1}' + b"]}" * depth

    assert [found.matches(nested(depth)) for depth in range(8)] == [True] * 6 + [False] * 2


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "maxLength": 10**6},
        {"type": "array", "items": {"$ref": "#"}, "maxItems": 1000},
        {
            "$defs": {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)}
            | {"d40": True},
            "$ref": "#/$defs/d0",
        },
    ],
)
def test_explosions_end_at_a_limit(schema: Any) -> None:
    with pytest.raises((GrammarTooLarge, InvalidGrammar), match="over"):
        language_of(json_schema_of(schema), {}, Budget(Limits(seconds=2)))


@pytest.mark.parametrize(
    "grammar",
    [
        Regex("(a?){3000}"),
        json_schema_of(
            {"oneOf": [{"enum": [300 * i + j for j in range(300)]} for i in range(200)]}
        ),
        json_schema_of({"properties": {"a" * 20_000: True}, "additionalProperties": True}),
        json_schema_of(
            {
                "allOf": [
                    {"anyOf": [{"minimum": i} for i in range(32)]},
                    {"anyOf": [{"properties": {f"p{i}": True for i in range(5000)}}] * 32},
                ]
            }
        ),
        json_schema_of({"pattern": "|".join(f"w{i}" for i in range(5000))}),
        json_schema_of(
            {"oneOf": [{"properties": {f"{i}{j}": CAT for j in range(60)}} for i in range(60)]}
        ),
    ],
    ids=["free moves", "exclusions", "a long name", "pairs", "subsets", "negations"],
)
def test_the_limit_of_seconds_ends_every_part_of_a_compilation(grammar: Grammar) -> None:
    start_s = time.monotonic()
    with pytest.raises(GrammarTooLarge, match="over"):
        language_of(grammar, {}, Budget(Limits(seconds=0.2)))
    assert time.monotonic() - start_s < 2


HTTP_URL = {"type": "string", "format": "uri", "minLength": 1, "maxLength": 2083}  # pydantic's


def test_fields_of_the_same_format_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = list[Any]()

    def counted(schema: Any, place: Place, budget: Budget) -> Expression:
        made.append(schema.get("format"))
        return string(schema, place, budget)

    monkeypatch.setattr(schema_module, "string", counted)
    fields = dict.fromkeys("abc", HTTP_URL) | {"d": {"type": "string", "format": "date"}}
    schema_language({"type": "object", "properties": fields, "additionalProperties": False})
    assert sorted(made) == ["date", "uri"]


def test_parts_of_a_format_are_made_small_before_they_are_joined() -> None:
    three = {"properties": dict.fromkeys("abc", HTTP_URL), "required": ["a", "b", "c"]}
    grammar = json_schema_of({"type": "object", **three, "additionalProperties": False})
    language_of(grammar, {}, Budget(Limits(parts=15_000)))


def test_a_name_as_long_as_a_body_takes_little_memory() -> None:
    schema = {"properties": {"a" * 3_000_000: True}, "additionalProperties": True}
    tracemalloc.start()
    try:
        with pytest.raises(GrammarTooLarge, match="parts"):
            schema_language(schema)
        assert tracemalloc.get_traced_memory()[1] < 200 << 20
    finally:
        tracemalloc.stop()


def test_numbers_of_thousands_of_digits_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="digits"):
        json_schema_of({"const": 10**5000})


def test_deep_schemas_are_refused() -> None:
    schema: Any = True
    for _ in range(900):
        schema = {"items": schema}
    with pytest.raises((GrammarTooLarge, InvalidGrammar), match="deep"):
        schema_language(schema)


def test_any_object_is_nested_to_a_bound() -> None:
    found = language_of(JsonObject(), {}, Budget())
    for text in ("{}", '{"a": [1, {"b": null}], "é": -2.5e3}', '{"a":[[[[]]]]}'):
        assert found.matches(text.encode()), text
    for text in ("[]", '{"a":}', '{"a":[1,]}', '{"a":[[[[[]]]]]}', '{"a" : 1}', '{"a":1} '):
        assert not found.matches(text.encode()), text


def test_indented_json_is_accepted_on_request_only() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array"}, "b": {"type": "null"}}}
    text = json.dumps({"a": [1, [2, {}]], "b": None}, indent=2).encode()
    assert language_of(json_schema_of(schema, indents=True), {}, Budget()).matches(text)
    assert not language_of(json_schema_of(schema), {}, Budget()).matches(text)


WIDENED: tuple[tuple[Any, str, str], ...] = (
    ({"type": "number", "multipleOf": 1.5}, "2", '"a"'),
    ({"type": "integer", "$ref": "https://example.com/a"}, "2", '"a"'),
    ({"type": "integer", "not": {"multipleOf": 3}}, "3", '"a"'),
    ({"properties": {"a/b": {"type": "string", "format": "odd"}}}, '{"a/b": "x"}', '{"a/b": 1}'),
    ({"oneOf": [{"type": "integer"}, {"multipleOf": 5, "type": "number"}]}, "5", '"a"'),
    ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "string", "pattern": "(?<=a)b"}}}, '"b"', "1"),
    ({"type": "array", "items": {"type": "string"}, "uniqueItems": True}, '["a", "a"]', "[1]"),
    ({"enum": [["a"], "b"], "items": True, "minLength": 1}, '"b"', '"c"'),
)


@pytest.mark.parametrize(("schema", "accepted", "refused"), WIDENED)
def test_a_schema_is_widened_by_what_is_not_supported(
    schema: Any, accepted: str, refused: str
) -> None:
    with pytest.raises(InvalidGrammar):
        schema_language(schema)
    found = language_of(json_schema_of(schema, is_exact=False), {}, Budget())
    assert found.matches(accepted.encode())
    assert not found.matches(refused.encode())


WRONG = [
    {"type": "odd"},
    {"minimum": "1"},
    {"$ref": "#/missing"},
    {"items": [{"not": {"format": "date"}}]},
]


@pytest.mark.parametrize("schema", WRONG)
def test_a_wrong_schema_is_refused_however_it_is_read(schema: Any) -> None:
    with pytest.raises(InvalidGrammar):
        language_of(json_schema_of(schema, is_exact=False), {}, Budget())


def test_so_many_keywords_are_left_out() -> None:
    schema = {"properties": {str(i): {"format": "odd"} for i in range(40)}}
    with pytest.raises(InvalidGrammar):
        language_of(json_schema_of(schema, is_exact=False), {}, Budget())
