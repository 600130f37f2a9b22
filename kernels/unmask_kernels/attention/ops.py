"""Attention of ragged query rows over paged keys and values, each query with its own reach."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unmask_kernels.attention import reference
from unmask_kernels.attention.cpu import ReachPlan, make_reach_plan, run_reaches
from unmask_kernels.attention.segments import SegmentPlan, make_segment_plan
from unmask_kernels.attention.tiles import (
    TileConfig,
    TilePlan,
    ToDevice,
    make_tile_plan,
    tile_config,
)
from unmask_kernels.dispatch import capability, has_native, uses_triton

AttentionPlan = SegmentPlan | ReachPlan | TilePlan


def make_plan(
    query_starts: npt.NDArray[np.int64],
    horizons: npt.NDArray[np.int64],
    pages: npt.NDArray[np.int64],
    page_starts: npt.NDArray[np.int64],
    page_size: int,
    *,
    group_size: int,
    num_kv_heads: int,
    head_dim: int,
    device: torch.device,
    dtype: torch.dtype,
    starts: npt.NDArray[np.int64] | None = None,
    config: TileConfig | None = None,
    to_device: ToDevice | None = None,
) -> AttentionPlan:
    """Plan attention for sequences whose queries are consecutive and whose horizons never fall.

    `query_starts` and `page_starts` have one entry more than there are sequences; a query sees the
    keys from `starts` [T], or the first, to `horizons` [T], exclusive; `pages` [P] are those of all
    sequences; `group_size` is the number of query heads that share a KV head. `to_device` copies
    arrays to the device; without it each is a copy of its own.
    """
    if uses_triton(device):
        copy = to_device or (lambda arrays: [torch.from_numpy(a).to(device) for a in arrays])
        return make_tile_plan(
            query_starts,
            starts,
            horizons,
            pages,
            page_starts,
            group_size=group_size,
            num_kv_heads=num_kv_heads,
            head_dim=head_dim,
            config=config or tile_config(head_dim, dtype, capability(device)),
            to_device=copy,
        )
    if has_native(device, torch.float32):
        return make_reach_plan(query_starts, starts, horizons, pages, page_starts)
    return make_segment_plan(
        query_starts,
        starts,
        horizons,
        pages,
        page_starts,
        page_size,
        group_size=group_size,
        device=device,
        dtype=dtype,
    )


def attention(
    query: Tensor,
    key_pages: Tensor,
    value_pages: Tensor,
    plan: AttentionPlan,
    scale: float,
    *,
    softcap: float | None = None,
    key_scales: Tensor | None = None,
    value_scales: Tensor | None = None,
) -> Tensor:
    """Softmax attention of `query` [T, H, D] over pages [N, page, Hkv, D]; returns [T, H, D].

    Query heads are grouped: head h reads KV head h // (H // Hkv). `softcap` bounds the scores by a
    hyperbolic tangent. 8-bit pages come with `key_scales` and `value_scales` [Hkv], float32.
    """
    num_heads, head_dim = query.shape[1:]
    num_kv_heads = key_pages.shape[2]
    if num_heads % num_kv_heads:
        raise ValueError(f"{num_heads} query heads do not group over {num_kv_heads} key heads")
    if key_pages.shape != value_pages.shape or key_pages.shape[3] != head_dim:
        raise ValueError(f"pages {tuple(key_pages.shape)} do not fit queries of {head_dim}")
    if (key_scales is None) != (value_scales is None):
        raise ValueError("scales are given for keys and values or for neither")
    if (key_scales is None) != (key_pages.dtype == query.dtype):
        raise ValueError(f"{key_pages.dtype} pages and {query.dtype} queries need scales, or none")
    if isinstance(plan, TilePlan):
        from unmask_kernels.attention.gpu import run_tiles

        return run_tiles(
            query, key_pages, value_pages, plan, scale, softcap, key_scales, value_scales
        )
    if isinstance(plan, ReachPlan):
        return run_reaches(
            query, key_pages, value_pages, plan, scale, softcap, key_scales, value_scales
        )
    return reference.attention(
        query, key_pages, value_pages, plan, scale, softcap, key_scales, value_scales
    )
