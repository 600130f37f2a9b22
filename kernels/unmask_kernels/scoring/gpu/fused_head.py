"""The LM head and the statistics of its logits in one kernel, so that logits are never in memory.

A program takes a tile of rows and one piece of the vocabulary, some entries at a time, all inputs
in order. Pieces begin at multiples of a constant and tiles never follow the load. One kernel serves
rows with and without draws, biases and masks, for variants might be compiled to sum in different
orders. So a row's bits depend on nothing but itself and the head.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from unmask_kernels.dispatch import capability
from unmask_kernels.philox_gpu import gumbel_rows
from unmask_kernels.scoring.constraints import PIECE, Biases, Constraints, Masks
from unmask_kernels.scoring.gpu.logits import CONSTRAINT_TYPES, LOWEST, constraint_arguments
from unmask_kernels.scoring.gpu.scores import (
    NUM_STATISTICS,
    Accumulator,
    Draws,
    Statistics,
    draw_tile,
    reduce_tile,
)
from unmask_kernels.scoring.request_constraint import WORD
from unmask_kernels.variant import Variant

ALIGNMENT = 16  # bytes, of all that the copy engine reads
DTYPES = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}


@dataclass(frozen=True, slots=True)
class FusedConfig:
    """The shape of the programs, which decides the last bit and so never follows the load.

    Statistics are taken of a `part` of a tile's entries at a time: what is made of all of them
    would not fit the registers beside them. A tile that is `packed` is rounded before it is taken
    apart, which halves the registers it fills. Where it is not, a chip whose accumulators are not
    in registers reads them part by part.
    """

    rows: int = 128
    entries: int = 256
    inputs: int = 64
    part: int = 32
    num_warps: int = 8
    num_stages: int = 4
    tma: bool = True
    packed: bool = False


def fused_config(dtype: torch.dtype, capability: int, *, aligned: bool) -> FusedConfig:
    """The configuration for a dtype on a chip, such as 90 for sm_90.

    The copy engine needs a head whose rows are `aligned`.
    """
    if dtype == torch.float32:
        return FusedConfig(rows=32, entries=32, inputs=32, num_warps=4, num_stages=2, tma=False)
    if capability >= 90 and aligned:
        return FusedConfig(packed=capability == 90)
    return FusedConfig(entries=64, num_stages=3, tma=False)


@triton.jit
def _product(
    hidden, head, first_row, first, num_rows, vocab_size, num_inputs, stride_head,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, STAGES: tl.constexpr,
    TMA: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Logits [BLOCK_M, BLOCK_N] of a tile of rows and of the entries from `first`, float32."""
    acc = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
    if TMA:
        for start in tl.range(0, num_inputs, BLOCK_K, num_stages=STAGES):
            b_h, b_w = hidden.load([first_row, start]), head.load([first, start])
            acc = tl.dot(b_h, tl.trans(b_w), acc, input_precision=PRECISION)
    else:
        o_k = tl.arange(0, BLOCK_K)
        o_m, o_n = first_row + tl.arange(0, BLOCK_M), first + tl.arange(0, BLOCK_N)
        m_m, m_n = o_m < num_rows, o_n < vocab_size
        p_h = hidden + o_m.to(tl.int64)[:, None] * num_inputs + o_k[None, :]
        p_w = head + o_n.to(tl.int64)[:, None] * stride_head + o_k[None, :]
        for start in tl.range(0, num_inputs, BLOCK_K, num_stages=STAGES):
            m_k = start + o_k < num_inputs
            b_h = tl.load(p_h + start, mask=m_m[:, None] & m_k[None, :], other=0.0)
            b_w = tl.load(p_w + start, mask=m_n[:, None] & m_k[None, :], other=0.0)
            acc = tl.dot(b_h, tl.trans(b_w), acc, input_precision=PRECISION)
    return acc


