"""The reverse step of uniform-state diffusion: a token stays, is drawn anew, or becomes noise.

DUO (Sahoo et al., 2025, "The Diffusion Duality") draws the next token of a position from

    q(v) = (a_t V p(v) [v = x] + (a_ts - a_t) [v = x] + (a_s - a_t) p(v)
            + (1 - a_ts) (1 - a_s) / V) / (a_t V p(x) + 1 - a_t),

where x is the token that is held, p the model's distribution, V the size of the vocabulary, a_t and
a_s the shares of signal before and after the step, and a_ts = a_t / a_s. The four terms are a
mixture of the token itself, of a draw from p and of a uniform one, so one draw of each and the
probability of x alone are enough: nothing is as large as the vocabulary.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.dispatch import uses_triton
from unmask_kernels.noise.types import Blocks, CanvasScores, Reversed
from unmask_kernels.philox import noise_tokens, noise_uniform


def reverse_step(
    tokens: Tensor,
    draft: Tensor,
    blocks: Blocks,
    hidden: Tensor,
    embedding: Tensor,
    scores: CanvasScores,
    vocab_size: int,
) -> Reversed:
    """Take a step, and leave the next tokens in `tokens` and `draft`, both [N, L] at any stride.

    `hidden` [S L, C] are the normed rows of which `scores` are, `embedding` [V, C] is tied to the
    LM head. A draw and a norm of `scores` that leave tokens out leave them out of p.
    """
    if uses_triton(hidden.device):
        from unmask_kernels.noise.gpu import posterior as gpu

        return gpu.reverse_step(tokens, draft, blocks, hidden, embedding, scores, vocab_size)
    length = draft.shape[1]

    def per_row(values: Tensor) -> Tensor:
        return values.repeat_interleave(length)

    offsets = torch.arange(length, device=hidden.device)
    positions = (blocks.starts[:, None] + offsets).flatten()
    keys = per_row(blocks.seeds), positions, per_row(blocks.steps + 1)
    held, drawn = tokens[blocks.rows].flatten(), scores.drawn
    noise, uniform = noise_tokens(*keys, vocab_size), noise_uniform(*keys)
    logits = token_logits(hidden, embedding, torch.stack((held, drawn, noise), -1))
    log_share = logits[:, 0] / per_row(blocks.temperature) - scores.tempered_norm
    gain, stay, draw, renew = blocks.chances.repeat_interleave(length, 0).unbind(-1)
    keep = gain * log_share.exp().clamp_max(1.0) + stay
    mark = uniform * (keep + draw + renew)
    choice = (mark >= keep).long() + (mark >= keep + draw)  # 0 stays, 1 is drawn, 2 is noise
    options = torch.stack((held, drawn, noise), -1)
    following = options.gather(1, choice[:, None])[:, 0]
    confidence = (logits.gather(1, choice[:, None])[:, 0] - scores.log_norm).exp().clamp_max(1.0)
    for kept in (tokens, draft):
        kept.index_copy_(0, blocks.rows, following.view(-1, length))
    return Reversed(following, confidence, choice < 2, per_row(blocks.is_last))


def token_logits(hidden: Tensor, embedding: Tensor, ids: Tensor) -> Tensor:
    """Logits [M, K] float32 of the tokens `ids` [M, K] for normed rows `hidden` [M, C]."""
    return (F.embedding(ids, embedding).float() * hidden.float()[:, None]).sum(-1)
