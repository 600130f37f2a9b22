"""Objects of JSON schemas: properties that are declared, by patterns of names, and others."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from unmask.decoding.automata.characters import ANY_JSON_STRING, utf8
from unmask.decoding.automata.expressions import (
    Compiled,
    Difference,
    Expression,
    Intersection,
    Item,
    concatenation,
    is_nothing,
    literal,
    union,
)
from unmask.decoding.automata.free_text import other_strings
from unmask.decoding.automata.json_text import Spacing, json_literal, json_object, member
from unmask.decoding.automata.keywords import Keywords, Schema, says_nothing_of_names
from unmask.decoding.automata.limits import Budget
from unmask.decoding.automata.merging import both, groups_of
from unmask.decoding.automata.minimal import ByteAutomaton, minimize
from unmask.decoding.automata.nfa import compile_bytes
from unmask.decoding.automata.places import Place
from unmask.decoding.automata.schema_arrays import Nested
from unmask.decoding.automata.schema_scalars import characters

MAX_PATTERNS = 4  # of names, each of which may match several


@dataclass(frozen=True, slots=True)
class Objects:
    """Texts of objects; `nested` writes a property's value, `any_member` one of any schema."""

    nested: Nested
    any_member: Expression
    spacing: Spacing
    budget: Budget
    _languages: dict[str, ByteAutomaton] = field(default_factory=dict)

    def text(self, schema: Keywords, place: Place) -> Expression:
        groups = groups_of(schema)
        required: list[str] = schema.get("required", [])
        patterns = self._patterns(groups, place)
        allowed = self._names(schema, place)
        least, most = schema.get("minProperties", 0), schema.get("maxProperties")
        declared = dict.fromkeys(name for g in groups for name in g.get("properties", ()))
        more = [name for name in dict.fromkeys(required) if name not in declared]
        members = [
            Item(self._member(name, groups, place, allowed), is_required=name in required)
            for name in (*declared, *more)
        ]
        others = list(self._others(groups, patterns, (*declared, *more), allowed, place))
        if not others and not more and self._is_open(schema, groups):
            names = other_strings(declared, self.budget) if declared else ANY_JSON_STRING
            names = names if allowed is None else Intersection(names, allowed)
            others = [member(names, self.any_member, self.spacing)]
        if others:
            members.append(Item(union(others), is_repeated=True))
        self._check_counts(least, most, members, place)
        return json_object(members, self.spacing, least, most)

    def _is_open(self, schema: Keywords, groups: Sequence[Keywords]) -> bool:
        """True for objects with any properties, but for some that they do not have."""
        hidden = schema.get("hidden", ())
        if any(group.keys() & {"patternProperties", "additionalProperties"} for group in groups):
            return False
        shown = [(n, own) for g in groups for n, own in g.get("properties", {}).items()]
        if not shown:
            return not any("properties" in group for group in groups)
        return all(name in hidden or own is False for name, own in shown)

    def _check_counts(
        self, least: int, most: int | None, members: Sequence[Item], place: Place
    ) -> None:
        """Raise `InvalidGrammar` for a number of properties that has to differ by their names."""
        limit = self.budget.limits.parts
        self.budget.check("parts", len(members) * max(least, most or 0), limit)
        able = [item for item in members if not is_nothing(item.expression)]
        if least > len(able) and any(item.is_repeated for item in able):
            raise (place / "minProperties").not_supported(
                f"minProperties is at most {len(able)} here: one more than declared properties"
            )

    def _names(self, schema: Keywords, place: Place) -> Expression | None:
        """Names that properties may have; None for all."""
        names: Schema = schema.get("propertyNames", True)
        if says_nothing_of_names(names):
            return None
        return Intersection(ANY_JSON_STRING, self.nested(names, place / "propertyNames"))

    def _patterns(
        self, groups: Sequence[Keywords], place: Place
    ) -> dict[str, tuple[Expression, Expression]]:
        """Names in JSON that each pattern matches for sure, and those that it may match."""
        found = dict.fromkeys(p for group in groups for p in group.get("patternProperties", ()))
        at = place / "patternProperties"
        if len(found) > MAX_PATTERNS:
            raise at.not_supported(f"over {MAX_PATTERNS} patterns are not supported")
        quote = literal('"')
        return {
            p: (
                concatenation(quote, characters(p, at), quote),
                concatenation(quote, characters(p, at, widens=True), quote),
            )
            for p in found
        }

    def _matches(self, name: str, pattern: str, place: Place) -> bool:
        if pattern not in self._languages:
            named = characters(pattern, place / "patternProperties", character=utf8)
            self._languages[pattern] = minimize(compile_bytes(named, {}, self.budget))
        return self._languages[pattern].matches(name.encode(errors="surrogatepass"))

    def _member(
        self, name: str, groups: Sequence[Keywords], place: Place, allowed: Expression | None
    ) -> Expression:
        """A property by its name, as all groups say."""
        schema: Schema = True
        at = place / "properties" / name
        for group in groups:
            own = group.get("properties", {})
            found = [
                value
                for pattern, value in group.get("patternProperties", {}).items()
                if self._matches(name, pattern, place)
            ]
            if name in own:
                found.append(own[name])
            if not found:
                found.append(group.get("additionalProperties", True))
                at = place / "additionalProperties" if len(groups) == 1 else at
            for value in found:
                schema = both(schema, value)
        text = json_literal(name, self.spacing)
        if allowed is not None:
            text = Intersection(text, allowed)
        return member(text, self.nested(schema, at), self.spacing)

    def _others(
        self,
        groups: Sequence[Keywords],
        patterns: dict[str, tuple[Expression, Expression]],
        known: Sequence[str],
        allowed: Expression | None,
        place: Place,
    ) -> Iterator[Expression]:
        """Properties that are not declared, by the patterns that their names match."""
        has_others = any(group.get("additionalProperties") is not None for group in groups)
        for matching in itertools.product((True, False), repeat=len(patterns)):
            matched = {p for p, matches in zip(patterns, matching, strict=True) if matches}
            if not matched and not has_others:
                continue
            schema: Schema = True
            for group in groups:
                own = [s for p, s in group.get("patternProperties", {}).items() if p in matched]
                for value in own or [group.get("additionalProperties", True)]:
                    schema = both(schema, value)
            if schema is False:
                continue
            # Names beside patterns have the same escapes as these.
            is_free = not known and not patterns
            names = ANY_JSON_STRING if is_free else other_strings(known, self.budget)
            for pattern, (surely, perhaps) in patterns.items():
                if pattern in matched:
                    names = Intersection(names, surely)
                else:
                    names = Difference(names, perhaps)
            if allowed is not None:
                names = Intersection(names, allowed)
            if patterns:
                dfa = minimize(compile_bytes(names, {}, self.budget)).as_dfa()
                if dfa is None:
                    continue
                names = Compiled(dfa)
            word = "patternProperties" if matched else "additionalProperties"
            value_text = self.nested(schema, place / word)
            if not is_nothing(value_text):
                yield member(names, value_text, self.spacing)
