"""A row of the table of sampling parameters: type, bounds and meaning of one field."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from unmask.errors import InvalidRequest
from unmask.value_types import ValueType
from unmask_kernels.policies.table import NUMBERS

MAX_INT = 2**63 - 1
NO_ALIASES: Mapping[Any, Any] = {}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One row: numbers are in [low, high], or above `low` if `open_low`.

    `neutral` is the value that changes nothing, for requests and checkpoints that give none.
    `aliases` are names of choices in other projects, and numbers that stand for another or none.
    """

    name: str
    type: ValueType
    default: Any
    meaning: str
    low: float | None
    high: float | None
    open_low: bool
    aliases: Mapping[Any, Any]
    neutral: Any
    is_setting: bool  # the server's configuration may have a default
    has_flag: bool  # of commands that generate

    @property
    def interval(self) -> tuple[float, float]:
        """Smallest and largest number, both allowed."""
        assert self.low is not None, f"{self.name} is no number"
        low = math.nextafter(self.low, math.inf) if self.open_low else self.low
        return low, math.inf if self.high is None else self.high

    def taken(self, value: Any) -> Any:
        """A value in the row's type and without aliases; raises `InvalidRequest` for other types.

        None is the default.
        """
        if value is None:
            return self.default
        try:
            value = self.type.taken(value)
        except (TypeError, ValueError):
            raise InvalidRequest(
                f"{self.name} must be {self.type.described}, got {value!r:.60}", field=self.name
            ) from None
        return self.aliases.get(value, value)

    def check(self, value: Any) -> None:
        """Raise `InvalidRequest` for a value out of bounds or choices."""
        if value is None:
            return
        choices, words = self.type.choices, self.type.words
        if choices and value not in choices:
            raise InvalidRequest(
                f"{self.name} must be one of {', '.join(choices)}, got {value!r}", field=self.name
            )
        if words and isinstance(value, str):
            if value not in words:
                raise InvalidRequest(
                    f"{self.name} must be a number or {' or '.join(words)}, got {value!r}",
                    field=self.name,
                )
        elif self.low is not None:
            self._check_range(value, self.low, self.high)

    def _check_range(self, value: float, low: float, high: float | None) -> None:
        too_low = value <= low if self.open_low else value < low
        # An integer may be too large for a float, and is finite.
        is_finite = isinstance(value, int) or math.isfinite(value)
        highest = high if high is not None else MAX_INT if isinstance(value, int) else value
        if is_finite and not too_low and value <= highest:
            return
        high = high if high is not None or not is_finite or too_low else highest
        # Bounds of a float are told as floats.
        bound = f"{'greater than' if self.open_low else 'at least'} {self.type.base(low)}"
        if high is not None:
            bound += f" and at most {self.type.base(high)}"
        raise InvalidRequest(f"{self.name} must be {bound}, got {shown(value)}", field=self.name)


def parameter(
    meaning: str,
    *,
    default: Any = None,
    low: float | None = None,
    high: float | None = None,
    open_low: bool = False,
    aliases: Mapping[Any, Any] = NO_ALIASES,
    neutral: Any = None,
    is_setting: bool = False,
    has_flag: bool = True,
) -> Any:
    """A field of `SamplingParams` with the rest of its row."""
    row = {
        "meaning": meaning,
        "low": low,
        "high": high,
        "open_low": open_low,
        "aliases": aliases,
        "neutral": neutral,
        "is_setting": is_setting,
        "has_flag": has_flag,
    }
    return field(default=default, metadata=row)


def number(name: str) -> Any:
    """The field for a number of policies, by their rows."""
    row = NUMBERS[name]
    return parameter(
        row.meaning, low=row.low, high=row.high, open_low=row.open_low, is_setting=True
    )


def shown(value: float) -> str:
    """A number for a message, cut short."""
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an integer of {value.bit_length()} bits"
    return str(value)
