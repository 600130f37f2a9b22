"""Log-probabilities and ranks of given tokens."""

import torch
from torch import Tensor

from unmask_kernels.linear.ops import Linear
from unmask_kernels.linear.padding import pad_rows
from unmask_kernels.scoring.ops import LOGIT_ROWS


def score_given(
    hidden: Tensor, head: Linear, tokens: Tensor, *, mask_token_id: int
) -> tuple[Tensor, Tensor]:
    """Log-probabilities [R], float32, and ranks [R], from 1, of `tokens` [R] in rows [R, C].

    The mask token has its probability, as in `score_rows`, but no rank. Tokens that are as likely
    share the best of their ranks.
    """
    logprobs, ranks = [hidden.new_empty(0, dtype=torch.float32)], [tokens[:0]]
    for rows, chosen in zip(*(torch.split(x, LOGIT_ROWS) for x in (hidden, tokens)), strict=True):
        logits = head(pad_rows(rows))[: len(rows)].float()
        own = logits.gather(1, chosen[:, None])
        # Summed in float64, as other statistics are.
        logprobs.append((own.double() - logits.double().logsumexp(1, keepdim=True))[:, 0].float())
        logits[:, mask_token_id] = float("-inf")
        ranks.append((logits > own).sum(1) + 1)
    return torch.cat(logprobs), torch.cat(ranks)
