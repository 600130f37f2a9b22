"""Types of settings and sampling parameters, read from the annotations of dataclass fields."""

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal, Self

# One value and several, in messages.
WORDS: Mapping[type, tuple[str, str]] = {
    int: ("an integer", "integers"),
    float: ("a number", "numbers"),
    str: ("text", "texts"),
    bool: ("true or false", ""),
}


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

    @property
    def described(self) -> str:
        """The type in words."""
        if self.base not in WORDS:
            return "pairs of token ids and numbers"
        one, several = WORDS[self.base]
        return several if self.many else " or ".join((one, *self.words))

    def taken(self, value: Any) -> Any:
        """A value in this type, numbers of numpy as Python's; raises `TypeError` or `ValueError`.

        One text may stand for a tuple of it, any iterable for a tuple, and a mapping for pairs.
        """
        if self.words and isinstance(value, str):
            return value
        if not self.many:
            return _taken(value, self.base)
        if type(value) is tuple and self._has_all(value):
            return value
        if isinstance(value, str):
            value = (value,)
        items = value.items() if isinstance(value, Mapping) else value
        return tuple(_taken(item, self.base) for item in items)

    def _has_all(self, items: tuple[Any, ...]) -> bool:
        """True for items of the very type, told quickly: there may be thousands."""
        if pair := typing.get_args(self.base):
            return all(type(item) is tuple and tuple(map(type, item)) == pair for item in items)
        return set(map(type, items)) <= {self.base}


def _taken(value: Any, kind: type) -> Any:
    if pair := typing.get_args(kind):
        return tuple(_taken(part, one) for part, one in zip(value, pair, strict=True))
    if type(value) is kind or (kind is float and type(value) is int):
        return value
    if isinstance(value, kind) and kind is str:
        return value
    is_number = not isinstance(value, bool) and isinstance(value, Integral if kind is int else Real)
    if kind not in (int, float) or not is_number:
        raise TypeError(f"{value!r} is not {WORDS[kind][0]}")
    return kind(value)
