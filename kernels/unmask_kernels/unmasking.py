"""From hidden states of masked positions to a token and its statistics, one row each."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unmask_kernels.dispatch import uses_triton
from unmask_kernels.linear import Linear
from unmask_kernels.philox import gumbel_noise

LOGIT_ROWS = 64  # whose logits are in memory at a time, where a kernel does not reduce them


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

    def split(self, size: int) -> Iterator["SampledRows"]:
        """The same rows, `size` at a time."""
        for first in range(0, len(self.rows), size):
            some = slice(first, first + size)
            yield SampledRows(
                self.rows[some],
                self.temperature[some],
                self.seeds[some],
                self.positions[some],
                self.steps[some],
                None if self.top_k is None else self.top_k[some],
                None if self.top_p is None else self.top_p[some],
            )


@dataclass(frozen=True, slots=True)
class GuidedRows:
    """Rows whose logits l become u + (scale + 1)(l - u), u those of other hidden states.

    Classifier-free guidance as of LLaDA (Nie et al., 2025).
    """

    rows: Tensor  # [G] int64, indices into the step's masked rows
    hidden: Tensor  # [G, C]
    scale: Tensor  # [G] float32


@dataclass(frozen=True, slots=True)
class RowScores:
    """Statistics of each row's distribution, without temperature, over everything but the mask."""

    token: Tensor  # [M] int64
    confidence: Tensor  # [M] float32, probability of `token`
    entropy: Tensor | None  # [M] float32, nats
    margin: Tensor | None  # [M] float32, between the two highest probabilities
    top_ids: Tensor | None  # [M, K] int64
    top_logprobs: Tensor | None  # [M, K] float32


def score_rows(
    hidden: Tensor,
    head: Linear,
    *,
    mask_token_id: int,
    sampled: SampledRows | None = None,
    guided: GuidedRows | None = None,
    with_entropy: bool = False,
    with_margin: bool = False,
    num_top: int = 0,
) -> RowScores:
    """Score masked rows `hidden` [M, C] under the LM `head` [V, C].

    The mask token has probability zero. Ties go to the lowest token id.
    """
    if uses_triton(hidden.device) and head.weight is not None:
        maker = _Logits(hidden, head, mask_token_id, guided)
        return _score_pieces(maker, head.weight, sampled, num_top)
    logits = _Logits(hidden, head, mask_token_id, guided)()
    best, token = logits.max(-1)
    log_norm = logits.logsumexp(-1)
    if sampled is not None:
        drawn = draw(logits[sampled.rows], sampled)
        token[sampled.rows] = drawn
        best[sampled.rows] = logits[sampled.rows, drawn]
    entropy = None
    if with_entropy:
        log_probs = logits - log_norm[:, None]
        entropy = torch.special.entr(log_probs.exp()).sum(-1)
    margin = None
    if with_margin:
        first, second = (logits.topk(2).values - log_norm[:, None]).exp().unbind(-1)
        margin = first - second
    top_ids = top_logprobs = None
    if num_top:
        top, top_ids = logits.topk(num_top)
        top_logprobs = top - log_norm[:, None]
    return RowScores(token, (best - log_norm).exp(), entropy, margin, top_ids, top_logprobs)


@dataclass(frozen=True, slots=True)
class _Logits:
    """Makes logits of some rows, or of all, with guidance and without the mask token."""

    hidden: Tensor  # [M, C]
    head: Linear
    mask_token_id: int
    guided: GuidedRows | None

    def __call__(self, rows: Tensor | None = None) -> Tensor:
        """Logits [R, V] of `rows` [R], float32."""
        logits = self.head(self.hidden if rows is None else self.hidden[rows]).float()
        if self.guided is not None:
            index = torch.full((len(self.hidden),), -1, device=logits.device)
            index[self.guided.rows] = torch.arange(len(self.guided.rows), device=logits.device)
            index = index if rows is None else index[rows]
            which = index[index >= 0]
            without = self.head(self.guided.hidden[which]).float()
            scale = self.guided.scale[which, None] + 1.0
            logits[index >= 0] = without + scale * (logits[index >= 0] - without)
        logits[:, self.mask_token_id] = float("-inf")
        return logits


def _score_pieces(
    maker: _Logits, weight: Tensor, sampled: SampledRows | None, num_top: int
) -> RowScores:
    """Score rows without their logits in memory, but for a few rows at a time that need them."""
    from unmask_kernels.gpu.unmasking import Draws, score_hidden, score_logits

    hidden, mask_token_id, count = maker.hidden, maker.mask_token_id, len(maker.hidden)
    draws = None
    truncates = sampled is not None and (sampled.top_k is not None or sampled.top_p is not None)
    if sampled is not None and not truncates:
        given = sampled.temperature, sampled.seeds, sampled.positions, sampled.steps
        draws = Draws(*(t.new_zeros(count).index_copy_(0, sampled.rows, t) for t in given))
    found = score_hidden(hidden, weight, mask_token_id, draws)
    if maker.guided is not None:
        for rows in torch.split(maker.guided.rows, LOGIT_ROWS):
            own = None if draws is None else draws.of(rows)
            found.replace(rows, score_logits(maker(rows), mask_token_id, own))
    token, confidence = found.token, found.confidence
    if sampled is not None and truncates:
        for part in sampled.split(LOGIT_ROWS):
            logits = maker(part.rows)
            drawn = draw(logits, part)
            token[part.rows] = drawn
            chosen = logits.gather(1, drawn[:, None])[:, 0]
            confidence[part.rows] = (chosen - found.log_norm[part.rows]).exp()
    top_ids = top_logprobs = None
    if num_top:
        every = torch.arange(count, device=hidden.device)
        tops = [maker(rows).topk(num_top) for rows in torch.split(every, LOGIT_ROWS)]
        top_ids = torch.cat([top.indices for top in tops])
        top_logprobs = torch.cat([top.values for top in tops]) - found.log_norm[:, None]
    return RowScores(token, confidence, found.entropy, found.margin, top_ids, top_logprobs)


def draw(logits: Tensor, sampled: SampledRows, spread: Tensor | None = None) -> Tensor:
    """Gumbel-max sampling of `logits` [R, V] after temperature, top-k and top-p.

    The noise is multiplied by `spread` [R], if there is one.
    """
    logits = logits / sampled.temperature[:, None]
    if sampled.top_k is not None or sampled.top_p is not None:
        logits = _truncate(logits, sampled.top_k, sampled.top_p)
    noise = gumbel_noise(sampled.seeds, sampled.positions, sampled.steps, logits.shape[1])
    if spread is not None:
        noise = noise * spread[:, None]
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
