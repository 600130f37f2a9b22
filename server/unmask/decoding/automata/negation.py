"""Negations of keywords: alternatives of which a value matches one if it fails the keywords."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from unmask.decoding.automata.keywords import (
    SCHEMA_WORDS,
    TYPES,
    Keywords,
    is_number,
    says_nothing,
    types_of,
    values_of,
)
from unmask.decoding.automata.places import Place

# Bounds by those of which a value that exceeds them is within.
_OPPOSITE = {
    "minimum": ("number", "exclusiveMaximum", 0),
    "maximum": ("number", "exclusiveMinimum", 0),
    "exclusiveMinimum": ("number", "maximum", 0),
    "exclusiveMaximum": ("number", "minimum", 0),
    "minLength": ("string", "maxLength", -1),
    "maxLength": ("string", "minLength", 1),
    "minItems": ("array", "maxItems", -1),
    "maxItems": ("array", "minItems", 1),
    "minProperties": ("object", "maxProperties", -1),
    "maxProperties": ("object", "minProperties", 1),
}
UNIQUE = ("uniqueItems", False)
_OF_TYPES = ("type", "nullable")
_OF_VALUES = ("enum", "const")


def negations(schema: Keywords, place: Place) -> tuple[Keywords, ...]:
    """Alternatives that a value matches if it fails some keyword, and only then.

    Keywords are about types, without schemas that are applied in place. Names of properties that
    these alternatives bring are `hidden`: no keyword has evaluated them. Raises `InvalidGrammar`
    for a keyword whose negation is not supported.
    """
    found = list[Keywords]()
    if "type" in schema:
        found += _other_types(types_of({w: schema[w] for w in _OF_TYPES if w in schema}))
    values = values_of(schema)
    if values is not None:
        found += other_values(values, place)
    for word, value in schema.items():
        if word not in (*_OF_TYPES, *_OF_VALUES):
            found += _negation(word, value, place)
    return tuple(found)


def _negation(word: str, value: Any, place: Place) -> Iterator[Keywords]:
    if word in _OPPOSITE:
        kind, opposite, shift = _OPPOSITE[word]
        if shift >= 0 or value > 0:
            yield {"type": kind, opposite: value + shift if shift else value}
        return
    match word:
        case "patterns":
            for pattern in value:
                yield {"type": "string", "not patterns": [pattern]}
        case "required":
            for name in value:
                yield _object_with(name, False)
        case "properties":
            for name, own in value.items():
                yield _object_with(name, {"not": own}) | {"required": [name]}
        case _:
            is_neutral = (word in SCHEMA_WORDS and says_nothing(value)) or (word, value) == UNIQUE
            if not is_neutral:
                raise (place / word).not_supported(f"{word} is not supported in a negation")


def _object_with(name: str, schema: bool | Keywords) -> dict[str, Any]:
    return {"type": "object", "properties": {name: schema}, "hidden": [name]}


def _other_types(names: frozenset[str]) -> list[Keywords]:
    """Values of none of some types; with numbers there are integers."""
    others = TYPES - names
    found = list[Keywords]()
    if "integer" in names and "number" in others:
        found.append({"type": "number", "not integer": True})
        others -= {"number"}
    return [*found, {"type": sorted(others)}] if others else found


def other_values(values: Sequence[Any], place: Place) -> list[Keywords]:
    """Values other than some."""
    strings = [value for value in values if isinstance(value, str)]
    booleans = [value for value in values if isinstance(value, bool)]
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    found = list[Keywords]()
    others = set(TYPES)
    if strings:
        others -= {"string"}
        found.append({"type": "string", "not enum": strings})
    if booleans:
        others -= {"boolean"}
        found.append({"enum": [value for value in (False, True) if value not in booleans]})
    if numbers:
        others -= {"number", "integer"}
        found += _intervals(numbers, place)
    if None in values:
        others -= {"null"}
    for value in values:
        if isinstance(value, dict | list):
            if value:
                raise place.not_supported("not takes no value that is an object or an array")
            kind, word = ("object", "minProperties") if value == {} else ("array", "minItems")
            others -= {kind}
            found.append({"type": kind, word: 1})
    return [*found, {"type": sorted(others)}]


def _intervals(numbers: Sequence[float], place: Place) -> Iterator[Keywords]:
    """Numbers between some and beyond them."""
    ordered = sorted(set(numbers))
    if not all(map(is_number, ordered)):
        raise place.not_supported("not takes no number as large or as small")
    for low, high in zip((None, *ordered), (*ordered, None), strict=True):
        bounds: Mapping[str, Any] = {"exclusiveMinimum": low, "exclusiveMaximum": high}
        kept = {word: bound for word, bound in bounds.items() if bound is not None}
        yield {"type": "number", **kept}
