"""Arrays of JSON schemas: elements by their places, how many, and how many match a schema."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from unmask.decoding.automata.errors import NotSupported
from unmask.decoding.automata.expressions import (
    EMPTY,
    NOTHING,
    Edge,
    Expression,
    Graph,
    concatenation,
    optional,
    repetition,
)
from unmask.decoding.automata.json_text import Spacing, array, repeated
from unmask.decoding.automata.keywords import Keywords, Schema
from unmask.decoding.automata.limits import Budget
from unmask.decoding.automata.merging import both
from unmask.decoding.automata.places import Place

Nested: TypeAlias = Callable[[Schema | None, Place], Expression]


@dataclass(frozen=True, slots=True)
class Arrays:
    """Texts of arrays; `nested` writes an element of a schema."""

    nested: Nested
    spacing: Spacing
    budget: Budget

    def text(self, schema: Keywords, place: Place) -> Expression:
        least: int = schema.get("minItems", 0)
        most: int | None = schema.get("maxItems")
        if most is not None and most < least:
            return NOTHING
        if "contains" in schema:
            return array(self._containing(schema, place), self.spacing)
        prefix = [
            self.nested(own, place / "prefixItems" / i)
            for i, own in enumerate(schema.get("prefixItems", [])[:most])
        ]
        # Elements that nothing is said of come only where there have to be some.
        says_nothing = "items" not in schema and bool(prefix)
        rest_least = max(least - len(prefix), 0)
        rest_most = rest_least if says_nothing else None if most is None else most - len(prefix)
        rest = self.nested(schema.get("items", True), place / "items")
        comma = self.spacing.comma
        if not prefix:
            return array(repeated(rest, self.spacing, least, most), self.spacing)
        elements = repetition(concatenation(comma, rest), rest_least, rest_most)
        for i in range(len(prefix) - 1, -1, -1):
            elements = concatenation(comma if i else EMPTY, prefix[i], elements)
            if i >= least:
                elements = optional(elements)
        return array(elements, self.spacing)

    def _besides(self, schema: Schema, place: Place) -> Expression:
        """An element that `contains` need not match, or with a largest number must not."""
        try:
            return self.nested(schema, place / "items")
        except NotSupported as error:
            raise (place / "contains").not_supported(str(error)) from None

    def _containing(self, schema: Keywords, place: Place) -> Expression:
        """Elements of which a number matches `contains`."""
        wanted: Schema = schema["contains"]
        least, most = schema.get("minContains", 1), schema.get("maxContains")
        prefix = schema.get("prefixItems", [])
        # Places of their own, behind which an array without an end goes on.
        num_places: int = schema.get("maxItems", max(1, len(prefix), schema.get("minItems", 0)))
        counts: int = least + 1 if most is None else most + 1
        self.budget.check("parts", (num_places + 1) * counts, self.budget.limits.parts)
        # With a largest number the others do not match, else they may.
        other: Schema = True if most is None else {"not": wanted}
        is_open = "maxItems" not in schema
        at_contains = place / "contains"
        edges = []

        def node(at: int, count: int) -> int:
            return at * counts + min(count, counts - 1)

        for at in range(num_places + is_open):
            own: Schema = prefix[at] if at < len(prefix) else schema.get("items", True)
            comma = self.spacing.comma if at else EMPTY
            matching = self.nested(both(own, wanted), at_contains)
            besides = self._besides(both(own, other), place)
            behind = min(at + 1, num_places)
            for count in range(counts):
                if most is None or count < most:
                    text = concatenation(comma, matching)
                    edges.append(Edge(node(at, count), text, node(behind, count + 1)))
                text = concatenation(comma, besides)
                edges.append(Edge(node(at, count), text, node(behind, count)))
        return Graph(
            (num_places + 1) * counts,
            tuple(edges),
            frozenset(
                node(at, count)
                for at in range(schema.get("minItems", 0), num_places + 1)
                for count in range(least, counts)
            ),
        )
