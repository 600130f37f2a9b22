"""From hidden states of a canvas to what its next step needs, the vocabulary a slice at a time.

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
from unmask_kernels.linear.onednn import MAX_BF16_INPUTS, MAX_PARTS
from unmask_kernels.linear.ops import Linear, make_linear, packs
from unmask_kernels.linear.padding import pad_rows
from unmask_kernels.philox import gumbel_noise

# Entries whose logits are in memory at a time; a multiple of four. Where weights are packed, as
# many as are summed in order whatever the number of rows; see `unmask_kernels.linear.onednn`.
SLICE = 16384
PACKED_SLICE = MAX_BF16_INPUTS * MAX_PARTS

# Standard Gumbel noise [M, count] of M rows for the vocabulary entries from `first`, float32.
Noise = Callable[[int, int], Tensor]


@dataclass(frozen=True, slots=True)
class VocabularySlice:
    """Entries from `first` on: rows [M, C] to their logits, probabilities of them to rows."""

    first: int
    head: Linear
    back: Linear


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """An embedding tied to the LM head, in slices; `softcap` bounds logits by a tangent."""

    slices: tuple[VocabularySlice, ...]
    slice_len: int
    embedding: Tensor | None  # [V, C]; None where weights are packed
    softcap: float | None
    scale: float  # by which embeddings are multiplied

    def logits(self, rows: Tensor) -> Tensor:
        """Logits [M, V] of rows [M, C], float32."""
        return torch.cat([self.cap(part.head(rows)) for part in self.slices], -1)

    def cap(self, products: Tensor) -> Tensor:
        """Logits, float32, that are bounded where the configuration says so."""
        logits = products.float()
        return logits if self.softcap is None else (logits / self.softcap).tanh_() * self.softcap


def make_vocabulary(
    embedding: Tensor, *, softcap: float | None, scale: float, slice_len: int | None = None
) -> Vocabulary:
    """Cut an embedding [V, C] into slices; where weights are not repacked, they are views of it."""
    if slice_len is None:
        slice_len = PACKED_SLICE if packs(embedding) else SLICE
    assert slice_len % 4 == 0, "a slice begins where a counter of noise does"
    slices = [
        VocabularySlice(i * slice_len, make_linear(part), make_linear(part.T))
        for i, part in enumerate(torch.split(embedding, slice_len))
    ]
    whole = None if packs(embedding) else embedding
    return Vocabulary(tuple(slices), slice_len, whole, softcap, scale)


@dataclass(frozen=True, slots=True)
class CanvasScores:
    """Of each row's distribution at its temperature, but for the confidence: what a step needs."""

    drawn: Tensor  # [M] int64, a token drawn at random
    best: Tensor  # [M] int64, the most likely token
    confidence: Tensor  # [M] float32, probability of `best` without temperature
    entropy: Tensor  # [M] float32, nats
    soft: Tensor  # [M, C], the mean embedding
    top_ids: Tensor | None  # [M, K] int64
    top_logprobs: Tensor | None  # [M, K] float32, without temperature


@dataclass(frozen=True, slots=True)
class _Part:
    """Statistics of a part of the vocabulary; sums are of exp(logit - best), for each row."""

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

    def merge(self, other: "_Part") -> "_Part":
        """The two parts as one; of equals, that of `self` is taken."""
        best = torch.maximum(self.best, other.best)
        own_shift, shift = self.best - best, other.best - best
        own, its = own_shift.exp(), shift.exp()
        plain_best = torch.maximum(self.plain_best, other.plain_best)
        weighted = own * (self.weighted + self.total * own_shift)
        top, order = torch.cat((self.top, other.top), 1).topk(self.top.shape[1])
        top_ids = torch.cat((self.top_ids, other.top_ids), 1).gather(1, order)
        return _Part(
            best=best,
            token=torch.where(other.best > self.best, other.token, self.token),
            drawn_score=torch.maximum(self.drawn_score, other.drawn_score),
            drawn=torch.where(other.drawn_score > self.drawn_score, other.drawn, self.drawn),
            total=own * self.total + its * other.total,
            weighted=weighted + its * (other.weighted + other.total * shift),
            soft=own[:, None] * self.soft + its[:, None] * other.soft,
            plain_best=plain_best,
            plain_total=(self.plain_best - plain_best).exp() * self.plain_total
            + (other.plain_best - plain_best).exp() * other.plain_total,
            top=top,
            top_ids=top_ids,
        )


