"""Parts of a JSON schema: references, and keywords applied in place as plain alternatives."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote

from unmask.decoding.automata.errors import InvalidGrammar, NotSupported
from unmask.decoding.automata.json_numbers import Bounds
from unmask.decoding.automata.keywords import (
    Keywords,
    Schema,
    bounds_of,
    canonical,
    check_keywords,
    fails,
    property_of,
    types_of,
    values_of,
)
from unmask.decoding.automata.limits import Budget
from unmask.decoding.automata.merging import both, merged, with_unevaluated
from unmask.decoding.automata.negation import negations
from unmask.decoding.automata.older_words import is_old_draft, modern
from unmask.decoding.automata.places import Place, part_at, unescaped

MAX_ALTERNATIVES = 1_024
MAX_ONLY = 64  # alternatives of a branch of oneOf that the others do not match
MAX_PROOF = 4  # depth of properties that prove alternatives to exclude each other
# Keywords that are applied in place.
APPLIED = (
    *("$ref", "allOf", "anyOf", "oneOf", "not", "if", "then", "else"),
    *("dependentRequired", "dependentSchemas", "unevaluatedProperties", "unevaluatedItems"),
)


@dataclass(frozen=True, slots=True)
class Plain:
    """Alternatives, each of keywords about types only, and the place of them all."""

    schemas: tuple[Keywords, ...]
    place: Place


class Parts:
    """Parts of one schema, with its references."""

    def __init__(
        self, root: Schema, budget: Budget, max_recursion: int, *, widens: bool = False
    ) -> None:
        """A reference is followed so often within itself.

        If it `widens`, keywords that cannot be joined are left out.
        """
        self._root = root
        self._max_recursion = max_recursion
        self.is_cut = False  # True once a reference within itself is not followed
        self._widens = widens
        self._budget = budget
        self._is_old = isinstance(root, dict) and is_old_draft(root.get("$schema"))

    def plain(self, schema: Schema, place: Place) -> Plain:
        """Alternatives of a schema; `true` is one without keywords, `false` is none.

        A reference within itself is `false` after `max_recursion` times.
        """
        self._budget.check_time()
        if isinstance(schema, bool):
            return Plain(({},) if schema else (), place)
        check_keywords(schema, place)
        own = modern(schema, is_old=self._is_old)
        applied = {word: own.pop(word) for word in APPLIED if word in own}
        found = Plain((own,), place)
        if "$ref" in applied:
            inner = self._follow(applied["$ref"], place)
            if not own and len(applied) == 1:
                return inner
            found = self._all(found, inner)
            if self._is_old:
                found = _narrowed(found)
        for i, part in enumerate(applied.get("allOf", ())):
            found = self._possible(found, self.plain(part, place / "allOf" / i))
        if "anyOf" in applied:
            found = self._all(found, self._any(applied["anyOf"], place / "anyOf"))
        if "oneOf" in applied:
            found = self._all(found, self._one(applied["oneOf"], place / "oneOf", found))
        if "not" in applied:
            found = self._possible(found, self._against(applied["not"], place / "not"))
        if "then" in applied or "else" in applied:
            found = self._possible(found, self._conditional(applied, place))
        for name, needed in applied.get("dependentRequired", {}).items():
            listed: Schema = {"type": "object", "required": [name, *needed]}
            found = self._possible(
                found, self._dependent(name, listed, place / "dependentRequired")
            )
        for name, part in applied.get("dependentSchemas", {}).items():
            # No other type, or the part's `items` would seem to evaluate elements of arrays.
            needs = both({"type": "object", "required": [name]}, part)
            found = self._possible(found, self._dependent(name, needs, place / "dependentSchemas"))
        if "unevaluatedProperties" in applied or "unevaluatedItems" in applied:
            schemas = tuple(with_unevaluated(one, applied, place) for one in found.schemas)
            return replace(found, schemas=schemas)
        return found

    def _follow(self, reference: str, place: Place, *, negates: bool = False) -> Plain:
        names = [unescaped(unquote(part)) for part in reference.split("/")[1:]]
        try:
            target = part_at(self._root, names)
        except KeyError:
            raise (place / "$ref").error(f"{reference!r:.80} is not in the schema") from None
        if not isinstance(target, bool | dict):
            raise (place / "$ref").error(f"{reference!r:.80} is no schema")
        behind = Place(reference, (*place.references, reference))
        if place.references.count(reference) > self._max_recursion:
            self.is_cut = True
            if negates:
                raise (place / "$ref").not_supported("a negation within itself is not supported")
            return Plain((), place)
        return self._negated(target, behind) if negates else self.plain(target, behind)

    def _any(self, schemas: Sequence[Schema], place: Place) -> Plain:
        """Alternatives of all schemas."""
        return self._joined([self.plain(own, place / i) for i, own in enumerate(schemas)], place)

    def _one(self, schemas: Sequence[Schema], place: Place, base: Plain) -> Plain:
        """Alternatives of exactly one of some schemas, beside a base."""
        branches = [self.plain(schema, place / i) for i, schema in enumerate(schemas)]
        sides = [self._all(base, branch) for branch in branches]
        only = list(branches)
        for (i, a), (j, b) in itertools.combinations(enumerate(sides), 2):
            if self._exclude(a, b, 0):
                continue
            if not self._tell_apart(schemas, only, (i, j), place):
                raise place.not_supported(
                    f"branches {i} and {j} may both match: oneOf needs types, constants, bounds or "
                    "a required property that tell its branches apart; use anyOf"
                )
        return self._joined(only, place)

    def _tell_apart(
        self, schemas: Sequence[Schema], only: list[Plain], pair: tuple[int, int], place: Place
    ) -> bool:
        """Take from each of two branches what the other one matches; False if that is too much."""
        try:
            for one, other in (pair, pair[::-1]):
                against = self._negated(schemas[other], place / other)
                only[one] = self._possible(only[one], against)
        except InvalidGrammar:
            return False
        return all(len(only[i].schemas) <= MAX_ONLY for i in pair)

    def _joined(self, branches: Sequence[Plain], place: Place) -> Plain:
        """Alternatives of all branches."""
        references = max((branch.place.references for branch in branches), key=len)
        schemas = tuple(schema for branch in branches for schema in branch.schemas)
        if len(schemas) > MAX_ALTERNATIVES:
            if not self._widens:
                raise place.error(f"over {MAX_ALTERNATIVES} alternatives together")
            schemas = ({},)
        if len(branches) == 1:
            place = branches[0].place
        return Plain(schemas, replace(place, references=references))

    def _conditional(self, applied: Keywords, place: Place) -> Plain:
        """Alternatives of `if`: it matches and `then` does, or it fails and `else` matches."""
        at = place / "if"
        try:
            met = self.plain(applied["if"], at)
        except NotSupported as error:
            raise at.not_supported(str(error)) from None
        sides = {"then": met, "else": self._against(applied["if"], at)}
        branches = [
            self._possible(side, self.plain(applied.get(word, True), place / word))
            for word, side in sides.items()
        ]
        return self._joined(branches, place)

    def _against(self, schema: Schema, place: Place) -> Plain:
        """Alternatives of all other values, or an error of the place as a whole.

        Without a part of a schema its negation would not be wider.
        """
        try:
            return self._negated(schema, place)
        except NotSupported as error:
            raise place.not_supported(str(error)) from None

    def _dependent(self, name: str, needed: Schema, place: Place) -> Plain:
        """Alternatives of an object without a property, or with what it needs."""
        absent = Plain(({"properties": {name: False}, "hidden": [name]},), place)
        return self._joined([absent, self.plain(needed, place / name)], place)

    def _negated(self, schema: Schema, place: Place) -> Plain:
        """Alternatives of exactly those values that do not match; raises `InvalidGrammar`."""
        self._budget.check_time()
        if isinstance(schema, bool):
            return self.plain(not schema, place)
        check_keywords(schema, place)
        own = modern(schema, is_old=self._is_old)
        sides: list[Plain] = []
        if self._is_old and "$ref" in own and len(own) > 1:
            raise (place / "$ref").not_supported("draft 7 reads over all that is beside $ref")
        if "$ref" in own:
            sides.append(self._follow(own.pop("$ref"), place, negates=True))
        for i, part in enumerate(own.pop("allOf", ())):
            sides.append(self._negated(part, place / "allOf" / i))
        if "anyOf" in own:
            none = Plain(({},), place)
            for i, part in enumerate(own.pop("anyOf")):
                none = self._possible(none, self._negated(part, place / "anyOf" / i))
            sides.append(none)
        if "not" in own:
            inner = self.plain(own.pop("not"), place / "not")
            schemas = tuple({**one, "concealed": True} for one in inner.schemas)
            sides.append(replace(inner, schemas=schemas))
        for name, part in own.get("properties", {}).items():
            self._negated(part, place / "properties" / name)  # raises now rather than later
        sides.append(Plain(negations(own, place), place))
        return self._joined(sides, place)

    def _possible(self, left: Plain, right: Plain) -> Plain:
        """Pairs of alternatives as one schema each, without those that surely have no value.

        One alternative is not told apart from others, so that an empty schema is still read.
        """
        is_one = len(left.schemas) == 1 == len(right.schemas)
        return self._all(left, right, None if is_one else (left, right))

    def _all(
        self, left: Plain, right: Plain, told_apart: tuple[Plain, Plain] | None = None
    ) -> Plain:
        """Pairs of alternatives as one schema each."""
        if not told_apart and len(left.schemas) * len(right.schemas) > MAX_ALTERNATIVES:
            return self._first(left)
        place = right.place if left.schemas == ({},) else left.place
        references = max(left.place.references, right.place.references, key=len)
        place = replace(place, references=references)
        pairs = itertools.product(left.schemas, right.schemas)
        schemas = []
        for a, b in pairs:
            self._budget.check_time()
            if told_apart and self._pair_excludes(a, b, told_apart, 0):
                continue
            schema = merged(a, b, right.place, widens=self._widens)
            if types_of(schema):
                schemas.append(schema)
            if len(schemas) > MAX_ALTERNATIVES:
                return self._first(left)
        return Plain(tuple(schemas), place)

    def _first(self, left: Plain) -> Plain:
        """One of two sides that together have too many alternatives, which matches more."""
        if not self._widens:
            raise left.place.error(f"over {MAX_ALTERNATIVES} alternatives together")
        return left

    def _exclude(self, left: Plain, right: Plain, depth: int) -> bool:
        """True if it is sure that no value matches both."""
        pairs = itertools.product(left.schemas, right.schemas)
        return all(self._pair_excludes(a, b, (left, right), depth) for a, b in pairs)

    def _pair_excludes(
        self, a: Keywords, b: Keywords, sides: tuple[Plain, Plain], depth: int
    ) -> bool:
        self._budget.check_time()
        if "narrowed" in a or "narrowed" in b:
            return False
        values = values_of(a), values_of(b)
        if values[0] is not None and values[1] is not None:
            return not set(map(canonical, values[0])) & set(map(canonical, values[1]))
        for listed, other in ((values[0], b), (values[1], a)):
            if listed is not None and all(fails(value, other) for value in listed):
                return True
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
        if any(word in side for side in (a, b) for word in ("patternProperties", "groups")):
            return False
        return any(
            self._exclude(
                self.plain(property_of(a, name), sides[0].place / "properties" / name),
                self.plain(property_of(b, name), sides[1].place / "properties" / name),
                depth + 1,
            )
            for name in dict.fromkeys((*a.get("required", ()), *b.get("required", ())))
        )


def _narrowed(found: Plain) -> Plain:
    """Alternatives that match less than their schema does: no proof of what it excludes."""
    return replace(found, schemas=tuple({**one, "narrowed": True} for one in found.schemas))


def _are_apart(a: Bounds, b: Bounds) -> bool:
    def ends_before(first: Bounds, second: Bounds) -> bool:
        if first.high is None or second.low is None:
            return False
        touches = first.high == second.low
        return first.high < second.low or (touches and (first.excludes_high or second.excludes_low))

    return ends_before(a, b) or ends_before(b, a)
