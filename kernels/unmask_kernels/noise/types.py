"""Scores of canvas rows."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class CanvasScores:
    """Statistics of M rows' distributions at their temperatures, unless said otherwise."""

    drawn: Tensor  # [M] int64, a token drawn at random
    best: Tensor  # [M] int64, the most likely token
    confidence: Tensor  # [M] float32, probability of `best` without temperature
    entropy: Tensor  # [M] float32, nats
    soft: Tensor  # [M, C], the mean embedding
    top_ids: Tensor | None  # [M, K] int64
    top_logprobs: Tensor | None  # [M, K] float32, without temperature
