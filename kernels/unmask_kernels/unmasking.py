"""From hidden states of masked positions to a token and its statistics, one row each."""

from dataclasses import dataclass

import torch
from torch import Tensor

from unmask_kernels.linear import Linear
from unmask_kernels.philox import gumbel_noise


@dataclass(frozen=True, slots=True)
class SampledRows:
    """The rows that draw their token at random instead of taking the most likely one."""

    rows: Tensor  # [R] int64, indices into the step's masked rows
    temperature: Tensor  # [R] float32, all above zero
    seeds: Tensor  # [R] int64
    positions: Tensor  # [R] int64
    steps: Tensor  # [R] int64
    top_k: Tensor | None  # [R] int64; vocabulary size where off
    top_p: Tensor | None  # [R] float32; 1 where off


@dataclass(frozen=True, slots=True)
class RowScores:
    """Statistics of each row's distribution, without temperature, over everything but the mask."""

    token: Tensor  # [M] int64
    confidence: Tensor  # [M] float32, probability of `token`
    entropy: Tensor | None  # [M] float32, nats
    top_ids: Tensor | None  # [M, K] int64
    top_logprobs: Tensor | None  # [M, K] float32


def score_rows(
    hidden: Tensor,
    head: Linear,
    *,
    mask_token_id: int,
    sampled: SampledRows | None = None,
    with_entropy: bool = False,
    num_top: int = 0,
) -> RowScores:
    """Score masked rows `hidden` [M, C] under the LM `head` [V, C].

    The mask token has probability zero. Ties go to the lowest token id.
    """
    logits = head(hidden).float()
    logits[:, mask_token_id] = float("-inf")
    best, token = logits.max(-1)
    log_norm = logits.logsumexp(-1)
    if sampled is not None:
        drawn = _draw(logits[sampled.rows], sampled)
        token[sampled.rows] = drawn
        best[sampled.rows] = logits[sampled.rows, drawn]
    entropy = None
    if with_entropy:
        log_probs = logits - log_norm[:, None]
        entropy = torch.special.entr(log_probs.exp()).sum(-1)
    top_ids = top_logprobs = None
    if num_top:
        top, top_ids = logits.topk(num_top)
        top_logprobs = top - log_norm[:, None]
    return RowScores(token, (best - log_norm).exp(), entropy, top_ids, top_logprobs)


def _draw(logits: Tensor, sampled: SampledRows) -> Tensor:
    """Gumbel-max sampling of `logits` [R, V] after temperature, top-k and top-p."""
    logits = logits / sampled.temperature[:, None]
    if sampled.top_k is not None or sampled.top_p is not None:
        logits = _truncate(logits, sampled.top_k, sampled.top_p)
    noise = gumbel_noise(sampled.seeds, sampled.positions, sampled.steps, logits.shape[1])
    return (logits + noise).argmax(-1)


def _truncate(logits: Tensor, top_k: Tensor | None, top_p: Tensor | None) -> Tensor:
    """Keep the k most likely tokens, and of those the fewest whose mass reaches p."""
    ordered, order = logits.sort(stable=True, dim=-1, descending=True)
    dropped = torch.zeros_like(ordered, dtype=torch.bool)
    if top_k is not None:
        rank = torch.arange(logits.shape[1], device=logits.device)
        dropped |= rank[None, :] >= top_k[:, None]
    if top_p is not None:
        probs = ordered.masked_fill(dropped, float("-inf")).softmax(-1)
        dropped |= (probs.cumsum(-1) - probs >= top_p[:, None]) & (top_p[:, None] < 1.0)
    dropped[:, 0] = False
    return logits.masked_fill(dropped.scatter(1, order, dropped), float("-inf"))
