"""Statistics, draws and weights of slices of canvas rows' logits, and their merge.

One program takes a slice of a row, and one merges the slices of a row: rows are batch-invariant.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import torch
import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.noise.vocabulary import SLICE
from unmask_kernels.philox_gpu import gumbel
from unmask_kernels.scoring.types import Draws
from unmask_kernels.variant import Variant

MAX_WARPS, WARP_ENTRIES = 16, 1024  # 32 entries a thread
COLUMNS, MERGE_WARPS = 1024, 4
NUM_VALUES, NUM_ENTRIES = tl.constexpr(6), tl.constexpr(2)
LOG2_E = tl.constexpr(1.4426950408889634)
LOWEST = tl.constexpr(-1e30)
NO_ENTRY = tl.constexpr(2147483647)


@triton.jit
def slice_kernel(
    logits, temperatures, spreads, seeds, positions, steps, values, entries,
    num_entries, slice_len, stride_row, cap,
    BLOCK: tl.constexpr, CAPPED: tl.constexpr, DRAWS: tl.constexpr,
):  # fmt: skip
    """Six `values` and two `entries` of a slice of a row; logits become exp(logit - best).

    A slice is read once and stays in registers: instructions bound this kernel, not its bytes.
    """
    i_row, i_slice = tl.program_id(0).to(tl.int64), tl.program_id(1)
    first = i_slice * slice_len
    o_entry = tl.arange(0, BLOCK)
    m_entry = o_entry < tl.minimum(slice_len, num_entries - first)
    p_entry = logits + i_row * stride_row + first + o_entry
    b_x = tl.load(p_entry, mask=m_entry, other=0.0).to(tl.float32)
    if CAPPED:  # cap * tanh(x / cap)
        b_x = cap - 2.0 * cap / (1.0 + tl.exp2(b_x * (2.0 * LOG2_E / cap)))
    # NaN becomes the lowest logit: a token id must lie within the vocabulary all the same.
    b_x = tl.where(m_entry & (b_x >= LOWEST), b_x, LOWEST)
    inverse = 1.0 / tl.load(temperatures + i_row)
    plain_best = tl.max(b_x, 0)
    token = tl.min(tl.where(b_x == plain_best, o_entry, NO_ENTRY), 0)
    drawn, highest = token, plain_best * inverse
    if DRAWS:
        b_noise = gumbel(
            tl.load(seeds + i_row), tl.load(positions + i_row), tl.load(steps + i_row), first, BLOCK
        )
        b_score = b_x * inverse + tl.load(spreads + i_row) * b_noise
        highest = tl.max(b_score, 0)
        drawn = tl.min(tl.where(b_score == highest, o_entry, NO_ENTRY), 0)
    b_below = b_x - plain_best
    b_weight = tl.exp2(b_below * (inverse * LOG2_E))
    tl.store(p_entry, b_weight.to(logits.dtype.element_ty), mask=m_entry)
    i_part = i_row * tl.num_programs(1) + i_slice
    p_value, p_token = values + i_part * NUM_VALUES, entries + i_part * NUM_ENTRIES
    tl.store(p_value, plain_best * inverse)
    tl.store(p_value + 1, highest)
    tl.store(p_value + 2, tl.sum(b_weight, 0))
    tl.store(p_value + 3, tl.sum(b_weight * b_below, 0) * inverse)
    tl.store(p_value + 4, plain_best)
    tl.store(p_value + 5, tl.sum(tl.exp2(b_below * LOG2_E), 0))
    tl.store(p_token, (first + token).to(tl.int64))
    tl.store(p_token + 1, (first + drawn).to(tl.int64))


@triton.jit
def join_slices_kernel(
    values, entries, parts, soft, numbers, tokens,
    first_row, all_rows, num_slices, num_rows, num_columns, scale,
    SLICES: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """COLUMNS of a row's mean embedding; the program of the first also merges its statistics."""
    i_row, i_column = tl.program_id(0).to(tl.int64), tl.program_id(1)
    i_out = first_row + i_row
    o_slice = tl.arange(0, SLICES)
    m_slice = o_slice < num_slices
    p_value = values + (i_row * num_slices + o_slice) * NUM_VALUES
    b_best = tl.load(p_value, mask=m_slice, other=float("-inf"))
    best = tl.max(b_best, 0)
    b_shift = tl.where(m_slice, b_best - best, 0.0)
    b_weight_of_slice = tl.where(m_slice, tl.exp(b_shift), 0.0)
    b_total = tl.load(p_value + 2, mask=m_slice, other=0.0)
    total = tl.sum(b_weight_of_slice * b_total, 0)
    if i_column == 0:
        b_weighted = tl.load(p_value + 3, mask=m_slice, other=0.0)
        weighted = tl.sum(b_weight_of_slice * (b_weighted + b_total * b_shift), 0)
        b_plain = tl.load(p_value + 4, mask=m_slice, other=float("-inf"))
        plain_best = tl.max(b_plain, 0)
        b_plain_total = tl.load(p_value + 5, mask=m_slice, other=0.0)
        plain_total = tl.sum(tl.exp(b_plain - plain_best) * b_plain_total, 0)
        b_drawn = tl.load(p_value + 1, mask=m_slice, other=float("-inf"))
        winner = tl.min(tl.where(b_best == best, o_slice, num_slices - 1), 0)
        drawn = tl.min(tl.where(b_drawn == tl.max(b_drawn, 0), o_slice, num_slices - 1), 0)
        p_entry = entries + i_row * num_slices * NUM_ENTRIES
        tl.store(tokens + i_out, tl.load(p_entry + winner * NUM_ENTRIES))
        tl.store(tokens + all_rows + i_out, tl.load(p_entry + drawn * NUM_ENTRIES + 1))
        tl.store(numbers + i_out, 1.0 / plain_total)
        tl.store(numbers + all_rows + i_out, tl.log(total) - weighted / total)
        tl.store(numbers + 2 * all_rows + i_out, plain_best + tl.log(plain_total))
        tl.store(numbers + 3 * all_rows + i_out, best + tl.log(total))
    o_column = i_column * COLUMNS + tl.arange(0, COLUMNS)
    m_column = o_column < num_columns
    b_soft = tl.zeros([COLUMNS], tl.float32)
    for i_slice in range(num_slices):
        weight = tl.exp(tl.load(values + (i_row * num_slices + i_slice) * NUM_VALUES) - best)
        p_part = parts + (i_slice * num_rows + i_row) * num_columns + o_column
        b_soft += weight * tl.load(p_part, mask=m_column, other=0.0).to(tl.float32)
    b_soft = b_soft / total * scale
    p_soft = soft + i_out * num_columns + o_column
    tl.store(p_soft, b_soft.to(soft.dtype.element_ty), mask=m_column)


