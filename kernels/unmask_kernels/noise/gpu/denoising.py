"""Steps of canvases of noise in place, a program for each canvas."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.philox_gpu import noise_tokens
from unmask_kernels.variant import Variant

OTHERS, NUM_WARPS = 8, 8  # positions compared with all of a canvas at a time


@triton.jit
def begin_kernel(
    tokens, unchanged, rows, is_fresh, seeds, starts,
    stride_tokens, length, vocab_size, BLOCK: tl.constexpr,
):  # fmt: skip
    """Fill fresh canvases with random tokens; `unchanged` becomes -1."""
    i_canvas = tl.program_id(0)
    if tl.load(is_fresh + i_canvas):
        i_row = tl.load(rows + i_canvas)
        o_token = tl.arange(0, BLOCK)
        m_token = o_token < length
        b_position = tl.load(starts + i_canvas) + o_token
        seed = tl.load(seeds + i_canvas)
        b_token = noise_tokens(seed, b_position, seed * 0, vocab_size)
        tl.store(tokens + i_row * stride_tokens + o_token, b_token, mask=m_token)
        tl.store(unchanged + i_row, i_row * 0 - 1)


@triton.jit
def move_kernel(
    tokens, draft, unchanged, rows, seeds, starts, steps, bounds, stability, confidence, is_last,
    drawn, best, entropy, accepted, finished,
    stride_tokens, stride_draft, length, vocab_size, BLOCK: tl.constexpr, OTHERS: tl.constexpr,
):  # fmt: skip
    """Accept the most certain positions, renoise the others, and find finished canvases."""
    i_canvas = tl.program_id(0).to(tl.int64)
    i_row = tl.load(rows + i_canvas)
    o_token = tl.arange(0, BLOCK)
    m_token = o_token < length
    o_position = i_canvas * length + o_token
    b_entropy = tl.load(entropy + o_position, mask=m_token, other=0.0)
    b_before = tl.zeros([BLOCK], tl.float64)  # entropy of more certain positions
    for start in range(0, length, OTHERS):
        o_other = start + tl.arange(0, OTHERS)
        m_other = o_other < length
        b_other = tl.load(entropy + i_canvas * length + o_other, mask=m_other, other=0.0)
        earlier = (b_other[None, :] < b_entropy[:, None]) | (
            (b_other[None, :] == b_entropy[:, None]) & (o_other[None, :] < o_token[:, None])
        )
        earlier = earlier & m_other[None, :]
        b_before += tl.sum(tl.where(earlier, b_other.to(tl.float64)[None, :], 0.0), 1)
    b_accepted = b_before <= tl.load(bounds + i_canvas).to(tl.float64)
    tl.store(accepted + o_position, b_accepted, mask=m_token)

    b_best = tl.load(best + o_position, mask=m_token, other=0)
    p_draft = draft + i_row * stride_draft + o_token
    b_differs = (b_best != tl.load(p_draft, mask=m_token, other=0)) & m_token
    count = tl.load(unchanged + i_row)
    count = tl.where(tl.max(b_differs.to(tl.int32), 0) == 0, count + 1, 0)
    tl.store(p_draft, b_best, mask=m_token)
    tl.store(unchanged + i_row, count)
    mean = tl.sum(b_entropy.to(tl.float64), 0) / length
    is_sure = mean < tl.load(confidence + i_canvas).to(tl.float64)
    is_stable = count >= tl.load(stability + i_canvas)
    is_over = tl.where(is_sure & is_stable, 1, tl.load(is_last + i_canvas).to(tl.int32))
    tl.store(finished + o_position, o_token * 0 + is_over > 0, mask=m_token)

    b_position = tl.load(starts + i_canvas) + o_token
    step = tl.load(steps + i_canvas) + 1
    b_noise = noise_tokens(tl.load(seeds + i_canvas), b_position, step, vocab_size)
    b_token = tl.where(b_accepted, tl.load(drawn + o_position, mask=m_token, other=0), b_noise)
    tl.store(tokens + i_row * stride_tokens + o_token, b_token, mask=m_token)


@dataclass(frozen=True, slots=True)
class Kept:
    """State of canvases, a row each."""

    tokens: Tensor  # [N, L] int64, rows at any stride
    draft: Tensor  # [N, L] int64, rows at any stride
    unchanged: Tensor  # [N] int64


@dataclass(frozen=True, slots=True)
class Moving:
    """S canvases of a step and their parameters."""

    rows: Tensor  # [S] int64, rows of `Kept`
    seeds: Tensor  # [S] int64
    starts: Tensor  # [S] int64, first positions
    steps: Tensor  # [S] int64
    bounds: Tensor  # [S] float32
    stability: Tensor  # [S] int64
    confidence: Tensor  # [S] float32
    is_last: Tensor  # [S] bool


def begin(kept: Kept, moving: Moving, is_fresh: Tensor, vocab_size: int) -> None:
    """Fill canvases with random tokens if `is_fresh` [S]; drafts are left unchanged."""
    length = kept.draft.shape[1]
    begin_kernel[(len(moving.rows),)](
        kept.tokens, kept.unchanged, moving.rows, is_fresh, moving.seeds, moving.starts,
        kept.tokens.stride(0), length, vocab_size, BLOCK=triton.next_power_of_2(length),
        num_warps=NUM_WARPS,
    )  # fmt: skip


def move(
    kept: Kept, moving: Moving, drawn: Tensor, best: Tensor, entropy: Tensor, vocab_size: int
) -> tuple[Tensor, Tensor]:
    """Take a step with predictions [S L] of every canvas.

    Returns two masks [S L]: accepted positions, and positions of finished canvases.
    """
    length = kept.draft.shape[1]
    accepted = torch.empty_like(drawn, dtype=torch.bool)
    finished = torch.empty_like(accepted)
    move_kernel[(len(moving.rows),)](
        kept.tokens, kept.draft, kept.unchanged, moving.rows, moving.seeds, moving.starts,
        moving.steps, moving.bounds, moving.stability, moving.confidence, moving.is_last,
        drawn, best, entropy, accepted, finished,
        kept.tokens.stride(0), kept.draft.stride(0), length, vocab_size,
        BLOCK=triton.next_power_of_2(length), OTHERS=OTHERS, num_warps=NUM_WARPS,
    )  # fmt: skip
    return accepted, finished


def variants(capability: int) -> Iterator[Variant]:
    """Every launched variant, for the compile checks."""
    kept = dict.fromkeys(("tokens", "draft", "unchanged", "rows", "seeds", "starts"), "*i64")
    kept |= dict.fromkeys(("stride_tokens", "stride_draft", "length", "vocab_size"), "i32:16")
    begun = kept | {"is_fresh": "*i1"}
    yield Variant("canvas begun", begin_kernel, begun, {"BLOCK": 256}, NUM_WARPS)
    inputs = dict.fromkeys(("steps", "stability", "drawn", "best"), "*i64")
    inputs |= dict.fromkeys(("bounds", "confidence", "entropy"), "*fp32")
    inputs |= dict.fromkeys(("is_last", "accepted", "finished"), "*i1")
    for length in (256, 1024):
        sizes = {"BLOCK": length, "OTHERS": OTHERS}
        yield Variant(f"canvas of {length} moved", move_kernel, kept | inputs, sizes, NUM_WARPS)
