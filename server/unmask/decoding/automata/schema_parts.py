"""Parts of a JSON schema: references, and `allOf`, `anyOf`, `oneOf` as plain alternatives."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from unmask.decoding.automata.json_numbers import Bounds
from unmask.decoding.automata.keywords import (
    COUNTS,
    Keywords,
    Place,
    Schema,
    bounds_of,
    canonical,
    check_keywords,
    part_at,
    property_of,
    types_of,
    unescaped,
    values_of,
)
from unmask.decoding.automata.limits import Budget
from unmask.decoding.automata.older_words import modern

MAX_RECURSION = 5  # times that a reference is followed within itself
MAX_ALTERNATIVES = 1_024
MAX_PROOF = 4  # depth of properties that prove alternatives to exclude each other
LARGER_OF = frozenset(("minimum", "exclusiveMinimum", "minLength", "minItems"))
JOINED = frozenset(
    (
        *("type", "nullable", "properties", "additionalProperties", "propertyNames"),
        *("prefixItems", "items", "uniqueItems"),
    )
)
SMALLER_OF = frozenset(("maximum", "exclusiveMaximum", "maxLength", "maxItems"))


@dataclass(frozen=True, slots=True)
class Plain:
    """Alternatives, each of keywords about types only, and the place of them all."""

    schemas: tuple[Keywords, ...]
    place: Place


class Parts:
    """Parts of one schema, with its references."""

    def __init__(self, root: Schema, budget: Budget) -> None:
        self._root = root
        self._budget = budget

    def plain(self, schema: Schema, place: Place) -> Plain:
        """Alternatives of a schema; `true` is one without keywords, `false` is none.

        A reference within itself is `false` after `MAX_RECURSION` times.
        """
        self._budget.check_time()
        if isinstance(schema, bool):
            return Plain(({},) if schema else (), place)
        check_keywords(schema, place)
        own: dict[str, Any] = {
            word: int(value) if word in COUNTS else value
            for word, value in modern(schema, place).items()
        }
        reference = own.pop("$ref", None)
        parts: list[Schema] = own.pop("allOf", [])
        lists = [(word, own.pop(word)) for word in ("anyOf", "oneOf") if word in own]
        found = Plain((own,), place)
        if reference is not None:
            inner = self._follow(reference, place)
            if not own and not parts and not lists:
                return inner
            found = self._all(found, inner)
        for i, part in enumerate(parts):
            found = self._all(found, self.plain(part, place / "allOf" / i))
        for word, listed in lists:
            some = self._any(listed, place / word, found if word == "oneOf" else None)
            found = self._all(found, some)
        return found

    def _follow(self, reference: str, place: Place) -> Plain:
        names = [unescaped(unquote(part)) for part in reference.split("/")[1:]]
        try:
            target = part_at(self._root, names)
        except KeyError:
            raise (place / "$ref").error(f"{reference!r:.80} is not in the schema") from None
        if not isinstance(target, bool | dict):
            raise (place / "$ref").error(f"{reference!r:.80} is no schema")
        if place.references.count(reference) > MAX_RECURSION:
            return Plain((), place)
        return self.plain(target, Place(reference, (*place.references, reference)))

    def _any(self, schemas: Sequence[Schema], place: Place, base: Plain | None) -> Plain:
        """Alternatives of all schemas; with a `base`, these exclude each other beside it."""
        branches = [self.plain(schema, place / i) for i, schema in enumerate(schemas)]
        sides = [] if base is None else [self._all(base, branch) for branch in branches]
        for (i, a), (j, b) in itertools.combinations(enumerate(sides), 2):
            if not self._exclude(a, b, 0):
                raise place.not_supported(
                    f"branches {i} and {j} may both match: oneOf needs types, constants, bounds or "
                    "a required property that tell its branches apart; use anyOf"
                )
        references = max((branch.place.references for branch in branches), key=len)
        schemas_ = tuple(schema for branch in branches for schema in branch.schemas)
        if len(schemas_) > MAX_ALTERNATIVES:
            raise place.error(f"over {MAX_ALTERNATIVES} alternatives together")
        if len(branches) == 1:
            place = branches[0].place
        return Plain(schemas_, replace(place, references=references))

    def _all(self, left: Plain, right: Plain) -> Plain:
        """Pairs of alternatives as one schema each."""
        if len(left.schemas) * len(right.schemas) > MAX_ALTERNATIVES:
            raise left.place.error(f"over {MAX_ALTERNATIVES} alternatives together")
        place = right.place if left.schemas == ({},) else left.place
        references = max(left.place.references, right.place.references, key=len)
        place = replace(place, references=references)
        pairs = itertools.product(left.schemas, right.schemas)
        schemas = []
        for a, b in pairs:
            self._budget.check_time()
            schema = _merged(a, b, right.place)
            if types_of(schema):
                schemas.append(schema)
        return Plain(tuple(schemas), place)

    def _exclude(self, left: Plain, right: Plain, depth: int) -> bool:
        """True if it is sure that no value matches both."""
        pairs = itertools.product(left.schemas, right.schemas)
        return all(self._pair_excludes(a, b, (left, right), depth) for a, b in pairs)

    def _pair_excludes(
        self, a: Keywords, b: Keywords, sides: tuple[Plain, Plain], depth: int
    ) -> bool:
        self._budget.check_time()
        values = values_of(a), values_of(b)
        if values[0] is not None and values[1] is not None:
            return not set(map(canonical, values[0])) & set(map(canonical, values[1]))
        for kind in types_of(a) & types_of(b):
            if kind in ("number", "integer"):
                excludes = _are_apart(bounds_of(a), bounds_of(b))
            else:
                may_tell = kind == "object" and depth < MAX_PROOF and values == (None, None)
                excludes = may_tell and self._properties_exclude(a, b, sides, depth)
            if not excludes:
                return False
        return True

    def _properties_exclude(
        self, a: Keywords, b: Keywords, sides: tuple[Plain, Plain], depth: int
    ) -> bool:
        """True if no value of a property that both schemas need matches both."""
        if "patternProperties" in a or "patternProperties" in b:
            return False  # they allow more than their other keywords say
        return any(
            self._exclude(
                self.plain(property_of(a, name), sides[0].place / "properties" / name),
                self.plain(property_of(b, name), sides[1].place / "properties" / name),
                depth + 1,
            )
            for name in dict.fromkeys((*a.get("required", ()), *b.get("required", ())))
        )


def _merged(left: Keywords, right: Keywords, place: Place) -> Keywords:
    """Keywords of both schemas; a value has to match each of them."""
    merged = {**left, **right}
    for word in left.keys() & right.keys():
        a, b = left[word], right[word]
        if word in LARGER_OF:
            merged[word] = max(a, b)
        elif word in SMALLER_OF:
            merged[word] = min(a, b)
        elif word == "required":
            merged[word] = [*a, *(name for name in b if name not in a)]
        elif word == "enum":
            keys = set(map(canonical, b))
            merged[word] = [value for value in a if canonical(value) in keys]
        elif word == "const" and canonical(a) != canonical(b):
            merged["enum"] = []
        elif word in JOINED:
            pass  # below
        elif canonical(a) != canonical(b):
            raise place.error(f"two values of {word} cannot be joined: {a!r:.40} and {b!r:.40}")
    if "type" in left or "type" in right:
        sides = (types_of({w: s[w] for w in ("type", "nullable") if w in s}) for s in (left, right))
        merged["type"] = sorted(frozenset.intersection(*sides))
        merged.pop("nullable", None)
    _merge_properties(left, right, merged)
    _merge_elements(left, right, merged)
    return merged


def _merge_properties(left: Keywords, right: Keywords, merged: dict[str, Any]) -> None:
    names = dict.fromkeys((*left.get("properties", ()), *right.get("properties", ())))
    if "properties" in merged:
        merged["properties"] = {
            name: _both(property_of(left, name), property_of(right, name)) for name in names
        }
    if "additionalProperties" in left and "additionalProperties" in right:
        merged["additionalProperties"] = _both(
            left["additionalProperties"], right["additionalProperties"]
        )
    if "propertyNames" in left and "propertyNames" in right:
        merged["propertyNames"] = _both(left["propertyNames"], right["propertyNames"])


def _merge_elements(left: Keywords, right: Keywords, merged: dict[str, Any]) -> None:
    prefixes = [schema.get("prefixItems", []) for schema in (left, right)]
    rests = [schema.get("items", True) for schema in (left, right)]
    if "prefixItems" in merged:
        sides = ([*prefixes[i], *[rests[i]] * len(prefixes[1 - i])] for i in range(2))
        size = max(map(len, prefixes))
        merged["prefixItems"] = [_both(*pair) for pair in zip(*sides, strict=False)][:size]
    if "items" in merged:
        merged["items"] = _both(*rests)
    if "uniqueItems" in merged:
        merged["uniqueItems"] = any(side.get("uniqueItems") for side in (left, right))


def _both(left: Schema, right: Schema) -> Schema:
    if left is True or right is True:
        return right if left is True else left
    return {"allOf": [left, right]} if left and right else False


def _are_apart(a: Bounds, b: Bounds) -> bool:
    def ends_before(first: Bounds, second: Bounds) -> bool:
        if first.high is None or second.low is None:
            return False
        touches = first.high == second.low
        return first.high < second.low or (touches and (first.excludes_high or second.excludes_low))

    return ends_before(a, b) or ends_before(b, a)
