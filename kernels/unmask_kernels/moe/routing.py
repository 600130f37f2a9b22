"""Routing of rows to experts: router logits, ids and top-k weights."""

import torch
from torch import Tensor

from unmask_kernels.dispatch import uses_triton
from unmask_kernels.linear.ops import Linear


def router_logits(x: Tensor, router: Linear, dtype: torch.dtype | None = None) -> Tensor:
    """Batch-invariant router logits [T, E] of rows [T, C], which are cast to `dtype` if given.

    On a GPU they are parts [G, T, E] float32, which routing sums in order: the library's product
    splits the sums of few outputs by the number of rows.
    """
    if router.is_plain and uses_triton(x.device):
        from unmask_kernels.moe.gpu import routing

        assert router.weight is not None
        return routing.router_logits(x, router.weight)
    return router(x if dtype is None else x.to(dtype))


def route_softmax(
    logits: Tensor,
    top: int,
    *,
    renormalise: bool,
    bias: Tensor | None = None,
    scales: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Ids and top-k weights [T, top] of the most likely experts of rows [T, E] (Qwen3-MoE).

    On a GPU logits may be in parts, see `router_logits`. A `bias` [E] is added to every weight, not
    to the choice alone (LLaDA-MoE). `scales` [E], float32, multiply the weights at the end
    (Gemma 4).
    """
    if uses_triton(logits.device):
        from unmask_kernels.moe.gpu import routing

        return routing.route_softmax(logits, top, renormalise=renormalise, bias=bias, scales=scales)
    probs = logits.float().softmax(-1)
    topk_weights, ids = (probs if bias is None else probs + bias).topk(top, dim=-1)
    topk_weights = topk_weights / _total(topk_weights) if renormalise else topk_weights
    return ids, topk_weights if scales is None else topk_weights * scales[ids]


def route_sigmoid(
    logits: Tensor,
    bias: Tensor,
    top: int,
    *,
    groups: int,
    top_groups: int,
    scale: float,
    renormalise: bool = True,
) -> tuple[Tensor, Tensor]:
    """Ids and top-k weights [T, top] by sigmoid, from the best groups of experts (DeepSeek-V3).

    The bias [E] is for the choice alone. A group of `logits` [T, E] ranks by the sum of its two
    best.
    """
    if uses_triton(logits.device):
        from unmask_kernels.moe.gpu import routing

        return routing.route_sigmoid(
            logits,
            bias,
            top,
            groups=groups,
            top_groups=top_groups,
            scale=scale,
            renormalise=renormalise,
        )
    scores = _sigmoid(logits.float())
    choice = scores + bias
    grouped = choice.view(len(choice), groups, choice.shape[1] // groups)
    group_scores = grouped.topk(min(2, grouped.shape[2]), dim=-1).values.sum(-1)
    kept = torch.zeros_like(group_scores, dtype=torch.bool)
    kept.scatter_(1, group_scores.topk(top_groups, dim=-1).indices, True)
    choice = grouped.masked_fill(~kept[:, :, None], float("-inf")).flatten(1)
    ids = choice.topk(top, dim=-1).indices
    topk_weights = scores.gather(1, ids)
    if renormalise:
        topk_weights = topk_weights / (_total(topk_weights) + 1e-20)
    return ids, topk_weights * scale


def _total(topk_weights: Tensor) -> Tensor:
    """Sums [T, 1] of rows [T, K], in order; torch may choose one by the number of rows."""
    total = topk_weights[:, :1]
    for k in range(1, topk_weights.shape[1]):
        total = total + topk_weights[:, k : k + 1]
    return total


def _sigmoid(logits: Tensor) -> Tensor:
    # On a CPU torch's own computes the last few elements of a tensor in another way.
    if logits.device.type != "cpu":
        return logits.sigmoid()
    return torch.stack((logits, torch.zeros_like(logits)), -1).softmax(-1)[..., 0]
