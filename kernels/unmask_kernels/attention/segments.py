"""Attention plans for a CPU without C kernels: segments of queries that read the same keys."""

import itertools
import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

# Attention on a CPU is batch-invariant if keys are taken in units of 32 up to the query's own
# horizon, and rows in units of 32.
KEY_UNIT = 32
ROW_UNIT = 32


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows [row_start, row_end) over keys [key_start, key_start + num_keys).

    Rows are the queries that `SegmentPlan.rows` lists; keys are counted in the slots of the
    plan's pages laid end to end. The bias is -inf for keys out of reach, else 0.
    """

    row_start: int
    row_end: int
    key_start: int
    num_keys: int
    bias: Tensor | None  # [row_end - row_start or 1, num_keys]


@dataclass(frozen=True, slots=True)
class SegmentPlan:
    """Segments of queries and the pages they read; made once per step, shared by all layers."""

    pages: Tensor  # [P] int64, the pages of each sequence, one sequence after another
    unwritten: Tensor  # [U] int64, slots of segments beyond the last horizon
    rows: Tensor | None  # [R] int64, queries, repeated to whole units; None: unpadded
    row_of_query: Tensor | None  # [T] int64
    segments: tuple[Segment, ...]


def make_segment_plan(
    query_starts: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64] | None,
    horizons: npt.NDArray[np.int64],
    pages: npt.NDArray[np.int64],
    page_starts: npt.NDArray[np.int64],
    page_size: int,
    *,
    group_size: int,
    device: torch.device,
    dtype: torch.dtype,
) -> SegmentPlan:
    """Plan of segments, one call each; for arguments see `attention.ops.make_plan`."""
    num_queries, num_sequences = len(horizons), len(query_starts) - 1
    if not num_queries:
        nothing = torch.empty(0, dtype=torch.int64, device=device)
        return SegmentPlan(nothing, nothing, None, None, ())
    joined, key_starts, unwritten = _lay_out(query_starts, horizons, pages, page_starts, page_size)
    sequence = np.repeat(np.arange(num_sequences), np.diff(query_starts))
    units = -(-horizons // KEY_UNIT)
    cuts = np.flatnonzero((units[1:] != units[:-1]) | (sequence[1:] != sequence[:-1])) + 1
    edges = [0, *cuts.tolist(), num_queries]
    row_unit = ROW_UNIT // math.gcd(ROW_UNIT, group_size)
    segments: list[Segment] = []
    row_parts: list[npt.NDArray[np.int64]] = []
    row_of_query = np.empty(num_queries, np.int64)
    num_rows = 0
    for start, end in itertools.pairwise(edges):
        count = -(-(end - start) // row_unit) * row_unit
        row_of_query[start:end] = np.arange(num_rows, num_rows + end - start)
        row_parts.append(np.minimum(np.arange(start, start + count), end - 1))
        num_keys = int(units[start]) * KEY_UNIT
        queries = row_parts[-1]
        begins = None if starts is None else starts[queries]
        bias = _bias(begins, horizons[queries], num_keys, dtype, device)
        key_start = key_starts[sequence[start]]
        segments.append(Segment(num_rows, num_rows + count, key_start, num_keys, bias))
        num_rows += count
    padded = num_rows != num_queries
    return SegmentPlan(
        torch.from_numpy(joined).to(device),
        torch.from_numpy(unwritten).to(device),
        torch.from_numpy(np.concatenate(row_parts)).to(device) if padded else None,
        torch.from_numpy(row_of_query).to(device) if padded else None,
        tuple(segments),
    )


def pad_plan(plan: SegmentPlan, num_queries: int, num_padding: int) -> SegmentPlan:
    """Plan with padding after its `num_queries`; padding gets the result of the first query."""
    if not num_padding:
        return plan
    row_of_query = plan.row_of_query
    rows = plan.rows
    if row_of_query is None or rows is None:
        rows = row_of_query = torch.arange(num_queries, device=plan.pages.device)
    padding = row_of_query[:1].expand(num_padding)
    return replace(plan, rows=rows, row_of_query=torch.cat((row_of_query, padding)))


def _lay_out(
    query_starts: npt.NDArray[np.int64],
    horizons: npt.NDArray[np.int64],
    pages: npt.NDArray[np.int64],
    page_starts: npt.NDArray[np.int64],
    page_size: int,
) -> tuple[npt.NDArray[np.int64], list[int], npt.NDArray[np.int64]]:
    """Pages for whole key units, the first key of each sequence, and slots beyond horizons."""
    joined: list[npt.NDArray[np.int64]] = []
    unwritten: list[npt.NDArray[np.int64]] = []
    key_starts: list[int] = []
    num_pages = 0
    for i in range(len(query_starts) - 1):
        sequence_pages = pages[page_starts[i] : page_starts[i + 1]]
        num_keys = int(horizons[query_starts[i + 1] - 1])
        reach = -(-num_keys // KEY_UNIT) * KEY_UNIT
        missing = -(-reach // page_size) - len(sequence_pages)
        if missing > 0:
            sequence_pages = np.concatenate(
                (sequence_pages, np.repeat(sequence_pages[-1:], missing))
            )
        key_start = num_pages * page_size
        key_starts.append(key_start)
        unwritten.append(np.arange(key_start + num_keys, key_start + reach))
        joined.append(sequence_pages)
        num_pages += len(sequence_pages)
    return np.concatenate(joined), key_starts, np.concatenate(unwritten)


def _bias(
    starts: npt.NDArray[np.int64] | None,
    horizons: npt.NDArray[np.int64],
    num_keys: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor | None:
    """Bias of scores [rows, num_keys], -inf out of reach; None if all keys are in reach."""
    if starts is None and horizons[0] == horizons[-1]:
        if horizons[0] == num_keys:
            return None
        return _one_row_bias(int(horizons[0]), num_keys, dtype, device)
    keys = np.arange(num_keys)[None, :]
    out_of_reach = keys >= horizons[:, None]
    if starts is not None:
        out_of_reach |= keys < starts[:, None]
    bias = torch.zeros(out_of_reach.shape, dtype=dtype)
    return bias.masked_fill_(torch.from_numpy(out_of_reach), float("-inf")).to(device)


@lru_cache(maxsize=1024)
def _one_row_bias(horizon: int, num_keys: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    bias = torch.zeros(1, num_keys, dtype=dtype, device=device)
    bias[:, horizon:] = float("-inf")
    return bias
