"""What a captured decision reads and writes: tensors of one size in one piece of memory each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unmask.decoding.policies import Rules
from unmask.engine.deciding import Decisive
from unmask.engine.sequence import IntArray
from unmask.engine.staging import Array, Staging, packed_size, unpack
from unmask.engine.step import StepBatch
from unmask.engine.step_tensors import CODE_OF
from unmask.engine.table import NEVER
from unmask.types import POLICY_NAMES
from unmask_kernels.unmasking import SampledRows

LONGEST = 64  # rows of a block; the smallest size that blocks of 32 fit


@dataclass(frozen=True, slots=True)
class DecisionSize:
    """Scored rows, and the blocks that have them, of which one more has the rows to spare."""

    num_rows: int
    num_blocks: int
    draws: bool

    def holds(self, batch: StepBatch) -> bool:
        """Whether there is room for a batch, and for random draws if it has any."""
        decoding = batch.decoding
        return (
            len(batch.scored_rows) <= self.num_rows
            and len(decoding.policies) <= self.num_blocks
            and decoding.longest <= LONGEST
            and (self.draws or not decoding.temperature.any())
        )


def padded(values: Array, count: int, spare: float) -> Array:
    """`values` filled up to `count` entries."""
    filled = np.full(count, spare, values.dtype)
    filled[: len(values)] = values
    return filled


def arrays_of(batch: StepBatch, size: DecisionSize, spare_cell: int) -> dict[str, Array]:
    """What decides about a batch, filled up to `size`; rows to spare go to a cell of nobody."""
    decoding, spans = batch.decoding, batch.scored_spans
    editing = decoding.editing
    if editing is None:
        editing = np.full(len(decoding.policies), NEVER, np.float32)
    rows: dict[str, Array] = {
        "hidden_rows": batch.hidden_rows,
        "cells": batch.open_cells[batch.scored_open],
        "spans": spans,
    }
    if size.draws:
        rows |= {
            "temperature": decoding.temperature[spans],
            "seeds": decoding.seeds[spans],
            "positions": batch.scored_positions,
            "steps": decoding.steps[spans],
        }
    blocks: dict[str, Array] = {
        "codes": CODE_OF[decoding.policies],
        "quota": decoding.quota,
        "limit": decoding.limit,
        "editing": editing,
    }
    return filled_up(rows, blocks, size, spare_cell)


def filled_up(
    rows: Mapping[str, Array], blocks: Mapping[str, Array], size: DecisionSize, spare_cell: int
) -> dict[str, Array]:
    """Arrays of scored rows and of blocks with room for `size`, and where each block begins.

    Rows to spare read the first row, draw nothing, and belong to a block behind all others.
    """
    spare = {"cells": spare_cell, "spans": size.num_blocks, "limit": NEVER, "editing": NEVER}
    found = {name: padded(own, size.num_rows, spare.get(name, 0)) for name, own in rows.items()}
    count = size.num_blocks + 1
    found |= {name: padded(own, count, spare.get(name, 0)) for name, own in blocks.items()}
    starts = np.searchsorted(rows["spans"], np.arange(count)).astype(np.int64)
    return found | {"starts": starts}


@dataclass(frozen=True, slots=True)
class DecisionRoom:
    """Room for the decisions of one size."""

    size: DecisionSize
    memory: Tensor  # bytes of `tensors`
    tensors: Mapping[str, Tensor]  # as of `arrays_of`
    all_rows: Tensor  # [M] int64
    outputs: Tensor  # bytes of tokens, confidence and selected

    @classmethod
    def empty(cls, size: DecisionSize, arrays: Mapping[str, Array], device: torch.device) -> Self:
        """A room for such arrays."""
        listed = list(arrays.values())
        memory = torch.zeros(packed_size(listed), dtype=torch.uint8, device=device)
        tensors = dict(zip(arrays, unpack(listed, memory), strict=True))
        results = packed_size(_results(size.num_rows))
        outputs = torch.zeros(results, dtype=torch.uint8, device=device)
        rows = torch.arange(size.num_rows, device=device)
        return cls(size, memory, tensors, rows, outputs)

    def fill(self, arrays: Mapping[str, Array], staging: Staging) -> None:
        """Bring the arrays of a batch, in one copy."""
        staging.fill(self.memory, list(arrays.values()))

    def given(self, mask_token_id: int) -> Decisive:
        """What is decided by, whatever is put in."""
        t, sampled = self.tensors, None
        if self.size.draws:  # rows of temperature zero take their likeliest token
            keys = t["seeds"], t["positions"], t["steps"]
            sampled = SampledRows(self.all_rows, t["temperature"], *keys)
        rules = Rules(
            frozenset(POLICY_NAMES), t["codes"], t["starts"], t["quota"], t["limit"], LONGEST
        )
        return Decisive(mask_token_id, t["spans"], rules, t["editing"], sampled)

    def results(self, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens [M], their confidence and who takes them, in `memory` laid out as `outputs`."""
        token, confidence, selected = unpack(_results(self.size.num_rows), memory)
        return token, confidence, selected


def _results(count: int) -> tuple[IntArray, npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    return np.empty(count, np.int64), np.empty(count, np.float32), np.empty(count, np.bool_)
