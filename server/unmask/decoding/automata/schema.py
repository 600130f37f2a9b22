"""JSON Schema as expressions: every text matches the schema, in the order of its properties.

Texts are a part of what a schema allows. An object has the properties that the schema declares, and
others only if `additionalProperties` says so; a schema without `type` has the types that its
keywords are about; numbers with bounds have no exponents. `{}` is any JSON, with bounded nesting.
"""

from collections import Counter
from decimal import Decimal
from typing import Any

from unmask.decoding.automata.characters import ALL, ANY_JSON_STRING, json_character
from unmask.decoding.automata.errors import GrammarTooLarge, InvalidGrammar
from unmask.decoding.automata.expressions import (
    EMPTY,
    NOTHING,
    Expression,
    Intersection,
    Item,
    concatenation,
    literal,
    optional,
    repetition,
    union,
)
from unmask.decoding.automata.formats import FORMATS, NUMBER_FORMATS
from unmask.decoding.automata.free_text import other_strings
from unmask.decoding.automata.json_numbers import Bounds, decimals, integers
from unmask.decoding.automata.json_text import (
    BOOLEAN,
    NULL,
    Json,
    Spacing,
    any_object,
    any_value,
    array,
    distinct,
    json_literal,
    json_object,
    member,
    repeated,
)
from unmask.decoding.automata.keywords import (
    KEYWORDS,
    LARGEST,
    Keywords,
    Place,
    Schema,
    bounds_of,
    canonical,
    says_nothing_of_names,
    type_names,
    types_of,
    values_of,
)
from unmask.decoding.automata.limits import Budget
from unmask.decoding.automata.regex import regex
from unmask.decoding.automata.schema_parts import Parts

LISTED = frozenset(("boolean", "null"))
SINGLE: tuple[Json, ...] = (False, True, None)  # all values of these types
MAX_DISTINCT = 64  # values of which an array may have each once
ANY_NESTING = 3  # of objects and arrays in a value that the schema says nothing of


def json_schema(schema: Any, spacing: Spacing, budget: Budget) -> Expression:
    """Texts of values that match a schema; raises `InvalidGrammar` with a part's path."""
    place = Place()
    if not isinstance(schema, bool | dict):
        raise place.error(f"a schema is an object or a boolean, not {schema!r:.80}")
    try:
        return _Compiler(schema, spacing, budget).value(schema, place)
    except RecursionError:
        raise GrammarTooLarge("the schema is nested too deeply") from None


