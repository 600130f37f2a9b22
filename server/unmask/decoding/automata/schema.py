"""JSON Schema as expressions: every text matches the schema, in the order of its properties.

Texts are a part of what a schema allows. An object has the properties that the schema declares, and
others only if `additionalProperties` says so; a schema without `type` has the types that its
keywords are about; numbers with bounds have no exponents. `{}` is any JSON, with bounded nesting.
"""

import math
from collections import Counter
from typing import Any

from unmask.decoding.automata.errors import GrammarTooLarge, GrammarTooSlow
from unmask.decoding.automata.expressions import NOTHING, Compiled, Expression, union
from unmask.decoding.automata.json_text import (
    BOOLEAN,
    NULL,
    Json,
    Spacing,
    any_value,
    array,
    distinct,
    json_literal,
)
from unmask.decoding.automata.keywords import (
    Keywords,
    Schema,
    bounds_of,
    canonical,
    fails,
    kind_of,
    type_names,
    types_of,
    values_of,
)
from unmask.decoding.automata.limits import Budget
from unmask.decoding.automata.minimal import minimize
from unmask.decoding.automata.nfa import compile_bytes
from unmask.decoding.automata.places import Place
from unmask.decoding.automata.references import resolved
from unmask.decoding.automata.schema_arrays import Arrays
from unmask.decoding.automata.schema_objects import Objects
from unmask.decoding.automata.schema_parts import Parts
from unmask.decoding.automata.schema_scalars import listed_strings, number, string

# Keywords of which values that are listed are checked, and of those whose texts are.
CHECKED = frozenset(("required", "minItems", "maxItems", "minProperties", "maxProperties"))
STRING_CHECKS = frozenset(("patterns", "not patterns"))
STRING_WORDS = ("format", "patterns", "not patterns", "not enum", "minLength", "maxLength")
LISTED = frozenset(("boolean", "null"))
SINGLE: tuple[Json, ...] = (False, True, None)  # all values of these types
MAX_DISTINCT = 64  # values of which an array may have each once
RECURSIONS = (1, 2, 3, 5)  # times that references are followed within themselves
MAX_STATES, MAX_PARTS = 10_000, 100_000  # where they are followed more than once
ANY_NESTING = 3  # of objects and arrays in a value that the schema says nothing of


def json_schema(
    schema: Any, spacing: Spacing, budget: Budget, *, widens: bool = False
) -> Expression:
    """Texts of values that match a schema; raises `InvalidGrammar` with a part's path.

    If it `widens`, keywords that cannot be joined with others are left out.
    """
    place = Place()
    if not isinstance(schema, bool | dict):
        raise place.error(f"a schema is an object or a boolean, not {schema!r:.80}")
    try:
        return _deepest(resolved(schema), spacing, budget, widens)
    except RecursionError:
        raise GrammarTooLarge("the schema is nested too deeply") from None


def _deepest(schema: Schema, spacing: Spacing, budget: Budget, widens: bool) -> Expression:
    """Texts of a schema, nested as deep as `RECURSIONS`, `MAX_STATES` and `MAX_PARTS` allow."""
    found: Expression | None = None
    for recursion in RECURSIONS:
        try:
            compiler = _Compiler(schema, spacing, budget, recursion, widens)
            deeper = compiler.value(schema, Place())
            if not compiler.parts.is_cut:
                return deeper
            deeper = _compiled(deeper, budget)
        except GrammarTooLarge as error:
            if found is None or isinstance(error, GrammarTooSlow):
                raise
            return found
        is_large = isinstance(deeper, Compiled) and deeper.dfa.num_states > MAX_STATES
        if found is not None and is_large:
            return found
        found = deeper
        budget = budget.narrowed(4 * MAX_STATES, MAX_PARTS)
    assert found is not None
    return found


def _compiled(expression: Expression, budget: Budget) -> Expression:
    """Automaton of an expression, of the fewest states."""
    dfa = minimize(compile_bytes(expression, {}, budget)).as_dfa()
    return NOTHING if dfa is None else Compiled(dfa)


