"""Tokens and statistics of rows of logits in torch; on a CPU its sums are those of a C kernel.

Sums are float64, as they tell apart probabilities that differ from one by less than float32 can
hold: where nearly all positions are sure of their token, they are still filled in order.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.dispatch import uses_native
from unmask_kernels.scoring import cpu
from unmask_kernels.scoring.truncation import draw_likeliest
from unmask_kernels.scoring.types import Draws, LastTokens, RowStats

MAX_EXPONENT = 700.0  # that float64 can hold


def score_logits(
    logits: Tensor,
    mask_token: int,
    draws: Draws | None,
    *,
    last: LastTokens | None = None,
    with_entropy: bool = False,
    with_margin: bool = False,
    num_top: int = 0,
) -> RowStats:
    """Statistics of `logits` [M, V], float32, which are changed in place."""
    mask_logit = logits[:, mask_token].clone()
    logits[:, mask_token] = float("-inf")
    reduce = cpu.softmax_stats if uses_native(logits) else softmax_stats
    token, best, others, below = reduce(logits, with_below=with_entropy)
    highest = _finite(best)
    fall = (highest - mask_logit).double().clamp_min(-MAX_EXPONENT)
    mask_weight = torch.where(best > float("-inf"), (-fall).exp(), 0.0)
    total = 1.0 + others + mask_weight
    entropy = None
    if below is not None:
        below += torch.where(mask_weight > 0, mask_weight * fall, 0.0)
        entropy = total.log() + below / total
    log_norm = (highest + total.log()).float()

    def probability(logit: Tensor) -> Tensor:
        """Probabilities [..., M] float64 of one logit of each row, or of several."""
        return (logit.double() - highest).exp_() / total

    if draws is not None:
        rows = torch.arange(len(logits), device=logits.device) if draws.rows is None else draws.rows
        drawn = _draw(logits[rows], draws)
        drawn = torch.where(draws.temperature > 0, drawn, token[rows])
        token = token.index_copy(0, rows, drawn)
        best = best.index_copy(0, rows, logits[rows, drawn])
    margin = None
    if with_margin:
        first, second = logits.topk(2).values.unbind(-1)
        margin = probability(first) - probability(second)
    top_ids = top_logprobs = None
    if num_top:
        top, top_ids = likeliest(logits, num_top)
        top_logprobs = top - log_norm[:, None]
    confidence, ranking = probability(best), None
    if last is not None:
        mass = probability(logits[:, last.tokens].T).sum(0)
        ranking = last.rank(confidence, token, mass[last.rows])
    return RowStats(token, confidence, entropy, margin, top_ids, top_logprobs, ranking, log_norm)


def softmax_stats(
    logits: Tensor, *, with_below: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Most likely token [M] of rows [M, V], its logit, and two sums [M] over the other tokens.

    The sums are float64: of exp(logit - highest), and with `with_below` of that times how far a
    logit is below the highest.
    """
    best, token = logits.max(-1)
    highest = _finite(best)[:, None]
    others = (logits - highest).exp_().scatter_(1, token[:, None], 0.0)
    below = None
    if with_below:
        below = _row_sums(torch.where(others > 0, others * (highest - logits), 0.0))
    return token, best, _row_sums(others), below


def _finite(best: Tensor) -> Tensor:
    return best.masked_fill(best == float("-inf"), 0.0)


def _row_sums(x: Tensor) -> Tensor:
    """Sums [M] float64 of rows [M, V]; of a single one, torch's threads would share the sum."""
    rows = F.pad(x, (0, 0, 0, 1)) if len(x) == 1 else x
    return rows.sum(-1)[: len(x)].double()


def likeliest(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` highest of `logits` [M, V] and their ids [M, count], of equals the lowest first.

    torch's own choice among equals depends on the machine, so that those at the end are chosen by
    their ids. No shape depends on values, for which a GPU would wait. NaN counts as infinity.
    """
    size = logits.shape[1]
    keys = logits.nan_to_num(nan=float("inf"), posinf=float("inf"), neginf=float("-inf"))
    top, top_ids = keys.topk(count)
    last = top[:, -1:]
    above = top_ids.masked_fill(top == last, size)
    every = torch.arange(size, dtype=torch.int32, device=keys.device)
    equal = torch.where(keys == last, every, size).topk(count, largest=False).values
    ids = torch.cat((above, equal), 1).sort(dim=-1).values
    found = keys.gather(1, ids.clamp(max=size - 1)).masked_fill_(ids == size, float("-inf"))
    order = found.argsort(dim=-1, descending=True, stable=True)[:, :count]
    ids = ids.gather(1, order)
    return logits.gather(1, ids), ids


def merge_likeliest(
    values: Sequence[Tensor], ids: Sequence[Tensor], count: int
) -> tuple[Tensor, Tensor]:
    """The `likeliest` of logits from those of their slices, in the order of these."""
    top, order = torch.cat(tuple(values), 1).sort(dim=-1, descending=True, stable=True)
    return top[:, :count], torch.cat(tuple(ids), 1).gather(1, order[:, :count])


def _draw(logits: Tensor, draws: Draws) -> Tensor:
    """Gumbel-max sampling of `logits` [R, V] after temperature, top-k and top-p."""
    truncation = draws.truncation
    if truncation is None:
        return _draw_all(logits, draws)
    if truncation.which is None:
        return draw_likeliest(logits, draws)
    rest = torch.ones(len(logits), dtype=torch.bool, device=logits.device)
    rest[truncation.which] = False
    token = torch.empty(len(logits), dtype=torch.int64, device=logits.device)
    token[rest] = _draw_all(logits[rest], replace(draws, truncation=None).select(rest))
    token[truncation.which] = draw_likeliest(logits[truncation.which], draws.select_truncated())
    return token


def _draw_all(logits: Tensor, draws: Draws) -> Tensor:
    noise = draws.noise(0, logits.shape[1])
    return (logits / draws.temperature[:, None] + noise).argmax(-1)
