"""What a captured decision reads and writes: tensors of one size in one piece of memory each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unmask.decoding.policies import Rules
from unmask.engine.run.inputs import CODE_OF
from unmask.engine.run.sampling import SamplingInputs
from unmask.engine.run.staging import Array, Staging, packed_size, unpack
from unmask.engine.schedule.batch import StepBatch
from unmask.engine.schedule.passes import IntArray
from unmask.engine.schedule.table import NEVER
from unmask.types import POLICY_NAMES
from unmask_kernels.scoring.types import Draws

LONGEST = 64  # rows of a block; the smallest size that blocks of 32 fit


@dataclass(frozen=True, slots=True)
class SamplingSize:
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


Types = dict[str, type[np.generic]]
ROWS: Types = {"hidden_rows": np.int64, "cells": np.int64, "spans": np.int64}
DRAWN_ROWS: Types = {
    "temperature": np.float32,
    "seeds": np.int64,
    "positions": np.int64,
    "steps": np.int64,
}
BLOCKS: Types = {
    "codes": np.int32,
    "quota": np.int64,
    "limit": np.float32,
    "editing": np.float32,
    "starts": np.int64,
}


def arrays_of(batch: StepBatch, *, draws: bool) -> dict[str, Array]:
    """Arrays of scored rows, of what they draw by if any may draw, and of blocks."""
    decoding, spans = batch.decoding, batch.scored_spans
    found: dict[str, Array] = {
        "hidden_rows": batch.hidden_rows,
        "cells": batch.open_cells.take(batch.scored_open),
        "spans": spans,
    }
    if draws:
        found |= {
            "temperature": decoding.temperature.take(spans),
            "seeds": decoding.seeds.take(spans),
            "positions": batch.scored_positions,
            "steps": decoding.steps.take(spans),
        }
    editing = decoding.editing
    if editing is None:
        editing = np.full(len(decoding.policies), NEVER, np.float32)
    return found | {
        "codes": CODE_OF.take(decoding.policies),
        "quota": decoding.quota,
        "limit": decoding.limit,
        "editing": editing,
        "starts": batch.scored_starts[:-1],
    }


@dataclass(frozen=True, slots=True)
class SamplingBuffers:
    """Memory for the decisions of one size, padded to it.

    Padding rows read the first row, draw nothing, and belong to a block behind all others.
    """

    size: SamplingSize
    memory: Tensor  # bytes of `tensors`
    tensors: Mapping[str, Tensor]  # as of `arrays_of`
    host: Tensor  # bytes that are copied to `memory`; the same on a CPU
    arrays: Mapping[str, Array]  # over `host`
    all_rows: Tensor  # [M] int64
    outputs: Tensor  # bytes of tokens, confidence and selected

    @classmethod
    def empty(cls, size: SamplingSize, device: torch.device) -> Self:
        """Zeros for as many rows and blocks as there may be, and one block of padding."""
        rows = {**ROWS, **DRAWN_ROWS} if size.draws else ROWS
        arrays: dict[str, Array] = {n: np.empty(size.num_rows, kind) for n, kind in rows.items()}
        arrays |= {n: np.empty(size.num_blocks + 1, kind) for n, kind in BLOCKS.items()}
        listed, results = list(arrays.values()), packed_size(_results(size.num_rows))
        memory = torch.zeros(packed_size(listed), dtype=torch.uint8, device=device)
        host = memory if device.type == "cpu" else torch.zeros_like(memory, device="cpu")
        tensors = dict(zip(arrays, unpack(listed, memory), strict=True))
        views = {n: t.numpy() for n, t in zip(arrays, unpack(listed, host), strict=True)}
        outputs = torch.zeros(results, dtype=torch.uint8, device=device)
        all_rows = torch.arange(size.num_rows, device=device)
        return cls(size, memory, tensors, host, views, all_rows, outputs)

    def fill(self, arrays: Mapping[str, Array], dummy_slot: int, staging: Staging) -> None:
        """Bring `arrays_of` a batch in one copy; the cell of padding rows is `dummy_slot`."""
        padding: dict[str, float] = {
            "cells": dummy_slot,
            "spans": self.size.num_blocks,
            "limit": NEVER,
            "editing": NEVER,
            "starts": len(arrays["spans"]),
        }
        for name, values in arrays.items():
            to, count = self.arrays[name], len(values)
            to[:count] = values
            to[count:] = padding.get(name, 0)
        staging.copy(self.host, self.memory)

    def given(self, mask_token_id: int) -> SamplingInputs:
        """What is decided by, whatever is put in."""
        t, sampled = self.tensors, None
        if self.size.draws:  # rows of temperature zero take their likeliest token
            keys = t["seeds"], t["positions"], t["steps"]
            sampled = Draws(t["temperature"], *keys, rows=self.all_rows)
        rules = Rules(
            frozenset(POLICY_NAMES), t["codes"], t["starts"], t["quota"], t["limit"], LONGEST
        )
        return SamplingInputs(mask_token_id, t["spans"], rules, t["editing"], sampled)

    def results(self, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens [M], their confidence and who takes them, in `memory` laid out as `outputs`."""
        token, confidence, selected = unpack(_results(self.size.num_rows), memory)
        return token, confidence, selected


def _results(count: int) -> tuple[IntArray, npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    return np.empty(count, np.int64), np.empty(count, np.float32), np.empty(count, np.bool_)
