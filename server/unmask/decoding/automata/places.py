"""Places in a JSON schema, as JSON pointers."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from unmask.decoding.automata.errors import InvalidGrammar, NotSupported


@dataclass(frozen=True, slots=True)
class Place:
    """Place in a schema: its JSON pointer, and the references that led there."""

    path: str = "#"
    references: tuple[str, ...] = ()

    def __truediv__(self, part: str | int) -> "Place":
        return replace(self, path=f"{self.path}/{escaped(str(part))}")

    def error(self, message: str) -> InvalidGrammar:
        return InvalidGrammar(message, self.path)

    def not_supported(self, message: str) -> NotSupported:
        return NotSupported(message, self.path)


def escaped(name: str) -> str:
    """Part of a JSON pointer for a name."""
    return name.replace("~", "~0").replace("/", "~1")


def unescaped(part: str) -> str:
    """Name of a part of a JSON pointer."""
    return part.replace("~1", "/").replace("~0", "~")


def part_at(schema: Any, names: Iterable[str]) -> Any:
    """Part of a schema that names lead to; raises `KeyError` if there is none."""
    for name in names:
        try:
            schema = schema[int(name)] if isinstance(schema, list) else schema[name]
        except (IndexError, ValueError, TypeError):
            raise KeyError(name) from None
    return schema
