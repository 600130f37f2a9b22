"""Inputs of a step over canvases of noise, on the host or on the device.

Every tensor of a step has a shape that follows from the number of canvases and rows alone, and
parameters of requests are tensors too, so that a step can be captured as a CUDA graph.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from unmask.engine.run.canvases import Canvases
from unmask.engine.run.inputs import RowInputs, dummy_slot
from unmask.engine.run.noise_schedules import schedule_arrays
from unmask.engine.run.staging import Array, Staging
from unmask.engine.schedule.batch import StepBatch
from unmask.models.inputs import CanvasRows, ForwardInputs
from unmask.types import MAX_BLOCK_LENGTH, NoiseSchedule
from unmask_kernels.noise.reference import Rules
from unmask_kernels.noise.types import Blocks
from unmask_kernels.philox import noise_tokens
from unmask_kernels.scoring.types import Draws


@dataclass(frozen=True, slots=True)
class NoiseInputs:
    """S canvases of a step and their parameters.

    Padding canvases begin anew in every step, in the dummy row.
    """

    canvas_rows: Tensor  # [S L], indices into the step's T rows; T for padding
    rows: Tensor  # [S], of `Canvases`
    starts: Tensor  # [S], the first position
    seeds: Tensor  # [S]
    steps: Tensor  # [S]
    temperature: Tensor  # [S] float32, of the distribution
    spread: Tensor  # [S] float32, of the draws
    bound: Tensor  # [S] float32, of entropy
    stability: Tensor  # [S]
    confidence: Tensor  # [S] float32
    is_last: Tensor  # [S] bool
    is_fresh: Tensor  # [S] bool, True if the canvas begins with this step
    sigmas: Tensor  # [S] float32, noise levels
    chances: Tensor  # [S, 4] float32, of `Blocks`
    earlier: Tensor  # [T, K] slots of the K positions before each row, the farthest first

    @property
    def length(self) -> int:
        """Positions of a canvas."""
        return len(self.canvas_rows) // len(self.rows)

    @property
    def positions(self) -> Tensor:
        """Positions [S L] of all rows."""
        offsets = torch.arange(self.length, device=self.starts.device)
        return (self.starts[:, None] + offsets).flatten()

    @property
    def rules(self) -> Rules:
        """Parameters of the canvases' policy."""
        return Rules(self.bound, self.stability, self.confidence, self.is_last)

    @property
    def blocks(self) -> Blocks:
        """The canvases as blocks that follow a posterior."""
        keys = self.rows, self.seeds, self.starts, self.steps
        return Blocks(*keys, self.temperature, self.chances, self.is_last)

    @property
    def draws(self) -> Draws:
        """Keys and temperatures [S L] of the rows' draws."""
        keys = self.per_row(self.seeds), self.positions, self.per_row(self.steps)
        return Draws(self.per_row(self.temperature), *keys, spread=self.per_row(self.spread))

    def forward(self, inputs: ForwardInputs, canvases: Canvases) -> ForwardInputs:
        """Inputs of the forward pass with the canvases, whose rows are wanted."""
        soft = canvases.soft.index_select(0, self.rows)
        soft.masked_fill_(self.is_fresh[:, None, None], 0.0)
        canvas = CanvasRows(self.canvas_rows, soft.flatten(0, 1), self.sigmas, self.is_fresh)
        wanted = self.canvas_rows.clamp(max=len(inputs.token_ids) - 1)
        return replace(inputs, canvas=canvas, earlier=self.earlier, wanted=wanted)

    def per_row(self, values: Tensor) -> Tensor:
        """Values [S] repeated for the rows [S L] of each canvas."""
        return values[:, None].expand(-1, self.length).contiguous().view(-1)

    def noise(self, steps: Tensor, vocab_size: int) -> Tensor:
        """Random tokens [S, L] of the steps `steps` [S]."""
        seeds, positions = self.per_row(self.seeds), self.positions
        tokens = noise_tokens(seeds, positions, self.per_row(steps), vocab_size)
        return tokens.view(len(self.rows), -1)


