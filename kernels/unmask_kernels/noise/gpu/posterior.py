"""Reverse steps of uniform-state diffusion in place, a program for each position."""

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.noise.types import Blocks, CanvasScores, Reversed
from unmask_kernels.philox_gpu import noise_words, uniform_of
from unmask_kernels.quantization.gpu import row_warps
from unmask_kernels.variant import Variant


@triton.jit
def _logit(embedding, token, b_hidden, o_column, m_column, num_columns):
    """Logit of a token for a hidden row."""
    p_row = embedding + token * num_columns + o_column
    return tl.sum(tl.load(p_row, mask=m_column, other=0.0).to(tl.float32) * b_hidden, 0)


@triton.jit
def reverse_kernel(
    tokens, draft, rows, seeds, starts, steps, temperature, chances, is_last,
    hidden, embedding, drawn, tempered_norm, log_norm,
    following, confidence, resolved, finished,
    stride_tokens, stride_draft, length, vocab_size, num_columns, BLOCK: tl.constexpr,
):  # fmt: skip
    """The next token of a position: the one it holds, a draw from its distribution, or noise."""
    i_row = tl.program_id(0).to(tl.int64)
    i_block, offset = i_row // length, i_row % length
    o_column = tl.arange(0, BLOCK)
    m_column = o_column < num_columns
    p_hidden = hidden + i_row * num_columns + o_column
    b_hidden = tl.load(p_hidden, mask=m_column, other=0.0).to(tl.float32)
    kept_row = tl.load(rows + i_block)
    p_token = tokens + kept_row * stride_tokens + offset
    held, drew = tl.load(p_token), tl.load(drawn + i_row)
    seed, position = tl.load(seeds + i_block), tl.load(starts + i_block) + offset
    words, marks = noise_words(seed, position, tl.load(steps + i_block) + 1)
    noise = (words.to(tl.int64) * vocab_size) >> 32
    held_logit = _logit(embedding, held, b_hidden, o_column, m_column, num_columns)
    share = tl.exp(held_logit / tl.load(temperature + i_block) - tl.load(tempered_norm + i_row))
    p_chance = chances + i_block * 4
    keep = tl.load(p_chance) * tl.minimum(share, 1.0) + tl.load(p_chance + 1)
    draw, renew = tl.load(p_chance + 2), tl.load(p_chance + 3)
    mark = uniform_of(marks) * (keep + draw + renew)
    stays, is_noise = mark < keep, mark >= keep + draw
    token = tl.where(stays, held, tl.where(is_noise, noise, drew))
    logit = _logit(embedding, token, b_hidden, o_column, m_column, num_columns)
    tl.store(following + i_row, token)
    tl.store(confidence + i_row, tl.minimum(tl.exp(logit - tl.load(log_norm + i_row)), 1.0))
    tl.store(resolved + i_row, is_noise == 0)
    tl.store(finished + i_row, tl.load(is_last + i_block))
    tl.store(p_token, token)
    tl.store(draft + kept_row * stride_draft + offset, token)


def reverse_step(
    tokens: Tensor,
    draft: Tensor,
    blocks: Blocks,
    hidden: Tensor,
    embedding: Tensor,
    scores: CanvasScores,
    vocab_size: int,
) -> Reversed:
    """Implements `noise.posterior.reverse_step`."""
    length, drawn = draft.shape[1], scores.drawn
    following, confidence = torch.empty_like(drawn), torch.empty_like(scores.log_norm)
    resolved, finished = (torch.empty_like(drawn, dtype=torch.bool) for _ in range(2))
    block = triton.next_power_of_2(hidden.shape[1])
    reverse_kernel[(len(drawn),)](
        tokens, draft, blocks.rows, blocks.seeds, blocks.starts, blocks.steps,
        blocks.temperature, blocks.chances.contiguous(), blocks.is_last,
        hidden.contiguous(), embedding, drawn, scores.tempered_norm, scores.log_norm,
        following, confidence, resolved, finished,
        tokens.stride(0), draft.stride(0), length, vocab_size, hidden.shape[1],
        BLOCK=block, num_warps=row_warps(block),
    )  # fmt: skip
    return Reversed(following, confidence, resolved, finished)


def variants(capability: int) -> Iterator[Variant]:
    """Every launched variant, for the compile checks."""
    whole = ("tokens", "draft", "rows", "seeds", "starts", "steps", "drawn", "following")
    types = dict.fromkeys(whole, "*i64")
    real = ("temperature", "chances", "tempered_norm", "log_norm", "confidence")
    types |= dict.fromkeys(real, "*fp32") | dict.fromkeys(("hidden", "embedding"), "*bf16")
    types |= dict.fromkeys(("is_last", "resolved", "finished"), "*i1")
    types |= dict.fromkeys(("stride_tokens", "stride_draft", "length", "num_columns"), "i32:16")
    types |= {"vocab_size": "i32:16"}
    yield Variant("reverse step", reverse_kernel, types, {"BLOCK": 1024}, row_warps(1024))
