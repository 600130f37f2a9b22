"""Statistics of rows of logits in one pass, a piece of the vocabulary in each program.

Pieces begin at multiples of a constant and are merged in order, so statistics are batch-invariant
and do not depend on the slices of the vocabulary.
"""

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.linear.padding import pad_rows
from unmask_kernels.philox_gpu import gumbel
from unmask_kernels.scoring.constraints import PIECE, Constraints
from unmask_kernels.scoring.gpu.logits import (
    CONSTRAINT_TYPES,
    CONSTRAINTS,
    LOWEST,
    NO_CONSTRAINTS,
    constraint_arguments,
    load_logits,
)
from unmask_kernels.scoring.types import Draws, RowStats
from unmask_kernels.variant import Variant

SLICE = 8192  # entries, or a multiple of it
SLICE_BYTES = 40 * 2**20  # of logits, which stay in an L2 cache of 50 MB until they are read
NUM_STATISTICS = tl.constexpr(6)  # maximum, second, sum, weighted sum, best drawn, its logit
NO_ENTRY = tl.constexpr(2147483647)
NO_MASK = tl.constexpr(-1)  # reads the mask token's logit like any other


@triton.jit
def _reduce(b_x, o_entry):
    """Highest logit, its entry, the highest of the others, and two sums over logits [PIECE].

    The sums are those of e = exp(x - highest) and of e * (x - highest). Ties go to the lowest
    entry. Entries at LOWEST add nothing, unless all are: then `highest` is LOWEST, and the sums
    mean nothing.
    """
    b_best = tl.max(b_x, 0)
    b_winner = tl.min(tl.where(b_x == b_best, o_entry, NO_ENTRY), 0)
    b_d = b_x - b_best
    b_e = tl.exp(b_d)
    b_second = tl.max(tl.where(o_entry == b_winner, LOWEST, b_x), 0)
    b_sum = tl.sum(b_e, 0)
    b_dot = tl.sum(b_e * b_d, 0)
    return b_best, b_winner, b_second, b_sum, b_dot


@triton.jit
def _draw(b_x, o_entry, temperature, b_noise):
    """Highest of logits [PIECE] at a temperature plus noise, its entry and its logit."""
    b_y = tl.where(b_x > LOWEST, b_x / temperature + b_noise, LOWEST)
    b_high = tl.max(b_y, 0)
    b_drawn = tl.min(tl.where(b_y == b_high, o_entry, NO_ENTRY), 0)
    b_logit = tl.sum(tl.where(o_entry == b_drawn, b_x, 0.0), 0)
    return b_high, b_drawn, b_logit


@triton.jit
def piece_kernel(
    logits, statistics, winners, of_mask, draws, temperatures, seeds, positions, steps,
    first, last, mask_token, stride_row, num_pieces,
    bias_set, bias_starts, bias_tokens, bias_values, bias_factors, mask_row, mask_words, num_words,
    class_row, class_of, class_words, num_classed, num_class_words,
    PIECE: tl.constexpr, DRAWS: tl.constexpr, BIASED: tl.constexpr, MASKED: tl.constexpr,
    CLASSED: tl.constexpr,
):  # fmt: skip
    """Statistics of logits [M, last - first] of the vocabulary entries from `first`.

    The mask token's logits are kept apart.
    """
    i_row, i_piece = tl.program_id(0).to(tl.int64), tl.program_id(1)
    start = first + i_piece * PIECE
    o_entry = start + tl.arange(0, PIECE)
    b_x = load_logits(
        logits + i_row * stride_row + i_piece * PIECE, i_row, start // PIECE, start, last,
        NO_MASK, num_pieces, bias_set, bias_starts, bias_tokens, bias_values, bias_factors,
        mask_row, mask_words, num_words, class_row, class_of, class_words,
        num_classed, num_class_words,
        PIECE, BIASED, MASKED, CLASSED,
    )  # fmt: skip
    if (mask_token >= start) & (mask_token < start + PIECE):
        m_mask = o_entry == mask_token
        tl.store(of_mask + i_row, tl.sum(tl.where(m_mask, b_x, 0.0), 0))
        b_x = tl.where(m_mask, LOWEST, b_x)
    best, winner, second, total, weighted = _reduce(b_x, o_entry)
    o_out = i_row * num_pieces + start // PIECE
    p_out = statistics + o_out * NUM_STATISTICS
    tl.store(p_out, best)
    tl.store(p_out + 1, second)
    tl.store(p_out + 2, total)
    tl.store(p_out + 3, weighted)
    tl.store(winners + o_out, winner)
    if DRAWS:
        temperature = tl.load(temperatures + i_row)
        if temperature > 0.0:
            seed, step = tl.load(seeds + i_row), tl.load(steps + i_row)
            position = tl.load(positions + i_row)
            b_noise = gumbel(seed, position, step, start, PIECE)
            highest, drawn, logit = _draw(b_x, o_entry, temperature, b_noise)
            tl.store(p_out + 4, highest)
            tl.store(p_out + 5, logit)
            tl.store(draws + o_out, drawn)


