"""Min-p, top-k and top-p draws from rows of logits, with some rows' logits in memory at a time.

The cut is found by bisection over keys, integers in the order of logits. Probabilities are summed
as integers too; see `unmask_kernels.scoring.types.UNIT`.
"""

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.philox_gpu import gumbel
from unmask_kernels.scoring.constraints import PIECE, Constraints
from unmask_kernels.scoring.gpu.logits import (
    CONSTRAINT_TYPES,
    CONSTRAINTS,
    LOWEST,
    constraint_arguments,
    load_logits,
)
from unmask_kernels.scoring.types import UNIT, Draws
from unmask_kernels.variant import Variant

BUFFER_BYTES = 64 * 2**20
ROW_UNIT, MAX_ROWS = 16, 256
MASS = tl.constexpr(float(UNIT))
NUM_WARPS = 8
WARPS_TO_CONSTRAIN = 16  # with fewer the compiler spills for some vocabularies


@triton.jit
def _key(b_x, SHIFT: tl.constexpr):
    """Integers in the order of float32 `b_x`; SHIFT drops bits that are zero in bfloat16."""
    bits = tl.where(b_x == 0.0, 0.0, b_x).to(tl.int32, bitcast=True)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)) >> SHIFT


@triton.jit
def _mass(b_x, best, inverse):
    return (tl.exp((b_x - best) * inverse) * MASS).to(tl.int64)


@triton.jit
def _load(p_row, start, vocab_size, mask_token, floor, BLOCK: tl.constexpr):
    """Logits from `start`; LOWEST for those below `floor`, and for the mask token."""
    o_entry = start + tl.arange(0, BLOCK)
    m_entry = (o_entry < vocab_size) & (o_entry != mask_token)
    b_x = tl.load(p_row + o_entry, mask=m_entry, other=0.0).to(tl.float32)
    return tl.where(m_entry & (b_x > LOWEST) & (b_x >= floor), b_x, LOWEST)


@triton.jit
def _find(
    p_row, vocab_size, mask_token, best, inverse, floor, low, high, target,
    BLOCK: tl.constexpr, SHIFT: tl.constexpr, BY_MASS: tl.constexpr,
):  # fmt: skip
    """Lowest key of [low, high] with less than `target` entries, or mass, above it."""
    while low < high:
        width = high - low
        m1, m2, m3 = low + width // 4, low + width // 2, low + (3 * width) // 4
        b_1 = tl.zeros([BLOCK], tl.int64)
        b_2 = tl.zeros([BLOCK], tl.int64)
        b_3 = tl.zeros([BLOCK], tl.int64)
        for start in range(0, vocab_size, BLOCK):
            b_x = _load(p_row, start, vocab_size, mask_token, floor, BLOCK)
            b_key = _key(b_x, SHIFT)
            b_much = _mass(b_x, best, inverse) if BY_MASS else tl.full([BLOCK], 1, tl.int64)
            b_1 += tl.where(b_key > m1.to(tl.int32), b_much, 0)
            b_2 += tl.where(b_key > m2.to(tl.int32), b_much, 0)
            b_3 += tl.where(b_key > m3.to(tl.int32), b_much, 0)
        if tl.sum(b_1, 0) < target:
            high = m1
        elif tl.sum(b_2, 0) < target:
            low, high = m1 + 1, m2
        elif tl.sum(b_3, 0) < target:
            low, high = m2 + 1, m3
        else:
            low = m3 + 1
    return low


@triton.jit
def _measure(
    p_row, vocab_size, mask_token, best, inverse, floor, cut,
    BLOCK: tl.constexpr, SHIFT: tl.constexpr,
):  # fmt: skip
    """Number of entries above `cut`, their mass, and the mass of an entry at it."""
    b_count = tl.zeros([BLOCK], tl.int64)
    b_mass = tl.zeros([BLOCK], tl.int64)
    b_each = tl.zeros([BLOCK], tl.int64)
    for start in range(0, vocab_size, BLOCK):
        b_x = _load(p_row, start, vocab_size, mask_token, floor, BLOCK)
        b_key = _key(b_x, SHIFT)
        b_entry_mass = _mass(b_x, best, inverse)
        b_count += (b_key > cut).to(tl.int64)
        b_mass += tl.where(b_key > cut, b_entry_mass, 0)
        b_each = tl.maximum(b_each, tl.where(b_key == cut, b_entry_mass, 0))
    return tl.sum(b_count, 0), tl.sum(b_mass, 0), tl.max(b_each, 0)


