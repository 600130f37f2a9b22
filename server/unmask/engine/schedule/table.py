"""Arrays with a row for every admitted sequence, from which a step gathers its own."""

from typing import Self

import numpy as np
import numpy.typing as npt

from unmask.engine.schedule.decoding import COLUMNS, Columns
from unmask.engine.schedule.query_range import BoolArray, IntArray
from unmask.engine.schedule.sequence import Sequence
from unmask.types import MAX_BLOCK_LENGTH
from unmask_kernels.native.layout import layout_library, pointer

FloatArray = npt.NDArray[np.float32]
NUM_BOUNDS = 11  # of a span


class SequenceTable:
    """Tokens, pages and parameters of admitted sequences, a row each.

    The tokens of a sequence and its masked positions are views of its row from admission to
    removal. A row is also one of the device's open tokens. The system gives memory as it is
    written.
    """

    def __init__(self, num_rows: int, num_positions: int, num_pages: int) -> None:
        self.tokens = np.zeros((num_rows, num_positions), np.int64)
        self.masked = np.zeros((num_rows, num_positions), np.bool_)
        self.pages = np.zeros((num_rows, num_pages), np.int64)
        self.parameters: Columns = np.zeros(num_rows, COLUMNS)
        self.quotas = np.zeros((num_rows, MAX_BLOCK_LENGTH), np.int64)  # by step of a block
        self.bounds = np.zeros((num_rows, NUM_BOUNDS), np.int64)  # of the last span, `Span.bounds`
        # True if a step's result gives a row tokens and nothing else.
        self.is_plain: BoolArray = np.zeros(num_rows, np.bool_)
        layout_library()  # compiled now rather than in the first step
        self.addresses = tuple(map(pointer, (self.tokens, self.masked, self.pages)))
        self._free = list(range(num_rows))

    @classmethod
    def sized(cls, num_rows: int, max_model_len: int, num_pages: int, page_size: int) -> Self:
        """A table for sequences that the pool's pages can hold, with CFG on two runs of them."""
        longest = -(-(max_model_len + MAX_BLOCK_LENGTH) // page_size)
        most = min(longest, num_pages)
        return cls(num_rows, most * page_size, 2 * most)

    def enter(self, sequence: Sequence) -> None:
        """Give a sequence a row, unless it has one, and note its pages."""
        if sequence.table_row is None:
            assert self._free, "no more sequences are admitted than there are rows"
            row = sequence.table_row = self._free.pop()
            length = len(sequence.tokens)
            tokens, masked = self.tokens[row, :length], self.masked[row, :length]
            tokens[:], masked[:] = sequence.tokens, sequence.masked
            sequence.tokens, sequence.masked = tokens, masked
            self._write_parameters(row, sequence)
        self.pages[sequence.table_row, : len(sequence.pages)] = sequence.pages

    def _write_parameters(self, row: int, sequence: Sequence) -> None:
        decoding = sequence.decoding
        self.parameters[row] = decoding.columns()
        self.note_kind(sequence)
        quotas = decoding.quotas
        if len(quotas) > self.quotas.shape[1]:
            longer = np.zeros((len(self.quotas), len(quotas)), np.int64)
            longer[:, : self.quotas.shape[1]] = self.quotas
            self.quotas = longer
        self.quotas[row, : len(quotas)] = quotas

    def note_kind(self, sequence: Sequence) -> None:
        """Note whether a result is more than tokens to a sequence that has a row."""
        decoding = sequence.decoding
        assert sequence.table_row is not None, "a sequence that runs has a row"
        self.is_plain[sequence.table_row] = not (
            sequence.request.refinements is not None
            or sequence.keeps_block_keys
            or sequence.keeps_scores
            or decoding.editing_threshold is not None
            or decoding.length_rules is not None
            or decoding.stops_at_end
            or decoding.drafts
            or sequence.thinking is not None
            or decoding.logprobs is not None
        )

    def rearrange(self, sequence: Sequence, places: IntArray) -> None:
        """Move a sequence's tokens, so that position i has what `places[i]` had."""
        row = sequence.table_row
        assert row is not None, "a sequence that runs has a row"
        tokens, masked = sequence.tokens[places], sequence.masked[places]
        sequence.tokens = self.tokens[row, : len(places)]
        sequence.masked = self.masked[row, : len(places)]
        sequence.tokens[:], sequence.masked[:] = tokens, masked

    def note_pages(self, sequence: Sequence, count: int) -> None:
        """Note the last `count` pages of a sequence, if it has a row already."""
        if sequence.table_row is not None:
            end = len(sequence.pages)
            self.pages[sequence.table_row, end - count : end] = sequence.pages[end - count :]

    def leave(self, sequence: Sequence) -> None:
        """Take the row back, if there is one; the sequence keeps copies of its arrays."""
        if sequence.table_row is None:
            return
        self._free.append(sequence.table_row)
        sequence.tokens, sequence.masked = sequence.tokens.copy(), sequence.masked.copy()
        sequence.table_row = None

    @property
    def dummy_slot(self) -> int:
        """Slot of the device's open tokens that rows of no open block share: the last one."""
        return (len(self.tokens) + 1) * MAX_BLOCK_LENGTH - 1

    def flat(self, rows: IntArray) -> IntArray:
        """Offsets of the first positions of `rows` in `tokens` and `masked`, laid flat."""
        return rows * self.tokens.shape[1]
