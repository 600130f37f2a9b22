"""From logits of canvas rows to what a step needs: statistics of slices, draws, weights.

A slice of a row belongs to one program, which takes its pieces in order, and so does the merge of
the slices of a row, so no row depends on others.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.gpu.philox import gumbel
from unmask_kernels.testing.variant import Variant

PIECE, NUM_WARPS = 2048, 4
COLUMNS, MERGE_WARPS = 1024, 4
NUM_VALUES, NUM_ENTRIES = tl.constexpr(6), tl.constexpr(2)
LOWEST = tl.constexpr(-1e30)
NO_ENTRY = tl.constexpr(2147483647)


@triton.jit
def _load_logits(p_logits, mask, cap, CAPPED: tl.constexpr):
    """Logits in float32, bounded by `cap` times the hyperbolic tangent of them over `cap`."""
    b_x = tl.load(p_logits, mask=mask, other=0.0).to(tl.float32)
    if CAPPED:
        b_fall = tl.exp(-2.0 * tl.abs(b_x) / cap)
        b_tanh = (1.0 - b_fall) / (1.0 + b_fall)
        b_x = cap * tl.where(b_x < 0.0, -b_tanh, b_tanh)
    return b_x


@triton.jit
def slice_kernel(
    logits, temperatures, spreads, seeds, positions, steps, values, entries,
    num_entries, slice_len, stride_row, cap,
    PIECE: tl.constexpr, CAPPED: tl.constexpr, DRAWS: tl.constexpr,
):  # fmt: skip
    """Six `values` and two `entries` of a slice of a row; logits become exp(logit - best)."""
    i_row, i_slice = tl.program_id(0).to(tl.int64), tl.program_id(1)
    first = i_slice * slice_len
    count = tl.minimum(slice_len, num_entries - first)
    o_piece = tl.arange(0, PIECE)
    p_row = logits + i_row * stride_row + first
    temperature = tl.load(temperatures + i_row)
    best, total, weighted = tl.full([], LOWEST, tl.float32), temperature * 0.0, temperature * 0.0
    plain_best, plain_total = best, total
    highest = best
    token = tl.full([], 0, tl.int32)
    drawn = token
    for start in range(0, count, PIECE):
        m_entry = start + o_piece < count
        b_x = _load_logits(p_row + start + o_piece, m_entry, cap, CAPPED)
        b_y = tl.where(m_entry, b_x / temperature, LOWEST)
        b_x = tl.where(m_entry, b_x, LOWEST)
        top = tl.max(b_y, 0)
        winner = tl.min(tl.where(b_y == top, start + o_piece, NO_ENTRY), 0)
        higher = tl.maximum(best, top)
        b_e = tl.exp(b_y - higher)
        shrink = tl.exp(best - higher)
        weighted = shrink * (weighted + total * (best - higher)) + tl.sum(b_e * (b_y - higher), 0)
        total = shrink * total + tl.sum(b_e, 0)
        token = tl.where(top > best, winner, token)
        best = higher
        higher = tl.maximum(plain_best, tl.max(b_x, 0))
        plain_total = tl.exp(plain_best - higher) * plain_total + tl.sum(tl.exp(b_x - higher), 0)
        plain_best = higher
        if DRAWS:
            b_noise = gumbel(
                tl.load(seeds + i_row), tl.load(positions + i_row), tl.load(steps + i_row),
                first + start, PIECE,
            )  # fmt: skip
            b_y = tl.where(m_entry, b_y + tl.load(spreads + i_row) * b_noise, LOWEST)
            top = tl.max(b_y, 0)
            winner = tl.min(tl.where(b_y == top, start + o_piece, NO_ENTRY), 0)
            drawn = tl.where(top > highest, winner, drawn)
            highest = tl.maximum(highest, top)
    if not DRAWS:
        drawn = token
        highest = best
    i_part = i_row * tl.num_programs(1) + i_slice
    p_value, p_entry = values + i_part * NUM_VALUES, entries + i_part * NUM_ENTRIES
    tl.store(p_value, best)
    tl.store(p_value + 1, highest)
    tl.store(p_value + 2, total)
    tl.store(p_value + 3, weighted)
    tl.store(p_value + 4, plain_best)
    tl.store(p_value + 5, plain_total)
    tl.store(p_entry, (first + token).to(tl.int64))
    tl.store(p_entry + 1, (first + drawn).to(tl.int64))
    for start in range(0, count, PIECE):
        m_entry = start + o_piece < count
        b_y = _load_logits(p_row + start + o_piece, m_entry, cap, CAPPED) / temperature
        b_weights = tl.exp(b_y - best)
        tl.store(p_row + start + o_piece, b_weights.to(logits.dtype.element_ty), mask=m_entry)


@triton.jit
def join_slices_kernel(
    values, entries, parts, soft, numbers, tokens,
    first_row, all_rows, num_slices, num_rows, num_columns, scale,
    SLICES: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Some columns of a row's mean embedding, and by the program of the first what else it is."""
    i_row, i_column = tl.program_id(0).to(tl.int64), tl.program_id(1)
    i_out = first_row + i_row
    o_slice = tl.arange(0, SLICES)
    m_slice = o_slice < num_slices
    p_value = values + (i_row * num_slices + o_slice) * NUM_VALUES
    b_best = tl.load(p_value, mask=m_slice, other=LOWEST)
    best = tl.max(b_best, 0)
    b_shift = tl.where(m_slice, b_best - best, 0.0)
    b_share = tl.where(m_slice, tl.exp(b_shift), 0.0)
    b_total = tl.load(p_value + 2, mask=m_slice, other=0.0)
    total = tl.sum(b_share * b_total, 0)
    if i_column == 0:
        b_weighted = tl.load(p_value + 3, mask=m_slice, other=0.0)
        weighted = tl.sum(b_share * (b_weighted + b_total * b_shift), 0)
        b_plain = tl.load(p_value + 4, mask=m_slice, other=LOWEST)
        plain_best = tl.max(b_plain, 0)
        b_plain_total = tl.load(p_value + 5, mask=m_slice, other=0.0)
        plain_total = tl.sum(tl.exp(b_plain - plain_best) * b_plain_total, 0)
        b_drawn = tl.load(p_value + 1, mask=m_slice, other=LOWEST)
        winner = tl.min(tl.where(b_best == best, o_slice, NO_ENTRY), 0)
        drawn = tl.min(tl.where(b_drawn == tl.max(b_drawn, 0), o_slice, NO_ENTRY), 0)
        p_entry = entries + i_row * num_slices * NUM_ENTRIES
        tl.store(tokens + i_out, tl.load(p_entry + winner * NUM_ENTRIES))
        tl.store(tokens + all_rows + i_out, tl.load(p_entry + drawn * NUM_ENTRIES + 1))
        tl.store(numbers + i_out, 1.0 / plain_total)
        tl.store(numbers + all_rows + i_out, tl.log(total) - weighted / total)
        tl.store(numbers + 2 * all_rows + i_out, plain_best + tl.log(plain_total))
    o_column = i_column * COLUMNS + tl.arange(0, COLUMNS)
    m_column = o_column < num_columns
    b_soft = tl.zeros([COLUMNS], tl.float32)
    for i_slice in range(num_slices):
        share = tl.exp(tl.load(values + (i_row * num_slices + i_slice) * NUM_VALUES) - best)
        p_part = parts + (i_slice * num_rows + i_row) * num_columns + o_column
        b_soft += share * tl.load(p_part, mask=m_column, other=0.0).to(tl.float32)
    b_soft = b_soft / total * scale
    p_soft = soft + i_out * num_columns + o_column
    tl.store(p_soft, b_soft.to(soft.dtype.element_ty), mask=m_column)


