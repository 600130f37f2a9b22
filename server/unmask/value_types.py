"""Types of settings and sampling parameters, read from the annotations of dataclass fields."""

import types
import typing
from dataclasses import dataclass
from typing import Any, Literal, Self


@dataclass(frozen=True, slots=True)
class ValueType:
    """Type of a value, or of the items of a tuple if there are `many`.

    Text may be one of `choices` only. A number may have `words` in its place, such as "auto".
    """

    base: type
    choices: tuple[str, ...]
    words: tuple[str, ...]
    optional: bool
    many: bool

    @classmethod
    def from_annotation(cls, annotation: Any) -> Self:
        """Read a type, tuple[type, ...], Literal, or int | Literal, any of them or None."""
        parts = [annotation]
        if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
            parts = [p for p in typing.get_args(annotation) if p is not types.NoneType]
        words: tuple[str, ...] = ()
        if len(parts) == 2 and typing.get_origin(parts[1]) is Literal:
            words = typing.get_args(parts.pop())
        assert len(parts) == 1, f"{annotation} has several types"
        (inner,) = parts
        origin = typing.get_origin(inner)
        choices = typing.get_args(inner) if origin is Literal else ()
        many = origin is tuple
        base = str if choices else typing.get_args(inner)[0] if many else inner
        return cls(base, choices, words, inner is not annotation, many)
