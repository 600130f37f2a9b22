"""Short convolutions in two passes: all inputs of a step are written before any is read."""

from collections.abc import Iterator

import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.variant import Variant

BLOCK, NUM_WARPS = 1024, 4


@triton.jit
def store_inputs_kernel(projected, states, slots, num_columns, BLOCK: tl.constexpr):
    """Inputs b * x of a row, to its slot."""
    i_row = tl.program_id(0).to(tl.int64)
    o_column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    m_column = o_column < num_columns
    p_row = projected + i_row * 3 * num_columns + o_column
    b_b = tl.load(p_row, mask=m_column, other=0.0)
    b_x = tl.load(p_row + 2 * num_columns, mask=m_column, other=0.0)
    p_state = states + tl.load(slots + i_row) * num_columns + o_column
    tl.store(p_state, (b_b.to(tl.float32) * b_x).to(b_b.dtype), mask=m_column)


@triton.jit
def convolve_kernel(
    projected, weight, bias, states, slots, earlier, positions, out, num_columns,
    TAPS: tl.constexpr, HAS_BIAS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gated convolution of a row's input and of those before it."""
    i_row = tl.program_id(0).to(tl.int64)
    o_column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    m_column = o_column < num_columns
    position = tl.load(positions + i_row)
    p_own = states + tl.load(slots + i_row) * num_columns + o_column
    b_own = tl.load(p_own, mask=m_column, other=0.0).to(tl.float32)
    p_weight = weight + o_column
    last = tl.load(p_weight + (TAPS - 1) * num_columns, mask=m_column, other=0.0)
    b_total = b_own * last.to(tl.float32)
    for tap in tl.static_range(TAPS - 1):
        slot = tl.load(earlier + i_row * (TAPS - 1) + tap)
        m_tap = m_column & (position >= TAPS - 1 - tap)
        b_input = tl.load(states + slot * num_columns + o_column, mask=m_tap, other=0.0)
        b_weight = tl.load(p_weight + tap * num_columns, mask=m_column, other=0.0)
        b_total += b_input.to(tl.float32) * b_weight.to(tl.float32)
    if HAS_BIAS:
        b_total += tl.load(bias + o_column, mask=m_column, other=0.0).to(tl.float32)
    p_gate = projected + (i_row * 3 + 1) * num_columns + o_column
    b_gate = tl.load(p_gate, mask=m_column, other=0.0)
    b_total = b_total.to(b_gate.dtype).to(tl.float32) * b_gate.to(tl.float32)
    tl.store(out + i_row * num_columns + o_column, b_total.to(b_gate.dtype), mask=m_column)


@triton.jit
def centre_kernel(
    projected, weight, bias, positions, out, num_rows, num_columns,
    TAPS: tl.constexpr, HAS_BIAS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gated convolution of a row and its neighbours, whose inputs are computed anew."""
    i_row = tl.program_id(0).to(tl.int64)
    o_column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    m_column = o_column < num_columns
    position = tl.load(positions + i_row)
    b_total = tl.zeros([BLOCK], tl.float32)
    for tap in tl.static_range(TAPS):
        i_other = i_row + tap - TAPS // 2
        is_row = (i_other >= 0) & (i_other < num_rows)
        other = tl.load(positions + i_other, mask=is_row, other=-1)
        m_tap = m_column & is_row & (other - position == tap - TAPS // 2)
        p_row = projected + i_other * 3 * num_columns + o_column
        b_b = tl.load(p_row, mask=m_tap, other=0.0)
        b_x = tl.load(p_row + 2 * num_columns, mask=m_tap, other=0.0)
        b_input = (b_b.to(tl.float32) * b_x).to(b_b.dtype).to(tl.float32)
        b_weight = tl.load(weight + tap * num_columns + o_column, mask=m_column, other=0.0)
        b_total += b_input * b_weight.to(tl.float32)
    if HAS_BIAS:
        b_total += tl.load(bias + o_column, mask=m_column, other=0.0).to(tl.float32)
    p_gate = projected + (i_row * 3 + 1) * num_columns + o_column
    b_gate = tl.load(p_gate, mask=m_column, other=0.0)
    b_total = b_total.to(b_gate.dtype).to(tl.float32) * b_gate.to(tl.float32)
    tl.store(out + i_row * num_columns + o_column, b_total.to(b_gate.dtype), mask=m_column)


def short_convolution(
    projected: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    states: Tensor,
    slots: Tensor,
    earlier: Tensor,
    positions: Tensor,
) -> Tensor:
    """Implements `convolution.ops.short_convolution`, which checks."""
    num_rows, (num_taps, num_columns) = len(projected), weight.shape
    out = projected.new_empty(num_rows, num_columns)
    if num_rows:
        grid, projected = (num_rows, triton.cdiv(num_columns, BLOCK)), projected.contiguous()
        store_inputs_kernel[grid](
            projected, states, slots, num_columns, BLOCK=BLOCK, num_warps=NUM_WARPS
        )
        convolve_kernel[grid](
            projected, weight, bias, states, slots, earlier.contiguous(), positions, out,
            num_columns, TAPS=num_taps, HAS_BIAS=bias is not None, BLOCK=BLOCK,
            num_warps=NUM_WARPS,
        )  # fmt: skip
    return out


def centred_convolution(
    projected: Tensor, weight: Tensor, bias: Tensor | None, positions: Tensor
) -> Tensor:
    """Implements `convolution.ops.centred_convolution`, which checks."""
    num_rows, (num_taps, num_columns) = len(projected), weight.shape
    out = projected.new_empty(num_rows, num_columns)
    if num_rows:
        centre_kernel[(num_rows, triton.cdiv(num_columns, BLOCK))](
            projected.contiguous(), weight, bias, positions, out, num_rows, num_columns,
            TAPS=num_taps, HAS_BIAS=bias is not None, BLOCK=BLOCK, num_warps=NUM_WARPS,
        )  # fmt: skip
    return out


def variants(capability: int) -> Iterator[Variant]:
    """Every kind of launch, for the compile checks."""
    types = dict.fromkeys(("projected", "weight", "bias", "states", "out"), "*bf16")
    types |= dict.fromkeys(("slots", "earlier", "positions"), "*i64")
    types |= {"num_columns": "i32:16"}
    block = {"BLOCK": BLOCK}
    yield Variant("convolution's inputs", store_inputs_kernel, types, block, NUM_WARPS)
    for has_bias in (False, True):
        absent = {} if has_bias else {"bias": None}
        constants = {"TAPS": 3, "HAS_BIAS": has_bias} | block | absent
        name = "short convolution" + ", biased" * has_bias
        yield Variant(name, convolve_kernel, types, constants, NUM_WARPS)
        both = types | {"num_rows": "i32"}
        yield Variant(f"centred {name}", centre_kernel, both, constants, NUM_WARPS)
