"""Scores of canvas rows on a GPU: two products and two kernels for up to `ROWS` rows.

All logits of these rows are in memory at once, in the dtype of the weights: products of a slice
have few tiles and a long sum, would leave most of the chip idle, and the library would split their
sums by the number of rows.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.linear.padding import pad_rows
from unmask_kernels.noise.gpu.slices import MergedScores, merge_slices, score_slices
from unmask_kernels.noise.types import CanvasScores
from unmask_kernels.noise.vocabulary import Vocabulary
from unmask_kernels.scoring.reference import likeliest, merge_likeliest
from unmask_kernels.scoring.types import Draws

ROWS = 1024  # 537 MB of logits for 262,144 entries in bfloat16


def score(
    hidden: Tensor, vocabulary: Vocabulary, draws: Draws, num_top: int, num_at_once: int = ROWS
) -> CanvasScores:
    """Implements `noise.ops.score_canvas`, for a vocabulary that is not packed.

    Logits of `num_at_once` rows are in memory together.
    """
    assert vocabulary.embedding is not None
    num_rows = len(hidden)
    rows = pad_rows(hidden)
    draws = _pad(draws, len(rows) - num_rows)
    merged = MergedScores.empty(rows)
    tops, top_ids = [], []
    for first in range(0, len(rows), num_at_once):
        part = slice(first, first + num_at_once)
        logits = F.linear(rows[part], vocabulary.embedding)
        if num_top:
            top, ids = _likeliest(logits, vocabulary, num_top)
            tops.append(top)
            top_ids.append(ids)
        _score_logits(logits, vocabulary, draws.select(part), merged, first)
    best, drawn = merged.tokens[:, :num_rows].unbind()
    confidence, entropy, norm, tempered_norm = merged.numbers[:, :num_rows].unbind()
    logprobs = torch.cat(tops)[:num_rows] - norm[:, None] if num_top else None
    return CanvasScores(
        drawn=drawn,
        best=best,
        confidence=confidence,
        entropy=entropy,
        tempered_norm=tempered_norm,
        log_norm=norm,
        soft=merged.soft[:num_rows],
        top_ids=torch.cat(top_ids)[:num_rows] if num_top else None,
        top_logprobs=logprobs,
    )


def _pad(draws: Draws, padding: int) -> Draws:
    """Contiguous draws, with padding rows that draw no noise."""
    spread = torch.ones_like(draws.temperature) if draws.spread is None else draws.spread
    temperature = draws.temperature.contiguous()
    keys = [key.contiguous() for key in (draws.seeds, draws.positions, draws.steps, spread)]
    if padding:
        temperature = F.pad(temperature, (0, padding), value=1.0)
        keys = [F.pad(key, (0, padding)) for key in keys]
    seeds, positions, steps, spread = keys
    return Draws(temperature, seeds, positions, steps, spread=spread)


def _score_logits(
    logits: Tensor, vocabulary: Vocabulary, draws: Draws, merged: MergedScores, first_row: int
) -> None:
    """Write scores of rows from `first_row` on to `merged`; their logits are overwritten."""
    embedding, length = vocabulary.embedding, vocabulary.slice_len
    assert embedding is not None
    values, entries = score_slices(logits, length, draws.temperature, vocabulary.softcap, draws)
    num_slices, (num_entries, columns) = values.shape[1], embedding.shape
    parts = logits.new_empty((num_slices, len(logits), columns))
    whole = num_entries // length
    if whole:
        weights = logits[:, : whole * length].view(len(logits), whole, length).transpose(0, 1)
        slices_of_embedding = embedding[: whole * length].view(whole, length, columns)
        torch.bmm(weights, slices_of_embedding, out=parts[:whole])
    if whole < num_slices:
        torch.mm(logits[:, whole * length :], embedding[whole * length :], out=parts[whole])
    merge_slices(values, entries, parts, vocabulary.scale, merged, first_row)


def _likeliest(logits: Tensor, vocabulary: Vocabulary, num_top: int) -> tuple[Tensor, Tensor]:
    """The `num_top` highest logits [M, K] of rows [M, V] before their cap, and their entries."""
    tops, ids = [], []
    for first in range(0, logits.shape[1], vocabulary.slice_len):
        logits_of_slice = vocabulary.cap(logits[:, first : first + vocabulary.slice_len])
        top, entries = likeliest(logits_of_slice, min(num_top, logits_of_slice.shape[1]))
        tops.append(top)
        ids.append(entries + first)
    return merge_likeliest(tops, ids, num_top)
