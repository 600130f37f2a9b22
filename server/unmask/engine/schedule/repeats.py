"""Scheduling of sequences that repeat their last pass, by arrays over all of them.

Most sequences of a step do: the open block once more, whatever the last result is. Host time for
them hardly grows with their number.
"""

import numpy as np

from unmask.engine.schedule.counters import (
    BLOCK_STEP,
    IN_FLIGHT,
    LAST_STEP,
    NUM_FORWARDS,
    NUM_ROWS,
    REPEATS,
)
from unmask.engine.schedule.query_range import IntArray
from unmask.engine.schedule.sequence import Sequence
from unmask.engine.schedule.table import SequenceTable


def split_repeats(running: list[Sequence], table: SequenceTable) -> tuple[IntArray, list[Sequence]]:
    """Rows of the sequences that repeat their last pass, and all other sequences."""
    rows = np.array([sequence.table_row for sequence in running], np.int64)
    is_repeat = table.counters[rows, REPEATS] > 0
    others = [running[i] for i in (~is_repeat).nonzero()[0].tolist()]
    return rows[is_repeat], others


def num_query_tokens(rows: IntArray, table: SequenceTable) -> IntArray:
    """Query tokens of each row's last pass."""
    bounds = table.bounds[rows]
    return np.asarray(bounds[:, 1] - bounds[:, 0])


def note_scheduled(rows: IntArray, table: SequenceTable, step: int) -> None:
    """Note the scheduler's step in which rows run."""
    table.counters[rows, LAST_STEP] = step


def note_launched(rows: list[int], table: SequenceTable) -> None:
    """Count a pass of each row, as `Sequence.computed` does."""
    counters, bounds = table.counters[rows], table.bounds[rows]
    counters[:, IN_FLIGHT] += 1
    counters[:, NUM_FORWARDS] += 1
    counters[:, NUM_ROWS] += bounds[:, 1] - bounds[:, 0]
    next_step = counters[:, BLOCK_STEP] + counters[:, IN_FLIGHT]
    counters[:, REPEATS] = next_step < table.parameters["num_steps"][rows]
    table.counters[rows] = counters


def still_repeat(rows: IntArray, table: SequenceTable) -> IntArray:
    """Rows without those whose sequences were preempted since they were chosen."""
    return np.asarray(rows[table.counters[rows, REPEATS] > 0])