@triton.jit
def top_kernel(
    logits, values, tokens, num_top, first, last, mask_token, stride_row, num_pieces,
    bias_set, bias_starts, bias_tokens, bias_values, bias_factors, mask_row, mask_words, num_words,
    class_row, class_of, class_words, num_classed, num_class_words,
    PIECE: tl.constexpr, BIASED: tl.constexpr, MASKED: tl.constexpr,
    CLASSED: tl.constexpr,
):  # fmt: skip
    """The likeliest `num_top` of each piece of logits [M, last - first], in order."""
    i_row, i_piece = tl.program_id(0).to(tl.int64), tl.program_id(1)
    start = first + i_piece * PIECE
    o_entry = start + tl.arange(0, PIECE)
    b_x = load_logits(
        logits + i_row * stride_row + i_piece * PIECE, i_row, start // PIECE, start, last,
        mask_token, num_pieces, bias_set, bias_starts, bias_tokens, bias_values, bias_factors,
        mask_row, mask_words, num_words, class_row, class_of, class_words,
        num_classed, num_class_words,
        PIECE, BIASED, MASKED, CLASSED,
    )  # fmt: skip
    o_out = (i_row * num_pieces + start // PIECE) * num_top
    for i in range(num_top):
        best = tl.max(b_x, 0)
        token = tl.min(tl.where(b_x == best, o_entry, 2147483647), 0)
        tl.store(values + o_out + i, best)
        tl.store(tokens + o_out + i, token)
        b_x = tl.where(o_entry == token, float("-inf"), b_x)


@triton.jit
def finish_kernel(
    statistics, winners, of_mask, draws, temperatures, token, confidence, entropy, margin,
    log_norm, num_pieces, BLOCK: tl.constexpr, DRAWS: tl.constexpr,
):  # fmt: skip
    """Merge the pieces of a row, and add the mask token to the sums."""
    i_row = tl.program_id(0).to(tl.int64)
    o_piece = tl.arange(0, BLOCK)
    m_piece = o_piece < num_pieces
    p_in = statistics + (i_row * num_pieces + o_piece) * NUM_STATISTICS
    b_best = tl.load(p_in, mask=m_piece, other=LOWEST)
    b_second = tl.load(p_in + 1, mask=m_piece, other=LOWEST)
    b_winner = tl.load(winners + i_row * num_pieces + o_piece, mask=m_piece, other=2147483647)
    best = tl.max(b_best, 0)
    winner = tl.min(tl.where(b_best == best, b_winner, 2147483647), 0)
    second = tl.max(tl.where(b_winner == winner, b_second, b_best), 0)
    possible = best > LOWEST  # false if every token is forbidden
    mask = tl.where(possible, tl.load(of_mask + i_row), LOWEST)
    highest = tl.maximum(best, mask)
    b_d = b_best - highest
    b_w = tl.exp(b_d)
    b_sum = tl.load(p_in + 2, mask=m_piece, other=0.0)
    b_dot = tl.load(p_in + 3, mask=m_piece, other=0.0)
    mask_weight = tl.where(mask > LOWEST, tl.exp(mask - highest), 0.0)
    total = tl.where(possible, tl.sum(b_w * b_sum, 0) + mask_weight, 1.0)
    norm = tl.log(total)
    mean = tl.sum(tl.where(b_sum > 0.0, b_w * (b_dot + b_d * b_sum), 0.0), 0)
    mean = (mean + tl.where(mask_weight > 0.0, mask_weight * (mask - highest), 0.0)) / total
    chosen = best
    if DRAWS:
        if tl.load(temperatures + i_row) > 0.0:
            b_high = tl.load(p_in + 4, mask=m_piece, other=LOWEST)
            b_drawn = tl.load(draws + i_row * num_pieces + o_piece, mask=m_piece, other=2147483647)
            winner = tl.min(tl.where(b_high == tl.max(b_high, 0), b_drawn, 2147483647), 0)
            b_logit = tl.load(p_in + 5, mask=m_piece, other=0.0)
            chosen = tl.sum(tl.where(b_drawn == winner, b_logit, 0.0), 0)
    tl.store(token + i_row, winner.to(tl.int64))
    tl.store(confidence + i_row, tl.where(possible, tl.exp(chosen - highest - norm), 0.0))
    tl.store(entropy + i_row, norm - mean)
    tl.store(margin + i_row, (tl.exp(best - highest) - tl.exp(second - highest)) / total)
    tl.store(log_norm + i_row, tl.where(possible, highest + norm, 0.0))


class Accumulator:
    """Takes logits a slice of the vocabulary at a time and gives the statistics of whole rows."""

    def __init__(
        self,
        num_rows: int,
        vocab_size: int,
        mask_token: int,
        draws: Draws | None,
        device: torch.device,
        constraints: Constraints | None = None,
        num_top: int = 0,
    ) -> None:
        self._mask_token, self._draws, self._num_top = mask_token, draws, num_top
        self._constraints = constraint_arguments(constraints)
        self._num_pieces = triton.cdiv(vocab_size, PIECE)
        pieces = (num_rows, self._num_pieces)
        self._statistics = torch.empty(
            (*pieces, NUM_STATISTICS.value), dtype=torch.float32, device=device
        )
        self._winners = torch.empty(pieces, dtype=torch.int32, device=device)
        self._of_mask = torch.empty(num_rows, dtype=torch.float32, device=device)
        self._drawn = None if draws is None else torch.empty_like(self._winners)
        tops = (*pieces, num_top)
        self._top_values = torch.empty(tops, dtype=torch.float32, device=device)
        self._top_tokens = torch.empty(tops, dtype=torch.int32, device=device)

    def take(self, logits: Tensor, first: int) -> None:
        """Logits [M, W] of the entries from `first`, a multiple of PIECE."""
        assert first % PIECE == 0
        assert logits.stride(1) == 1
        num_rows, width = logits.shape
        draws = self._draws
        grid = (num_rows, triton.cdiv(width, PIECE))
        where = first, first + width, self._mask_token, logits.stride(0), self._num_pieces
        piece_kernel[grid](
            logits, self._statistics, self._winners, self._of_mask, self._drawn,
            draws and draws.temperature, draws and draws.seeds,
            draws and draws.positions, draws and draws.steps, *where, **self._constraints,
            PIECE=PIECE, DRAWS=draws is not None, num_warps=4,
        )  # fmt: skip
        if self._num_top:
            top_kernel[grid](
                logits, self._top_values, self._top_tokens, self._num_top, *where,
                **self._constraints, PIECE=PIECE, num_warps=4,
            )  # fmt: skip

    def finish(self) -> RowStats:
        """Merge the pieces of all slices."""
        num_rows = len(self._winners)
        token = torch.empty(num_rows, dtype=torch.int64, device=self._winners.device)
        floats = torch.empty((4, num_rows), dtype=torch.float32, device=token.device)
        confidence, entropy, margin, log_norm = floats
        finish_kernel[(num_rows,)](
            self._statistics, self._winners, self._of_mask, self._drawn,
            self._draws and self._draws.temperature,
            token, confidence, entropy, margin, log_norm, self._num_pieces,
            BLOCK=triton.next_power_of_2(self._num_pieces), DRAWS=self._draws is not None,
            num_warps=1,
        )  # fmt: skip
        top_ids, top_logprobs = self._tops(log_norm)
        return RowStats(
            token, confidence, entropy, margin, top_ids, top_logprobs, log_norm=log_norm
        )

    def _tops(self, log_norm: Tensor) -> tuple[Tensor | None, Tensor | None]:
        if not self._num_top:
            return None, None
        values, order = self._top_values.flatten(1).sort(dim=-1, descending=True, stable=True)
        first = slice(0, self._num_top)
        top = values[:, first].masked_fill(values[:, first] <= LOWEST.value, float("-inf"))
        ids = self._top_tokens.flatten(1).gather(1, order[:, first])
        return ids.long(), top - log_norm[:, None]


def score_hidden(
    hidden: Tensor,
    head: Tensor,
    mask_token: int,
    draws: Draws | None,
    constraints: Constraints | None = None,
    num_top: int = 0,
) -> RowStats:
    """Statistics of `hidden` [M, C] under the LM `head` [V, C], with a slice of logits at a time.

    The library's matrix product fills a buffer that stays in the L2 cache until it is read.
    """
    num_rows, vocab_size = len(hidden), len(head)
    accumulator = Accumulator(
        num_rows, vocab_size, mask_token, draws, hidden.device, constraints, num_top
    )
    if num_rows:
        padded = pad_rows(hidden)
        width = slice_width(len(padded), vocab_size, hidden.dtype)
        slices = torch.empty(len(padded), width, dtype=hidden.dtype, device=hidden.device)
        for first in range(0, vocab_size, width):
            weight = head[first : first + width]
            buffer = slices[:, : len(weight)]
            torch.mm(padded, weight.T, out=buffer)
            accumulator.take(buffer[:num_rows], first)
    return accumulator.finish()


def slice_width(num_rows: int, vocab_size: int, dtype: torch.dtype) -> int:
    """Entries of a slice of logits in memory; all of the vocabulary for few rows."""
    fitting = SLICE_BYTES // (num_rows * dtype.itemsize)
    return min(max(fitting // SLICE, 1) * SLICE, vocab_size)


def score_logits(
    logits: Tensor,
    mask_token: int,
    draws: Draws | None,
    constraints: Constraints | None = None,
    num_top: int = 0,
) -> RowStats:
    """Statistics of `logits` [M, V], for logits that change after the LM head, as by guidance."""
    num_rows, vocab_size = logits.shape
    accumulator = Accumulator(
        num_rows, vocab_size, mask_token, draws, logits.device, constraints, num_top
    )
    if len(logits):
        accumulator.take(logits, 0)
    return accumulator.finish()


def variants(capability: int) -> Iterator[Variant]:
    """Every launched variant, for the compile checks."""
    inputs = {"statistics": "*fp32", "winners": "*i32", "temperatures": "*fp32", "draws": "*i32"}
    inputs["of_mask"] = "*fp32"
    keys = dict.fromkeys(("seeds", "positions", "steps"), "*i64")
    sizes = {"first": "i32:16", "last": "i32", "mask_token": "i32", "stride_row": "i32:16"}
    sizes |= {"num_pieces": "i32"} | CONSTRAINT_TYPES
    tops = {"values": "*fp32", "tokens": "*i32", "num_top": "i32"}
    for logits in ("bf16", "fp32"):
        for end, constraints in (("", NO_CONSTRAINTS), (" constrained", CONSTRAINTS)):
            shape = {"PIECE": PIECE} | constraints
            types = inputs | keys | sizes | {"logits": f"*{logits}"}
            for drawn in (False, True):
                name = f"pieces {logits}" + (" drawn" if drawn else "") + end
                yield Variant(name, piece_kernel, types, shape | {"DRAWS": drawn})
            yield Variant(f"tops {logits}{end}", top_kernel, types | tops, shape)
    outputs = dict.fromkeys(("confidence", "entropy", "margin", "log_norm"), "*fp32")
    types = inputs | outputs | {"token": "*i64", "num_pieces": "i32"}
    yield Variant("finish", finish_kernel, types, {"BLOCK": 128, "DRAWS": True}, num_warps=1)
