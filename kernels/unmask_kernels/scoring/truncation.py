"""Sampling with min-p, top-k of the tokens that it leaves, and top-p of those."""

import torch
from torch import Tensor

from unmask_kernels.dispatch import uses_triton
from unmask_kernels.philox import gumbel_at
from unmask_kernels.scoring.types import UNIT, Draws

NO_TOKEN = -1
CANDIDATES = (64, 1024)  # of the likeliest are sorted before all are


def draw_likeliest(logits: Tensor, draws: Draws) -> Tensor:
    """Tokens [R] by Gumbel-max among the likeliest of `logits` [R, V], float32.

    The truncation of `draws` covers all of them.
    """
    if uses_triton(logits.device):
        from unmask_kernels.scoring.gpu.truncation import draw_logits

        return draw_logits(logits, NO_TOKEN, draws)[0]
    kept = keep_likeliest(logits, draws)
    rows, tokens = kept.nonzero(as_tuple=True)
    if 4 * len(rows) < kept.numel():
        keys = draws.seeds[rows], draws.positions[rows], draws.steps[rows]
        noise = gumbel_at(*keys, tokens)
    else:
        noise = draws.noise(0, logits.shape[1])[rows, tokens]
    if draws.spread is not None:
        noise = noise * draws.spread[rows]
    drawn = torch.full_like(logits, float("-inf"))
    drawn[rows, tokens] = logits[rows, tokens] / draws.temperature[rows] + noise
    return drawn.argmax(-1)


def keep_likeliest(logits: Tensor, draws: Draws) -> Tensor:
    """Entries of `logits` [R, V], float32, that may be drawn, as a boolean [R, V].

    Those of at least the share `min_p` of the likeliest one's probability at this temperature
    (Nguyen et al., 2024); of them the k likeliest, and of those the fewest whose mass reaches
    `top_p` of theirs; never none. Of equal logits those of lower ids are kept.
    """
    truncation = draws.truncation
    assert truncation is not None
    assert truncation.which is None
    vocab_size, top_k, top_p = logits.shape[1], truncation.top_k, truncation.top_p
    best = logits.max(-1, keepdim=True).values
    best = best.masked_fill(best == float("-inf"), 0.0)
    inverse = draws.inverse_temperature[:, None]
    is_likely = logits >= best + draws.margin[:, None]
    logits = logits.masked_fill(~is_likely, float("-inf"))

    def masses(logits: Tensor) -> Tensor:
        return (((logits - best) * inverse).exp() * UNIT).long()

    cuts_p = top_p < 1.0
    whole = masses(logits).sum(-1) if cuts_p.any() else None
    for size in (*(size for size in CANDIDATES if size < vocab_size), vocab_size):
        top = logits.topk(size).values
        kept = torch.arange(size, device=logits.device) < top_k[:, None]
        if whole is not None:
            mass = masses(top)
            total = torch.where(top_k <= size, (mass * kept).sum(-1), whole)
            if bool(((top_k > size) & (top_k < vocab_size) & cuts_p).any()):
                continue
            target = (top_p.double() * total.double()).ceil().long().clamp(min=1)
            before = mass.cumsum(-1) - mass
            kept &= (before < target[:, None]) | ~cuts_p[:, None]
        if bool((~kept[:, -1] | (top_k <= size)).all()):
            break
    count = kept.sum(-1, keepdim=True)
    cut = top.gather(1, count - 1)
    ties = (kept & (top == cut)).sum(-1, keepdim=True)
    equal = logits == cut
    return is_likely & ((logits > cut) | (equal & (equal.cumsum(-1) <= ties)))