@triton.jit
def _constrain(
    b_x, o_row, m_row, first, vocab_size, mask_token, limits,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, WORD: tl.constexpr,
):  # fmt: skip
    """Logits [ROWS, COLUMNS] of the entries from `first`, all of whole words, as `load_logits`."""
    p_starts, bias_set, bias_tokens, bias_values, stride_starts, most_biases = limits[:6]
    mask_row, mask_words, num_words, any_masks = limits[6:]
    o_entry = first + tl.arange(0, COLUMNS)
    if most_biases > 0:
        b_own = tl.load(bias_set + o_row, mask=m_row, other=-1).to(tl.int64)
        p_start = p_starts + b_own * stride_starts
        b_start = tl.load(p_start, mask=b_own >= 0, other=0)
        b_end = tl.load(p_start + 1, mask=b_own >= 0, other=0)
        for i in range(most_biases):
            m_bias = b_start + i < b_end
            b_token = tl.load(bias_tokens + b_start + i, mask=m_bias, other=-1)
            b_bias = tl.load(bias_values + b_start + i, mask=m_bias, other=0.0)
            b_x = tl.where(o_entry[None, :] == b_token[:, None], b_x + b_bias[:, None], b_x)
    m_entry = (o_entry < vocab_size) & (o_entry != mask_token)
    b_x = tl.where(m_entry[None, :] & (b_x > LOWEST), b_x, LOWEST)
    if any_masks:
        b_own = tl.load(mask_row + o_row, mask=m_row, other=-1).to(tl.int64)
        o_word = first // WORD + tl.arange(0, COLUMNS // WORD)
        p_words = mask_words + (b_own * num_words)[:, None] + o_word[None, :]
        m_word = (b_own >= 0)[:, None] & (o_word < num_words)[None, :]
        b_word = tl.load(p_words, mask=m_word, other=-1)  # without a mask, all are allowed
        b_bit = (b_word[:, :, None] >> tl.arange(0, WORD)[None, None, :]) & 1
        b_x = tl.where(tl.reshape(b_bit, [ROWS, COLUMNS]) != 0, b_x, LOWEST)
    return b_x


@triton.jit
def _take(
    record, acc, o_row, m_row, first, vocab_size, mask_token, limits, keys,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, HALF: tl.constexpr, PART: tl.constexpr,
    WORD: tl.constexpr, DTYPE: tl.constexpr,
):  # fmt: skip
    """Take logits [ROWS, COLUMNS] of the entries from `first` into a record, PART by PART."""
    if COLUMNS > PART:
        b_low, b_high = tl.split(tl.permute(tl.reshape(acc, [ROWS, 2, HALF]), (0, 2, 1)))
        record = _take(
            record, b_low, o_row, m_row, first, vocab_size, mask_token, limits, keys,
            ROWS, HALF, HALF // 2, PART, WORD, DTYPE,
        )  # fmt: skip
        return _take(
            record, b_high, o_row, m_row, first + HALF, vocab_size, mask_token, limits, keys,
            ROWS, HALF, HALF // 2, PART, WORD, DTYPE,
        )  # fmt: skip
    else:
        b_best, b_winner, b_second, b_sum, b_dot, b_high, b_drawn, b_logit = record
        # Rounded as the library stores its product, so that equals are equals here too.
        b_x = acc.to(DTYPE).to(tl.float32)
        b_x = _constrain(
            b_x, o_row, m_row, first, vocab_size, mask_token, limits, ROWS, COLUMNS, WORD
        )
        o_entry = (first + tl.arange(0, COLUMNS))[None, :]
        temperatures, seeds, positions, steps, any_draws = keys
        if any_draws:
            b_heat = tl.load(temperatures + o_row, mask=m_row, other=0.0)
            b_noise = gumbel_rows(
                tl.load(seeds + o_row, mask=m_row, other=0),
                tl.load(positions + o_row, mask=m_row, other=0),
                tl.load(steps + o_row, mask=m_row, other=0), first, ROWS, COLUMNS,
            )  # fmt: skip
            b_heat = tl.where(b_heat > 0.0, b_heat, 1.0)[:, None]
            b_top, b_entry, b_chosen = draw_tile(b_x, o_entry, b_heat, b_noise, 1)
            b_drawn = tl.where(b_top > b_high, b_entry, b_drawn)
            b_logit = tl.where(b_top > b_high, b_chosen, b_logit)
            b_high = tl.maximum(b_high, b_top)
        b_top, b_entry, b_next, b_total, b_weighted = reduce_tile(b_x, o_entry, 1)
        b_second = tl.maximum(tl.maximum(b_second, b_next), tl.minimum(b_best, b_top))
        b_winner = tl.where(b_top > b_best, b_entry, b_winner)
        b_higher = tl.maximum(b_best, b_top)
        b_fall, b_rise = b_best - b_higher, b_top - b_higher
        b_shrink, b_share = tl.exp(b_fall), tl.exp(b_rise)
        b_dot = b_shrink * (b_dot + b_fall * b_sum) + b_share * (b_weighted + b_rise * b_total)
        b_sum = b_shrink * b_sum + b_share * b_total
        return b_higher, b_winner, b_second, b_sum, b_dot, b_high, b_drawn, b_logit


