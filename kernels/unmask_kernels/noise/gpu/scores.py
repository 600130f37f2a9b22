"""Scores of canvas rows on a GPU: two products and two kernels for as many as `ROWS` of them.

All logits of these rows are in memory at once, in the dtype of the weights: products of slices, of
which one has few tiles and a long sum, would leave most of the chip idle, or be cut in parts by the
library in another way for another number of rows.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.linear.padding import pad_rows
from unmask_kernels.noise.gpu.slices import Drawing, MergedScores, merge_slices, score_slices
from unmask_kernels.noise.ops import CanvasScores, PhiloxNoise, Vocabulary

ROWS = 1024  # 537 MB of logits for 262,144 entries in bfloat16


def score(
    hidden: Tensor,
    vocabulary: Vocabulary,
    temperature: Tensor,
    spread: Tensor,
    noise: PhiloxNoise | None,
    num_top: int,
) -> CanvasScores:
    """As of `canvas.score_canvas`, of a vocabulary that is not packed."""
    assert vocabulary.embedding is not None
    num_rows = len(hidden)
    rows = pad_rows(hidden)
    spare = len(rows) - num_rows
    temperature, drawing = temperature.contiguous(), None
    if noise is not None:
        keys = (spread, noise.seeds, noise.positions, noise.steps)
        drawing = Drawing(*(key.contiguous() for key in keys))
    if spare:
        temperature = F.pad(temperature, (0, spare), value=1.0)
        drawing = None if drawing is None else drawing.padded(spare)
    merged = MergedScores.empty(rows)
    tops, top_ids = [], []
    for first in range(0, len(rows), ROWS):
        part = slice(first, first + ROWS)
        logits = F.linear(rows[part], vocabulary.embedding)
        if num_top:
            top, ids = _likeliest(logits, vocabulary, num_top)
            tops.append(top)
            top_ids.append(ids)
        draws = None if drawing is None else drawing.part(part)
        _score_logits(logits, vocabulary, temperature[part], draws, merged, first)
    best, drawn = merged.tokens[:, :num_rows].unbind()
    confidence, entropy, norm = merged.numbers[:, :num_rows].unbind()
    logprobs = torch.cat(tops)[:num_rows] - norm[:, None] if num_top else None
    return CanvasScores(
        drawn=drawn,
        best=best,
        confidence=confidence,
        entropy=entropy,
        soft=merged.soft[:num_rows],
        top_ids=torch.cat(top_ids)[:num_rows] if num_top else None,
        top_logprobs=logprobs,
    )


def _score_logits(
    logits: Tensor,
    vocabulary: Vocabulary,
    temperature: Tensor,
    drawing: Drawing | None,
    merged: MergedScores,
    first_row: int,
) -> None:
    """Put what rows come to, from `first_row` on, into `merged`; their logits are overwritten."""
    embedding, length = vocabulary.embedding, vocabulary.slice_len
    assert embedding is not None
    scores = score_slices(logits, length, temperature, vocabulary.softcap, drawing)
    num_slices, (num_entries, columns) = scores.values.shape[1], embedding.shape
    parts = logits.new_empty((num_slices, len(logits), columns))
    whole = num_entries // length
    if whole:
        weights = logits[:, : whole * length].view(len(logits), whole, length).transpose(0, 1)
        inward = embedding[: whole * length].view(whole, length, columns)
        torch.bmm(weights, inward, out=parts[:whole])
    if whole < num_slices:
        torch.mm(logits[:, whole * length :], embedding[whole * length :], out=parts[whole])
    merge_slices(scores, parts, vocabulary.scale, merged, first_row)


def _likeliest(logits: Tensor, vocabulary: Vocabulary, num_top: int) -> tuple[Tensor, Tensor]:
    """The `num_top` highest logits [M, K] of rows [M, V] before their cap, and their entries."""
    found = []
    for first in range(0, logits.shape[1], vocabulary.slice_len):
        own = vocabulary.cap(logits[:, first : first + vocabulary.slice_len])
        top, entries = own.topk(min(num_top, own.shape[1]))
        found.append((top, entries + first))
    values, ids = (torch.cat(own, 1) for own in zip(*found, strict=True))
    top, order = values.topk(num_top)
    return top, ids.gather(1, order)
