"""Sizes in a schema that may be left out: those whose automaton would have too many states."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from unmask.decoding.automata.keywords import COUNTS, is_whole, says_nothing
from unmask.decoding.automata.places import part_at, unescaped
from unmask.decoding.automata.references import schemas_in

BOUNDS = (256, 64, 16)  # of a size times the elements around it; the first that is small enough
MAX_COPIES = 1_024  # of characters and parts of elements, together
MAX_PARTS = 10_000  # read of one schema
ANY_COST, TEXT_COST = 32, 16  # copies that any JSON is like, and a pattern or a format
DEFINITIONS = frozenset(("$defs", "definitions"))
PER_ELEMENT = frozenset(("items", "additionalItems", "unevaluatedItems", "contains"))
PER_MEMBER = frozenset(("additionalProperties", "unevaluatedProperties", "patternProperties"))
# Schemas of which a part cannot be left out, as less of them may be matched then.
WHOLE = frozenset(("not", "if", "contains"))


def sizes_to_leave_out(schema: Any) -> Iterator[list[str]]:
    """Paths of keywords by turns: each is to be left out before the next one, if there is any."""
    for most in BOUNDS:
        walk = Walk(schema, most)
        yield walk.large
        if walk.copies <= MAX_COPIES:
            return


@dataclass(slots=True)
class Walk:
    """Sizes above a bound, by their paths, and the copies of parts that all others make."""

    root: Any
    most: int
    large: list[str] = field(default_factory=list)
    copies: int = 0
    _num_parts: int = 0
    _active: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if isinstance(self.root, dict):
            self._read(self.root, "#", 1, None)

    def _read(self, schema: dict[str, Any], path: str, times: int, whole: str | None) -> None:
        """Read a part that stands so many times; sizes are left out with a `whole` keyword."""
        self._num_parts += 1
        if self._num_parts > MAX_PARTS:
            return
        sizes: dict[str, int] = {}
        for word in COUNTS & schema.keys():
            if not is_whole(schema[word]):
                continue
            size = int(schema[word])
            if size * times > self.most:
                self.large.append(whole or f"{path}/{word}")
            else:
                sizes[word] = size
                self.copies += size * times
        elements = times * max(1, sizes.get("minItems", 0), sizes.get("maxItems", 0))
        members = times * max(1, sizes.get("minProperties", 0), sizes.get("maxProperties", 0))
        if times > 1:
            self.copies += times * _cost(schema)
        if elements > times and says_nothing(schema.get("items", True)):
            self.copies += elements * ANY_COST
        self._follow(schema.get("$ref"), times, whole)
        for inner, pointer in schemas_in(schema, ""):
            at = unquote(pointer)
            word = at.split("/")[1]
            if word in DEFINITIONS:
                continue
            inside = elements if word in PER_ELEMENT else members if word in PER_MEMBER else times
            around = f"{path}/{word}" if word in WHOLE else None
            self._read(inner, path + at, inside, whole or around)

    def _follow(self, reference: Any, times: int, whole: str | None) -> None:
        if not isinstance(reference, str) or reference in self._active:
            return
        path = unquote(reference)
        try:
            target = part_at(self.root, map(unescaped, path.split("/")[1:]))
        except KeyError:
            return
        if isinstance(target, dict) and path.startswith("#"):
            self._active.append(reference)
            self._read(target, path, times, whole)
            self._active.pop()


def _cost(schema: dict[str, Any]) -> int:
    if says_nothing(schema):
        return ANY_COST
    return TEXT_COST if schema.keys() & {"pattern", "format"} else 1
