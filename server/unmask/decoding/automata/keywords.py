"""Keywords of JSON Schema: the types that they are about, and their values."""

import json
import math
from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeAlias

from unmask.decoding.automata.formats import FORMATS, NUMBER_FORMATS, TEXT_FORMATS
from unmask.decoding.automata.json_numbers import Bounds
from unmask.decoding.automata.places import Place

Keywords: TypeAlias = Mapping[str, Any]
Schema: TypeAlias = bool | Keywords

ANNOTATIONS = frozenset(
    (
        *("title", "description", "default", "example", "examples", "deprecated", "readOnly"),
        *("writeOnly", "discriminator", "$schema", "$comment", "$defs", "definitions", "$id"),
        *("contentEncoding", "contentMediaType", "contentSchema", "$vocabulary"),
        # Of OpenAPI, Gemini, VS Code and form builders.
        *("components", "xml", "externalDocs", "propertyOrdering", "markdownDescription"),
        *("enumNames", "enumDescriptions", "errorMessage"),
    )
)
COUNTS = frozenset(
    (
        *("minItems", "maxItems", "minLength", "maxLength"),
        *("minProperties", "maxProperties", "minContains", "maxContains"),
    )
)
BOUNDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
DEFINED = {*FORMATS, "regex", "relative-json-pointer"}
ALL_FORMATS = {*FORMATS, *NUMBER_FORMATS, *TEXT_FORMATS}
TYPES = frozenset(("object", "array", "string", "number", "integer", "boolean", "null"))
ANY = "any"
MAX_COUNT = 10**9  # of characters or elements
SMALLEST, LARGEST = 1e-9, 1e20  # of bounds that are not 0, integers of 64 bits among them


@dataclass(frozen=True, slots=True)
class Keyword:
    """Keyword about one type, or about any, and the check of its value."""

    kind: str
    needs: str
    check: Callable[[Any], bool]


def is_whole(value: Any) -> bool:
    """True for whole numbers from 0 on; 2.0 is 2."""
    return _is_finite(value) and value >= 0 and value % 1 == 0


def _is_count(value: Any) -> bool:
    return is_whole(value) and value <= MAX_COUNT


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """True for numbers of a size that bounds may have."""
    is_real = isinstance(value, int | float) and not isinstance(value, bool)
    return is_real and (value == 0 or SMALLEST <= abs(value) <= LARGEST)


def _is_custom(value: Any) -> bool:
    """True for formats that JSON Schema does not define, and no validator checks."""
    return isinstance(value, str) and value not in DEFINED


def _is_least(value: Any) -> bool:
    return is_number(value) or (isinstance(value, int | float) and value < -LARGEST)


def _is_most(value: Any) -> bool:
    return is_number(value) or (isinstance(value, int | float) and value > LARGEST)


def _is_schema(value: Any) -> bool:
    return isinstance(value, bool | dict)


def _are_schemas(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_schema, value.values()))


def _divides_1(value: float) -> bool:
    return (1 / Fraction(repr(value))).denominator == 1


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_type(value: Any) -> bool:
    names = value if isinstance(value, list) and value else [value]
    return all(isinstance(name, str) and name in TYPES for name in names)


def _is_json(value: Any) -> bool:
    match value:
        case float():
            return math.isfinite(value)
        case list():
            return all(map(_is_json, value))
        case dict():
            return all(map(_is_json, value.values()))
    return True


