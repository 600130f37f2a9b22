"""Every operation in plain torch: the CPU path, and what kernels are compared with."""

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class SegmentLike(Protocol):
    """What `attention` reads of a segment; see `unmask_kernels.attention.segments.Segment`."""

    @property
    def row_start(self) -> int: ...
    @property
    def row_end(self) -> int: ...
    @property
    def key_start(self) -> int: ...
    @property
    def num_keys(self) -> int: ...
    @property
    def bias(self) -> Tensor | None: ...


class PlanLike(Protocol):
    """What `attention` reads of a plan; see `unmask_kernels.attention.segments.SegmentPlan`."""

    @property
    def pages(self) -> Tensor: ...
    @property
    def unwritten(self) -> Tensor: ...
    @property
    def rows(self) -> Tensor | None: ...
    @property
    def row_of_query(self) -> Tensor | None: ...
    @property
    def segments(self) -> Sequence[SegmentLike]: ...


def attention(
    query: Tensor,
    key_pages: Tensor,
    value_pages: Tensor,
    plan: PlanLike,
    scale: float,
    softcap: float | None = None,
    key_scales: Tensor | None = None,
    value_scales: Tensor | None = None,
) -> Tensor:
    """One fused attention per segment over its own keys; see `unmask_kernels.attention.ops`.

    A group's query heads are packed beside its rows, so that keys are never repeated.
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
        own = packed[None, :, segment.row_start * group : segment.row_end * group]
        own_keys = keys[None, :, segment.key_start : last]
        own_values = values[None, :, segment.key_start : last]
        bias = _packed_bias(segment.bias, num_packed, group)
        if softcap is None:
            mixed = F.scaled_dot_product_attention(
                own, own_keys, own_values, attn_mask=bias, scale=scale
            )
        else:
            mixed = _capped(own, own_keys, own_values, bias, scale, softcap)
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


def _gather(pages: Tensor, plan: PlanLike, scales: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Pages laid end to end as [Hkv, K, D]; what was never written must not be NaN."""
    laid = pages.index_select(0, plan.pages).view(-1, *pages.shape[2:])
    if scales is not None:
        laid = (laid.float() * scales[:, None]).to(dtype)
    if len(plan.unwritten):
        laid.index_fill_(0, plan.unwritten, 0)
    return laid.transpose(0, 1)


def _packed_bias(bias: Tensor | None, num_packed: int, group: int) -> Tensor | None:
    if bias is None:
        return None
    if len(bias) == 1:
        return bias.expand(num_packed, -1)
    return bias.repeat_interleave(group, 0)


def kv_store(
    key: Tensor, value: Tensor, key_pages: Tensor, value_pages: Tensor, slots: Tensor
) -> None:
    """Write rows [T, Hkv, D] to the slots [T] of pages [N, page, Hkv, D], in place."""
    for rows, pages in ((key, key_pages), (value, value_pages)):
        if pages.itemsize == 1:  # torch copies bytes, but not floats of 8 bits, by index
            rows, pages = rows.view(torch.uint8), pages.view(torch.uint8)
        pages.view(-1, *pages.shape[2:]).index_copy_(0, slots, rows)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Root-mean-square norm over the last dimension (Zhang and Sennrich, 2019), in float32."""
    wide = x.float()
    norm: Tensor = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
    scale = norm.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
    if x.dtype == torch.float32:
        return wide * scale * weight
    return wide.mul_(scale).to(x.dtype).mul_(weight)


def rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the halves of each head of `x` [T, H, D] by angles given as [T, 1, D / 2]."""
    low, high = x.chunk(2, -1)
    return torch.cat((low * cos - high * sin, high * cos + low * sin), -1)


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """silu(gate) * up (Shazeer, 2020)."""
    return F.silu(gate).mul_(up)


def geglu(gate: Tensor, up: Tensor) -> Tensor:
    """gelu(gate) * up, the GELU by its hyperbolic tangent (Shazeer, 2020)."""
    return F.gelu(gate, approximate="tanh").mul_(up)


def align(ids: Tensor, num_experts: int, tile: int) -> tuple[Tensor, Tensor]:
    """Pairs by expert, every expert's filled up to whole tiles, and each tile's expert.

    Pairs [R * K] are those of `ids` [R, K], in the order of their experts; their number stands for
    none. Lengths follow the shapes alone, so nothing waits for the device: spare tiles have -1.
    """
    flat = ids.flatten()
    num_pairs = len(flat)
    num_tiles = -(-num_pairs // tile) + min(num_experts, num_pairs)
    counts = torch.zeros(num_experts, dtype=torch.int64, device=ids.device)
    counts.index_add_(0, flat, torch.ones_like(flat))
    tiles = (counts + tile - 1) // tile
    tile_ends = tiles.cumsum(0)
    order = flat.argsort(stable=True)
    of_pair = flat[order]
    rank = torch.arange(num_pairs, device=ids.device) - (counts.cumsum(0) - counts)[of_pair]
    place = (tile_ends - tiles)[of_pair] * tile + rank
    row_of = torch.full((num_tiles * tile,), num_pairs, dtype=torch.int32, device=ids.device)
    row_of[place] = order.int()
    index = torch.arange(num_tiles, device=ids.device)
    expert_of = torch.searchsorted(tile_ends, index, right=True).int()
    return row_of, torch.where(index < tile_ends[-1], expert_of, -1)
