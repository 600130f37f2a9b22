"""Mixtures of experts: which experts a row is sent to, and what they make of it."""

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.dispatch import capability, uses_triton
from unmask_kernels.layers import Activation, gated


def route_softmax(logits: Tensor, top: int, *, renormalise: bool) -> tuple[Tensor, Tensor]:
    """The `top` most likely experts of rows [T, E], and their shares [T, top] (Qwen3-MoE)."""
    shares, ids = logits.float().softmax(-1).topk(top, dim=-1)
    return ids, shares / shares.sum(-1, keepdim=True) if renormalise else shares


def route_sigmoid(
    logits: Tensor, bias: Tensor, top: int, *, groups: int, top_groups: int, scale: float
) -> tuple[Tensor, Tensor]:
    """Experts by sigmoid with a bias for the choice alone, from the best groups (DeepSeek-V3).

    A group of `logits` [T, E] counts as much as the sum of its two best. Returns ids and shares,
    both [T, top].
    """
    scores = logits.float().sigmoid()
    choice = scores + bias
    grouped = choice.view(len(choice), groups, -1)
    worth = grouped.topk(min(2, grouped.shape[2]), dim=-1).values.sum(-1)
    kept = torch.zeros_like(worth, dtype=torch.bool)
    kept.scatter_(1, worth.topk(top_groups, dim=-1).indices, True)
    choice = grouped.masked_fill(~kept[:, :, None], float("-inf")).flatten(1)
    ids = choice.topk(top, dim=-1).indices
    shares = scores.gather(1, ids)
    return ids, shares / (shares.sum(-1, keepdim=True) + 1e-20) * scale


def experts(
    x: Tensor,
    gate_up: Tensor,
    down: Tensor,
    ids: Tensor,
    shares: Tensor,
    *,
    gate_up_scales: Tensor | None = None,
    down_scales: Tensor | None = None,
    activation: Activation = "silu",
) -> Tensor:
    """Rows `x` [T, C] through the experts `ids` [T, K], summed by `shares` [T, K] float32.

    An expert is a gated product (Shazeer, 2020): `gate_up` [E, 2 I, C] holds its gate's outputs
    before the others, `down` [E, C, I]. Weights of 8 bits have scales [E, 2 I] and [E, C] of their
    outputs. Returns [T, C].
    """
    num_experts, both, columns = gate_up.shape
    if columns != x.shape[1] or down.shape != (num_experts, columns, both // 2):
        shapes = f"{tuple(gate_up.shape)} and {tuple(down.shape)}"
        raise ValueError(f"experts {shapes} do not fit rows {tuple(x.shape)}")
    if ids.shape != shares.shape or len(ids) != len(x):
        raise ValueError(f"{tuple(ids.shape)} experts with {tuple(shares.shape)} shares")
    if uses_triton(x.device):
        from unmask_kernels.gpu import experts as gpu

        return gpu.experts(
            x,
            gate_up,
            down,
            ids,
            shares,
            gate_up_scales,
            down_scales,
            activation,
            capability(x.device),
        )
    parts = torch.zeros((*ids.shape, columns), dtype=x.dtype, device=x.device)
    for expert in range(num_experts):
        row, choice = (ids == expert).nonzero(as_tuple=True)
        if not len(row):
            continue
        joined = F.linear(x[row], _wide(gate_up, gate_up_scales, expert, x.dtype))
        mixed = gated(joined, activation)
        parts[row, choice] = F.linear(mixed, _wide(down, down_scales, expert, x.dtype))
    return (parts.float() * shares[:, :, None]).sum(1).to(x.dtype)


def _wide(weights: Tensor, scales: Tensor | None, expert: int, dtype: torch.dtype) -> Tensor:
    weight = weights[expert]
    return weight if scales is None else (weight.float() * scales[expert][:, None]).to(dtype)
