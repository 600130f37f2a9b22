"""Attention of ragged query rows over paged keys and values, each query up to its horizon."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unmask_kernels import reference

MAX_LOOPED_HORIZONS = 2


@dataclass(frozen=True, slots=True)
class Segment:
    """Queries [query_start, query_end) over keys [key_start, key_start + num_keys).

    Keys are counted in the slots of the plan's pages laid end to end. Without a bias every query
    sees every key; with one, it is added to the scores, -inf where a key is out of reach.
    """

    query_start: int
    query_end: int
    key_start: int
    num_keys: int
    bias: Tensor | None  # [query_end - query_start, num_keys]


@dataclass(frozen=True, slots=True)
class AttentionPlan:
    """Which queries read which pages; made once per step and shared by all layers."""

    pages: Tensor  # [P] int64, the pages of each sequence, one sequence after another
    segments: tuple[Segment, ...]


def make_plan(
    query_starts: Sequence[int],
    horizons: npt.NDArray[np.int64],
    pages: npt.NDArray[np.int64],
    page_starts: Sequence[int],
    page_size: int,
    *,
    device: torch.device,
    dtype: torch.dtype,
) -> AttentionPlan:
    """Plan attention for sequences whose queries are consecutive and whose horizons never fall.

    `query_starts` and `page_starts` have one entry more than there are sequences; `horizons` [T]
    holds the exclusive end of the keys of each query, `pages` [P] the pages of all sequences.
    """
    segments: list[Segment] = []
    for i in range(len(query_starts) - 1):
        start, end = query_starts[i], query_starts[i + 1]
        key_start = page_starts[i] * page_size
        rows = horizons[start:end]
        cuts = np.flatnonzero(rows[1:] != rows[:-1]) + 1
        if len(cuts) < MAX_LOOPED_HORIZONS:
            edges = [0, *cuts.tolist(), end - start]
            segments += [
                Segment(start + low, start + high, key_start, int(rows[low]), None)
                for low, high in itertools.pairwise(edges)
            ]
            continue
        num_keys = int(rows[-1])
        visible = np.arange(num_keys)[None, :] < rows[:, None]
        bias = torch.zeros(visible.shape, dtype=dtype)
        bias.masked_fill_(torch.from_numpy(~visible), float("-inf"))
        segments.append(Segment(start, end, key_start, num_keys, bias.to(device)))
    return AttentionPlan(torch.from_numpy(pages).to(device), tuple(segments))


def attention(
    query: Tensor, key_pages: Tensor, value_pages: Tensor, plan: AttentionPlan, scale: float
) -> Tensor:
    """Softmax attention of `query` [T, H, D] over pages [N, page, Hkv, D]; returns [T, H, D].

    Query heads are grouped: head h reads key head h // (H // Hkv).
    """
    num_heads, head_dim = query.shape[1:]
    num_kv_heads = key_pages.shape[2]
    if num_heads % num_kv_heads:
        raise ValueError(f"{num_heads} query heads do not group over {num_kv_heads} key heads")
    if key_pages.shape != value_pages.shape or key_pages.shape[3] != head_dim:
        raise ValueError(f"pages {tuple(key_pages.shape)} do not fit queries of {head_dim}")
    return reference.attention(query, key_pages, value_pages, plan.pages, plan.segments, scale)
