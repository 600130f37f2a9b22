"""Statistics of rows of logits in one pass, a piece of the vocabulary in each program.

Pieces begin at multiples of a constant and are merged in order, so a row's statistics do not depend
on how the vocabulary was cut into slices, nor on other rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.testing.variant import Variant

PIECE = 2048
SLICE = 8192
NUM_STATISTICS = tl.constexpr(6)  # maximum, second, sum, weighted sum, best drawn, its logit
LOWEST = tl.constexpr(-1e30)


@triton.jit
def _philox(c0, c1, c2, k0, k1):
    """Philox4x32-10 of the counter (c0, c1, c2, 0): four words."""
    c3 = c0 * 0
    for _ in tl.static_range(10):
        high_0, low_0 = tl.umulhi(c0, 0xD2511F53), c0 * 0xD2511F53
        high_1, low_1 = tl.umulhi(c2, 0xCD9E8D57), c2 * 0xCD9E8D57
        c0, c1, c2, c3 = high_1 ^ c1 ^ k0, low_1, high_0 ^ c3 ^ k1, low_0
        k0, k1 = k0 + 0x9E3779B9, k1 + 0xBB67AE85
    return c0, c1, c2, c3


@triton.jit
def _gumbel(seed, position, step, first, PIECE: tl.constexpr):
    """Noise of the entries from `first`, a multiple of four, as of `philox.gumbel_noise`."""
    zero = tl.zeros([PIECE // 4], tl.uint32)
    blocks = (first // 4 + tl.arange(0, PIECE // 4)).to(tl.uint32)
    w0, w1, w2, w3 = _philox(
        blocks,
        zero + position.to(tl.uint32),
        zero + step.to(tl.uint32),
        zero + seed.to(tl.uint32),
        zero + (seed >> 32).to(tl.uint32),
    )
    words = tl.reshape(tl.join(tl.join(w0, w2), tl.join(w1, w3)), [PIECE])
    uniform = ((words >> 8).to(tl.int32).to(tl.float32) + 0.5) * 5.9604644775390625e-08
    return -tl.log(-tl.log(uniform))


@triton.jit
def piece_kernel(
    logits, statistics, winners, draws, temperatures, seeds, positions, steps,
    first, last, mask_token, stride_row, num_pieces,
    PIECE: tl.constexpr, DRAWS: tl.constexpr,
):  # fmt: skip
    """Statistics of logits [M, last - first] of the vocabulary entries from `first`."""
    i_row, i_piece = tl.program_id(0).to(tl.int64), tl.program_id(1)
    o_entry = first + i_piece * PIECE + tl.arange(0, PIECE)
    p_logits = logits + i_row * stride_row + (o_entry - first)
    b_x = tl.load(p_logits, mask=o_entry < last, other=LOWEST).to(tl.float32)
    b_x = tl.where((o_entry < last) & (o_entry != mask_token), b_x, LOWEST)
    best = tl.max(b_x, 0)
    winner = tl.min(tl.where(b_x == best, o_entry, 2147483647), 0)
    b_d = b_x - best
    b_e = tl.where(b_x > LOWEST, tl.exp(b_d), 0.0)
    o_out = i_row * num_pieces + first // PIECE + i_piece
    p_out = statistics + o_out * NUM_STATISTICS
    tl.store(p_out, best)
    tl.store(p_out + 1, tl.max(tl.where(o_entry == winner, LOWEST, b_x), 0))
    tl.store(p_out + 2, tl.sum(b_e, 0))
    tl.store(p_out + 3, tl.sum(tl.where(b_e > 0.0, b_e * b_d, 0.0), 0))
    tl.store(winners + o_out, winner)
    if DRAWS:
        temperature = tl.load(temperatures + i_row)
        if temperature > 0.0:
            seed, step = tl.load(seeds + i_row), tl.load(steps + i_row)
            position = tl.load(positions + i_row)
            b_noise = _gumbel(seed, position, step, first + i_piece * PIECE, PIECE)
            b_y = tl.where(b_x > LOWEST, b_x / temperature + b_noise, LOWEST)
            highest = tl.max(b_y, 0)
            drawn = tl.min(tl.where(b_y == highest, o_entry, 2147483647), 0)
            tl.store(p_out + 4, highest)
            tl.store(p_out + 5, tl.sum(tl.where(o_entry == drawn, b_x, 0.0), 0))
            tl.store(draws + o_out, drawn)


@triton.jit
def finish_kernel(
    statistics, winners, draws, temperatures, token, confidence, entropy, margin, log_norm,
    num_pieces, BLOCK: tl.constexpr, DRAWS: tl.constexpr,
):  # fmt: skip
    """Merge the pieces of a row."""
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
    b_d = b_best - best
    b_w = tl.exp(b_d)
    b_sum = tl.load(p_in + 2, mask=m_piece, other=0.0)
    b_dot = tl.load(p_in + 3, mask=m_piece, other=0.0)
    total = tl.sum(b_w * b_sum, 0)
    norm = tl.log(total)
    mean = tl.sum(tl.where(b_sum > 0.0, b_w * (b_dot + b_d * b_sum), 0.0), 0) / total
    chosen = best
    if DRAWS:
        if tl.load(temperatures + i_row) > 0.0:
            b_high = tl.load(p_in + 4, mask=m_piece, other=LOWEST)
            b_drawn = tl.load(draws + i_row * num_pieces + o_piece, mask=m_piece, other=2147483647)
            highest = tl.max(b_high, 0)
            winner = tl.min(tl.where(b_high == highest, b_drawn, 2147483647), 0)
            b_logit = tl.load(p_in + 5, mask=m_piece, other=0.0)
            chosen = tl.sum(tl.where(b_drawn == winner, b_logit, 0.0), 0)
    tl.store(token + i_row, winner.to(tl.int64))
    tl.store(confidence + i_row, tl.exp(chosen - best - norm))
    tl.store(entropy + i_row, norm - mean)
    tl.store(margin + i_row, (1.0 - tl.exp(second - best)) / total)
    tl.store(log_norm + i_row, best + norm)


@dataclass(frozen=True, slots=True)
class Draws:
    """How each of M rows is drawn; rows of temperature zero take their most likely entry."""

    temperatures: Tensor  # [M] float32
    seeds: Tensor  # [M] int64
    positions: Tensor  # [M] int64
    steps: Tensor  # [M] int64

    def of(self, rows: Tensor) -> "Draws":
        """Those of `rows` [R]."""
        return Draws(
            self.temperatures[rows], self.seeds[rows], self.positions[rows], self.steps[rows]
        )


@dataclass(frozen=True, slots=True)
class Statistics:
    """What is known of M rows, without temperature, over everything but the mask token."""

    token: Tensor  # [M] int64
    confidence: Tensor  # [M] float32, probability of `token`
    entropy: Tensor  # [M] float32, nats
    margin: Tensor  # [M] float32, between the two highest probabilities
    log_norm: Tensor  # [M] float32

    def replace(self, rows: Tensor, other: "Statistics") -> None:
        """Put what is known of R rows in the places `rows` [R]."""
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(other, field.name)


class Accumulator:
    """Takes logits a slice of the vocabulary at a time and gives the statistics of whole rows."""

    def __init__(
        self,
        num_rows: int,
        vocab_size: int,
        mask_token: int,
        draws: Draws | None,
        device: torch.device,
    ) -> None:
        self._mask_token, self._draws = mask_token, draws
        self._num_pieces = triton.cdiv(vocab_size, PIECE)
        pieces = (num_rows, self._num_pieces)
        self._statistics = torch.empty(
            (*pieces, NUM_STATISTICS.value), dtype=torch.float32, device=device
        )
        self._winners = torch.empty(pieces, dtype=torch.int32, device=device)
        self._drawn = None if draws is None else torch.empty_like(self._winners)

    def take(self, logits: Tensor, first: int) -> None:
        """Logits [M, W] of the entries from `first`, a multiple of PIECE."""
        assert first % PIECE == 0
        assert logits.stride(1) == 1
        draws = self._draws
        num_rows, width = logits.shape
        piece_kernel[(num_rows, triton.cdiv(width, PIECE))](
            logits, self._statistics, self._winners, self._drawn,
            draws and draws.temperatures, draws and draws.seeds,
            draws and draws.positions, draws and draws.steps,
            first, first + width, self._mask_token, logits.stride(0), self._num_pieces,
            PIECE=PIECE, DRAWS=draws is not None, num_warps=4,
        )  # fmt: skip

    def finish(self) -> Statistics:
        """Merge the slices, all of which have been taken."""
        num_rows = len(self._winners)
        token = torch.empty(num_rows, dtype=torch.int64, device=self._winners.device)
        floats = [torch.empty_like(token, dtype=torch.float32) for _ in range(4)]
        finish_kernel[(num_rows,)](
            self._statistics, self._winners, self._drawn,
            self._draws and self._draws.temperatures, token, *floats, self._num_pieces,
            BLOCK=triton.next_power_of_2(self._num_pieces), DRAWS=self._draws is not None,
            num_warps=1,
        )  # fmt: skip
        return Statistics(token, *floats)


def score_hidden(hidden: Tensor, head: Tensor, mask_token: int, draws: Draws | None) -> Statistics:
    """Statistics of `hidden` [M, C] under the LM `head` [V, C]; logits are kept a slice at a time.

    The library's matrix product fills a buffer that stays in the L2 cache until it is read.
    """
    num_rows, vocab_size = len(hidden), len(head)
    accumulator = Accumulator(num_rows, vocab_size, mask_token, draws, hidden.device)
    if num_rows:
        slices = torch.empty(num_rows, SLICE, dtype=hidden.dtype, device=hidden.device)
        for first in range(0, vocab_size, SLICE):
            weight = head[first : first + SLICE]
            buffer = slices[:, : len(weight)]
            torch.mm(hidden, weight.T, out=buffer)
            accumulator.take(buffer, first)
    return accumulator.finish()


def score_logits(logits: Tensor, mask_token: int, draws: Draws | None) -> Statistics:
    """Statistics of `logits` [M, V], of a model that changes them after its head."""
    num_rows, vocab_size = logits.shape
    accumulator = Accumulator(num_rows, vocab_size, mask_token, draws, logits.device)
    if len(logits):
        accumulator.take(logits, 0)
    return accumulator.finish()


def variants(capability: int) -> Iterator[Variant]:
    """What is launched, for the compile checks."""
    inputs = {"statistics": "*fp32", "winners": "*i32", "temperatures": "*fp32", "draws": "*i32"}
    keys = dict.fromkeys(("seeds", "positions", "steps"), "*i64")
    sizes = {"first": "i32:16", "last": "i32", "mask_token": "i32", "stride_row": "i32:16"}
    sizes |= {"num_pieces": "i32"}
    for logits in ("bf16", "fp32"):
        for drawn in (False, True):
            name = f"pieces {logits}" + (" drawn" if drawn else "")
            types = inputs | keys | sizes | {"logits": f"*{logits}"}
            yield Variant(name, piece_kernel, types, {"PIECE": PIECE, "DRAWS": drawn})
    outputs = dict.fromkeys(("confidence", "entropy", "margin", "log_norm"), "*fp32")
    types = inputs | outputs | {"token": "*i64", "num_pieces": "i32"}
    yield Variant("finish", finish_kernel, types, {"BLOCK": 128, "DRAWS": True}, num_warps=1)
