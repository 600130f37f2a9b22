"""Paged attention, in torch and in Triton, against attention written out in float64."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from unmask_kernels.attention import attention, make_plan
from unmask_kernels.dispatch import Backend
from unmask_kernels.tiles import TileConfig

# Spans of one step: (first position, end, block length).
RAGGED = [(0, 12, 4), (30, 33, 3), (96, 160, 32), (5, 6, 1), (16, 48, 16), (40, 70, 10)]
SHORT = [(0, 5, 4), (60, 68, 8)]
# Chunks so short that these spans have several; tiles of 4 or 8 queries.
SMALL = TileConfig(rows=16, keys=16, chunk=32, num_warps=4, num_stages=2)
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


@dataclass
class Case:
    """Random queries, and pages in a shuffled pool whose unused slots are NaN."""

    query: Tensor
    keys: Tensor
    values: Tensor
    spans: list[tuple[int, int, int]]
    arguments: dict[str, Any]
    group: int
    config: TileConfig | None = None

    @property
    def own_pages(self) -> list[np.ndarray]:
        return np.split(self.arguments["pages"], self.arguments["page_starts"][1:-1])

    def plan(self, **changes: Any) -> Any:
        return make_plan(
            **self.arguments | changes,
            group_size=self.group,
            head_dim=self.query.shape[2],
            device=self.query.device,
            dtype=self.query.dtype,
            config=self.config,
        )

    def reach(self, window: int | None) -> np.ndarray:
        positions = np.concatenate([np.arange(start, end) for start, end, _ in self.spans])
        return np.maximum(positions - (window or 10**6), 0)


def build(
    spans: list[tuple[int, int, int]],
    page_size: int,
    heads: tuple[int, int],
    dtype: torch.dtype,
    device: torch.device,
    head_dim: int = 32,
    config: TileConfig | None = SMALL,
) -> Case:
    rng = np.random.default_rng(0)
    num_heads, num_kv = heads
    counts = [-(-end // page_size) for _, end, _ in spans]
    order = rng.permutation(sum(counts) + 5)
    pages = np.split(order[: sum(counts)], np.cumsum(counts)[:-1])
    keys = torch.full((sum(counts) + 5, page_size, num_kv, head_dim), math.nan, dtype=dtype)
    values = keys.clone()
    for (_, end, _), own in zip(spans, pages, strict=True):
        for position in range(end):
            page, slot = own[position // page_size], position % page_size
            keys[page, slot] = torch.randn(num_kv, head_dim).to(dtype)
            values[page, slot] = torch.randn(num_kv, head_dim).to(dtype)
    horizons = [
        np.minimum((np.arange(start, end) // block + 1) * block, end) for start, end, block in spans
    ]
    lengths = [end - start for start, end, _ in spans]
    arguments = {
        "query_starts": np.cumsum([0, *lengths]).tolist(),
        "horizons": np.concatenate(horizons),
        "pages": order[: sum(counts)].astype(np.int64),
        "page_starts": np.cumsum([0, *counts]).tolist(),
        "page_size": page_size,
    }
    query = torch.randn(sum(lengths), num_heads, head_dim).to(dtype)
    tensors = query.to(device), keys.to(device), values.to(device)
    return Case(*tensors, spans, arguments, num_heads // num_kv, config)


def exact(
    case: Case, scale: float, starts: np.ndarray | None = None, softcap: float | None = None
) -> Tensor:
    """Attention in float64, one query at a time."""
    rows, row = [], 0
    for (start, end, _), pages in zip(case.spans, case.own_pages, strict=True):
        k, v = (
            pool.cpu()[pages].flatten(0, 1)[:end].double().repeat_interleave(case.group, 1)
            for pool in (case.keys, case.values)
        )
        for _ in range(start, end):
            low = 0 if starts is None else int(starts[row])
            reach = slice(low, int(case.arguments["horizons"][row]))
            scores = torch.einsum("hd,khd->hk", case.query[row].cpu().double(), k[reach]) * scale
            if softcap is not None:
                scores = softcap * torch.tanh(scores / softcap)
            rows.append(torch.einsum("hk,khd->hd", scores.softmax(-1), v[reach]))
            row += 1
    return torch.stack(rows)


def check(out: Tensor, expected: Tensor) -> None:
    tolerance = TOLERANCES[out.dtype]
    torch.testing.assert_close(out.cpu().double(), expected, rtol=tolerance, atol=tolerance)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("heads", [(4, 2), (3, 3), (6, 1), (5, 1)])
@pytest.mark.parametrize("page_size", [4, 16, 24, 32])
def test_ragged_rows_agree_with_float64(
    page_size: int, heads: tuple[int, int], dtype: torch.dtype, device: torch.device
) -> None:
    case = build(RAGGED, page_size, heads, dtype, device)
    check(attention(case.query, case.keys, case.values, case.plan(), 0.2), exact(case, 0.2))


@pytest.mark.usefixtures("triton_kernels")
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(("heads", "page_size"), [((4, 2), 16), ((3, 3), 24), ((5, 1), 4)])
def test_tiles_agree_with_float64(
    page_size: int, heads: tuple[int, int], dtype: torch.dtype, device: torch.device
) -> None:
    case = build(RAGGED, page_size, heads, dtype, device)
    check(attention(case.query, case.keys, case.values, case.plan(), 0.2), exact(case, 0.2))


@pytest.mark.usefixtures("triton_kernels")
@pytest.mark.parametrize("head_dim", [64, 128, 256, 512])
def test_every_head_size_has_a_configuration(head_dim: int, device: torch.device) -> None:
    case = build(SHORT, 64, (4, 2), torch.bfloat16, device, head_dim, config=None)
    check(attention(case.query, case.keys, case.values, case.plan(), 0.1), exact(case, 0.1))


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_a_query_sees_nothing_before_its_start(
    dtype: torch.dtype, device: torch.device, backend: Backend
) -> None:
    case = build(RAGGED, 16, (4, 2), dtype, device)
    starts = case.reach(20)
    out = attention(case.query, case.keys, case.values, case.plan(starts=starts), 0.2)
    check(out, exact(case, 0.2, starts))


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_scores_are_capped(dtype: torch.dtype, device: torch.device, backend: Backend) -> None:
    case = build(SHORT, 16, (4, 2), dtype, device)
    out = attention(case.query, case.keys, case.values, case.plan(), 0.5, softcap=2.0)
    check(out, exact(case, 0.5, softcap=2.0))


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_pages_of_8_bits_have_a_scale_for_each_head(
    dtype: torch.dtype, device: torch.device, backend: Backend
) -> None:
    case = build(SHORT, 16, (4, 2), torch.bfloat16, device)
    scales = torch.tensor([0.5, 2.0], device=device)
    small_keys, small_values = case.keys.to(dtype), case.values.to(dtype)
    out = attention(
        case.query,
        small_keys,
        small_values,
        case.plan(),
        0.2,
        key_scales=scales,
        value_scales=scales.flip(0),
    )
    case.keys = small_keys.float() * scales[:, None]
    case.values = small_values.float() * scales.flip(0)[:, None]
    check(out, exact(case, 0.2))


@pytest.mark.usefixtures("triton_kernels")
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_tiles_from_descriptors_are_those_from_pointers(
    dtype: torch.dtype, device: torch.device
) -> None:
    case = build(RAGGED, 32, (4, 2), dtype, device)
    expected = attention(case.query, case.keys, case.values, case.plan(), 0.2)
    case.config = TileConfig(rows=16, keys=16, chunk=32, num_warps=4, num_stages=2, tma=True)
    assert torch.equal(attention(case.query, case.keys, case.values, case.plan(), 0.2), expected)


@pytest.mark.parametrize("window", [None, 20])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_a_query_gets_the_same_bits_in_any_company(
    dtype: torch.dtype, window: int | None, device: torch.device, backend: Backend
) -> None:
    case = build(RAGGED, 16, (4, 2), dtype, device)
    starts = None if window is None else case.reach(window)
    together = attention(case.query, case.keys, case.values, case.plan(starts=starts), 0.2)
    row = 0
    for (start, end, _), pages in zip(case.spans, case.own_pages, strict=True):
        for first in (start, (start + end) // 2):  # the whole span, and its second half alone
            rows = slice(row + first - start, row + end - start)
            own = {
                "query_starts": [0, end - first],
                "horizons": case.arguments["horizons"][rows],
                "pages": pages,
                "page_starts": [0, len(pages)],
                "starts": None if starts is None else starts[rows],
            }
            alone = attention(case.query[rows], case.keys, case.values, case.plan(**own), 0.2)
            assert torch.equal(alone, together[rows])
        row += end - start


def test_no_queries_give_no_rows(device: torch.device, backend: Backend) -> None:
    case = build(SHORT, 16, (4, 2), torch.float32, device)
    nothing = {
        "query_starts": [0],
        "horizons": np.empty(0, np.int64),
        "pages": np.empty(0, np.int64),
        "page_starts": [0],
    }
    assert attention(case.query[:0], case.keys, case.values, case.plan(**nothing), 1.0).numel() == 0


def test_heads_that_do_not_group_are_refused(device: torch.device) -> None:
    case = build(SHORT, 16, (4, 2), torch.float32, device)
    with pytest.raises(ValueError, match="do not group"):
        attention(case.query[:, :3], case.keys, case.values, case.plan(), 1.0)


def test_pages_of_another_dtype_need_scales(device: torch.device) -> None:
    case = build(SHORT, 16, (4, 2), torch.float32, device)
    with pytest.raises(ValueError, match="need scales"):
        attention(case.query, case.keys.bfloat16(), case.values.bfloat16(), case.plan(), 1.0)
