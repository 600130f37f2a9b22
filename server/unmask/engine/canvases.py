"""Canvases of uniform noise on the device, and the step that denoises many of them."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from unmask.decoding.canvas import (
    CanvasState,
    Denoised,
    Predictions,
    Rules,
    denoise,
    temperature_at,
)
from unmask.engine.step import DecodingArrays, StepBatch
from unmask.models.canvas_decoder import CanvasDecoder
from unmask.types import MAX_BLOCK_LENGTH, CanvasSchedule
from unmask_kernels.canvas import CanvasScores, philox_noise, score_canvas
from unmask_kernels.philox import noise_tokens
from unmask_kernels.truncation import LikelyDraws, draw_likeliest
from unmask_kernels.unmasking import LOGIT_ROWS


@dataclass(frozen=True, slots=True)
class Canvases:
    """What is kept of every open canvas between two steps, a row a sequence."""

    tokens: Tensor  # [N, L] int64
    draft: Tensor  # [N, L] int64
    unchanged: Tensor  # [N] int64
    soft: Tensor  # [N, L, C]

    @classmethod
    def empty(
        cls, num_rows: int, length: int, hidden_size: int, dtype: torch.dtype, device: torch.device
    ) -> Self:
        """Room for `num_rows` canvases."""
        tokens = torch.zeros(num_rows, length, dtype=torch.int64, device=device)
        soft = torch.zeros(num_rows, length, hidden_size, dtype=dtype, device=device)
        return cls(tokens, tokens.clone(), tokens.new_zeros(num_rows), soft)

    def begin(self, rows: Tensor, noise: Tensor) -> None:
        """Start canvases in `rows` [S] as random tokens `noise` [S, L]."""
        state = CanvasState.start(noise)
        self.keep(rows, state, torch.zeros_like(self.soft[rows]))

    def state(self, rows: Tensor) -> CanvasState:
        """Canvases of `rows` [S]."""
        return CanvasState(self.tokens[rows], self.draft[rows], self.unchanged[rows])

    def keep(self, rows: Tensor, state: CanvasState, soft: Tensor) -> None:
        """Put canvases and what is expected in them [S, L, C] into `rows` [S]."""
        self.tokens[rows] = state.tokens
        self.draft[rows] = state.draft
        self.unchanged[rows] = state.unchanged
        self.soft[rows] = soft


@dataclass(frozen=True, slots=True)
class CanvasStep:
    """The S canvases of a step: where they are kept, and how each is denoised."""

    rows: Tensor  # [S]
    positions: Tensor  # [S, L]
    seeds: Tensor  # [S]
    steps: Tensor  # [S]
    temperature: Tensor  # [S] float32, of the distribution
    spread: Tensor  # [S] float32, of the draws
    rules: Rules

    @classmethod
    def of(
        cls, batch: StepBatch, length: int, schedule: CanvasSchedule, device: torch.device
    ) -> Self:
        """From the arrays of a batch, whose scored positions are whole canvases."""
        d = batch.decoding
        steps = np.minimum(d.steps, d.num_steps - 1)
        pairs = zip(steps.tolist(), d.num_steps.tolist(), strict=True)
        heat = [temperature_at(schedule.t_min, schedule.t_max, step, n) for step, n in pairs]

        def put(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array).to(device)

        count = len(steps)
        return cls(
            rows=put(batch.open_cells[::length] // MAX_BLOCK_LENGTH),
            positions=put(batch.scored_positions.reshape(count, length)),
            seeds=put(d.seeds),
            steps=put(steps),
            temperature=put(np.array(heat, np.float32)),
            spread=put(d.temperature),
            rules=Rules(
                entropy_bound=put(d.limit),
                stability=torch.full((count,), schedule.stability, device=device),
                confidence=torch.full((count,), schedule.confidence, device=device),
                is_last=put(d.steps >= d.num_steps - 1),
            ),
        )

    def per_row(self, values: Tensor) -> Tensor:
        """Values [S] repeated for the rows of each canvas."""
        return values.repeat_interleave(self.positions.shape[1])

    def noise(self, step: Tensor, vocab_size: int) -> Tensor:
        """Random tokens [S, L] of the steps `step` [S]."""
        found = noise_tokens(
            self.per_row(self.seeds), self.positions.flatten(), self.per_row(step), vocab_size
        )
        return found.view_as(self.positions)


def denoise_canvases(
    model: CanvasDecoder,
    canvases: Canvases,
    step: CanvasStep,
    hidden: Tensor,
    decoding: DecodingArrays,
    vocab_size: int,
) -> tuple[CanvasScores, Denoised]:
    """Score the canvas rows `hidden` [S L, C], move every canvas on and keep what comes of it."""
    rows = model.finish(hidden)
    temperature, spread = step.per_row(step.temperature), step.per_row(step.spread)
    noise = philox_noise(
        step.per_row(step.seeds), step.positions.flatten(), step.per_row(step.steps)
    )
    scores = score_canvas(
        rows, model.vocabulary, temperature, spread, noise, num_top=decoding.num_logprobs
    )
    drawn = scores.drawn
    if (decoding.top_k < vocab_size).any() or (decoding.top_p < 1).any():
        drawn = _draw_truncated(model, step, rows, decoding, drawn, vocab_size)
    shape = step.positions.shape
    moved = denoise(
        canvases.state(step.rows),
        Predictions(drawn.view(shape), scores.best.view(shape), scores.entropy.view(shape)),
        step.noise(step.steps + 1, vocab_size),
        step.rules,
    )
    canvases.keep(step.rows, moved.state, scores.soft.view(*shape, -1))
    return scores, moved


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
    chosen = torch.from_numpy(np.flatnonzero(np.repeat(cut, step.positions.shape[1])))
    chosen = chosen.to(rows.device)
    top_k = torch.from_numpy(decoding.top_k).to(rows.device)
    top_p = torch.from_numpy(decoding.top_p).to(rows.device)
    draws = LikelyDraws(
        temperature=step.per_row(step.temperature)[chosen],
        seeds=step.per_row(step.seeds)[chosen],
        positions=step.positions.flatten()[chosen],
        steps=step.per_row(step.steps)[chosen],
        top_k=step.per_row(top_k)[chosen],
        top_p=step.per_row(top_p)[chosen],
        spread=step.per_row(step.spread)[chosen],
    )
    drawn = drawn.clone()
    for first in range(0, len(chosen), LOGIT_ROWS):
        some = slice(first, first + LOGIT_ROWS)
        logits = model.logits(rows[chosen[some]])
        drawn[chosen[some]] = draw_likeliest(logits, draws.part(some))
    return drawn