# Compiled once, whatever the number of rows is a multiple of.
@triton.jit(do_not_specialize=["num_rows"])
def fused_head_kernel(
    hidden, head, statistics, winners, draws, temperatures, seeds, positions, steps,
    num_rows, vocab_size, num_inputs, stride_head, mask_token, num_pieces,
    bias_set, bias_starts, bias_tokens, bias_values, mask_row, mask_words, num_words,
    PIECE: tl.constexpr, WORD: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr, PART: tl.constexpr, STAGES: tl.constexpr, TMA: tl.constexpr,
    PACKED: tl.constexpr, PRECISION: tl.constexpr, DTYPE: tl.constexpr,
):  # fmt: skip
    """What `piece_kernel` keeps of a piece, of a tile of rows at once."""
    first_row, i_piece = tl.program_id(0) * BLOCK_M, tl.program_id(1)
    o_row = first_row + tl.arange(0, BLOCK_M)
    m_row = o_row < num_rows
    first = i_piece * PIECE

    any_draws = tl.max(tl.load(temperatures + o_row, mask=m_row, other=0.0), 0) > 0.0
    any_masks = tl.max(tl.load(mask_row + o_row, mask=m_row, other=-1), 0) >= 0
    b_own = tl.load(bias_set + o_row, mask=m_row, other=-1).to(tl.int64)
    p_starts, stride_starts = bias_starts + i_piece, num_pieces + 1
    p_start = p_starts + b_own * stride_starts
    b_start = tl.load(p_start, mask=b_own >= 0, other=0)
    most_biases = tl.max(tl.load(p_start + 1, mask=b_own >= 0, other=0) - b_start, 0)
    limits = (p_starts, bias_set, bias_tokens, bias_values, stride_starts, most_biases,
              mask_row, mask_words, num_words, any_masks)  # fmt: skip
    keys = (temperatures, seeds, positions, steps, any_draws)

    b_lowest, b_zero = tl.full([BLOCK_M], LOWEST, tl.float32), tl.zeros([BLOCK_M], tl.float32)
    b_first = tl.zeros([BLOCK_M], tl.int32) + first
    record = (b_lowest, b_first, b_lowest, b_zero, b_zero, b_lowest, b_first, b_lowest)
    for start in range(first, tl.minimum(first + PIECE, vocab_size), BLOCK_N):
        acc = _product(
            hidden, head, first_row, start, num_rows, vocab_size, num_inputs, stride_head,
            BLOCK_M, BLOCK_N, BLOCK_K, STAGES, TMA, PRECISION,
        )  # fmt: skip
        record = _take(
            record, acc.to(DTYPE) if PACKED else acc, o_row, m_row, start, vocab_size, mask_token,
            limits, keys, BLOCK_M, BLOCK_N, BLOCK_N // 2, PART, WORD, DTYPE,
        )  # fmt: skip

    b_best, b_winner, b_second, b_sum, b_dot, b_high, b_drawn, b_logit = record
    o_out = o_row.to(tl.int64) * num_pieces + i_piece
    p_out = statistics + o_out * NUM_STATISTICS
    tl.store(p_out, b_best, mask=m_row)
    tl.store(p_out + 1, b_second, mask=m_row)
    tl.store(p_out + 2, b_sum, mask=m_row)
    tl.store(p_out + 3, b_dot, mask=m_row)
    tl.store(winners + o_out, b_winner, mask=m_row)
    if any_draws:
        tl.store(p_out + 4, b_high, mask=m_row)
        tl.store(p_out + 5, b_logit, mask=m_row)
        tl.store(draws + o_out, b_drawn, mask=m_row)


def score_fused(
    hidden: Tensor,
    head: Tensor,
    mask_token: int,
    draws: Draws | None,
    constraints: Constraints | None = None,
    config: FusedConfig | None = None,
) -> Statistics:
    """Statistics of `hidden` [M, C] under the LM `head` [V, C], as of `unmasking.score_hidden`.

    Those of the likeliest entries are not kept.
    """
    num_rows, vocab_size = len(hidden), len(head)
    assert hidden.shape[1] == head.shape[1]
    assert hidden.dtype == head.dtype
    assert head.stride(1) == 1
    accumulator = Accumulator(num_rows, vocab_size, mask_token, draws, hidden.device, constraints)
    if num_rows:
        aligned = _is_aligned(head)
        if config is None:
            config = fused_config(hidden.dtype, capability(hidden.device), aligned=aligned)
        assert aligned or not config.tma
        hidden = hidden.contiguous()
        hidden = hidden if not config.tma or _is_aligned(hidden) else hidden.clone()
        _launch(hidden, head, mask_token, draws, constraints, accumulator, config)
        accumulator.take_mask(hidden @ head[mask_token])
    return accumulator.finish()


