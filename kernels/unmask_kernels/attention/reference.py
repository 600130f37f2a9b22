"""Attention over pages in plain torch."""

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.attention.segments import SegmentPlan


def attention(
    query: Tensor,
    key_pages: Tensor,
    value_pages: Tensor,
    plan: SegmentPlan,
    scale: float,
    softcap: float | None = None,
    key_scales: Tensor | None = None,
    value_scales: Tensor | None = None,
) -> Tensor:
    """One fused attention per segment over its keys; see `unmask_kernels.attention.ops`.

    The query heads of a KV head are packed beside its rows, so that keys are never repeated.
    """
    if not plan.segments:
        return torch.empty_like(query)
    num_heads, head_dim = query.shape[1:]
    num_kv_heads = key_pages.shape[2]
    group = num_heads // num_kv_heads
    keys = _gather(key_pages, plan, key_scales, query.dtype)
    values = _gather(value_pages, plan, value_scales, query.dtype)
    if plan.rows is not None:
        query = query.index_select(0, plan.rows)
    num_rows = len(query)
    packed = query.view(num_rows, num_kv_heads, group, head_dim).transpose(0, 1)
    packed = packed.reshape(num_kv_heads, num_rows * group, head_dim)
    parts = []
    for segment in plan.segments:
        last = segment.key_start + segment.num_keys
        num_packed = (segment.row_end - segment.row_start) * group
        queries = packed[None, :, segment.row_start * group : segment.row_end * group]
        segment_keys = keys[None, :, segment.key_start : last]
        segment_values = values[None, :, segment.key_start : last]
        bias = _packed_bias(segment.bias, num_packed, group)
        if softcap is None:
            mixed = F.scaled_dot_product_attention(
                queries, segment_keys, segment_values, attn_mask=bias, scale=scale
            )
        else:
            mixed = _capped(queries, segment_keys, segment_values, bias, scale, softcap)
        parts.append(mixed)
    out = torch.cat(parts, 2).view(num_kv_heads, num_rows, group, head_dim)
    out = out.transpose(0, 1).reshape(num_rows, num_heads, head_dim)
    return out if plan.row_of_query is None else out.index_select(0, plan.row_of_query)


def _capped(
    query: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None, scale: float, softcap: float
) -> Tensor:
    """Attention with scores bounded by `softcap` (Gemma 2)."""
    scores = (query.float() @ keys.float().transpose(-1, -2)) * scale
    scores = softcap * torch.tanh(scores / softcap)
    if bias is not None:
        scores = scores + bias
    return scores.softmax(-1).to(values.dtype) @ values


def _gather(pages: Tensor, plan: SegmentPlan, scales: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Pages laid end to end as [Hkv, K, D]; unwritten slots, which may be NaN, are zeroed."""
    joined = pages.index_select(0, plan.pages).view(-1, *pages.shape[2:])
    if scales is not None:
        joined = (joined.float() * scales[:, None]).to(dtype)
    if len(plan.unwritten):
        joined.index_fill_(0, plan.unwritten, 0)
    return joined.transpose(0, 1)


def _packed_bias(bias: Tensor | None, num_packed: int, group: int) -> Tensor | None:
    if bias is None:
        return None
    if len(bias) == 1:
        return bias.expand(num_packed, -1)
    return bias.repeat_interleave(group, 0)