_COUNT = f"a whole number from 0 to {MAX_COUNT:,}", _is_count
_LEAST = f"a number that is 0 or whose size is {SMALLEST:g} to {LARGEST:g}", _is_least
_MOST = _LEAST[0], _is_most
_SCHEMA = "a schema: an object or a boolean", _is_schema
_SCHEMAS = (
    "a list of schemas that is not empty",
    lambda value: isinstance(value, list) and bool(value) and all(map(_is_schema, value)),
)
KEYWORDS = {
    "type": Keyword(ANY, f"one or several of {', '.join(sorted(TYPES))}", _is_type),
    "enum": Keyword(ANY, "a list of finite values", lambda v: isinstance(v, list) and _is_json(v)),
    "const": Keyword(ANY, "a finite value", _is_json),
    "nullable": Keyword(ANY, "true or false", lambda value: isinstance(value, bool)),
    "anyOf": Keyword(ANY, *_SCHEMAS),
    "oneOf": Keyword(ANY, *_SCHEMAS),
    "allOf": Keyword(ANY, *_SCHEMAS),
    "not": Keyword(ANY, *_SCHEMA),
    "if": Keyword(ANY, *_SCHEMA),
    "then": Keyword(ANY, *_SCHEMA),
    "else": Keyword(ANY, *_SCHEMA),
    "$ref": Keyword(
        ANY,
        "a reference within the schema (#/...)",
        lambda value: isinstance(value, str) and (value == "#" or value.startswith("#/")),
    ),
    "properties": Keyword("object", "an object of schemas", _are_schemas),
    "patternProperties": Keyword("object", "an object of schemas", _are_schemas),
    "propertyNames": Keyword("object", *_SCHEMA),
    "required": Keyword("object", "a list of names", _are_names),
    "minProperties": Keyword("object", *_COUNT),
    "maxProperties": Keyword("object", *_COUNT),
    "dependentRequired": Keyword(
        "object",
        "an object of lists of names",
        lambda value: isinstance(value, dict) and all(map(_are_names, value.values())),
    ),
    "dependentSchemas": Keyword("object", "an object of schemas", _are_schemas),
    "dependencies": Keyword(
        "object",
        "an object of schemas or lists of names",
        lambda value: (
            isinstance(value, dict)
            and all(_is_schema(own) or _are_names(own) for own in value.values())
        ),
    ),
    "additionalProperties": Keyword("object", *_SCHEMA),
    "unevaluatedProperties": Keyword("object", *_SCHEMA),
    "items": Keyword(
        "array",
        _SCHEMA[0],
        lambda value: all(map(_is_schema, value if isinstance(value, list) else [value])),
    ),
    "additionalItems": Keyword("array", *_SCHEMA),
    "prefixItems": Keyword("array", *_SCHEMAS),
    "minItems": Keyword("array", *_COUNT),
    "maxItems": Keyword("array", *_COUNT),
    "contains": Keyword("array", *_SCHEMA),
    "minContains": Keyword("array", *_COUNT),
    "maxContains": Keyword("array", *_COUNT),
    "unevaluatedItems": Keyword("array", *_SCHEMA),
    "uniqueItems": Keyword("array", "true or false", lambda value: isinstance(value, bool)),
    "minLength": Keyword("string", *_COUNT),
    "maxLength": Keyword("string", *_COUNT),
    "pattern": Keyword("string", "a regular expression", lambda value: isinstance(value, str)),
    "format": Keyword(
        "string",
        f"one of {', '.join(FORMATS)}",
        lambda value: isinstance(value, str) and value in ALL_FORMATS,
    ),
    "minimum": Keyword("number", *_LEAST),
    "maximum": Keyword("number", *_MOST),
    "exclusiveMinimum": Keyword(
        "number", _LEAST[0], lambda value: isinstance(value, bool) or _is_least(value)
    ),
    "exclusiveMaximum": Keyword(
        "number", _MOST[0], lambda value: isinstance(value, bool) or _is_most(value)
    ),
    "multipleOf": Keyword(
        "number",
        "a whole number above 0, or one that divides 1, of few decimal places,",
        lambda value: is_number(value) and value > 0 and (value == int(value) or _divides_1(value)),
    ),
}
SCHEMA_WORDS = frozenset(word for word, keyword in KEYWORDS.items() if keyword.check is _is_schema)
# Keywords of alternatives only, which no schema can spell, and their types. `patterns` are all to
# be found. Negations evaluate nothing: `hidden` properties come of them, and all that is
# `concealed`. Draft 7 reads over keywords beside `$ref`, with which an alternative is `narrowed`.
OWN_WORDS = {
    "patterns": "string",
    "not patterns": "string",
    "not enum": "string",
    "not integer": "number",
    "hidden": ANY,
    "concealed": ANY,
    "narrowed": ANY,
    "groups": "object",
}


def is_annotation(word: str) -> bool:
    """True for keywords of which no value's validity depends, OpenAPI's extensions among them."""
    return word in ANNOTATIONS or word.startswith("x-")


def check_keywords(schema: Any, place: Place) -> None:
    """Raise `InvalidGrammar` for the first keyword that is not supported, or has a wrong value."""
    for word, value in schema.items():
        if is_annotation(word) and (word != "$id" or place.path == "#"):
            continue
        if word == "format" and "pattern" in schema and _is_custom(value):
            continue
        if word not in KEYWORDS:
            raise (place / word).not_supported(f"the keyword {word!r:.40} is not supported")
        if not KEYWORDS[word].check(value):
            at, needs = place / word, f"{KEYWORDS[word].needs} is needed, not {value!r:.80}"
            raise at.not_supported(needs) if _has_meaning(word, value) else at.error(needs)


def kind_of(word: str) -> str:
    """The type that a keyword of an alternative is about."""
    return KEYWORDS[word].kind if word in KEYWORDS else OWN_WORDS[word]


