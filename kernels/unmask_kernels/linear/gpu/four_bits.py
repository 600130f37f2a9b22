"""Products with weights of 4 bits in Triton, whose numbers are unpacked in registers.

Inputs are summed in parts, each by itself from zero, and parts are added in order. Few rows give
each part to a program of its own, so that enough of them read the weight; many rows give all parts
to one. Parts follow the weight alone: the bits of a row do not depend on the rows beside it.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.dispatch import capability
from unmask_kernels.quantization.four_bits import (
    HALF_RUN,
    RUN_INPUTS,
    USUAL_ZERO,
    Codes,
    FourBitWeight,
)
from unmask_kernels.quantization.gpu import side_by_side
from unmask_kernels.variant import Variant

# Programs that keep a GPU's memory busy; a part has at least so many runs of inputs.
ENOUGH_PROGRAMS, FEWEST_RUNS, MOST_PARTS = 512, 4, 16
FEW_ROWS = 64  # whose parts are programs of their own
REDUCED_OUTPUTS = 256
# Kinds of weights with the type of their zero points.
ZEROS = {"int4": None, "int4 with zeros": "*i8", "int4 with biases": "*fp32", "e2m1": None}


@dataclass(frozen=True, slots=True)
class FourBitConfig:
    """Tile sizes of the product, which follow the dtype, never the load."""

    rows: int = 64
    outputs: int = 64
    num_warps: int = 4
    num_stages: int = 3


def four_bit_config(
    dtype: torch.dtype, codes: Codes, capability: int, *, has_biases: bool = False
) -> FourBitConfig:
    """The tiles for a dtype of rows and a weight on a chip, such as 90 for sm_90.

    Floats take registers to unpack, as do zero points that are floats.
    """
    if dtype == torch.float32:
        return FourBitConfig(rows=32, num_stages=2)
    if codes == "e2m1" and capability != 90:
        return FourBitConfig(rows=32) if capability > 90 else FourBitConfig(rows=16, num_warps=8)
    if has_biases and capability < 90:
        return FourBitConfig(rows=32, num_stages=2)
    return FourBitConfig(rows=64 if capability >= 90 else 32)


def runs_a_part(num_outputs: int, num_inputs: int, config: FourBitConfig) -> int:
    """Runs of inputs of a part, by the size of a weight."""
    tiles, runs = triton.cdiv(num_outputs, config.outputs), triton.cdiv(num_inputs, RUN_INPUTS)
    parts = min(triton.cdiv(ENOUGH_PROGRAMS, tiles), MOST_PARTS, max(1, runs // FEWEST_RUNS))
    return int(triton.cdiv(runs, parts))


@triton.jit
def _half(
    x, scales, zeros, packed, first, o_m, o_n, m_m, m_n, num_inputs, num_outputs, num_groups,
    stride_x, acc, GROUP: tl.constexpr, HALF: tl.constexpr, WIDTH: tl.constexpr,
    USUAL: tl.constexpr, E2M1: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Add the product of HALF inputs from `first` on; `packed` [N, HALF] has their numbers.

    A scale is of WIDTH of them.
    """
    o_k = first + tl.arange(0, HALF)
    p_x = x + o_m.to(tl.int64)[None, :] * stride_x + o_k[:, None]
    b_x = tl.load(p_x, mask=m_m[None, :] & (o_k < num_inputs)[:, None], other=0.0)
    o_g = (first + tl.arange(0, HALF // WIDTH) * WIDTH) // GROUP
    m_g = m_n[:, None] & (o_g < num_groups)[None, :]
    p_g = o_n[:, None] + o_g[None, :] * num_outputs
    b_scale = tl.load(scales + p_g, mask=m_g, other=0.0)
    b_number = packed.to(tl.float32)
    if E2M1:
        # The lower bits are those of a float from 2 on, and 0 or 1 below; from 8 on it is negative.
        b_code = packed.to(tl.int32)
        b_float = (((b_code & 7) << 22) + (127 << 23)).to(tl.float32, bitcast=True)
        b_size = tl.where((b_code & 6) > 0, b_float, (b_code & 1).to(tl.float32))
        b_number = tl.where(b_code < 8, b_size, -b_size)
    b_number = b_number.reshape([packed.shape[0], HALF // WIDTH, WIDTH])
    if zeros is not None:
        b_zero = tl.load(zeros + p_g, mask=m_g, other=0).to(tl.float32)
        b_number -= b_zero[:, :, None]
    elif not E2M1:
        b_number -= USUAL
    b_w = (b_number * b_scale[:, :, None]).reshape([packed.shape[0], HALF])
    return tl.dot(b_w.to(b_x.dtype), b_x, acc, input_precision=PRECISION)


@triton.jit
def four_bit_product_kernel(
    x, weights, scales, zeros, out, num_rows, num_outputs, num_inputs, num_groups, num_parts,
    stride_x, stride_weights,
    RUNS: tl.constexpr, GROUP: tl.constexpr, WIDTH: tl.constexpr, IN_PARTS: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, HALF: tl.constexpr, STAGES: tl.constexpr,
    USUAL: tl.constexpr, E2M1: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """A tile of rows and outputs: all parts of the inputs, or the sums of one."""
    i_n, i_m, i_part = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    o_m = i_m * BLOCK_M + tl.arange(0, BLOCK_M)
    o_n = i_n * BLOCK_N + tl.arange(0, BLOCK_N)
    m_m, m_n = o_m < num_rows, o_n < num_outputs
    num_runs = tl.cdiv(num_inputs, 2 * HALF)
    p_w = weights + o_n.to(tl.int64)[:, None] * stride_weights + tl.arange(0, HALF)[None, :]
    total = tl.zeros([BLOCK_N, BLOCK_M], tl.float32)
    for part in tl.range(i_part, i_part + 1 if IN_PARTS else num_parts):
        acc = tl.zeros([BLOCK_N, BLOCK_M], tl.float32)
        for run in tl.range(part * RUNS, min(part * RUNS + RUNS, num_runs), num_stages=STAGES):
            b_packed = tl.load(p_w + run * HALF, mask=m_n[:, None], other=0)
            for half in tl.static_range(2):
                acc = _half(
                    x, scales, zeros, (b_packed >> 4 * half) & 0xF, (2 * run + half) * HALF,
                    o_m, o_n, m_m, m_n, num_inputs, num_outputs, num_groups, stride_x, acc,
                    GROUP, HALF, WIDTH, USUAL, E2M1, PRECISION,
                )  # fmt: skip
        total += acc
    p_out = out + i_part.to(tl.int64) * num_rows * num_outputs
    p_out += o_m.to(tl.int64)[None, :] * num_outputs + o_n[:, None]
    tl.store(p_out, total.to(out.dtype.element_ty), mask=m_m[None, :] & m_n[:, None])


@triton.jit
def sum_parts_kernel(parts, out, num_outputs, num_parts, num_values, BLOCK: tl.constexpr):
    """The sums of parts [P, M, N] in order, as rows [M, N]."""
    o_n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    m_n = o_n < num_outputs
    start = tl.program_id(1).to(tl.int64) * num_outputs
    total = tl.zeros([BLOCK], tl.float32)
    for _ in tl.range(0, num_parts):
        total += tl.load(parts + start + o_n, mask=m_n, other=0.0)
        parts += num_values
    tl.store(out + start + o_n, total.to(out.dtype.element_ty), mask=m_n)


def four_bit_product(x: Tensor, weight: FourBitWeight) -> Tensor:
    """Rows `x` [M, K] times a weight [N, K], whose scales of a group lie side by side: [M, N].

    Columns of `x` are in the weight's order of inputs.
    """
    (num_rows, num_inputs), num_outputs = x.shape, len(weight)
    if num_inputs != weight.num_inputs:
        raise ValueError(f"rows {tuple(x.shape)} do not fit a weight of {weight.num_inputs} inputs")
    x = side_by_side(x)
    out = torch.empty((num_rows, num_outputs), dtype=x.dtype, device=x.device)
    if not num_rows:
        return out
    has_biases = weight.zeros is not None and weight.zeros.is_floating_point()
    config = four_bit_config(x.dtype, weight.codes, capability(x.device), has_biases=has_biases)
    runs = runs_a_part(num_outputs, num_inputs, config)
    num_parts = triton.cdiv(triton.cdiv(num_inputs, RUN_INPUTS), runs)
    in_parts = num_parts > 1 and num_rows <= FEW_ROWS
    sums = out
    if in_parts:
        sums = x.new_empty((num_parts, num_rows, num_outputs), dtype=torch.float32)
    grid = (
        triton.cdiv(num_outputs, config.outputs),
        triton.cdiv(num_rows, config.rows),
        num_parts if in_parts else 1,
    )
    num_groups, group = weight.scales.shape[1], _group(weight)
    four_bit_product_kernel[grid](
        x, weight.values, weight.scales, weight.zeros, sums, num_rows, num_outputs, num_inputs,
        num_groups, num_parts, x.stride(0), weight.values.stride(0),
        RUNS=runs, GROUP=group, WIDTH=min(group, HALF_RUN), IN_PARTS=in_parts,
        E2M1=weight.codes == "e2m1", **_constants(config, x.dtype),
        num_warps=config.num_warps,
    )  # fmt: skip
    if in_parts:
        sum_parts_kernel[triton.cdiv(num_outputs, REDUCED_OUTPUTS), num_rows](
            sums, out, num_outputs, num_parts, num_rows * num_outputs, BLOCK=REDUCED_OUTPUTS
        )
    return out


def _group(weight: FourBitWeight) -> int:
    """Inputs of a group, a power of two; of one group, as many as there may be."""
    if weight.scales.shape[1] == 1:
        return int(triton.next_power_of_2(max(weight.num_inputs, RUN_INPUTS)))
    return weight.group_inputs


def _constants(config: FourBitConfig, dtype: torch.dtype) -> dict[str, int | str | None]:
    return {
        "BLOCK_M": config.rows,
        "BLOCK_N": config.outputs,
        "HALF": HALF_RUN,
        "STAGES": config.num_stages,
        "USUAL": USUAL_ZERO,
        "PRECISION": "ieee" if dtype == torch.float32 else "tf32",
    }


def variants(chip: int) -> Iterator[Variant]:
    """Every launched variant, for the compile checks."""
    counts = ("num_outputs", "num_inputs", "stride_x", "stride_weights")
    types = {"x": "*bf16", "weights": "*u8", "scales": "*fp32"}
    types |= dict.fromkeys(counts, "i32:16")
    types |= dict.fromkeys(("num_rows", "num_groups", "num_parts"), "i32")
    kinds = itertools.product(ZEROS, (16, 32, 128), (False, True))
    for kind, group, in_parts in kinds:
        codes: Codes = "e2m1" if kind == "e2m1" else "int4"
        has_biases = ZEROS[kind] == "*fp32"
        config = four_bit_config(torch.bfloat16, codes, chip, has_biases=has_biases)
        constants = _constants(config, torch.bfloat16) | {
            "RUNS": 4, "GROUP": group, "WIDTH": min(group, HALF_RUN), "IN_PARTS": in_parts,
            "E2M1": codes == "e2m1",
        }  # fmt: skip
        own: dict[str, str] = {"out": "*fp32" if in_parts else "*bf16"}
        if (zeros := ZEROS[kind]) is not None:
            own["zeros"] = zeros
        else:
            constants["zeros"] = None
        yield Variant(
            f"{kind} product, groups of {group}" + (", in parts" if in_parts else ""),
            four_bit_product_kernel,
            types | own,
            constants,
            config.num_warps,
            True,
        )
    yield Variant(
        "sum of parts of 4 bits",
        sum_parts_kernel,
        {"parts": "*fp32", "out": "*bf16", "num_outputs": "i32:16"}
        | dict.fromkeys(("num_parts", "num_values"), "i32"),
        {"BLOCK": REDUCED_OUTPUTS},
    )
