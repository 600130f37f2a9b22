"""Scores of a canvas's hidden states, a slice of the vocabulary at a time.

The statistics of slices are merged, and so is the mean embedding under the distribution, which is
all that self-conditioning reads of the logits. A canvas of 256 positions has 268 MB of them in
float32 where the vocabulary has 262,144 entries: a CPU only ever holds them for a slice of it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.dispatch import uses_triton
from unmask_kernels.linear.padding import pad_rows
from unmask_kernels.noise.types import CanvasScores
from unmask_kernels.noise.vocabulary import Vocabulary, VocabularySlice
from unmask_kernels.scoring.reference import likeliest, merge_likeliest
from unmask_kernels.scoring.types import Draws

# Standard Gumbel noise [M, count] of M rows for the vocabulary entries from `first`, float32.
Noise = Callable[[int, int], Tensor]


@dataclass(frozen=True, slots=True)
class _SliceStats:
    """Statistics of rows over some of the vocabulary; sums are of exp(logit - best)."""

    best: Tensor  # the highest logit at temperature
    token: Tensor
    drawn_score: Tensor
    drawn: Tensor
    total: Tensor
    weighted: Tensor  # sum of exp(logit - best) * (logit - best)
    soft: Tensor  # [M, C], float32
    plain_best: Tensor  # the highest logit without temperature
    plain_total: Tensor
    top: Tensor  # [M, K], logits without temperature
    top_ids: Tensor

    def merge(self, other: "_SliceStats") -> "_SliceStats":
        """Both as one; ties go to `self`."""
        best = torch.maximum(self.best, other.best)
        shift, other_shift = self.best - best, other.best - best
        weight, other_weight = shift.exp(), other_shift.exp()
        plain_best = torch.maximum(self.plain_best, other.plain_best)
        weighted = weight * (self.weighted + self.total * shift)
        tops, top_ids_of_both = (self.top, other.top), (self.top_ids, other.top_ids)
        top, top_ids = merge_likeliest(tops, top_ids_of_both, self.top.shape[1])
        return _SliceStats(
            best=best,
            token=torch.where(other.best > self.best, other.token, self.token),
            drawn_score=torch.maximum(self.drawn_score, other.drawn_score),
            drawn=torch.where(other.drawn_score > self.drawn_score, other.drawn, self.drawn),
            total=weight * self.total + other_weight * other.total,
            weighted=weighted + other_weight * (other.weighted + other.total * other_shift),
            soft=weight[:, None] * self.soft + other_weight[:, None] * other.soft,
            plain_best=plain_best,
            plain_total=(self.plain_best - plain_best).exp() * self.plain_total
            + (other.plain_best - plain_best).exp() * other.plain_total,
            top=top,
            top_ids=top_ids,
        )


def score_canvas(
    hidden: Tensor,
    vocabulary: Vocabulary,
    draws: Draws,
    *,
    noise: Noise | None = None,
    num_top: int = 0,
) -> CanvasScores:
    """Score the rows `hidden` [M, C] of canvases, each at its own temperature.

    A token is the argmax of the logits at temperature plus the spread times Gumbel noise: with a
    spread of one a draw from their distribution (Gumbel, 1954), with zero the most likely token.
    `noise` replaces that of `draws`. Ties go to the lowest token id. M may not be zero.
    """
    if uses_triton(hidden.device) and vocabulary.embedding is not None and noise is None:
        from unmask_kernels.noise.gpu import scores

        return scores.score(hidden, vocabulary, draws, num_top)
    num_rows = len(hidden)
    rows = pad_rows(hidden)
    padding = len(rows) - num_rows
    temperature = F.pad(draws.temperature, (0, padding), value=1.0)
    spread = torch.ones_like(draws.temperature) if draws.spread is None else draws.spread
    spread = F.pad(spread, (0, padding))
    stats: _SliceStats | None = None
    for part in vocabulary.slices:
        products = part.head(rows)
        drawn = (noise or draws.noise)(part.first, products.shape[1])
        added = spread[:, None] * F.pad(drawn, (0, 0, 0, padding))
        plain = vocabulary.cap(products)
        scored = _score_slice(part, plain, temperature, added, hidden.dtype, num_top)
        stats = scored if stats is None else stats.merge(scored)
    assert stats is not None
    total = stats.total[:num_rows]
    plain_norm = (stats.plain_best + stats.plain_total.log())[:num_rows]
    log_total = total.log()
    soft = stats.soft[:num_rows] / total[:, None]
    return CanvasScores(
        drawn=stats.drawn[:num_rows],
        best=stats.token[:num_rows],
        confidence=1.0 / stats.plain_total[:num_rows],
        entropy=log_total - stats.weighted[:num_rows] / total,
        tempered_norm=stats.best[:num_rows] + log_total,
        log_norm=plain_norm,
        soft=(soft * vocabulary.scale).to(hidden.dtype),
        top_ids=stats.top_ids[:num_rows] if num_top else None,
        top_logprobs=stats.top[:num_rows] - plain_norm[:, None] if num_top else None,
    )


def _score_slice(
    part: VocabularySlice,
    plain: Tensor,
    temperature: Tensor,
    added: Tensor,
    dtype: torch.dtype,
    num_top: int,
) -> _SliceStats:
    plain_best = plain.amax(-1)
    top, top_ids = plain.topk(0) if not num_top else likeliest(plain, min(num_top, plain.shape[1]))
    plain_total = (plain - plain_best[:, None]).exp_().sum(-1)
    logits = plain / temperature[:, None]
    best, token = logits.max(-1)
    drawn_score, drawn = (logits + added).max(-1)
    shifted = logits.sub_(best[:, None])
    weights = shifted.exp()
    return _SliceStats(
        best=best,
        token=token + part.first,
        drawn_score=drawn_score,
        drawn=drawn + part.first,
        total=weights.sum(-1),
        weighted=(weights * shifted).sum(-1),
        soft=part.embedding(weights.to(dtype)).float(),
        plain_best=plain_best,
        plain_total=plain_total,
        top=top,
        top_ids=top_ids + part.first,
    )
