"""Canvases of uniform noise on the device, and the step that denoises many of them.

Every tensor of a step has a shape that follows from the number of canvases and rows alone, and what
a request asks for comes in as numbers, so that a step can be captured as a CUDA graph.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import Tensor

from unmask.engine.run.pending import Outputs
from unmask.engine.run.staging import Array
from unmask.engine.schedule.batch import DecodingArrays, StepBatch
from unmask.engine.schedule.passes import IntArray
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
from unmask_kernels.scoring.types import Draws, Truncation

if TYPE_CHECKING:
    from unmask_kernels.noise.gpu.denoising import Kept, Moving


@dataclass(frozen=True, slots=True)
class Canvases:
    """State of every open canvas between two steps, a row a sequence; the last row is padding's."""

    cells: Tensor  # [N + 1, MAX_BLOCK_LENGTH] int64, of which tokens are the first L
    draft: Tensor  # [N + 1, L] int64, the cells after them where there are as many
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
    ) -> Self:
        """Memory for the canvases of `num_sequences` sequences."""
        num_rows = num_sequences + 1
        cells = torch.zeros(num_rows, MAX_BLOCK_LENGTH, dtype=torch.int64, device=device)
        draft = cells.new_zeros(num_rows, length)
        if 2 * length <= MAX_BLOCK_LENGTH:
            draft = cells[:, length : 2 * length]
        soft = torch.zeros(num_rows, length, hidden_size, dtype=dtype, device=device)
        return cls(cells, draft, cells.new_zeros(num_rows), soft)

    @property
    def length(self) -> int:
        """Positions of a canvas."""
        return self.draft.shape[1]

    @property
    def tokens(self) -> Tensor:
        """Tokens [N + 1, L] that the next step reads."""
        return self.cells[:, : self.length]

    @property
    def spare_row(self) -> int:
        """The row of canvases that are padding."""
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
class CanvasStep:
    """S canvases of a step: where they are kept, and how each is denoised.

    Canvases that are padding begin anew in every step, in the row that no sequence has.
    """

    canvas_rows: Tensor  # [S L], which of the step's T rows are theirs; T for padding
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
    is_fresh: Tensor  # [S] bool, whether the canvas begins with this step

    @classmethod
    def of(cls, tensors: Sequence[Tensor]) -> Self:
        """A step over tensors of the arrays of `canvas_arrays`."""
        return cls(*tensors)

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
        found = noise_tokens(seeds, positions, self.per_row(steps), vocab_size)
        return found.view(len(self.rows), -1)


