"""A slice of the vocabulary's logits in one pass: statistics, a draw, and what each entry weighs.

A row belongs to one program, which takes its pieces in order, so it does not depend on others.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.gpu.philox import gumbel
from unmask_kernels.testing.variant import Variant

PIECE = 2048
NUM_WARPS = 4
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
    logits, weights, temperatures, spreads, seeds, positions, steps, values, entries,
    first, count, stride_row, cap,
    PIECE: tl.constexpr, CAPPED: tl.constexpr, DRAWS: tl.constexpr,
):  # fmt: skip
    """Six `values` and two `entries` of a row of logits, and the weights exp(logit - best)."""
    i_row = tl.program_id(0).to(tl.int64)
    o_piece = tl.arange(0, PIECE)
    p_row = logits + i_row * stride_row
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
    p_value, p_entry = values + i_row * 6, entries + i_row * 2
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
        p_weights = weights + i_row * count + start + o_piece
        b_weights = tl.exp(b_y - best)
        tl.store(p_weights, b_weights.to(weights.dtype.element_ty), mask=m_entry)


@dataclass(frozen=True, slots=True)
class Drawing:
    """The draws of M rows: how much of the noise is added, and what it is a function of."""

    spreads: Tensor  # [M] float32
    seeds: Tensor  # [M] int64
    positions: Tensor  # [M] int64
    steps: Tensor  # [M] int64


@dataclass(frozen=True, slots=True)
class SliceScores:
    """Statistics of M rows over a slice of the vocabulary."""

    values: Tensor  # [M, 6] float32: best, highest drawn, total, weighted, plain best, plain total
    entries: Tensor  # [M, 2] int64: the best, the drawn
    weights: Tensor  # [M, n], exp(logit at temperature - best)


def score_slice(
    logits: Tensor, first: int, temperature: Tensor, cap: float | None, drawing: Drawing | None
) -> SliceScores:
    """Score logits [M, n] of the entries from `first`, a multiple of four, before their cap."""
    num_rows, count = logits.shape
    values = torch.empty((num_rows, 6), dtype=torch.float32, device=logits.device)
    entries = torch.empty((num_rows, 2), dtype=torch.int64, device=logits.device)
    weights = torch.empty((num_rows, count), dtype=logits.dtype, device=logits.device)
    draws: tuple[Tensor | None, ...] = (None,) * 4
    if drawing is not None:
        draws = (drawing.spreads, drawing.seeds, drawing.positions, drawing.steps)
    slice_kernel[(num_rows,)](
        logits, weights, temperature, *draws, values, entries,
        first, count, logits.stride(0), 1.0 if cap is None else cap,
        PIECE=PIECE, CAPPED=cap is not None, DRAWS=drawing is not None, num_warps=NUM_WARPS,
    )  # fmt: skip
    return SliceScores(values, entries, weights)


def variants(capability: int) -> Iterator[Variant]:
    """What is launched, for the compile checks."""
    types = {"logits": "*bf16", "weights": "*bf16", "temperatures": "*fp32", "values": "*fp32"}
    types |= {"entries": "*i64", "first": "i32", "count": "i32:16", "stride_row": "i32:16"}
    types |= {"cap": "fp32"}
    draws = {"spreads": "*fp32", "seeds": "*i64", "positions": "*i64", "steps": "*i64"}
    sizes = {"PIECE": PIECE, "CAPPED": True}
    yield Variant("canvas drawn", slice_kernel, types | draws, sizes | {"DRAWS": True}, NUM_WARPS)
    nothing = dict.fromkeys(draws) | {"DRAWS": False}
    yield Variant("canvas", slice_kernel, types, sizes | nothing, NUM_WARPS)
