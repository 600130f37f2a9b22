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
    wide = logits.float()
    probs = wide.softmax(-1)
    weights = probs if bias is None else probs + bias
    ids = _highest(wide if bias is None else weights, top)
    topk_weights = weights.gather(1, ids)
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
    kept.scatter_(1, _highest(group_scores, top_groups), True)
    choice = grouped.masked_fill(~kept[:, :, None], float("-inf")).flatten(1)
    return _best(scores, choice, top, scale, renormalise)


def number_blocks(positions: Tensor, length: int) -> Tensor:
    """Routing block [T] of each row, counted from 0, of rows at `positions` [T] in any packing.

    A block ends at each multiple of `length`, and where a row does not follow the one before it: a
    block is of one sequence.
    """
    starts = positions % length == 0
    starts[1:] |= positions[1:] != positions[:-1] + 1
    starts[:1] = True
    return starts.cumsum(0) - 1


def route_by_block(
    logits: Tensor,
    blocks: Tensor,
    bias: Tensor,
    top: int,
    *,
    capacity: int,
    scale: float,
    renormalise: bool = True,
) -> tuple[Tensor, Tensor]:
    """Ids and top-k weights [T, top] by sigmoid, of the experts kept by a row's block (LLaDA2.2).

    A block keeps the `capacity` experts of the highest scores that any of its rows has. `blocks`
    [T] are as of `number_blocks`; every row of a block must be here. The bias [E] is for the choice
    alone, of experts of the block and of the row.
    """
    num_experts = logits.shape[-1]
    if not top <= capacity <= num_experts:
        raise ValueError(f"top {top} of {capacity} experts a block, of {num_experts}")
    if len(blocks) != logits.shape[-2]:
        raise ValueError(f"{len(blocks)} rows have a block, {logits.shape[-2]} have logits")
    if uses_triton(logits.device):
        from unmask_kernels.moe.gpu import block_routing

        return block_routing.route_by_block(
            logits,
            blocks,
            bias,
            top,
            capacity=capacity,
            scale=scale,
            renormalise=renormalise,
        )
    scores = _sigmoid(logits.float())
    choice = scores + bias
    num_blocks = int(blocks[-1]) + 1 if len(blocks) else 0
    block_scores = choice.new_full((num_blocks, num_experts), float("-inf"))
    block_scores.scatter_reduce_(0, blocks[:, None].expand_as(choice), choice, "amax")
    kept = torch.zeros_like(block_scores, dtype=torch.bool)
    kept.scatter_(1, _highest(block_scores, capacity), True)
    return _best(scores, choice.masked_fill(~kept[blocks], float("-inf")), top, scale, renormalise)


def _best(
    scores: Tensor, choice: Tensor, top: int, scale: float, renormalise: bool
) -> tuple[Tensor, Tensor]:
    """Ids [T, top] of the best experts by `choice` [T, E], and weights of their `scores` [T, E]."""
    ids = _highest(choice, top)
    topk_weights = scores.gather(1, ids)
    if renormalise:
        topk_weights = topk_weights / (_total(topk_weights) + 1e-20)
    return ids, topk_weights * scale


def _highest(choice: Tensor, top: int) -> Tensor:
    """Indices [T, top] of the highest of rows [T, N] float32, of equals the lowest first.

    Numbers are compared as integers in their order, NaN included, as by the kernels: the choice of
    `topk` among equals depends on the machine.
    """
    bits = torch.where(choice == 0, 0.0, choice).view(torch.int32)
    rank = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).long()
    num_choices = choice.shape[1]
    earliness = torch.arange(num_choices - 1, -1, -1, device=choice.device)
    return (rank << 32 | earliness).topk(top, dim=-1).indices


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