def canvas_arrays(
    batch: StepBatch,
    canvases: Canvases,
    schedule: CanvasSchedule,
    *,
    num_canvases: int | None = None,
    num_rows: int | None = None,
) -> list[Array]:
    """The arrays of a `CanvasStep`, in order, padded to `num_canvases` in a step of `num_rows`.

    The scored positions of the batch are whole canvases.
    """
    d, length = batch.decoding, canvases.length
    count = len(d.steps)
    size = num_canvases or count
    steps = np.minimum(d.steps, d.num_steps - 1)
    # As `temperature_at` has it: in float64 first.
    heat = schedule.t_min + (schedule.t_max - schedule.t_min) * (
        (d.num_steps - steps) / d.num_steps
    )

    def padded(values: Array, spare: float, total: int = size) -> Array:
        filled = np.full(total, spare, values.dtype)
        filled[: len(values)] = values
        return filled

    return [
        padded(batch.scored_rows, num_rows or batch.num_tokens, size * length),
        padded(batch.open_cells[::length] // MAX_BLOCK_LENGTH, canvases.spare_row),
        padded(batch.scored_positions[::length], 0),
        padded(d.seeds, 0),
        padded(steps, 0),
        padded(heat.astype(np.float32), 1),
        padded(d.temperature, 0),
        padded(d.limit, 0),
        np.full(size, schedule.stability, np.int64),
        np.full(size, schedule.confidence, np.float32),
        padded(d.steps >= d.num_steps - 1, True),
        padded(d.steps == 0, True),
    ]


@dataclass(frozen=True, slots=True)
class UnknownTokens:
    """Rows of a batch whose tokens are on the device, and their cells: open canvases and drafts.

    A canvas that begins while the last step of the one before is out needs that one's final tokens,
    which are its draft.
    """

    rows: IntArray
    cells: IntArray

    @classmethod
    def of(cls, batch: StepBatch, canvases: Canvases) -> Self:
        """Unknown tokens of a batch that is not launched yet."""
        rows, cells = [batch.open_rows], [batch.open_cells]
        for i, span in enumerate(batch.spans):
            if span.block_start > span.sequence.block_start:
                count = span.block_start - span.query.start
                row = span.sequence.table_row
                assert row is not None
                rows.append(np.arange(count) + batch.query_starts[i])
                cells.append(np.arange(count) + row * MAX_BLOCK_LENGTH + canvases.length)
        return cls(np.concatenate(rows), np.concatenate(cells))


def begin(canvases: Canvases, step: CanvasStep, vocab_size: int) -> None:
    """Make canvases that begin with this step random tokens; drafts stay what they were.

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
    step: CanvasStep,
    given: ForwardInputs,
    vocab_size: int,
    decoding: DecodingArrays | None = None,
) -> Outputs:
    """Run a step whose canvas tokens are in `given`, move every canvas on and keep its state.

    Top-k, top-p and lists of the likeliest tokens are those of `decoding`; without it there are
    none. Selected are the drafts of finished canvases.
    """
    rows, shape = step.canvas_rows, (len(step.rows), step.length)
    soft = canvases.soft.index_select(0, step.rows)
    soft.masked_fill_(step.is_fresh[:, None, None], 0.0)
    wanted = rows.clamp(max=len(given.token_ids) - 1)
    hidden = model.forward(replace(given, canvas_rows=rows, soft=soft.flatten(0, 1), wanted=wanted))
    finished = model.final_norm(hidden)
    scores = _score(model, step, finished, 0 if decoding is None else decoding.num_logprobs)
    drawn = scores.drawn
    if decoding is not None:
        drawn = _draw_truncated(model, step, finished, decoding, drawn, vocab_size)
    accepted, is_final = _move(canvases, step, scores, drawn, vocab_size)
    canvases.soft.index_copy_(0, step.rows, scores.soft.view(*shape, -1))
    return Outputs(
        scores.best,
        scores.confidence,
        is_final,
        accepted=accepted,
        top_ids=scores.top_ids,
        top_logprobs=scores.top_logprobs,
    )


def _score(model: CanvasDecoder, step: CanvasStep, rows: Tensor, num_top: int) -> CanvasScores:
    return score_canvas(rows, model.vocabulary, _draws(step), num_top=num_top)


def _draws(step: CanvasStep) -> Draws:
    return Draws(
        step.per_row(step.temperature),
        step.per_row(step.seeds),
        step.positions,
        step.per_row(step.steps),
        spread=step.per_row(step.spread),
    )


def _move(
    canvases: Canvases, step: CanvasStep, scores: CanvasScores, drawn: Tensor, vocab_size: int
) -> tuple[Tensor, Tensor]:
    """Move canvases on: which positions [S L] are accepted, and which are a finished canvas's."""
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


def _moving(step: CanvasStep) -> "Moving":
    from unmask_kernels.noise.gpu.denoising import Moving

    rules = step.bound, step.stability, step.confidence, step.is_last
    return Moving(step.rows, step.seeds, step.starts, step.steps, *rules)


def _draw_truncated(
    model: CanvasDecoder,
    step: CanvasStep,
    rows: Tensor,
    decoding: DecodingArrays,
    drawn: Tensor,
    vocab_size: int,
) -> Tensor:
    """Draws of canvases with top-k or top-p, a few rows' logits in memory at a time."""
    cut = (decoding.top_k < vocab_size) | (decoding.top_p < 1)
    if not cut.any():
        return drawn
    chosen = torch.from_numpy(np.flatnonzero(np.repeat(cut, step.length))).to(rows.device)
    top_k = torch.from_numpy(decoding.top_k).to(rows.device)
    top_p = torch.from_numpy(decoding.top_p).to(rows.device)
    truncation = Truncation(None, step.per_row(top_k)[chosen], step.per_row(top_p)[chosen])
    draws = replace(_draws(step).select(chosen), truncation=truncation)
    drawn = drawn.clone()
    for first in range(0, len(chosen), LOGIT_ROWS):
        some = slice(first, first + LOGIT_ROWS)
        logits = model.logits(rows[chosen[some]])
        drawn[chosen[some]] = draw_likeliest(logits, draws.select(some))
    return drawn
