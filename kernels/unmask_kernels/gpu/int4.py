"""Products of few rows with weights of 4 bits in groups, unpacked in registers."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.testing.variant import Variant

GROUP = tl.constexpr(128)
HALF = tl.constexpr(64)
# A float32 of these bits is 2^23 plus the integer in its lowest bits: a cheaper way from integers
# to floats than a conversion, which runs at an eighth of the rate.
INTEGER_BITS = tl.constexpr(0x4B000000)
INTEGER_BASE = tl.constexpr(8388616.0)  # 2^23, and 8 for the sign of 4 bits
TARGET_PROGRAMS = 264  # two for each multiprocessor of an H100


@dataclass(frozen=True, slots=True)
class Int4Config:
    """Tile sizes; outputs lie along the matrix unit's 64 rows, which few rows would leave empty."""

    outputs: int = 64
    num_warps: int = 4
    num_stages: int = 4


@triton.jit
def _unpacked(b_bits, dtype: tl.constexpr):
    """Integers of 4 bits, their sign bit flipped, as numbers from -8 to 7."""
    b_wide = (b_bits | INTEGER_BITS).to(tl.float32, bitcast=True)
    return (b_wide - INTEGER_BASE).to(dtype)


@triton.jit
def int4_product_kernel(
    x, packed, scales, out, num_rows, num_outputs, num_inputs, num_groups, groups_a_part,
    stride_x,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, STAGES: tl.constexpr, EVEN: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """A tile of outputs and rows over one part of the groups, which are summed in order."""
    i_n, i_m, i_part = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    o_n = i_n * BLOCK_N + tl.arange(0, BLOCK_N)
    o_m = i_m * BLOCK_M + tl.arange(0, BLOCK_M)
    o_k = tl.arange(0, HALF)
    m_n, m_m = o_n < num_outputs, o_m < num_rows
    p_w = packed + o_n.to(tl.int64)[:, None] * (num_groups * HALF) + o_k[None, :]
    p_x = x + o_m.to(tl.int64)[:, None] * stride_x + o_k[None, :]
    p_scale = scales + o_n.to(tl.int64) * num_groups
    acc = tl.zeros([BLOCK_N, BLOCK_M], tl.float32)
    first = i_part * groups_a_part
    for group in tl.range(first, tl.minimum(first + groups_a_part, num_groups), num_stages=STAGES):
        b_w = tl.load(p_w + group * HALF, mask=m_n[:, None], other=0).to(tl.int32) ^ 0x88
        b_scale = tl.load(p_scale + group, mask=m_n, other=0.0)
        o_low = group * GROUP
        if EVEN:
            b_low = tl.load(p_x + o_low, mask=m_m[:, None], other=0.0)
            b_high = tl.load(p_x + o_low + HALF, mask=m_m[:, None], other=0.0)
        else:
            m_low, m_high = o_low + o_k < num_inputs, o_low + HALF + o_k < num_inputs
            b_low = tl.load(p_x + o_low, mask=m_m[:, None] & m_low[None, :], other=0.0)
            b_high = tl.load(p_x + o_low + HALF, mask=m_m[:, None] & m_high[None, :], other=0.0)
        b_sum = tl.dot(
            _unpacked(b_w & 0xF, x.dtype.element_ty), tl.trans(b_low), input_precision=PRECISION
        )
        b_sum = tl.dot(
            _unpacked(b_w >> 4, x.dtype.element_ty), tl.trans(b_high), b_sum,
            input_precision=PRECISION,
        )  # fmt: skip
        acc = tl.fma(b_sum, tl.broadcast_to(b_scale[:, None], b_sum.shape), acc)
    p_out = out + (i_part * num_rows + o_m.to(tl.int64))[None, :] * num_outputs + o_n[:, None]
    tl.store(p_out, acc.to(out.dtype.element_ty), mask=m_n[:, None] & m_m[None, :])


@triton.jit
def sum_parts_kernel(parts, out, size, NUM_PARTS: tl.constexpr, BLOCK: tl.constexpr):
    """Sum parts in their order."""
    o = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = o < size
    acc = tl.load(parts + o, mask=mask, other=0.0)
    for part in tl.static_range(1, NUM_PARTS):
        acc += tl.load(parts + part * size + o, mask=mask, other=0.0)
    tl.store(out + o, acc.to(out.dtype.element_ty), mask=mask)


def num_parts(num_outputs: int, num_groups: int, config: Int4Config) -> int:
    """Parts that the inputs of a weight are cut into: its shape's, never the load's."""
    tiles = triton.cdiv(num_outputs, config.outputs)
    wanted = max(1, min(TARGET_PROGRAMS // tiles, num_groups // 4))
    return int(triton.cdiv(num_groups, triton.cdiv(num_groups, wanted)))


def rows_tile(num_rows: int, capability: int) -> int:
    """Rows of a tile; a matrix unit computes each row alone, so the number changes no bit."""
    most = 128 if capability >= 90 else 64
    return int(min(most, max(16, triton.next_power_of_2(num_rows))))


def product(x: Tensor, packed: Tensor, scales: Tensor, capability: int) -> Tensor:
    """Rows [M, K] times bytes [N, G * 64] and scales [N, G] of `int4.Int4Weight`: rows [M, N]."""
    (num_rows, num_inputs), (num_outputs, num_groups) = x.shape, scales.shape
    x = x if x.stride(1) == 1 else x.contiguous()
    out = torch.empty((num_rows, num_outputs), dtype=x.dtype, device=x.device)
    if not num_rows:
        return out
    config = Int4Config()
    parts = num_parts(num_outputs, num_groups, config)
    to = out
    if parts > 1:
        to = torch.empty((parts, *out.shape), dtype=torch.float32, device=x.device)
    block = rows_tile(num_rows, capability)
    grid = (triton.cdiv(num_outputs, config.outputs), triton.cdiv(num_rows, block), parts)
    int4_product_kernel[grid](
        x, packed, scales, to, num_rows, num_outputs, num_inputs, num_groups,
        triton.cdiv(num_groups, parts), x.stride(0),
        BLOCK_M=block, BLOCK_N=config.outputs, STAGES=config.num_stages,
        EVEN=num_inputs % 128 == 0, PRECISION="ieee" if x.dtype == torch.float32 else "tf32",
        num_warps=config.num_warps,
    )  # fmt: skip
    if parts > 1:
        grid_sum = (triton.cdiv(out.numel(), 1024),)
        sum_parts_kernel[grid_sum](to, out, out.numel(), NUM_PARTS=parts, BLOCK=1024)
    return out


def variants(capability: int) -> Iterator[Variant]:
    """Every tile of rows, for the compile checks."""
    config = Int4Config()
    types = {"x": "*bf16", "packed": "*u8", "scales": "*fp32", "out": "*fp32"}
    types |= {"num_rows": "i32", "num_groups": "i32:16", "groups_a_part": "i32"}
    types |= dict.fromkeys(("num_outputs", "num_inputs", "stride_x"), "i32:16")
    for rows in (16, 32, 64, 128)[: 4 if capability >= 90 else 3]:
        constants = {
            "BLOCK_M": rows, "BLOCK_N": config.outputs, "STAGES": config.num_stages,
            "EVEN": True, "PRECISION": "tf32",
        }  # fmt: skip
        yield Variant(
            f"int4 {rows} rows", int4_product_kernel, types, constants, config.num_warps, True
        )
    sums = {"parts": "*fp32", "out": "*bf16", "size": "i32:16"}
    yield Variant("int4 parts", sum_parts_kernel, sums, {"NUM_PARTS": 4, "BLOCK": 1024})