def _is_aligned(matrix: Tensor) -> bool:
    stride = matrix.stride(0) * matrix.element_size()
    return matrix.data_ptr() % ALIGNMENT == 0 and stride % ALIGNMENT == 0


def _launch(
    hidden: Tensor,
    head: Tensor,
    mask_token: int,
    draws: Draws | None,
    constraints: Constraints | None,
    accumulator: Accumulator,
    config: FusedConfig,
) -> None:
    (num_rows, num_inputs), vocab_size = hidden.shape, len(head)
    num_pieces = triton.cdiv(vocab_size, PIECE)
    if draws is None:
        cold = torch.zeros(num_rows, dtype=torch.float32, device=hidden.device)
        unread = torch.empty(1, dtype=torch.int64, device=hidden.device)
        draws = Draws(cold, unread, unread, unread)
    rows, entries = hidden, head
    if config.tma:
        rows = TensorDescriptor.from_tensor(hidden, [config.rows, config.inputs])
        entries = TensorDescriptor.from_tensor(head, [config.entries, config.inputs])
    # Row tiles of a piece follow each other, so that its part of the head is read about once.
    fused_head_kernel[(triton.cdiv(num_rows, config.rows), num_pieces)](
        rows, entries, accumulator.statistics, accumulator.winners,
        accumulator.winners if accumulator.drawn is None else accumulator.drawn,
        draws.temperatures, draws.seeds, draws.positions, draws.steps,
        num_rows, vocab_size, num_inputs, head.stride(0), mask_token, num_pieces,
        **_limits(constraints, num_rows, vocab_size, hidden.device),
        **_constants(config, hidden.dtype), num_warps=config.num_warps,
    )  # fmt: skip


def _constants(config: FusedConfig, dtype: torch.dtype) -> dict[str, Any]:
    return {
        "PIECE": PIECE, "WORD": WORD, "BLOCK_M": config.rows, "BLOCK_N": config.entries,
        "BLOCK_K": config.inputs, "PART": config.part, "STAGES": config.num_stages,
        "TMA": config.tma, "PACKED": config.packed, "DTYPE": DTYPES[dtype],
        "PRECISION": "ieee" if dtype == torch.float32 else "tf32",
    }  # fmt: skip


def _limits(
    constraints: Constraints | None, num_rows: int, vocab_size: int, device: torch.device
) -> dict[str, Any]:
    """The arguments for `constraints`, and where there are none for rows that have none."""
    biases = None if constraints is None else constraints.biases
    masks = None if constraints is None else constraints.masks
    nobody = torch.full((num_rows,), -1, dtype=torch.int32, device=device)
    if biases is None:
        unread = torch.empty(1, dtype=torch.float32, device=device)
        biases = Biases(nobody, nobody, nobody, unread)
    if masks is None:
        masks = Masks(nobody, nobody[None])
    arguments = constraint_arguments(Constraints(biases, masks))
    own = {name: value for name, value in arguments.items() if name in CONSTRAINT_TYPES}
    return own | {"num_words": triton.cdiv(vocab_size, WORD)}


def variants(capability: int) -> Iterator[Variant]:
    """What is launched, for the compile checks."""
    types = {"statistics": "*fp32", "winners": "*i32", "draws": "*i32", "temperatures": "*fp32"}
    types |= dict.fromkeys(("seeds", "positions", "steps"), "*i64")
    types |= dict.fromkeys(("num_rows", "vocab_size", "mask_token", "num_pieces"), "i32")
    types |= dict.fromkeys(("num_inputs", "stride_head"), "i32:16") | CONSTRAINT_TYPES
    kinds = [("bf16", torch.bfloat16, True), ("fp32", torch.float32, False)]
    if capability >= 90:
        kinds.append(("bf16", torch.bfloat16, False))
    for kind, dtype, aligned in kinds:
        config = fused_config(dtype, capability, aligned=aligned)
        own = types | {"hidden": f"*{kind}", "head": f"*{kind}"}
        if config.tma:
            own["hidden"] = f"tensordesc<{kind}[{config.rows}, {config.inputs}]>"
            own["head"] = f"tensordesc<{kind}[{config.entries}, {config.inputs}]>"
        name = f"fused head {kind}" + (" tma" if config.tma else "")
        constants, multiplies = _constants(config, dtype), dtype is torch.bfloat16
        yield Variant(name, fused_head_kernel, own, constants, config.num_warps, multiplies)
