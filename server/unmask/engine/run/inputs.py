"""The arrays of a step on the device."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from torch import Tensor

from unmask.decoding.policies import Rules
from unmask.engine.run.staging import Array
from unmask.engine.schedule.batch import StepBatch
from unmask.types import POLICY_NAMES
from unmask_kernels.attention.tiles import ToDevice
from unmask_kernels.policies.table import CODES
from unmask_kernels.scoring.types import Draws, Truncation

CODE_OF = np.array([CODES[name] for name in POLICY_NAMES], np.int32)  # by number of a policy


@dataclass(frozen=True, slots=True)
class StepTensors:
    """What of a `StepBatch` is computed with; where nothing is said, names and shapes are its own.

    `sampled` are the scored rows whose temperature is above zero, each with its own parameters.
    """

    token_ids: Tensor
    positions: Tensor
    slots: Tensor
    open_rows: Tensor
    open_cells: Tensor
    open_is_known: Tensor
    scored_rows: Tensor
    wanted_rows: Tensor  # [M + G], `hidden_rows` and `guiding_rows`
    scored_spans: Tensor
    scored_cells: Tensor  # [M], their `open_cells`
    guided: Tensor
    guidance: Tensor  # [G] float32
    rules: Rules
    editing: Tensor | None
    sampled: Draws | None

    @classmethod
    def of(cls, batch: StepBatch, vocab_size: int, to_device: ToDevice) -> Self:
        """All of them in one call of `to_device`."""
        decoding = batch.decoding
        arrays: dict[str, Array] = {
            "token_ids": batch.token_ids,
            "positions": batch.positions,
            "slots": batch.slots,
            "open_rows": batch.open_rows,
            "open_cells": batch.open_cells,
            "open_is_known": batch.open_is_known,
            "scored_rows": batch.scored_rows,
            "wanted_rows": np.concatenate((batch.hidden_rows, batch.guiding_rows)),
            "scored_spans": batch.scored_spans,
            "scored_cells": batch.open_cells[batch.scored_open],
            "guided": batch.guided,
            "guidance": decoding.guidance[batch.scored_spans[batch.guided]],
            "codes": CODE_OF[decoding.policies],
            "starts": batch.scored_starts,
            "quota": decoding.quota,
            "limit": decoding.limit,
        }
        if decoding.editing is not None:
            arrays["editing"] = decoding.editing
        drawn = _drawn(batch, vocab_size)
        tensors = to_device([*arrays.values(), *drawn.values()])
        own = dict(zip(arrays, tensors[: len(arrays)], strict=True))
        editing = own.pop("editing", None)
        rules = Rules(
            names=frozenset(POLICY_NAMES[number] for number in decoding.policies.tolist()),
            **{name: own.pop(name) for name in ("codes", "starts", "quota", "limit")},
            longest=decoding.longest,
        )
        sampled = None
        if drawn:
            parts = dict(zip(drawn, tensors[len(arrays) :], strict=True))
            truncation = None
            if "which" in parts:
                names = "which", "top_k", "top_p"
                truncation = Truncation(*(parts.pop(name) for name in names))
            sampled = Draws(**parts, truncation=truncation)
        return cls(**own, rules=rules, editing=editing, sampled=sampled)


def _drawn(batch: StepBatch, vocab_size: int) -> dict[str, Array]:
    """What is known of the rows that draw their token; nothing where there are none."""
    decoding = batch.decoding
    if not decoding.temperature.any():
        return {}
    rows = np.flatnonzero(decoding.temperature[batch.scored_spans] > 0)
    spans = batch.scored_spans[rows]
    found: dict[str, Array] = {
        "rows": rows,
        "temperature": decoding.temperature[spans],
        "seeds": decoding.seeds[spans],
        "positions": batch.scored_positions[rows],
        "steps": decoding.steps[spans],
    }
    top_k, top_p = decoding.top_k[spans], decoding.top_p[spans]
    which = np.flatnonzero((top_k < vocab_size) | (top_p < 1.0))
    if len(which):
        found |= {"which": which, "top_k": top_k[which], "top_p": top_p[which]}
    return found