@dataclass(frozen=True, slots=True)
class Drawing:
    """The draws of M rows: how much of the noise is added, and what it is a function of."""

    spreads: Tensor  # [M] float32
    seeds: Tensor  # [M] int64
    positions: Tensor  # [M] int64
    steps: Tensor  # [M] int64

    def padded(self, count: int) -> "Drawing":
        """The draws with `count` rows after them that add nothing."""
        pads = (F.pad(own, (0, count)) for own in (self.seeds, self.positions, self.steps))
        return Drawing(F.pad(self.spreads, (0, count)), *pads)

    def part(self, rows: slice) -> "Drawing":
        """The draws of some rows."""
        return Drawing(self.spreads[rows], self.seeds[rows], self.positions[rows], self.steps[rows])


@dataclass(frozen=True, slots=True)
class SliceScores:
    """Statistics of M rows over P slices of the vocabulary."""

    values: Tensor  # [M, P, 6] float32: best, highest drawn, total, weighted, plain best and total
    entries: Tensor  # [M, P, 2] int64: the best, the drawn


def score_slices(
    logits: Tensor, slice_len: int, temperature: Tensor, cap: float | None, drawing: Drawing | None
) -> SliceScores:
    """Score logits [M, V] before their cap, which become exp(logit - best of slice) at temperature.

    `slice_len` is a multiple of four.
    """
    num_rows, num_entries = logits.shape
    num_slices = triton.cdiv(num_entries, slice_len)
    values = logits.new_empty((num_rows, num_slices, NUM_VALUES.value), dtype=torch.float32)
    entries = logits.new_empty((num_rows, num_slices, NUM_ENTRIES.value), dtype=torch.int64)
    draws: tuple[Tensor | None, ...] = (None,) * 4
    if drawing is not None:
        draws = (drawing.spreads, drawing.seeds, drawing.positions, drawing.steps)
    slice_kernel[(num_rows, num_slices)](
        logits, temperature, *draws, values, entries,
        num_entries, slice_len, logits.stride(0), 1.0 if cap is None else cap,
        PIECE=PIECE, CAPPED=cap is not None, DRAWS=drawing is not None, num_warps=NUM_WARPS,
    )  # fmt: skip
    return SliceScores(values, entries)


