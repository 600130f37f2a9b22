"""Arrays with a row for every admitted sequence, from which the arrays of a step are gathered."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from unmask.engine.schedule.passes import IntArray
from unmask.engine.schedule.sequence import Sequence
from unmask.types import MAX_BLOCK_LENGTH
from unmask_kernels.policies.table import CODES

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
NEVER = 2.0  # no confidence is as high


@dataclass(frozen=True, slots=True)
class Parameters:
    """Decoding parameters, an entry for each row; `editing` is above 1 where no token is replaced.

    `policies` are their codes.
    """

    policies: npt.NDArray[np.int32]
    limit: FloatArray
    temperature: FloatArray
    top_p: FloatArray
    top_k: IntArray
    seeds: IntArray
    num_steps: IntArray
    num_logprobs: IntArray
    block_len: IntArray
    guidance: FloatArray
    editing: FloatArray
    eos_last: BoolArray
    has_refinements: BoolArray
    is_plain: BoolArray  # whether nothing but tokens is kept of a step

    @classmethod
    def empty(cls, num_rows: int) -> Self:
        """Zeros for every row."""
        return cls(
            policies=np.zeros(num_rows, np.int32),
            limit=np.zeros(num_rows, np.float32),
            temperature=np.zeros(num_rows, np.float32),
            top_p=np.zeros(num_rows, np.float32),
            top_k=np.zeros(num_rows, np.int64),
            seeds=np.zeros(num_rows, np.int64),
            num_steps=np.zeros(num_rows, np.int64),
            num_logprobs=np.zeros(num_rows, np.int64),
            block_len=np.zeros(num_rows, np.int64),
            guidance=np.zeros(num_rows, np.float32),
            editing=np.zeros(num_rows, np.float32),
            eos_last=np.zeros(num_rows, np.bool_),
            has_refinements=np.zeros(num_rows, np.bool_),
            is_plain=np.zeros(num_rows, np.bool_),
        )

    def write(self, row: int, sequence: Sequence) -> None:
        """Note the parameters of one sequence."""
        decoding = sequence.decoding
        self.policies[row] = CODES[decoding.policy]
        self.limit[row] = decoding.limit
        self.temperature[row] = decoding.temperature
        self.top_p[row] = decoding.top_p
        self.top_k[row] = decoding.top_k
        self.seeds[row] = decoding.seed
        self.num_steps[row] = decoding.steps
        self.num_logprobs[row] = decoding.num_logprobs or 0
        self.block_len[row] = decoding.block_len
        self.guidance[row] = decoding.guidance
        self.editing[row] = NEVER if decoding.editing_limit is None else decoding.editing_limit
        self.eos_last[row] = decoding.eos_last
        self.has_refinements[row] = sequence.request.refinements is not None
        self.is_plain[row] = not (
            self.has_refinements[row]
            or decoding.editing_limit is not None
            or decoding.num_logprobs is not None
        )


class SequenceTable:
    """Canvases, pages and parameters of admitted sequences, a row each.

    The canvas of a sequence, and what of it is masked, are views of its row from admission to
    removal. A row is also one of the device's canvas. The system gives memory as it is written.
    """

    def __init__(self, num_rows: int, num_positions: int, num_pages: int) -> None:
        self.tokens = np.zeros((num_rows, num_positions), np.int64)
        self.masked = np.zeros((num_rows, num_positions), np.bool_)
        self.pages = np.zeros((num_rows, num_pages), np.int64)
        self.parameters = Parameters.empty(num_rows)
        self.quotas = np.zeros((num_rows, MAX_BLOCK_LENGTH), np.int64)  # by step of a block
        self._free = list(range(num_rows))

    @classmethod
    def sized(cls, num_rows: int, max_model_len: int, num_pages: int, page_size: int) -> Self:
        """Room for sequences that the pool's pages can hold, with guidance on two runs of them."""
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
            self.parameters.write(row, sequence)
            self._write_quotas(row, sequence.decoding.quotas)
        self.pages[sequence.table_row, : len(sequence.pages)] = sequence.pages

    def _write_quotas(self, row: int, quotas: tuple[int, ...]) -> None:
        if len(quotas) > self.quotas.shape[1]:
            longer = np.zeros((len(self.quotas), len(quotas)), np.int64)
            longer[:, : self.quotas.shape[1]] = self.quotas
            self.quotas = longer
        self.quotas[row, : len(quotas)] = quotas

    def note_pages(self, sequence: Sequence, count: int) -> None:
        """Note the last `count` pages of a sequence, if it has a row already."""
        if sequence.table_row is not None:
            end = len(sequence.pages)
            self.pages[sequence.table_row, end - count : end] = sequence.pages[end - count :]

    def leave(self, sequence: Sequence) -> None:
        """Take the row back, if there is one; the sequence keeps a canvas of its own."""
        if sequence.table_row is not None:
            self._free.append(sequence.table_row)
            sequence.tokens, sequence.masked = sequence.tokens.copy(), sequence.masked.copy()
            sequence.table_row = None

    def cells(self, rows: IntArray) -> IntArray:
        """Offsets of the canvases of `rows` in `tokens` and `masked`, laid flat."""
        return rows * self.tokens.shape[1]
