"""Alternatives of schemas joined: keywords that a value has to match together."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from unmask.decoding.automata.keywords import (
    Keywords,
    Schema,
    canonical,
    fails,
    property_of,
    types_of,
    values_of,
)
from unmask.decoding.automata.places import Place

LARGER_OF = frozenset(
    (
        *("minimum", "exclusiveMinimum", "minLength", "minItems"),
        *("minProperties", "minContains"),
    )
)
SMALLER_OF = frozenset(
    (
        *("maximum", "exclusiveMaximum", "maxLength", "maxItems"),
        *("maxProperties", "maxContains"),
    )
)
LISTED = frozenset(("patterns", "not patterns", "not enum", "required"))
NAME_WORDS = ("properties", "patternProperties", "additionalProperties")
JOINED = frozenset(
    (
        *("type", "nullable", *NAME_WORDS, "propertyNames"),
        *("prefixItems", "items", "uniqueItems", "hidden", "groups", "not integer"),
    )
)


def merged(left: Keywords, right: Keywords, place: Place, *, widens: bool = False) -> Keywords:
    """Keywords of both alternatives; a value has to match each of them.

    Two values of a keyword that cannot be joined are an error, or the second one if it `widens`.
    """
    made = {**left, **right}
    for word in left.keys() & right.keys():
        a, b = left[word], right[word]
        if word in LARGER_OF:
            made[word] = max(a, b)
        elif word in SMALLER_OF:
            made[word] = min(a, b)
        elif word in LISTED:
            made[word] = [*a, *(own for own in b if own not in a)]
        elif word == "enum":
            keys = set(map(canonical, b))
            made[word] = [value for value in a if canonical(value) in keys]
        elif word == "const" and canonical(a) != canonical(b):
            made["enum"] = []
        elif word == "multipleOf" and a == int(a) and b == int(b):
            made[word] = math.lcm(int(a), int(b))
        elif word in JOINED:
            pass  # below
        elif canonical(a) != canonical(b) and not widens:
            raise place.error(f"two values of {word} cannot be joined: {a!r:.40} and {b!r:.40}")
    if "type" in left or "type" in right:
        sides = (types_of({w: s[w] for w in ("type", "nullable") if w in s}) for s in (left, right))
        made["type"] = sorted(frozenset.intersection(*sides))
        made.pop("nullable", None)
    _merge_properties(left, right, made)
    _merge_elements(left, right, made)
    values = values_of(made)
    if values is not None:
        made["enum"] = [value for value in values if not fails(value, made)]
        made.pop("const", None)
    return made


def groups_of(schema: Keywords) -> tuple[Keywords, ...]:
    """Keywords about names of properties; a property has to match those of each group."""
    groups: tuple[Keywords, ...] | None = schema.get("groups")
    return groups or ({word: schema[word] for word in NAME_WORDS if word in schema},)


def both(left: Schema, right: Schema) -> Schema:
    """Schema of values that match two."""
    if left is True or right is True:
        return right if left is True else left
    return {"allOf": [left, right]} if left and right else False


def _merge_properties(left: Keywords, right: Keywords, made: dict[str, Any]) -> None:
    if "hidden" in made:
        shown = {*_shown(left), *_shown(right)}
        names = dict.fromkeys((*left.get("hidden", ()), *right.get("hidden", ())))
        made["hidden"] = [name for name in names if name not in shown]
    if "propertyNames" in left and "propertyNames" in right:
        made["propertyNames"] = both(left["propertyNames"], right["propertyNames"])
    sides = groups_of(left), groups_of(right)
    if "groups" in made or "patternProperties" in made:
        if sides[0] != ({},) and sides[1] != ({},):
            for word in NAME_WORDS:
                made.pop(word, None)
            made["groups"] = (*sides[0], *sides[1])
        return
    names = dict.fromkeys((*left.get("properties", ()), *right.get("properties", ())))
    if "properties" in made:
        made["properties"] = {
            name: both(property_of(left, name), property_of(right, name)) for name in names
        }
    if "additionalProperties" in left and "additionalProperties" in right:
        made["additionalProperties"] = both(
            left["additionalProperties"], right["additionalProperties"]
        )


def _shown(schema: Keywords) -> Iterable[str]:
    """Names that an alternative's own properties evaluate."""
    hidden = schema.get("hidden", ())
    for group in groups_of(schema):
        yield from (name for name in group.get("properties", ()) if name not in hidden)


def _merge_elements(left: Keywords, right: Keywords, made: dict[str, Any]) -> None:
    prefixes = [schema.get("prefixItems", []) for schema in (left, right)]
    rests = [schema.get("items", True) for schema in (left, right)]
    if "prefixItems" in made:
        sides = ([*prefixes[i], *[rests[i]] * len(prefixes[1 - i])] for i in range(2))
        size = max(map(len, prefixes))
        made["prefixItems"] = [both(*pair) for pair in zip(*sides, strict=False)][:size]
    if "items" in made:
        made["items"] = both(*rests)
    if "uniqueItems" in made:
        made["uniqueItems"] = any(side.get("uniqueItems") for side in (left, right))


def with_unevaluated(schema: Keywords, words: Mapping[str, Schema], place: Place) -> Keywords:
    """An alternative whose parts that no keyword evaluates match a schema.

    The alternative says which branches match, so its keywords are those that evaluate.
    """
    made = dict(schema)
    if "concealed" in schema:
        word = min(word for word in words if word.startswith("unevaluated"))
        raise (place / word).not_supported(f"{word} is not supported beside not within not")
    if (others := words.get("unevaluatedProperties", True)) is not True:
        _name_unevaluated(made, others)
    if (rest := words.get("unevaluatedItems", True)) is not True and "items" not in made:
        made["items"] = {"anyOf": [made["contains"], rest]} if "contains" in made else rest
    return made


def _name_unevaluated(made: dict[str, Any], others: Schema) -> None:
    groups = groups_of(made)
    hidden = made.pop("hidden", ())
    if any("additionalProperties" in group for group in groups):
        return
    made.pop("groups", None)
    for word in ("properties", "patternProperties"):
        joined: dict[str, Schema] = {}
        for group in groups:
            for name, own in group.get(word, {}).items():
                joined[name] = both(joined.get(name, True), own)
        if joined:
            made[word] = joined
    made["additionalProperties"] = others
    for name in hidden:
        made["properties"][name] = both(made["properties"][name], others)
