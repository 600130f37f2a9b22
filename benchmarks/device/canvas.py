"""Scores of canvases of noise beside their two products, and whether they depend on company."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.device.report import Part
from benchmarks.device.timing import Ceilings, timed
from unmask_kernels.noise.gpu import scores as canvas_scores
from unmask_kernels.noise.gpu.slices import score_slices
from unmask_kernels.noise.ops import score_canvas
from unmask_kernels.noise.types import CanvasScores
from unmask_kernels.noise.vocabulary import Vocabulary, make_vocabulary
from unmask_kernels.scoring.types import Draws

AT_ONCE = (256, 512, 1024, 2048)  # rows whose logits are in memory at once
FIELDS = ("best", "drawn", "confidence", "entropy", "soft")


@dataclass(frozen=True)
class Shape:
    """Rows of canvases, and an embedding tied to the LM head."""

    rows: int = 4096
    hidden: int = 2816
    vocab: int = 262_144
    softcap: float = 30.0

    @property
    def num_bytes(self) -> int:
        """The embedding there and back, rows in and out."""
        return 2 * (2 * self.vocab * self.hidden + 2 * self.rows * self.hidden)

    @property
    def flops(self) -> int:
        return 4 * self.rows * self.vocab * self.hidden


TINY = Shape(rows=4, hidden=32, vocab=5000)
ROWS = (256, 1024, 2048, 4096)


def parts(device: torch.device, ceilings: Ceilings, *, small: bool = False) -> Iterator[Part]:
    """Scores at numbers of rows, and bits of one canvas alone and among others."""
    usual = TINY if small else Shape()
    for rows in (4,) if small else ROWS:
        yield Part(
            f"canvases, scores of {rows} rows",
            4,
            partial(compare, replace(usual, rows=rows), ceilings, device),
            "canvases",
        )
    yield Part(
        "canvases, alone and together",
        3,
        partial(differing, usual, 2 if small else 256, device),
        "canvases_differing",
        single=True,
    )


def compare(shape: Shape, ceilings: Ceilings, device: torch.device) -> dict[str, Any]:
    """Time of scores, of their two products alone, of the pass between, and by rows at once."""
    hidden, vocabulary = _given(shape, device)
    embedding, length = vocabulary.embedding, vocabulary.slice_len
    assert embedding is not None
    some = hidden[: canvas_scores.ROWS]
    logits = F.linear(some, embedding)
    heat = torch.full((len(some),), 0.6, device=device)
    whole = shape.vocab // length * length
    inward = embedding[:whole].view(-1, length, shape.hidden)
    weights = logits[:, :whole].view(len(some), -1, length).transpose(0, 1)
    groups = -(-shape.rows // canvas_scores.ROWS)
    us = {
        "head_us": timed(lambda: F.linear(some, embedding), graph=True).median_us * groups,
        "back_us": timed(lambda: torch.bmm(weights, inward), graph=True).median_us * groups,
        "between_us": groups
        * timed(
            lambda: score_slices(logits, length, heat, vocabulary.softcap, None), graph=True
        ).median_us,
    }
    draws = _draws(hidden)
    for count in AT_ONCE if device.type == "cuda" else (canvas_scores.ROWS,):
        if count <= shape.rows:
            score = partial(canvas_scores.score, hidden, vocabulary, draws, 0, count)
            us[f"us_{count}_at_once"] = timed(score, graph=True).median_us
    took = timed(lambda: _score(hidden, vocabulary), graph=True)
    floor_s = ceilings.floor_s(shape.num_bytes, shape.flops)
    return {
        "shape": shape.__dict__,
        "bytes": shape.num_bytes,
        "flops": shape.flops,
        "floor_us": 1e6 * floor_s,
        "us": took.median_us,
        "spread_us": [1e6 * took.low_s, 1e6 * took.high_s],
        "share_of_floor": floor_s / took.median_s,
        **us,
    }


def differing(shape: Shape, canvas: int, device: torch.device) -> dict[str, list[str]]:
    """Numbers of rows among which a canvas's results are not, to the bit, what they are alone."""
    hidden, vocabulary = _given(shape, device)
    alone = _score(hidden[:canvas], vocabulary)
    found: dict[str, list[str]] = {}
    count = 2 * canvas
    while count <= shape.rows:
        among = _score(hidden[:count], vocabulary)
        names = [
            name
            for name in FIELDS
            if not torch.equal(getattr(among, name)[:canvas], getattr(alone, name))
        ]
        if names:
            found[str(count)] = names
        count += canvas
    return found


def _given(shape: Shape, device: torch.device) -> tuple[Tensor, Vocabulary]:
    hidden = torch.randn(shape.rows, shape.hidden, device=device).bfloat16()
    embedding = torch.randn(shape.vocab, shape.hidden, device=device).bfloat16()
    embedding *= 3 * shape.hidden**-0.5
    scale = shape.hidden**0.5
    return hidden, make_vocabulary(embedding, softcap=shape.softcap, scale=scale)


def _score(hidden: Tensor, vocabulary: Vocabulary) -> CanvasScores:
    return score_canvas(hidden, vocabulary, _draws(hidden))


def _draws(hidden: Tensor) -> Draws:
    numbers = torch.arange(len(hidden), device=hidden.device)
    temperature = torch.full((len(hidden),), 0.6, device=hidden.device)
    return Draws(temperature, numbers * 977, numbers, numbers % 16)
