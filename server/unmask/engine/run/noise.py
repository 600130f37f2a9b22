"""Denoising of canvases of uniform noise: their state on the device, and one step of many.

Every tensor of a step has a shape that follows from the number of canvases and rows alone, and
parameters of requests are tensors too, so that a step can be captured as a CUDA graph.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from unmask.engine.run.inputs import RowInputs, dummy_slot
from unmask.engine.run.pending import SampledTokens
from unmask.engine.run.staging import Array, Staging
from unmask.engine.schedule.batch import DecodingArrays, StepBatch
from unmask.models.canvas_decoder import CanvasDecoder
from unmask.models.inputs import ForwardInputs
from unmask.types import MAX_BLOCK_LENGTH, CanvasSchedule
from unmask_kernels.dispatch import uses_triton
from unmask_kernels.noise.ops import score_canvas
from unmask_kernels.noise.reference import CanvasState, Predictions, Rules, denoise
from unmask_kernels.noise.types import CanvasScores
from unmask_kernels.philox import noise_tokens
from unmask_kernels.scoring.ops import LOGIT_ROWS
from unmask_kernels.scoring.truncation import draw_likeliest
from unmask_kernels.scoring.types import FILTERS, Draws, Truncation, truncates

if TYPE_CHECKING:
    from unmask_kernels.noise.gpu.denoising import Kept, Moving

# Scores of a step's normed rows, from those of the model alone and the draws.
Follow = Callable[[Tensor, CanvasScores, Draws], CanvasScores]


@dataclass(frozen=True, slots=True)
class Canvases:
    """State of every open canvas between two steps, a row a sequence; the last row is padding's."""

    open_tokens: Tensor  # [N + 1, MAX_BLOCK_LENGTH] int64; a canvas's are the first L of a row
    draft: Tensor  # [N + 1, L] int64, the slots after them where there are as many
    unchanged: Tensor  # [N + 1] int64
    soft: Tensor  # [N + 1, L, C]

    @classmethod
    def empty(
        cls,
        num_sequences: int,
        length: int,
        hidden_size: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> "Canvases":
        """Memory for the canvases of `num_sequences` sequences."""
        num_rows = num_sequences + 1
        open_tokens = torch.zeros(num_rows, MAX_BLOCK_LENGTH, dtype=torch.int64, device=device)
        draft = open_tokens.new_zeros(num_rows, length)
        if 2 * length <= MAX_BLOCK_LENGTH:
            draft = open_tokens[:, length : 2 * length]
        soft = torch.zeros(num_rows, length, hidden_size, dtype=dtype, device=device)
        return cls(open_tokens, draft, open_tokens.new_zeros(num_rows), soft)

    @property
    def length(self) -> int:
        """Positions of a canvas."""
        return self.draft.shape[1]

    @property
    def tokens(self) -> Tensor:
        """Tokens [N + 1, L] that the next step reads."""
        return self.open_tokens[:, : self.length]

    @property
    def dummy_row(self) -> int:
        """The row of padding canvases."""
        return len(self.draft) - 1

    def state(self, rows: Tensor) -> CanvasState:
        """Canvases of `rows` [S]."""
        return CanvasState(self.tokens[rows], self.draft[rows], self.unchanged[rows])

    def keep(self, rows: Tensor, state: CanvasState) -> None:
        """Put canvases into `rows` [S]."""
        self.tokens.index_copy_(0, rows, state.tokens)
        self.draft.index_copy_(0, rows, state.draft)
        self.unchanged.index_copy_(0, rows, state.unchanged)


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

    def per_row(self, values: Tensor) -> Tensor:
        """Values [S] repeated for the rows [S L] of each canvas."""
        return values[:, None].expand(-1, self.length).contiguous().view(-1)

    def noise(self, steps: Tensor, vocab_size: int) -> Tensor:
        """Random tokens [S, L] of the steps `steps` [S]."""
        seeds, positions = self.per_row(self.seeds), self.positions
        tokens = noise_tokens(seeds, positions, self.per_row(steps), vocab_size)
        return tokens.view(len(self.rows), -1)


def noise_arrays(
    batch: StepBatch,
    canvases: Canvases,
    schedule: CanvasSchedule,
    *,
    num_canvases: int | None = None,
    num_rows: int | None = None,
) -> dict[str, Array]:
    """Arrays of `NoiseInputs` by field, padded to `num_canvases` in a step of `num_rows`.

    The scored positions of the batch are whole canvases.
    """
    d, length = batch.decoding, canvases.length
    count = len(d.steps)
    size, all_steps = num_canvases or count, d.columns["num_steps"]
    steps = np.minimum(d.steps, all_steps - 1)
    # In float64 first, as `temperature_at`.
    temperature = schedule.t_min + (schedule.t_max - schedule.t_min) * (
        (all_steps - steps) / all_steps
    )

    def padded(values: Array, padding: float, total: int = size) -> Array:
        array = np.full(total, padding, values.dtype)
        array[: len(values)] = values
        return array

    return {
        "canvas_rows": padded(batch.hidden_rows, num_rows or batch.num_tokens, size * length),
        "rows": padded(batch.table_rows, canvases.dummy_row),
        "starts": padded(batch.scored_positions[::length], 0),
        "seeds": padded(d["seed"], 0),
        "steps": padded(steps, 0),
        "temperature": padded(temperature.astype(np.float32), 1),
        "spread": padded(d["temperature"], 0),
        "bound": padded(d["threshold"], 0),
        "stability": np.full(size, schedule.stability, np.int64),
        "confidence": np.full(size, schedule.confidence, np.float32),
        "is_last": padded(d.steps >= all_steps - 1, True),
        "is_fresh": padded(d.steps == 0, True),
    }


def noise_inputs(
    batch: StepBatch, canvases: Canvases, schedule: CanvasSchedule, staging: Staging
) -> NoiseInputs:
    """Inputs of a batch on the device, without padding."""
    arrays = noise_arrays(batch, canvases, schedule)
    return NoiseInputs(*staging.to_device(list(arrays.values())))


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


def begin(canvases: Canvases, step: NoiseInputs, vocab_size: int) -> None:
    """Fill canvases that begin with this step with random tokens; drafts stay as they are.

    A draft that happens to be that of the canvas before counts as no step of being the same.
    """
    if uses_triton(canvases.draft.device):
        from unmask_kernels.noise.gpu import denoising

        denoising.begin(_kept(canvases), _moving(step), step.is_fresh, vocab_size)
        return
    noise = step.noise(torch.zeros_like(step.steps), vocab_size)
    old, is_fresh = canvases.state(step.rows), step.is_fresh
    state = CanvasState(
        torch.where(is_fresh[:, None], noise, old.tokens),
        old.draft,
        torch.where(is_fresh, -1, old.unchanged),
    )
    canvases.keep(step.rows, state)


def denoise_canvases(
    model: CanvasDecoder,
    canvases: Canvases,
    step: NoiseInputs,
    inputs: ForwardInputs,
    vocab_size: int,
    decoding: DecodingArrays | None = None,
    follow: Follow | None = None,
) -> SampledTokens:
    """Run a step whose canvas tokens are in `inputs`, and keep the state of every canvas.

    Top-k, top-p and lists of the likeliest tokens are those of `decoding`; without it there are
    none. `follow` changes scores before the canvases move on. The drafts of finished canvases are
    selected.
    """
    rows, shape = step.canvas_rows, (len(step.rows), step.length)
    soft = canvases.soft.index_select(0, step.rows)
    soft.masked_fill_(step.is_fresh[:, None, None], 0.0)
    wanted = rows.clamp(max=len(inputs.token_ids) - 1)
    hidden = model.forward(
        replace(inputs, canvas_rows=rows, soft=soft.flatten(0, 1), wanted=wanted)
    )
    finished = model.final_norm(hidden)
    scores = _score(model, step, finished, 0 if decoding is None else decoding.num_top)
    if decoding is not None:
        drawn = _draw_truncated(model, step, finished, decoding, scores.drawn, vocab_size)
        scores = replace(scores, drawn=drawn)
    if follow is not None:
        scores = follow(finished, scores, _draws(step))
    accepted, is_final = _move(canvases, step, scores, vocab_size)
    canvases.soft.index_copy_(0, step.rows, scores.soft.view(*shape, -1))
    return SampledTokens(
        scores.best,
        scores.confidence,
        is_final,
        accepted=accepted,
        top_ids=scores.top_ids,
        top_logprobs=scores.top_logprobs,
    )


def _score(model: CanvasDecoder, step: NoiseInputs, rows: Tensor, num_top: int) -> CanvasScores:
    return score_canvas(rows, model.vocabulary, _draws(step), num_top=num_top)


def _draws(step: NoiseInputs) -> Draws:
    return Draws(
        step.per_row(step.temperature),
        step.per_row(step.seeds),
        step.positions,
        step.per_row(step.steps),
        spread=step.per_row(step.spread),
    )


def _move(
    canvases: Canvases, step: NoiseInputs, scores: CanvasScores, vocab_size: int
) -> tuple[Tensor, Tensor]:
    """Move canvases on: which positions [S L] are accepted, and which are a finished canvas's."""
    drawn = scores.drawn
    if uses_triton(drawn.device):
        from unmask_kernels.noise.gpu import denoising

        kept, moving = _kept(canvases), _moving(step)
        return denoising.move(kept, moving, drawn, scores.best, scores.entropy, vocab_size)
    shape = len(step.rows), step.length
    predictions = Predictions(
        drawn.view(shape), scores.best.view(shape), scores.entropy.view(shape)
    )
    noise = step.noise(step.steps + 1, vocab_size)
    moved = denoise(canvases.state(step.rows), predictions, noise, step.rules)
    canvases.keep(step.rows, moved.state)
    return moved.accepted.flatten(), step.per_row(moved.finished)


def _kept(canvases: Canvases) -> "Kept":
    from unmask_kernels.noise.gpu.denoising import Kept

    return Kept(canvases.tokens, canvases.draft, canvases.unchanged)


def _moving(step: NoiseInputs) -> "Moving":
    from unmask_kernels.noise.gpu.denoising import Moving

    rules = step.bound, step.stability, step.confidence, step.is_last
    return Moving(step.rows, step.seeds, step.starts, step.steps, *rules)


def _draw_truncated(
    model: CanvasDecoder,
    step: NoiseInputs,
    rows: Tensor,
    decoding: DecodingArrays,
    drawn: Tensor,
    vocab_size: int,
) -> Tensor:
    """Draws of canvases that filter tokens, a few rows' logits in memory at a time."""
    cut = truncates(decoding.columns, vocab_size) & ~decoding.columns["is_structured"]
    if not cut.any():
        return drawn
    chosen = torch.from_numpy(np.flatnonzero(np.repeat(cut, step.length))).to(rows.device)
    filters = (torch.from_numpy(decoding[name].copy()).to(rows.device) for name in FILTERS)
    truncation = Truncation(None, *(step.per_row(values)[chosen] for values in filters))
    draws = replace(_draws(step).select(chosen), truncation=truncation)
    drawn = drawn.clone()
    for first in range(0, len(chosen), LOGIT_ROWS):
        some = slice(first, first + LOGIT_ROWS)
        logits = model.logits(rows[chosen[some]])
        drawn[chosen[some]] = draw_likeliest(logits, draws.select(some))
    return drawn
