"""References of JSON schemas: names and addresses (`$anchor`, `$id`) become JSON pointers."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urldefrag, urljoin

from unmask.decoding.automata.places import escaped

ROOT = "schema:/"  # address of a schema that has none
ONE = (
    *("not", "if", "then", "else", "items", "additionalItems", "contains", "propertyNames"),
    *("additionalProperties", "unevaluatedItems", "unevaluatedProperties"),
)
LISTS = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
NAMED = (
    *("$defs", "definitions", "properties", "patternProperties", "dependentSchemas"),
    "dependencies",
)
DYNAMIC = {"$dynamicRef": "$dynamicAnchor", "$recursiveRef": "$recursiveAnchor"}


def resolved(schema: Any) -> Any:
    """A schema whose references within it are all pointers from its root (`#/...`).

    Others, and dynamic ones of a schema with several resources, stay for the reader to refuse. A
    schema that has only pointers is returned as it is.
    """
    if not isinstance(schema, dict):
        return schema
    index = _Index()
    index.read(schema, ROOT, "#", is_root=True)
    if not index.is_needed:
        return schema
    made = copy.deepcopy(schema)
    index.rewrite(made, "#")
    return made


@dataclass(slots=True)
class _Index:
    """Pointers by address, and the address that references of each pointer's schema start from."""

    pointers: dict[str, str] = field(default_factory=dict)
    bases: dict[str, str] = field(default_factory=dict)
    num_resources: int = 1
    is_needed: bool = False

    def read(self, schema: dict[str, Any], base: str, pointer: str, *, is_root: bool) -> None:
        own = schema.get("$id")
        if isinstance(own, str) and ("$ref" not in schema or is_root):
            address, fragment = urldefrag(_joined(base, own))
            if fragment:  # a name, as in draft 7
                self.pointers.setdefault(f"{address}#{fragment}", pointer)
                self.is_needed = True
            else:
                base = address
                self.num_resources += not is_root
                self.is_needed |= not is_root
        if is_root or isinstance(own, str):
            self.pointers.setdefault(base, pointer)
        self.bases[pointer] = base
        for word in ("$anchor", "$dynamicAnchor"):
            if isinstance(name := schema.get(word), str):
                self.pointers.setdefault(f"{base}#{name}", pointer)
                self.is_needed = True
        for word in ("$ref", *DYNAMIC):
            reference = schema.get(word)
            is_plain = isinstance(reference, str) and (reference + "/").startswith("#/")
            self.is_needed |= word in schema and (word != "$ref" or not is_plain)
        for part, place in schemas_in(schema, pointer):
            self.read(part, base, place, is_root=False)

    def rewrite(self, schema: dict[str, Any], pointer: str) -> None:
        """Make pointers of the references in a schema that was read at this pointer."""
        for part, place in schemas_in(schema, pointer):
            self.rewrite(part, place)
        base = self.bases[pointer]
        for word in ("$anchor", "$id"):
            schema.pop(word, None)
        if found := self._pointer(schema.get("$ref"), base):
            schema["$ref"] = found
        if self.num_resources == 1:
            # With one resource the outermost name is the only one.
            for dynamic, anchor in DYNAMIC.items():
                schema.pop(anchor, None)
                if "$ref" not in schema and (found := self._pointer(schema.get(dynamic), base)):
                    del schema[dynamic]
                    schema["$ref"] = found

    def _pointer(self, reference: Any, base: str) -> str | None:
        """Pointer of a reference to a part of the schema; None for any other value."""
        if not isinstance(reference, str):
            return None
        address, fragment = urldefrag(_joined(base, reference))
        if fragment and not fragment.startswith("/"):
            return self.pointers.get(f"{address}#{fragment}")
        start = self.pointers.get(address)
        return None if start is None else start + fragment


def _joined(base: str, reference: str) -> str:
    try:
        return urljoin(base, reference) if not reference.startswith("#") else base + reference
    except ValueError:
        return reference  # no address


def schemas_in(schema: dict[str, Any], pointer: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Schemas of which one consists, and their pointers."""
    for word, value in schema.items():
        at = f"{pointer}/{word}"
        if word in ONE and isinstance(value, dict):
            yield value, at
        elif word in LISTS and isinstance(value, list):
            parts = ((part, f"{at}/{i}") for i, part in enumerate(value))
            yield from ((part, place) for part, place in parts if isinstance(part, dict))
        elif word in NAMED and isinstance(value, dict):
            named = ((part, f"{at}/{_in_address(name)}") for name, part in value.items())
            yield from ((part, place) for part, place in named if isinstance(part, dict))


def _in_address(name: str) -> str:
    """Part of a pointer that stands in an address, of which `%` escapes others."""
    return escaped(name).replace("%", "%25")