@dataclass(frozen=True, slots=True)
class MergedScores:
    """Statistics of M rows over the whole vocabulary."""

    soft: Tensor  # [M, C], the mean embedding
    tokens: Tensor  # [2, M] int64: the best, the drawn
    numbers: Tensor  # [3, M] float32: confidence, entropy, log-normalizer without temperature

    @classmethod
    def empty(cls, rows: Tensor) -> Self:
        """Memory for what `rows` [M, C] come to."""
        tokens = rows.new_empty((2, len(rows)), dtype=torch.int64)
        return cls(
            torch.empty_like(rows), tokens, rows.new_empty((3, len(rows)), dtype=torch.float32)
        )


def merge_slices(
    scores: SliceScores, parts: Tensor, scale: float, merged: MergedScores, first_row: int
) -> None:
    """Put rows from `first_row` on into `merged`.

    They are merged of the statistics of slices and of `parts` [P, M, C], the embeddings of a slice
    by their weights.
    """
    num_slices, num_rows, num_columns = parts.shape
    join_slices_kernel[(num_rows, triton.cdiv(num_columns, COLUMNS))](
        scores.values, scores.entries, parts, merged.soft, merged.numbers, merged.tokens,
        first_row, len(merged.soft), num_slices, num_rows, num_columns, scale,
        SLICES=triton.next_power_of_2(num_slices), COLUMNS=COLUMNS, num_warps=MERGE_WARPS,
    )  # fmt: skip


def variants(capability: int) -> Iterator[Variant]:
    """What is launched, for the compile checks."""
    types = {"logits": "*bf16", "temperatures": "*fp32", "values": "*fp32"}
    types |= {"entries": "*i64", "num_entries": "i32:16", "slice_len": "i32:16"}
    types |= {"stride_row": "i32:16", "cap": "fp32"}
    draws = {"spreads": "*fp32", "seeds": "*i64", "positions": "*i64", "steps": "*i64"}
    pieces = {"PIECE": PIECE, "CAPPED": True}
    yield Variant("canvas drawn", slice_kernel, types | draws, pieces | {"DRAWS": True}, NUM_WARPS)
    nothing = dict.fromkeys(draws) | {"DRAWS": False}
    yield Variant("canvas", slice_kernel, types, pieces | nothing, NUM_WARPS)
    merged = {"values": "*fp32", "entries": "*i64", "parts": "*bf16", "soft": "*bf16"}
    merged |= {"numbers": "*fp32", "tokens": "*i64", "scale": "fp32"}
    sizes = ("first_row", "all_rows", "num_slices", "num_rows", "num_columns")
    merged |= dict.fromkeys(sizes, "i32:16")
    columns = {"SLICES": 16, "COLUMNS": COLUMNS}
    yield Variant("canvas merged", join_slices_kernel, merged, columns, MERGE_WARPS)
