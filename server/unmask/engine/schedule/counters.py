"""Numbers of a sequence that change with every step, in a row of the engine's table."""

from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]

# Columns of `SequenceTable.counters`. Steps read the last four for all sequences at once: the open
# block's start, the end of what may be final in it, the number of the sequence that has the row,
# and whether the next pass is the last one again (`Sequence.will_repeat`).
BLOCK_STEP, IN_FLIGHT, NUM_STEPS, NUM_FORWARDS, NUM_ROWS, LAST_STEP, NUM_FINAL = range(7)
BLOCK_START, FINAL_END, TICKET, REPEATS = range(7, 11)
NUM_COUNTERS = 11


class Counter:
    """An attribute that is a column of its object's `counters`."""

    def __init__(self, column: int) -> None:
        self._column = column

    def __get__(self, owner: Any, kind: type | None = None) -> int:
        return int(owner.counters[self._column])

    def __set__(self, owner: Any, value: int) -> None:
        owner.counters[self._column] = value