def score_slices(
    logits: Tensor, slice_len: int, temperature: Tensor, cap: float | None, draws: Draws | None
) -> tuple[Tensor, Tensor]:
    """Score P slices of logits [M, V] before their cap; `draws` has a spread, or there are none.

    Returns values [M, P, 6] float32 (best, highest drawn, total, weighted, plain best and total)
    and entries [M, P, 2] int64 (the best, the drawn). Logits become exp(logit - best of slice) at
    temperature. `slice_len` is a multiple of four.
    """
    num_rows, num_entries = logits.shape
    num_slices = triton.cdiv(num_entries, slice_len)
    values = logits.new_empty((num_rows, num_slices, NUM_VALUES.value), dtype=torch.float32)
    entries = logits.new_empty((num_rows, num_slices, NUM_ENTRIES.value), dtype=torch.int64)
    keys: tuple[Tensor | None, ...] = (None,) * 4
    if draws is not None:
        keys = (draws.spread, draws.seeds, draws.positions, draws.steps)
    block = triton.next_power_of_2(slice_len)
    slice_kernel[(num_rows, num_slices)](
        logits, temperature, *keys, values, entries,
        num_entries, slice_len, logits.stride(0), 1.0 if cap is None else cap,
        BLOCK=block, CAPPED=cap is not None, DRAWS=draws is not None, num_warps=_warps(block),
    )  # fmt: skip
    return values, entries


def _warps(block: int) -> int:
    return min(MAX_WARPS, max(1, block // WARP_ENTRIES))


@dataclass(frozen=True, slots=True)
class MergedScores:
    """Statistics of M rows over the whole vocabulary."""

    soft: Tensor  # [M, C], the mean embedding
    tokens: Tensor  # [2, M] int64: the best, the drawn
    numbers: Tensor  # [4, M] float32: confidence, entropy, log-normalizers without and with T

    @classmethod
    def empty(cls, rows: Tensor) -> Self:
        """Memory for the scores of `rows` [M, C]."""
        tokens = rows.new_empty((2, len(rows)), dtype=torch.int64)
        return cls(
            torch.empty_like(rows), tokens, rows.new_empty((4, len(rows)), dtype=torch.float32)
        )


def merge_slices(
    values: Tensor,
    entries: Tensor,
    parts: Tensor,
    scale: float,
    merged: MergedScores,
    first_row: int,
) -> None:
    """Write the scores of rows from `first_row` on to `merged`.

    `values` and `entries` are those of `score_slices`, `parts` [P, M, C] each slice's embeddings
    summed by their weights.
    """
    num_slices, num_rows, num_columns = parts.shape
    join_slices_kernel[(num_rows, triton.cdiv(num_columns, COLUMNS))](
        values, entries, parts, merged.soft, merged.numbers, merged.tokens,
        first_row, len(merged.soft), num_slices, num_rows, num_columns, scale,
        SLICES=triton.next_power_of_2(num_slices), COLUMNS=COLUMNS, num_warps=MERGE_WARPS,
    )  # fmt: skip


def variants(capability: int) -> Iterator[Variant]:
    """Every launched variant, for the compile checks."""
    types = {"logits": "*bf16", "temperatures": "*fp32", "values": "*fp32"}
    types |= {"entries": "*i64", "num_entries": "i32:16", "slice_len": "i32:16"}
    types |= {"stride_row": "i32:16", "cap": "fp32"}
    draws = {"spreads": "*fp32", "seeds": "*i64", "positions": "*i64", "steps": "*i64"}
    whole, warps = {"BLOCK": SLICE, "CAPPED": True}, _warps(SLICE)
    yield Variant("canvas drawn", slice_kernel, types | draws, whole | {"DRAWS": True}, warps)
    nothing = dict.fromkeys(draws) | {"DRAWS": False}
    yield Variant("canvas", slice_kernel, types, whole | nothing, warps)
    merged = {"values": "*fp32", "entries": "*i64", "parts": "*bf16", "soft": "*bf16"}
    merged |= {"numbers": "*fp32", "tokens": "*i64", "scale": "fp32"}
    sizes = ("first_row", "all_rows", "num_slices", "num_rows", "num_columns")
    merged |= dict.fromkeys(sizes, "i32:16")
    columns = {"SLICES": 16, "COLUMNS": COLUMNS}
    yield Variant("canvas merged", join_slices_kernel, merged, columns, MERGE_WARPS)
