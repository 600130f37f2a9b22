"""Static buffers that captured sampling reads and writes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from unmask.engine.run.inputs import SamplingInputs, SamplingOptions
from unmask.engine.run.pending import PackedTokens
from unmask.engine.run.staging import Array, Staging, StaticBuffers
from unmask.engine.schedule.batch import StepBatch
from unmask_kernels.policies.table import MAX_NUMBERS, POLICIES

LONGEST = 64  # rows of a block; the smallest size that blocks of 32 fit
USUAL = frozenset(policy for policy in POLICIES if not policy.is_rare)
NO_CONFIDENCE = 2.0  # that any token has


@dataclass(frozen=True, slots=True)
class SamplingSize:
    """Scored rows of a graph, and the blocks that have them; padding is one block more."""

    num_rows: int
    num_blocks: int
    draws: bool
    penalizes: bool = False  # entropies, by distance in a window

    def holds(self, batch: StepBatch) -> bool:
        """True if a batch can be padded to this size."""
        decoding = batch.decoding
        return (
            len(batch.hidden_rows) <= self.num_rows
            and len(batch.denoised) <= self.num_blocks
            and decoding.longest_block <= LONGEST
            and (self.draws or not decoding.draws.any())
        )


class SamplingBuffers:
    """Inputs and outputs of sampling at fixed addresses.

    Padding rows read the first hidden state and take its most likely token, in a block behind all
    others that fills nothing.
    """

    # Every usual policy may occur, and any token be edited: a graph is the same for all steps.
    options = SamplingOptions(USUAL, LONGEST, edits=True)

    def __init__(self, size: SamplingSize, device: torch.device) -> None:
        rows, blocks = size.num_rows, size.num_blocks + 1
        drawn = rows if size.draws else 0
        self.size = size
        self._buffers = StaticBuffers(
            {
                **{name: np.empty(rows, np.int64) for name in ("hidden_rows", "token_slots")},
                "has_no_row": np.empty(rows, np.bool_),
                "spans": np.empty(rows, np.int64),
                "drawn_rows": np.empty(drawn, np.int64),
                "temperature": np.empty(drawn, np.float32),
                "positions": np.empty(rows, np.int64),
                **{name: np.empty(drawn, np.int64) for name in ("seeds", "steps")},
                "policies": np.empty(blocks, np.int32),
                "quota": np.empty(blocks, np.int64),
                "numbers": np.empty((blocks, MAX_NUMBERS), np.float32),
                "editing_threshold": np.empty(blocks, np.float32),
                "starts": np.empty(blocks, np.int64),
                **({"penalties": np.empty(rows, np.float32)} if size.penalizes else {}),
            },
            device,
        )
        self.inputs = SamplingInputs.from_tensors(self._buffers.tensors)
        self.outputs = PackedTokens.zeros(rows, device)

    def fill(self, arrays: Mapping[str, Array], dummy_slot: int, staging: Staging) -> None:
        """Bring `SamplingInputs.arrays` of a batch; padding rows have the `dummy_slot`."""
        padding: dict[str, float | Array] = {
            "token_slots": dummy_slot,
            "spans": self.size.num_blocks,
            "drawn_rows": np.arange(len(arrays["drawn_rows"]), len(self.inputs.drawn_rows)),
            "numbers": NO_CONFIDENCE,
            "editing_threshold": NO_CONFIDENCE,
            "starts": len(arrays["spans"]),
        }
        for name, values in arrays.items():
            self._buffers.write(name, values, padding.get(name, 0))
        self._buffers.send(staging)