class _Compiler:
    def __init__(
        self, root: Schema, spacing: Spacing, budget: Budget, recursion: int, widens: bool
    ) -> None:
        self.parts = Parts(root, budget, recursion, widens=widens)
        self._arrays = Arrays(self._nested, spacing, budget)
        self._spacing = spacing
        self._budget = budget
        self._num_schemas = 0
        self._any = any_value(ANY_NESTING, spacing)
        self._any_member = any_value(ANY_NESTING - 1, spacing)
        self._objects = Objects(self._nested, self._any_member, spacing, budget)
        # Values by place: a reference in several places is read once for each depth of recursion.
        self._known: dict[tuple[str, frozenset[tuple[str, int]]], Expression] = {}
        self._strings: dict[str, Expression] = {}  # by their keywords

    def value(self, schema: Schema, place: Place) -> Expression:
        self._num_schemas += 1
        self._budget.check("schemas", self._num_schemas, self._budget.limits.parts)
        plain = self.parts.plain(schema, place)
        key = plain.place.path, frozenset(Counter(plain.place.references).items())
        is_reference = isinstance(schema, dict) and schema.keys() == {"$ref"}
        if is_reference and key in self._known:
            return self._known[key]
        made = union(self._alternative(keywords, plain.place) for keywords in plain.schemas)
        if is_reference:
            if self.parts.is_cut:  # what stands in many places is made small first
                made = _compiled(made, self._budget)
            self._known[key] = made
        return made

    def _alternative(self, schema: Keywords, place: Place) -> Expression:
        """One of the alternatives without references and lists of schemas."""
        values = values_of(schema)
        if values is not None:
            return self._values(values, schema, place)
        about = {kind_of(word) for word in schema} - {"any"}
        kinds = types_of(schema)
        if "type" not in schema:
            if not about:
                return self._any
            kinds = frozenset(about | ({"null"} if schema.get("nullable") else set()))
        if "number" in kinds:
            kinds -= {"integer"}
        if "not integer" in schema:
            kinds -= {"integer"}
        return union(self._of_type(kind, schema, place) for kind in sorted(kinds))

    def _values(self, values: list[Json], schema: Keywords, place: Place) -> Expression:
        fitting = [value for value in values if not fails(value, schema)]
        strings = [value for value in fitting if isinstance(value, str)]
        others = [value for value in fitting if not isinstance(value, str)]
        texts = union(json_literal(value, self._spacing) for value in strings)
        if strings:
            texts = listed_strings(texts, schema, place)
        for value in others:
            _refuse_beside(schema, value, place)
        return union((texts, *(json_literal(value, self._spacing) for value in others)))

    def _of_type(self, kind: str, schema: Keywords, place: Place) -> Expression:
        match kind:
            case "object":
                return self._objects.text(schema, place)
            case "array":
                return self._array(schema, place)
            case "string":
                return self._string(schema, place)
            case "number" | "integer":
                return number(kind, schema, place)
            case "boolean":
                return BOOLEAN
            case _:
                return NULL

    def _string(self, schema: Keywords, place: Place) -> Expression:
        """Strings, those of the same formats and patterns made once."""
        words = {word: schema[word] for word in STRING_WORDS if word in schema}
        key = repr(words)
        if key not in self._strings:
            made = string(schema, place, self._budget)
            self._strings[key] = _compiled(made, self._budget) if words else made
        return self._strings[key]

    def _array(self, schema: Keywords, place: Place) -> Expression:
        most: int | None = schema.get("maxItems")
        if not schema.get("uniqueItems") or (most is not None and most <= 1):
            return self._arrays.text(schema, place)
        if "contains" in schema:
            raise (place / "uniqueItems").not_supported("true is not supported beside contains")
        values = self._listed_items(schema, place)
        least = schema.get("minItems", 0)
        found = distinct(values, self._spacing, least, len(values) if most is None else most)
        return array(found, self._spacing)

    def _nested(self, schema: Schema | None, place: Place) -> Expression:
        return self._any_member if schema in (True, {}) else self.value(schema or False, place)

    def _listed_items(self, schema: Keywords, place: Place) -> list[Json]:
        """Values that elements which differ from each other may have."""
        plain = self.parts.plain(schema.get("items", True), place / "items")
        found: dict[str, Json] = {}
        for keywords in plain.schemas:
            values, kinds = values_of(keywords), types_of(keywords)
            if values is None:
                values = _whole_numbers(keywords, kinds)
            if values is None and kinds <= LISTED:
                values = [value for value in SINGLE if kinds.intersection(type_names(value))]
            if values is not None:
                for value in values:
                    if keywords.keys() & STRING_CHECKS and isinstance(value, str):
                        raise (plain.place / "enum").not_supported(
                            "patterns are not supported beside listed elements"
                        )
                    _refuse_beside(keywords, value, plain.place)
                    if not fails(value, keywords):
                        found.setdefault(canonical(value), value)
            if values is None or "prefixItems" in schema or len(found) > MAX_DISTINCT:
                raise (place / "uniqueItems").not_supported(
                    f"true needs items with an enum or a range of at most {MAX_DISTINCT} values"
                )
        return list(found.values())


def _whole_numbers(schema: Keywords, kinds: frozenset[str]) -> list[Json] | None:
    """Integers of an interval, if these are all values, and few."""
    bounds = bounds_of(schema)
    if kinds != {"integer"} or bounds.low is None or bounds.high is None:
        return None
    first, last = math.ceil(bounds.low), math.floor(bounds.high)
    if last - first >= MAX_DISTINCT:
        return None
    return [value for value in range(first, last + 1) if not fails(value, schema)]


def _refuse_beside(schema: Keywords, value: Json, place: Place) -> None:
    """Raise `InvalidGrammar` for keywords that a listed object or array would have to match too."""
    if not isinstance(value, dict | list):
        return
    (kind,) = type_names(value)
    for word in sorted(schema.keys() - CHECKED):
        if kind_of(word) == kind:
            at = "properties" if word == "groups" else word
            raise (place / at).not_supported(f"{at} is not supported beside enum or const")