@triton.jit
def draw_kernel(
    logits, temperatures, inverses, spreads, top_ks, top_ps, margins, seeds, positions, steps,
    drawn, chosen, vocab_size, mask_token, stride_row,
    BLOCK: tl.constexpr, SHIFT: tl.constexpr, SPREADS: tl.constexpr,
):  # fmt: skip
    """A token of each row of logits [R, V], and its logit, LOWEST if all are forbidden."""
    i_row = tl.program_id(0).to(tl.int64)
    p_row = logits + i_row * stride_row
    inverse = tl.load(inverses + i_row)
    top_k, top_p = tl.load(top_ks + i_row), tl.load(top_ps + i_row)

    b_best = tl.full([BLOCK], LOWEST, tl.float32)
    for start in range(0, vocab_size, BLOCK):
        b_best = tl.maximum(b_best, _load(p_row, start, vocab_size, mask_token, LOWEST, BLOCK))
    best = tl.max(b_best, 0)
    floor = best + tl.load(margins + i_row)
    high = _key(best, SHIFT).to(tl.int64)
    low = _key(tl.full([1], LOWEST, tl.float32), SHIFT).to(tl.int64)
    cut = tl.max(low, 0)
    if top_k < vocab_size:
        cut = _find(p_row, vocab_size, mask_token, best, inverse, floor, cut, high, top_k,
                    BLOCK, SHIFT, False)  # fmt: skip
    above, mass, each = _measure(
        p_row, vocab_size, mask_token, best, inverse, floor, cut.to(tl.int32), BLOCK, SHIFT
    )
    ties = top_k - above  # entries kept at the cut
    if top_p < 1.0:
        total = mass + ties * each
        target = tl.ceil(top_p.to(tl.float64) * total.to(tl.float64)).to(tl.int64)
        target = tl.maximum(target, 1)
        cut = _find(p_row, vocab_size, mask_token, best, inverse, floor, cut, high, target,
                    BLOCK, SHIFT, True)  # fmt: skip
        above, mass, each = _measure(
            p_row, vocab_size, mask_token, best, inverse, floor, cut.to(tl.int32), BLOCK, SHIFT
        )
        each = tl.maximum(each, 1)
        ties = (target - mass + each - 1) // each

    temperature = tl.load(temperatures + i_row)
    seed, position = tl.load(seeds + i_row), tl.load(positions + i_row)
    step = tl.load(steps + i_row)
    highest, token, logit = float("-inf"), 0, best
    seen = tl.zeros([1], tl.int64)
    for start in range(0, vocab_size, BLOCK):
        o_entry = start + tl.arange(0, BLOCK)
        b_x = _load(p_row, start, vocab_size, mask_token, floor, BLOCK)
        b_key = _key(b_x, SHIFT)
        b_tie = (b_key == cut.to(tl.int32)).to(tl.int32)
        b_rank = tl.cumsum(b_tie, 0) - b_tie + seen
        m_kept = (b_key > cut.to(tl.int32)) | ((b_tie > 0) & (b_rank < ties))
        m_kept = m_kept & (b_x > LOWEST)
        seen += tl.sum(b_tie, 0)
        if tl.max(m_kept.to(tl.int32), 0) > 0:
            b_noise = gumbel(seed, position, step, start, BLOCK)
            if SPREADS:
                b_noise = b_noise * tl.load(spreads + i_row)
            b_y = tl.where(m_kept, b_x / temperature + b_noise, float("-inf"))
            top = tl.max(b_y, 0)
            if top > highest:
                highest = top
                token = tl.min(tl.where(b_y == top, o_entry, 2147483647), 0)
                logit = tl.max(tl.where(o_entry == token, b_x, LOWEST), 0)
    tl.store(drawn + i_row, token)
    tl.store(chosen + i_row, logit)


@triton.jit
def constrain_kernel(
    logits, constrained, vocab_size, mask_token, stride_row, num_pieces,
    bias_set, bias_starts, bias_tokens, bias_values, bias_factors, mask_row, mask_words, num_words,
    class_row, class_of, class_words, num_classed, num_class_words,
    PIECE: tl.constexpr, BIASED: tl.constexpr, MASKED: tl.constexpr,
    CLASSED: tl.constexpr,
):  # fmt: skip
    """Logits [R, V] in float32 after biases and masks."""
    i_row, i_piece = tl.program_id(0).to(tl.int64), tl.program_id(1)
    start = i_piece * PIECE
    b_x = load_logits(
        logits + i_row * stride_row + start, i_row, i_piece, start, vocab_size,
        mask_token, num_pieces, bias_set, bias_starts, bias_tokens, bias_values, bias_factors,
        mask_row, mask_words, num_words, class_row, class_of, class_words,
        num_classed, num_class_words,
        PIECE, BIASED, MASKED, CLASSED,
    )  # fmt: skip
    o_entry = start + tl.arange(0, PIECE)
    tl.store(constrained + i_row * vocab_size + o_entry, b_x, mask=o_entry < vocab_size)


