"""Scores of canvas rows, and blocks that follow a posterior."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class CanvasScores:
    """Statistics of M rows' distributions at their temperatures, unless said otherwise."""

    drawn: Tensor  # [M] int64, a token drawn at random
    best: Tensor  # [M] int64, the most likely token
    confidence: Tensor  # [M] float32, probability of `best` without temperature
    entropy: Tensor  # [M] float32, nats
    tempered_norm: Tensor  # [M] float32, logit over temperature minus log-probability
    log_norm: Tensor  # [M] float32, the same without temperature
    soft: Tensor  # [M, C], the mean embedding
    top_ids: Tensor | None  # [M, K] int64
    top_logprobs: Tensor | None  # [M, K] float32, without temperature


@dataclass(frozen=True, slots=True)
class Blocks:
    """S open blocks of L positions, and the parameters of their step."""

    rows: Tensor  # [S] int64, of the tokens and drafts
    seeds: Tensor  # [S] int64
    starts: Tensor  # [S] int64, first positions
    steps: Tensor  # [S] int64
    temperature: Tensor  # [S] float32
    chances: Tensor  # [S, 4] float32: a_t V, a_ts - a_t, a_s - a_t, (1 - a_ts) (1 - a_s)
    is_last: Tensor  # [S] bool


@dataclass(frozen=True, slots=True)
class Reversed:
    """S L positions after a step."""

    tokens: Tensor  # [S L] int64
    confidence: Tensor  # [S L] float32, probability of the token without temperature
    resolved: Tensor  # [S L] bool, False where the token is noise
    finished: Tensor  # [S L] bool
