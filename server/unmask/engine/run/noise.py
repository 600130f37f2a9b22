"""Denoising of canvases of uniform noise: one step of many."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from unmask.engine.run.canvases import Canvases
from unmask.engine.run.noise_inputs import NoiseInputs
from unmask.engine.run.pending import SampledTokens
from unmask.engine.schedule.batch import DecodingArrays
from unmask.models.family import CanvasModel
from unmask.models.inputs import ForwardInputs
from unmask_kernels.dispatch import uses_triton
from unmask_kernels.noise.ops import score_canvas
from unmask_kernels.noise.posterior import reverse_step
from unmask_kernels.noise.reference import CanvasState, Predictions, denoise
from unmask_kernels.noise.types import CanvasScores
from unmask_kernels.scoring.ops import LOGIT_ROWS
from unmask_kernels.scoring.truncation import draw_likeliest, keep_likeliest
from unmask_kernels.scoring.types import FILTERS, Draws, Truncation, truncates

if TYPE_CHECKING:
    from unmask_kernels.noise.gpu.denoising import Kept, Moving

# Scores of a step's normed rows, from those of the model alone and the draws.
Follow = Callable[[Tensor, CanvasScores, Draws], CanvasScores]


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
    model: CanvasModel,
    canvases: Canvases,
    step: NoiseInputs,
    inputs: ForwardInputs,
    vocab_size: int,
    decoding: DecodingArrays | None = None,
    follow: Follow | None = None,
) -> SampledTokens:
    """Run a step whose canvas tokens are in `inputs`, and keep the state of every canvas.

    Top-k, top-p and lists of the likeliest tokens are those of `decoding`; without it there are
    none. `follow` changes scores before the canvases move on. The tokens of finished canvases are
    selected.
    """
    finished = model.final_norm(model.forward(step.forward(inputs, canvases)))
    num_top = 0 if decoding is None else decoding.num_top
    scores = score_canvas(finished, model.vocabulary, step.draws, num_top=num_top)
    soft = scores.soft
    if decoding is not None:
        held = canvases.tokens[step.rows].flatten()
        scores = _draw_truncated(model, step, finished, decoding, scores, held, vocab_size)
    if follow is not None:
        scores = follow(finished, scores, step.draws)
    move = _reverse if model.follows_posterior else _move
    sampled = move(model, canvases, step, finished, scores, vocab_size)
    canvases.soft.index_copy_(0, step.rows, soft.view(len(step.rows), step.length, -1))
    return replace(sampled, top_ids=scores.top_ids, top_logprobs=scores.top_logprobs)


def _reverse(
    model: CanvasModel,
    canvases: Canvases,
    step: NoiseInputs,
    rows: Tensor,
    scores: CanvasScores,
    vocab_size: int,
) -> SampledTokens:
    """Move canvases on by the posterior; the tokens of the last step are the answer."""
    kept = canvases.tokens, canvases.draft
    taken = reverse_step(*kept, step.blocks, rows, model.embedding, scores, vocab_size)
    return SampledTokens(taken.tokens, taken.confidence, taken.finished, accepted=taken.resolved)


def _move(
    _model: CanvasModel,
    canvases: Canvases,
    step: NoiseInputs,
    _rows: Tensor,
    scores: CanvasScores,
    vocab_size: int,
) -> SampledTokens:
    """Move canvases on by the entropy bound; the draft of the last step is the answer."""
    drawn = scores.drawn
    if uses_triton(drawn.device):
        from unmask_kernels.noise.gpu import denoising

        kept, moving = _kept(canvases), _moving(step)
        accepted, finished = denoising.move(
            kept, moving, drawn, scores.best, scores.entropy, vocab_size
        )
        return SampledTokens(scores.best, scores.confidence, finished, accepted=accepted)
    shape = len(step.rows), step.length
    predictions = Predictions(
        drawn.view(shape), scores.best.view(shape), scores.entropy.view(shape)
    )
    noise = step.noise(step.steps + 1, vocab_size)
    moved = denoise(canvases.state(step.rows), predictions, noise, step.rules)
    canvases.keep(step.rows, moved.state)
    accepted, finished = moved.accepted.flatten(), step.per_row(moved.finished)
    return SampledTokens(scores.best, scores.confidence, finished, accepted=accepted)


def _kept(canvases: Canvases) -> "Kept":
    from unmask_kernels.noise.gpu.denoising import Kept

    return Kept(canvases.tokens, canvases.draft, canvases.unchanged)


def _moving(step: NoiseInputs) -> "Moving":
    from unmask_kernels.noise.gpu.denoising import Moving

    rules = step.bound, step.stability, step.confidence, step.is_last
    return Moving(step.rows, step.seeds, step.starts, step.steps, *rules)


def _draw_truncated(
    model: CanvasModel,
    step: NoiseInputs,
    rows: Tensor,
    decoding: DecodingArrays,
    scores: CanvasScores,
    held: Tensor,
    vocab_size: int,
) -> CanvasScores:
    """Draws and norms of canvases that filter tokens, a few rows' logits in memory at a time.

    A norm is infinite where the token that is `held` [S L] is left out.
    """
    cut = truncates(decoding.columns, vocab_size) & ~decoding.columns["is_structured"]
    if not cut.any():
        return scores
    chosen = torch.from_numpy(np.flatnonzero(np.repeat(cut, step.length))).to(rows.device)
    filters = (torch.from_numpy(decoding[name].copy()).to(rows.device) for name in FILTERS)
    truncation = Truncation(None, *(step.per_row(values)[chosen] for values in filters))
    draws = replace(step.draws.select(chosen), truncation=truncation)
    drawn, norm = scores.drawn.clone(), scores.tempered_norm.clone()
    for first in range(0, len(chosen), LOGIT_ROWS):
        some = slice(first, first + LOGIT_ROWS)
        logits, of_some = model.logits(rows[chosen[some]]), draws.select(some)
        drawn[chosen[some]] = draw_likeliest(logits, of_some)
        if model.follows_posterior:
            norm[chosen[some]] = _kept_norm(logits, of_some, held[chosen[some]])
    return replace(scores, drawn=drawn, tempered_norm=norm)


def _kept_norm(logits: Tensor, draws: Draws, held: Tensor) -> Tensor:
    """Norms [R] of the tokens that filters keep; infinite where `held` [R] is none of them."""
    kept = keep_likeliest(logits, draws)
    tempered = logits / draws.temperature[:, None]
    norm = tempered.masked_fill(~kept, -torch.inf).logsumexp(-1)
    return norm.masked_fill(~kept.gather(1, held[:, None])[:, 0], torch.inf)