def rows_at_a_time(vocab_size: int, num_bytes: int) -> int:
    """Rows whose logits, of `num_bytes` each, are in memory together."""
    fitting = BUFFER_BYTES // (vocab_size * num_bytes) // ROW_UNIT * ROW_UNIT
    return max(ROW_UNIT, min(fitting, MAX_ROWS))


def draw_hidden(
    hidden: Tensor,
    head: Tensor,
    mask_token: int,
    draws: Draws,
    constraints: Constraints | None,
) -> tuple[Tensor, Tensor]:
    """A token of each of `hidden` [C, H] under the LM `head` [V, H], and its logit.

    The product always has the same number of rows, which keeps it batch-invariant.
    """
    vocab_size = len(head)
    size = rows_at_a_time(vocab_size, hidden.element_size() + 4 * (constraints is not None))
    buffer = torch.empty(size, vocab_size, dtype=hidden.dtype, device=hidden.device)
    padded = hidden.new_zeros(size, hidden.shape[1])
    tokens, token_logits = [], []
    for first in range(0, len(hidden), size):
        chunk = slice(first, min(first + size, len(hidden)))
        count = chunk.stop - first
        padded[:count] = hidden[chunk]
        logits = torch.mm(padded, head.T, out=buffer)[:count]
        selected = None
        if constraints is not None:
            selected = constraints.select(torch.arange(first, chunk.stop, device=hidden.device))
        token, logit = draw_logits(logits, mask_token, draws.select(chunk), selected)
        tokens.append(token)
        token_logits.append(logit)
    return torch.cat(tokens), torch.cat(token_logits)


def draw_logits(
    logits: Tensor, mask_token: int, draws: Draws, constraints: Constraints | None = None
) -> tuple[Tensor, Tensor]:
    """A token of each of `logits` [R, V], and its logit after `constraints`, float32."""
    assert logits.stride(1) == 1
    truncation = draws.truncation
    assert truncation is not None
    assert truncation.which is None
    if constraints is not None:
        logits = _constrained(logits, mask_token, constraints)
    token = torch.empty(len(logits), dtype=torch.int64, device=logits.device)
    logit = torch.empty(len(logits), dtype=torch.float32, device=logits.device)
    draw_kernel[(len(logits),)](
        logits, draws.temperature, draws.inverse_temperature, draws.spread, truncation.top_k,
        truncation.top_p, draws.margin,
        draws.seeds, draws.positions, draws.steps, token, logit,
        logits.shape[1], mask_token, logits.stride(0), BLOCK=PIECE,
        SHIFT=16 if logits.dtype is torch.bfloat16 else 0,
        SPREADS=draws.spread is not None, num_warps=NUM_WARPS,
    )  # fmt: skip
    return token, logit


def _constrained(logits: Tensor, mask_token: int, constraints: Constraints) -> Tensor:
    num_rows, vocab_size = logits.shape
    changed = torch.empty(logits.shape, dtype=torch.float32, device=logits.device)
    num_pieces = triton.cdiv(vocab_size, PIECE)
    constrain_kernel[(num_rows, num_pieces)](
        logits, changed, vocab_size, mask_token, logits.stride(0), num_pieces,
        **constraint_arguments(constraints), PIECE=PIECE, num_warps=WARPS_TO_CONSTRAIN,
    )  # fmt: skip
    return changed


def variants(capability: int) -> Iterator[Variant]:
    """Every launched variant, for the compile checks."""
    types = dict.fromkeys(("temperatures", "inverses", "spreads", "top_ps", "margins"), "*fp32")
    types["chosen"] = "*fp32"
    types |= dict.fromkeys(("top_ks", "seeds", "positions", "steps", "drawn"), "*i64")
    sizes = {"vocab_size": "i32", "mask_token": "i32", "stride_row": "i32:16"}
    for logits, shift in (("bf16", 16), ("fp32", 0)):
        signature = types | sizes | {"logits": f"*{logits}"}
        shape = {"BLOCK": PIECE, "SHIFT": shift, "SPREADS": True}
        yield Variant(
            f"draw truncated {logits}", draw_kernel, signature, shape, num_warps=NUM_WARPS
        )
        signature = sizes | CONSTRAINT_TYPES | {"logits": f"*{logits}", "constrained": "*fp32"}
        signature |= {"num_pieces": "i32"}
        shape = {"PIECE": PIECE} | CONSTRAINTS
        yield Variant(
            f"constrain {logits}", constrain_kernel, signature, shape, num_warps=WARPS_TO_CONSTRAIN
        )