class _Compiler:
    def __init__(self, root: Schema, spacing: Spacing, budget: Budget) -> None:
        self._parts = Parts(root, budget)
        self._spacing = spacing
        self._budget = budget
        self._num_schemas = 0
        self._any = any_value(ANY_NESTING, spacing)
        self._any_member = any_value(ANY_NESTING - 1, spacing)
        # Values by place: a reference in several places is read once for each depth of recursion.
        self._known: dict[tuple[str, frozenset[tuple[str, int]]], Expression] = {}

    def value(self, schema: Schema, place: Place) -> Expression:
        self._num_schemas += 1
        self._budget.check("schemas", self._num_schemas, self._budget.limits.parts)
        plain = self._parts.plain(schema, place)
        key = plain.place.path, frozenset(Counter(plain.place.references).items())
        is_reference = isinstance(schema, dict) and schema.keys() == {"$ref"}
        if is_reference and key in self._known:
            return self._known[key]
        made = union(self._alternative(keywords, plain.place) for keywords in plain.schemas)
        if is_reference:
            self._known[key] = made
        return made

    def _alternative(self, schema: Keywords, place: Place) -> Expression:
        """One of the alternatives without references and lists of schemas."""
        values = values_of(schema)
        if values is not None:
            return self._values(values, schema, place)
        about = {KEYWORDS[word].kind for word in schema} - {"any"}
        kinds = types_of(schema)
        if "type" not in schema:
            if not about:
                return self._any
            kinds = frozenset(about | ({"null"} if schema.get("nullable") else set()))
        if "number" in kinds:
            kinds -= {"integer"}
        return union(self._of_type(kind, schema, place) for kind in sorted(kinds))

    def _values(self, values: list[Json], schema: Keywords, place: Place) -> Expression:
        _refuse_beside(schema, place)
        kinds = types_of(schema)
        return union(
            json_literal(value, self._spacing)
            for value in values
            if kinds.intersection(type_names(value))
        )

    def _of_type(self, kind: str, schema: Keywords, place: Place) -> Expression:
        match kind:
            case "object":
                return self._object(schema, place)
            case "array":
                return self._array(schema, place)
            case "string":
                return _string(schema, place)
            case "number" | "integer":
                return _number(kind, schema, place)
            case "boolean":
                return BOOLEAN
            case _:
                return NULL

    def _object(self, schema: Keywords, place: Place) -> Expression:
        properties: dict[str, Schema] = schema.get("properties", {})
        required: list[str] = schema.get("required", [])
        others: Schema | None = schema.get("additionalProperties")
        allowed = self._names(schema, place)
        if others is None and not properties and not required:
            if "properties" in schema:
                return json_object([], self._spacing)
            return any_object(self._any_member, self._spacing, allowed or ANY_JSON_STRING)
        at, beyond = place / "properties", place / "additionalProperties"
        members = [
            self._member(name, own, at / name, allowed, is_required=name in required)
            for name, own in properties.items()
        ]
        more = [name for name in dict.fromkeys(required) if name not in properties]
        undeclared: Schema = True if others is None else others
        members += [
            self._member(name, undeclared, beyond, allowed, is_required=True) for name in more
        ]
        if others not in (None, False):
            known = (*properties, *more)
            names = other_strings(known, self._budget) if known else allowed or ANY_JSON_STRING
            if known and allowed is not None:
                names = Intersection(names, allowed)
            text = member(names, self._nested(others, beyond), self._spacing)
            members.append(Item(text, is_repeated=True))
        return json_object(members, self._spacing)

    def _names(self, schema: Keywords, place: Place) -> Expression | None:
        """Names that properties may have; None for all."""
        names: Schema = schema.get("propertyNames", True)
        if says_nothing_of_names(names):
            return None
        word = "patternProperties" if "patternProperties" in schema else "propertyNames"
        return Intersection(ANY_JSON_STRING, self.value(names, place / word))

    def _member(
        self,
        name: str,
        schema: Schema,
        place: Place,
        allowed: Expression | None,
        *,
        is_required: bool,
    ) -> Item:
        value, own = self._nested(schema, place), json_literal(name, self._spacing)
        if allowed is not None:
            own = Intersection(own, allowed)
        return Item(member(own, value, self._spacing), is_required)

    def _nested(self, schema: Schema | None, place: Place) -> Expression:
        return self._any_member if schema in (True, {}) else self.value(schema or False, place)

    def _array(self, schema: Keywords, place: Place) -> Expression:
        least: int = schema.get("minItems", 0)
        most: int | None = schema.get("maxItems")
        if most is not None and most < least:
            return NOTHING
        if schema.get("uniqueItems") and (most is None or most > 1):
            values = self._listed_items(schema, place)
            found = distinct(values, self._spacing, least, len(values) if most is None else most)
            return array(found, self._spacing)
        prefix = [
            self._nested(own, place / "prefixItems" / i)
            for i, own in enumerate(schema.get("prefixItems", [])[:most])
        ]
        # Elements that nothing is said of come only where there have to be some.
        says_nothing = "items" not in schema and bool(prefix)
        rest_least = max(least - len(prefix), 0)
        rest_most = rest_least if says_nothing else None if most is None else most - len(prefix)
        rest = self._nested(schema.get("items", True), place / "items")
        comma = self._spacing.comma
        if not prefix:
            return array(repeated(rest, self._spacing, least, most), self._spacing)
        elements = repetition(concatenation(comma, rest), rest_least, rest_most)
        for i in range(len(prefix) - 1, -1, -1):
            elements = concatenation(comma if i else EMPTY, prefix[i], elements)
            if i >= least:
                elements = optional(elements)
        return array(elements, self._spacing)

    def _listed_items(self, schema: Keywords, place: Place) -> list[Json]:
        """Values that elements which differ from each other may have."""
        plain = self._parts.plain(schema.get("items", True), place / "items")
        found: dict[str, Json] = {}
        for keywords in plain.schemas:
            values, kinds = values_of(keywords), types_of(keywords)
            if values is None and kinds <= LISTED:
                values = [value for value in SINGLE if kinds.intersection(type_names(value))]
            if values is not None:
                _refuse_beside(keywords, plain.place)
                for value in values:
                    if kinds.intersection(type_names(value)):
                        found.setdefault(canonical(value), value)
            if values is None or "prefixItems" in schema or len(found) > MAX_DISTINCT:
                raise (place / "uniqueItems").not_supported(
                    f"true needs items with an enum of at most {MAX_DISTINCT} values"
                )
        return list(found.values())


def _refuse_beside(schema: Keywords, place: Place) -> None:
    """Raise `InvalidGrammar` for keywords that listed values would have to match too."""
    if others := schema.keys() - {"enum", "const", "type", "nullable"}:
        word = sorted(others)[0]
        raise (place / word).not_supported(f"{word} is not supported beside enum or const")


def _string(schema: Keywords, place: Place) -> Expression:
    parts = []
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if least or most is not None:
        parts.append(repetition(json_character(ALL), least, most))
    if "pattern" in schema:
        at = place / "pattern"
        try:
            found = regex(schema["pattern"], searches=True, looks=True, character=json_character)
        except InvalidGrammar as error:
            raise at.not_supported(error.message) from None
        parts.append(found)
    if schema.get("format") in FORMATS:
        parts.append(regex(FORMATS[schema["format"]], character=json_character))
    if not parts:
        return ANY_JSON_STRING
    text = parts[0]
    for part in parts[1:]:
        text = Intersection(text, part)
    return concatenation(literal('"'), text, literal('"'))


def _number(kind: str, schema: Keywords, place: Place) -> Expression:
    bounds, multiple = _that_fit(bounds_of(schema), schema.get("format")), schema.get("multipleOf")
    if kind == "number" and multiple is None:
        return decimals(bounds)
    try:
        return integers(bounds, int(multiple or 1))
    except ValueError as error:
        raise (place / "multipleOf").not_supported(str(error)) from None


def _that_fit(bounds: Bounds, form: str | None) -> Bounds:
    """The part of an interval that has few digits, and that numbers of a format reach."""
    low, high = NUMBER_FORMATS.get(form or "") or (None, None)
    if low is None and bounds.low is not None and bounds.low < -LARGEST:
        low = -int(LARGEST)
    if high is None and bounds.high is not None and bounds.high > LARGEST:
        high = int(LARGEST)
    if low is not None:
        bounds = bounds.above(Decimal(low), excludes=False)
    if high is not None:
        bounds = bounds.negated().above(Decimal(-high), excludes=False).negated()
    return bounds