def says_nothing(schema: Any) -> bool:
    """True if all values match, for sure; the schema may be broken."""
    return schema is True or (isinstance(schema, dict) and all(map(is_annotation, schema)))


def _has_meaning(word: str, value: Any) -> bool:
    """True for values that JSON Schema allows, of keywords that do not take them here."""
    if word in COUNTS:
        return is_whole(value)
    if word in BOUNDS:
        return _is_finite(value)
    if word == "multipleOf":
        return _is_finite(value) and value > 0
    return word == "format" or (word == "$ref" and isinstance(value, str))


def says_nothing_of_names(schema: Schema) -> bool:
    """True if all names of properties match, for sure; the schema may be broken."""
    if isinstance(schema, bool):
        return schema
    words = {word for word in schema if not is_annotation(word)}
    return words <= {"type"} and schema.get("type", "string") == "string"


def property_of(schema: Keywords, name: str) -> Schema:
    """Schema of a property, declared or additional."""
    other: Schema = schema.get("additionalProperties", True)
    declared: Schema = schema.get("properties", {}).get(name, other)
    return declared


def values_of(schema: Keywords) -> list[Any] | None:
    """Values of a schema that lists them."""
    listed: list[Any] | None = schema.get("enum")
    if "const" not in schema:
        return listed
    only = schema["const"]
    is_listed = listed is None or canonical(only) in map(canonical, listed)
    return [only] if is_listed else []


def types_of(schema: Keywords) -> frozenset[str]:
    """Types that a schema's values may have; with numbers there are integers."""
    names, values = _declared_types(schema), values_of(schema)
    if values is not None:
        names &= {name for value in values for name in type_names(value)}
    return frozenset(names)


def _declared_types(schema: Keywords) -> set[str]:
    """Types that a schema names, whatever values it lists."""
    listed = schema.get("type")
    names = set(TYPES) if listed is None else {listed} if isinstance(listed, str) else set(listed)
    if schema.get("nullable"):
        names.add("null")
    if "number" in names:
        names.add("integer")
    return names


def type_names(value: Any) -> tuple[str, ...]:
    """Types of a JSON value."""
    match value:
        case None:
            return ("null",)
        case bool():
            return ("boolean",)
        case int() | float():
            return ("number", "integer") if value == int(value) else ("number",)
        case str():
            return ("string",)
        case list():
            return ("array",)
        case _:
            return ("object",)


def fails(value: Any, schema: Keywords) -> bool:
    """True if a value does not match the keywords about types, bounds, sizes and other values.

    It says nothing of patterns and formats, nor of the parts of an object or array.
    """
    if not _declared_types(schema).intersection(type_names(value)):
        return True
    match value:
        case bool() | None:
            return False
        case int() | float():
            number, step = Fraction(repr(value)), Fraction(repr(schema.get("multipleOf", 0)))
            is_other = bool(step) and (number / step).denominator != 1
            is_whole = "not integer" in schema and number.denominator == 1
            return is_other or is_whole or Decimal(repr(value)) not in bounds_of(schema)
        case str():
            others = schema.get("not enum", ())
            return value in others or _is_beyond(value, schema, "minLength", "maxLength")
        case list():
            return _is_beyond(value, schema, "minItems", "maxItems")
    lacks = any(name not in value for name in schema.get("required", ()))
    return lacks or _is_beyond(value, schema, "minProperties", "maxProperties")


def _is_beyond(value: Sized, schema: Keywords, least: str, most: str) -> bool:
    return not schema.get(least, 0) <= len(value) <= schema.get(most, math.inf)


def bounds_of(schema: Keywords) -> Bounds:
    """Interval of a schema's numbers."""
    found = {word: Decimal(repr(schema[word])) for word in BOUNDS if word in schema}
    bounds = Bounds()
    if "minimum" in found:
        bounds = bounds.above(found["minimum"], excludes=False)
    if "exclusiveMinimum" in found:
        bounds = bounds.above(found["exclusiveMinimum"], excludes=True)
    mirrored = bounds.negated()
    if "maximum" in found:
        mirrored = mirrored.above(-found["maximum"], excludes=False)
    if "exclusiveMaximum" in found:
        mirrored = mirrored.above(-found["exclusiveMaximum"], excludes=True)
    return mirrored.negated()


def canonical(value: Any) -> str:
    """Text that is the same for values that JSON Schema calls equal."""

    def plain(part: Any) -> Any:
        match part:
            case float() if part.is_integer():
                return int(part)
            case dict():
                return {name: plain(own) for name, own in part.items()}
            case list():
                return [plain(own) for own in part]
        return part

    return json.dumps(plain(value), sort_keys=True)
