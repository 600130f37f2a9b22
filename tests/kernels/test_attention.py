"""Paged attention against attention written out in float64."""

import math

import numpy as np
import pytest
import torch

from unmask_kernels.attention import attention, make_plan

# Spans of one step: (first position, end, block length).
RAGGED = [(0, 12, 4), (30, 33, 3), (96, 160, 32), (5, 6, 1), (16, 48, 16), (40, 70, 10)]


def build(
    spans: list[tuple[int, int, int]], page_size: int, heads: tuple[int, int], dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, dict, list[tuple[int, int, list[int]]]]:
    """Random queries and pages in a shuffled pool whose unused slots are NaN."""
    rng = np.random.default_rng(0)
    num_heads, num_kv = heads
    counts = [-(-end // page_size) for _, end, _ in spans]
    order = rng.permutation(sum(counts) + 5)
    pages = np.split(order[: sum(counts)], np.cumsum(counts)[:-1])
    keys = torch.full((sum(counts) + 5, page_size, num_kv, 32), math.nan, dtype=dtype)
    values = keys.clone()
    where = []
    for (start, end, _), own in zip(spans, pages, strict=True):
        for position in range(end):
            page, slot = own[position // page_size], position % page_size
            keys[page, slot] = torch.randn(num_kv, 32).to(dtype)
            values[page, slot] = torch.randn(num_kv, 32).to(dtype)
        where.append((start, end, own.tolist()))
    horizons = np.concatenate(
        [
            np.minimum((np.arange(start, end) // block + 1) * block, end)
            for start, end, block in spans
        ]
    )
    lengths = [end - start for start, end, _ in spans]
    arguments = {
        "query_starts": np.cumsum([0, *lengths]).tolist(),
        "horizons": horizons,
        "pages": order[: sum(counts)].astype(np.int64),
        "page_starts": np.cumsum([0, *counts]).tolist(),
        "page_size": page_size,
    }
    query = torch.randn(sum(lengths), num_heads, 32).to(dtype)
    return query, keys, values, arguments, where


def plan_of(arguments: dict, heads: tuple[int, int], dtype: torch.dtype):
    group = heads[0] // heads[1]
    return make_plan(**arguments, group_size=group, device=torch.device("cpu"), dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("heads", [(4, 2), (3, 3), (6, 1), (5, 1)])
@pytest.mark.parametrize("page_size", [4, 16, 24, 32])
def test_ragged_rows_agree_with_float64(
    page_size: int, heads: tuple[int, int], dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    query, keys, values, arguments, where = build(RAGGED, page_size, heads, dtype)
    out = attention(query, keys, values, plan_of(arguments, heads, dtype), 32**-0.5)
    row, group = 0, heads[0] // heads[1]
    for start, end, pages in where:
        k = keys[pages].flatten(0, 1)[:end].double().repeat_interleave(group, 1)
        v = values[pages].flatten(0, 1)[:end].double().repeat_interleave(group, 1)
        for _ in range(start, end):
            horizon = int(arguments["horizons"][row])
            scores = torch.einsum("hd,khd->hk", query[row].double(), k[:horizon]) * 32**-0.5
            expected = torch.einsum("hk,khd->hd", scores.softmax(-1), v[:horizon])
            tolerance = 1e-5 if dtype is torch.float32 else 2e-2
            torch.testing.assert_close(out[row].double(), expected, rtol=tolerance, atol=tolerance)
            row += 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_query_gets_the_same_bits_in_any_company(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    heads = (4, 2)
    query, keys, values, arguments, where = build(RAGGED, 16, heads, dtype)
    together = attention(query, keys, values, plan_of(arguments, heads, dtype), 32**-0.5)
    row = 0
    for start, end, pages in where:
        for first in (start, (start + end) // 2):  # the whole span, and its second half alone
            rows = slice(row + first - start, row + end - start)
            own = {
                "query_starts": [0, end - first],
                "horizons": arguments["horizons"][rows],
                "pages": np.array(pages),
                "page_starts": [0, len(pages)],
                "page_size": 16,
            }
            alone = attention(query[rows], keys, values, plan_of(own, heads, dtype), 32**-0.5)
            assert torch.equal(alone, together[rows])
        row += end - start


def test_heads_that_do_not_group_are_refused() -> None:
    query, keys, values, arguments, _ = build(RAGGED[:1], 16, (4, 2), torch.float32)
    plan = plan_of(arguments, (4, 2), torch.float32)
    with pytest.raises(ValueError, match="do not group"):
        attention(query[:, :3], keys, values, plan, 1.0)
