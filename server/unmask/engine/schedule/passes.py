"""The positions that a sequence computes in one pass."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class QueryRange:
    """Positions to compute next: [start, end), whose queries see no key beyond `horizon`.

    Of the open block, if it is among them, the masked positions of `scored` may be filled. With
    `active` [end - start] the others keep the keys that they have.
    """

    start: int
    end: int
    horizon: int
    scored: range = range(0)
    active: BoolArray | None = field(default=None, compare=False)
    num_active: int = 0

    @property
    def num_rows(self) -> int:
        """Positions that are computed."""
        return self.end - self.start if self.active is None else self.num_active