def score_canvas(
    hidden: Tensor,
    vocabulary: Vocabulary,
    temperature: Tensor,
    spread: Tensor,
    noise: Noise | None,
    *,
    num_top: int = 0,
) -> CanvasScores:
    """Score the rows `hidden` [M, C] of canvases, each at its own `temperature` [M].

    A token is drawn as the argmax of the logits at temperature plus `spread` [M] times `noise`:
    with a spread of one from their distribution (Gumbel, 1954), with zero, or without noise, the
    most likely one. Ties go to the lowest token id. M may not be zero.
    """
    known = noise is None or isinstance(noise, PhiloxNoise)
    if uses_triton(hidden.device) and vocabulary.embedding is not None and known:
        from unmask_kernels.noise.gpu import scores as canvas_scores

        own = noise if isinstance(noise, PhiloxNoise) else None
        return canvas_scores.score(hidden, vocabulary, temperature, spread, own, num_top)
    num_rows = len(hidden)
    rows = pad_rows(hidden)
    spare = len(rows) - num_rows
    temperature = F.pad(temperature, (0, spare), value=1.0)
    found: _Part | None = None
    spread = F.pad(spread, (0, spare))
    for part in vocabulary.slices:
        products = part.head(rows)
        added = None
        if noise is not None:
            drawn = noise(part.first, products.shape[1])
            added = spread[:, None] * F.pad(drawn, (0, 0, 0, spare))
        plain = vocabulary.cap(products)
        scored = _score_slice(part, plain, temperature, added, hidden.dtype, num_top)
        found = scored if found is None else found.merge(scored)
    assert found is not None
    total = found.total[:num_rows]
    plain_norm = (found.plain_best + found.plain_total.log())[:num_rows]
    soft = found.soft[:num_rows] / total[:, None]
    return CanvasScores(
        drawn=found.drawn[:num_rows],
        best=found.token[:num_rows],
        confidence=1.0 / found.plain_total[:num_rows],
        entropy=total.log() - found.weighted[:num_rows] / total,
        soft=(soft * vocabulary.scale).to(hidden.dtype),
        top_ids=found.top_ids[:num_rows] if num_top else None,
        top_logprobs=found.top[:num_rows] - plain_norm[:, None] if num_top else None,
    )


def _score_slice(
    part: VocabularySlice,
    plain: Tensor,
    temperature: Tensor,
    added: Tensor | None,
    dtype: torch.dtype,
    num_top: int,
) -> _Part:
    plain_best = plain.amax(-1)
    top, top_ids = plain.topk(min(num_top, plain.shape[1]))
    plain_total = (plain - plain_best[:, None]).exp_().sum(-1)
    logits = plain / temperature[:, None]
    best, token = logits.max(-1)
    drawn_score, drawn = (best, token) if added is None else (logits + added).max(-1)
    shifted = logits.sub_(best[:, None])
    weights = shifted.exp()
    return _Part(
        best=best,
        token=token + part.first,
        drawn_score=drawn_score,
        drawn=drawn + part.first,
        total=weights.sum(-1),
        weighted=(weights * shifted).sum(-1),
        soft=part.back(weights.to(dtype)).float(),
        plain_best=plain_best,
        plain_total=plain_total,
        top=top,
        top_ids=top_ids + part.first,
    )


@dataclass(frozen=True, slots=True)
class PhiloxNoise:
    """Noise of rows that is a function of their seed, position and step [M], and nothing else."""

    seeds: Tensor
    positions: Tensor
    steps: Tensor

    def __call__(self, first: int, count: int) -> Tensor:
        """Noise [M, count] of the entries from `first`, a multiple of four."""
        return gumbel_noise(self.seeds, self.positions, self.steps, count, first=first)


def philox_noise(seeds: Tensor, positions: Tensor, steps: Tensor) -> Noise:
    """Noise of rows by their seed, position and step [M], which kernels can make by themselves."""
    return PhiloxNoise(seeds, positions, steps)
