"""Attention over pages by the C kernel of `attention.c`."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unmask_kernels.dispatch import uses_native
from unmask_kernels.native.library import address, kernels
from unmask_kernels.native.threads import get_num_threads


@dataclass(frozen=True, slots=True)
class ReachPlan:
    """Keys that each query of S sequences sees; made once per step, shared by all layers."""

    query_starts: Tensor  # [S + 1] int64
    starts: Tensor | None  # [T] int64, the first key; None: the sequence's first
    horizons: Tensor  # [T] int64, exclusive
    pages: Tensor  # [P] int64, the pages of each sequence, one sequence after another
    page_starts: Tensor  # [S + 1] int64


def make_reach_plan(
    query_starts: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64] | None,
    horizons: npt.NDArray[np.int64],
    pages: npt.NDArray[np.int64],
    page_starts: npt.NDArray[np.int64],
) -> ReachPlan:
    """Plan for the C kernel; for arguments see `unmask_kernels.attention.ops.make_plan`."""
    return ReachPlan(
        torch.from_numpy(np.ascontiguousarray(query_starts, np.int64)),
        None if starts is None else torch.from_numpy(np.ascontiguousarray(starts)),
        torch.from_numpy(np.ascontiguousarray(horizons)),
        torch.from_numpy(np.ascontiguousarray(pages)),
        torch.from_numpy(np.ascontiguousarray(page_starts, np.int64)),
    )


def run_reaches(
    query: Tensor,
    key_pages: Tensor,
    value_pages: Tensor,
    plan: ReachPlan,
    scale: float,
    softcap: float | None,
    key_scales: Tensor | None,
    value_scales: Tensor | None,
) -> Tensor:
    """Attention by the C kernel; 8-bit keys are widened first.

    Queries beyond the plan's, which are padding, get zeros.
    """
    if key_pages.dtype is not query.dtype or not uses_native(query):
        keys = _widened(key_pages, plan.pages, key_scales)
        values = _widened(value_pages, plan.pages, value_scales)
        widened_plan = replace(plan, pages=torch.arange(len(plan.pages)))
        out = run_reaches(query.float(), keys, values, widened_plan, scale, softcap, None, None)
        return out.to(query.dtype)
    native, pages, query = kernels(query.dtype), plan.pages, query.contiguous()
    out = torch.empty_like(query)
    num_planned, threads = len(plan.horizons), get_num_threads()
    out[num_planned:] = 0
    num_heads, head_dim = query.shape[1:]
    page_size, num_kv_heads = key_pages.shape[1:3]
    workspace = torch.empty(threads, native.attention_workspace(head_dim), dtype=torch.uint8)
    native.attention(
        query.data_ptr(),
        key_pages.data_ptr(),
        value_pages.data_ptr(),
        out.data_ptr(),
        len(plan.query_starts) - 1,
        plan.query_starts.data_ptr(),
        address(plan.starts),
        plan.horizons.data_ptr(),
        pages.data_ptr(),
        plan.page_starts.data_ptr(),
        page_size,
        num_kv_heads,
        num_heads // num_kv_heads,
        head_dim,
        scale,
        softcap or 0.0,
        workspace.data_ptr(),
        threads,
    )
    return out


def _widened(pages: Tensor, used: Tensor, scales: Tensor | None) -> Tensor:
    """Pages of the indices `used` [P], in float32."""
    wide = pages.index_select(0, used).float()
    return wide if scales is None else wide * scales[:, None]
