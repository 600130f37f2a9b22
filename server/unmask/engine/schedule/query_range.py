"""Positions that a sequence computes in one pass."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


class QueryRange(NamedTuple):
    """Query positions [start, end), none of which sees a key beyond `horizon`.

    Masked positions of `scored` may be filled by the step. With `active` [end - start] only those
    positions are computed, and the others keep their keys. In models with a causal prefix, a pass
    that `is_causal` sees nothing after each position, and has the logits of the next one.
    """

    start: int
    end: int
    horizon: int
    scored: range = range(0)
    active: BoolArray | None = None
    num_active: int = 0
    is_causal: bool = False

    @property
    def num_rows(self) -> int:
        """Positions that are computed."""
        return self.end - self.start if self.active is None else self.num_active


@dataclass(frozen=True, slots=True)
class Ranges:
    """Ranges of numbers laid end to end."""

    owner: IntArray  # index of the range that each number is of
    numbers: IntArray
    starts: IntArray  # where each range begins, and the last one's end

    @classmethod
    def from_lengths(cls, first: IntArray, length: IntArray) -> "Ranges":
        """Ranges of `length` numbers from `first` on."""
        starts = np.zeros(len(length) + 1, np.int64)
        length.cumsum(out=starts[1:])
        owner = np.arange(len(length)).repeat(length)
        numbers = (first - starts[:-1]).take(owner)
        numbers += np.arange(len(owner))
        return cls(owner, numbers, starts)
