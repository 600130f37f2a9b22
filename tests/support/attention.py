"""Queries of sequences over shuffled pages, and a float64 reference of their attention."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unmask_kernels.attention.ops import attention, make_plan
from unmask_kernels.attention.tiles import TileConfig

# Chunks so short that spans have several; tiles of 4 or 8 queries.
SMALL = TileConfig(rows=16, keys=16, chunk=32, grain=16, num_warps=4, num_stages=2)
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
            num_kv_heads=self.keys.shape[2],
            head_dim=self.query.shape[2],
            device=self.query.device,
            dtype=self.query.dtype,
            config=self.config,
        )

    @property
    def positions(self) -> np.ndarray:
        return np.concatenate([np.arange(start, end) for start, end, _ in self.spans])

    def reach(self, window: int | None) -> np.ndarray:
        return np.maximum(self.positions - (window or 10**6), 0)

    def cut(self, ahead: int) -> None:
        """Let no query see more than `ahead` keys after its own."""
        cut = np.minimum(self.positions + 1 + ahead, self.arguments["horizons"])
        self.arguments["horizons"] = cut


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
    for (_, end, _), page_ids in zip(spans, pages, strict=True):
        for position in range(end):
            page, slot = page_ids[position // page_size], position % page_size
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
    """Attention in float64 over a whole sequence, with a mask."""
    spans, row = [], 0
    for (start, end, _), pages in zip(case.spans, case.own_pages, strict=True):
        rows, row = slice(row, row + end - start), row + end - start
        k, v = (
            pool.cpu()[pages].flatten(0, 1)[:end].double().repeat_interleave(case.group, 1)
            for pool in (case.keys, case.values)
        )
        scores = torch.einsum("qhd,khd->hqk", case.query[rows].cpu().double(), k) * scale
        if softcap is not None:
            scores = softcap * torch.tanh(scores / softcap)
        horizons = torch.from_numpy(case.arguments["horizons"][rows])
        lows = torch.zeros_like(horizons) if starts is None else torch.from_numpy(starts[rows])
        keys = torch.arange(end)
        reach = (keys >= lows[:, None]) & (keys < horizons[:, None])
        shares = scores.masked_fill(~reach, -math.inf).softmax(-1)
        spans.append(torch.einsum("hqk,khd->qhd", shares, v))
    return torch.cat(spans)


def check(out: Tensor, expected: Tensor) -> None:
    tolerance = TOLERANCES[out.dtype]
    torch.testing.assert_close(out.cpu().double(), expected, rtol=tolerance, atol=tolerance)


def check_in_company(case: Case, starts: np.ndarray | None) -> None:
    """Assert batch invariance: spans, and their second halves, have the same bits alone."""
    together = attention(case.query, case.keys, case.values, case.plan(starts=starts), 0.2)
    row = 0
    for (start, end, _), pages in zip(case.spans, case.own_pages, strict=True):
        for first in (start, (start + end) // 2):
            rows = slice(row + first - start, row + end - start)
            part = {
                "query_starts": [0, end - first],
                "horizons": case.arguments["horizons"][rows],
                "pages": pages,
                "page_starts": [0, len(pages)],
                "starts": None if starts is None else starts[rows],
            }
            alone = attention(case.query[rows], case.keys, case.values, case.plan(**part), 0.2)
            assert torch.equal(alone, together[rows])
        row += end - start