@dataclass(frozen=True, slots=True)
class NoiseModel:
    """Facts about a model that a step over its canvases depends on."""

    schedule: NoiseSchedule
    vocab_size: int
    page_size: int
    num_earlier: int  # positions before a row that convolutions read


def noise_arrays(
    batch: StepBatch,
    canvases: Canvases,
    model: NoiseModel,
    *,
    num_canvases: int | None = None,
    num_rows: int | None = None,
) -> dict[str, Array]:
    """Arrays of `NoiseInputs` by field, padded to `num_canvases` in a step of `num_rows`.

    The scored positions of the batch are whole canvases.
    """
    d, length = batch.decoding, canvases.length
    count = len(d.steps)
    size, all_rows = num_canvases or count, num_rows or batch.num_tokens
    all_steps = d.columns["num_steps"]
    steps = np.minimum(d.steps, all_steps - 1)
    numbers = schedule_arrays(model.schedule, d, steps, model.vocab_size)

    def padded(values: Array, padding: float, total: int = size) -> Array:
        array = np.full((total, *values.shape[1:]), padding, values.dtype)
        array[: len(values)] = values
        return array

    return {
        "canvas_rows": padded(batch.hidden_rows, all_rows, size * length),
        "rows": padded(batch.table_rows, canvases.dummy_row),
        "starts": padded(batch.scored_positions[::length], 0),
        "seeds": padded(d["seed"], 0),
        "steps": padded(steps, 0),
        "temperature": padded(numbers["temperature"], 1),
        "spread": padded(d["temperature"], 0),
        "bound": padded(d["threshold"], 0),
        "stability": padded(numbers["stability"], 0),
        "confidence": padded(numbers["confidence"], 0),
        "is_last": padded(d.steps >= all_steps - 1, True),
        "is_fresh": padded(d.steps == 0, True),
        "sigmas": padded(numbers["sigmas"], 0),
        "chances": padded(numbers["chances"], 1),
        "earlier": padded(earlier_slots(batch, model), 0, all_rows),
    }


def noise_inputs(
    batch: StepBatch, canvases: Canvases, model: NoiseModel, staging: Staging
) -> NoiseInputs:
    """Inputs of a batch on the device, without padding."""
    arrays = noise_arrays(batch, canvases, model)
    return NoiseInputs(*staging.to_device(list(arrays.values())))


def earlier_slots(batch: StepBatch, model: NoiseModel) -> Array:
    """Slots [T, K] of the positions before each row; of those before the first, any."""
    if not model.num_earlier:
        return np.empty((batch.num_tokens, 0), np.int64)
    owner = np.repeat(np.arange(len(batch.spans)), np.diff(batch.query_starts))
    before = batch.positions[:, None] - np.arange(model.num_earlier, 0, -1)
    pages, offsets = np.divmod(np.maximum(before, 0), model.page_size)
    first = batch.page_starts.take(owner)[:, None]
    slots: Array = batch.pages.take(first + pages) * model.page_size + offsets
    return slots


def row_inputs(batch: StepBatch, canvases: Canvases) -> RowInputs:
    """Rows of a batch on the host; tokens of open canvases and of drafts are on the device.

    A canvas that begins while the last step of the one before is out needs that one's final tokens,
    which are its draft.
    """
    token_slots, is_known = (
        batch.token_slots.copy(),
        batch.token_slots == dummy_slot(canvases.open_tokens),
    )
    for i, span in enumerate(batch.spans):
        if span.block_start > span.sequence.block_start:
            first, count = batch.query_starts[i], span.block_start - span.query.start
            draft = span.row * MAX_BLOCK_LENGTH + canvases.length
            token_slots[first : first + count] = np.arange(count) + draft
            is_known[first : first + count] = False
    known = token_slots, is_known, batch.adapted
    rows = batch.token_ids, batch.positions, batch.slots, *known
    return RowInputs(*map(torch.from_numpy, rows))
