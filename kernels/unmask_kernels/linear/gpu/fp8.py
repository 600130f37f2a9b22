"""W8A8 products in Triton: e4m3 rows by e4m3 weights, a scale a token and a scale an output.

Inputs are summed in grains, runs of inputs whose length follows the weight's shape alone: within a
grain by the tensor cores in order, grains in float32 in order. No tile, pipeline or split changes
that order, so products stay batch-invariant although tiles follow the number of rows. Grains also
bound the loss of Hopper's accumulators, which keep 14 bits within an FP8 product.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from unmask_kernels.dependent_launch import dependent_launch, prefetch, wait_for_inputs
from unmask_kernels.dispatch import capability
from unmask_kernels.quantization.types import FIRST_FP8_CAPABILITY, GROUP_INPUTS, QuantizedRows
from unmask_kernels.variant import Variant

# Hopper's accumulators keep 14 bits within a grain. That loses 0.1% over 4,096 inputs and 0.3% over
# 12,288, far less than e4m3's 3 bits of mantissa, and widest tiles are the fastest with one grain:
# 6,570 tokens/s of SDAR-8B at 128 requests. Several grains have not run on a GPU as they are now.
MAX_GRAIN = 32_768
GRAIN_UNIT = 256  # a multiple of every tile's BLOCK_K
ADD_ROWS, ADD_OUTPUTS = 4, 256
ADD_WIDTH = tl.constexpr(64)  # columns of a tile added at a time
DATACENTER_CHIPS = (90, 100, 103)
INTERPRETED_PROGRAMS = 3  # few, so that one takes several tiles


@dataclass(frozen=True, slots=True)
class Tile:
    """Tile of the product; none changes a bit of the result.

    With `per_sm` programs for each multiprocessor, programs take several tiles one after another;
    with None each takes one. Where `split`, each takes one grain of a tile.
    """

    rows: int
    outputs: int
    inputs: int = 128
    num_warps: int = 4
    num_stages: int = 4
    per_sm: int | None = None
    split: bool = False
    group: int = 8  # tiles of rows that share a weight's tiles in the L2 cache


# For many rows, with the relative time of a tile.
LARGE_TILES = (
    (Tile(128, 256, 128, 8, 4, per_sm=1, group=16), 2 / 1.43),
    (Tile(128, 128, 128, 8, 5, per_sm=1), 1 / 1.18),
    (Tile(128, 64, 128, 4, 6, per_sm=1), 0.5 / 0.87),
)
NUM_MULTIPROCESSORS = 132  # of an H100, which they were timed on
MANY_OUTPUTS, SEVERAL_OUTPUTS = 16_384, 6144
LINE_BYTES = tl.constexpr(128)
AHEAD_ROWS = 128  # up to which launches are dependent, and first weights are prefetched
AHEAD_BYTES = 65_536


def grain_inputs(num_inputs: int) -> int:
    """Inputs of a grain: the fewest grains, all but the last of one length."""
    num_grains = -(-num_inputs // MAX_GRAIN)
    return -(-num_inputs // num_grains // GRAIN_UNIT) * GRAIN_UNIT


def pick_tile(num_rows: int, num_outputs: int, num_inputs: int, capability: int) -> Tile:
    """Fastest tile timed on an H100, for a number of rows and a weight.

    `capability` is the chip, such as 90 for sm_90.
    """
    if capability not in DATACENTER_CHIPS:  # less shared memory, and other matrix instructions
        return Tile(64, 64, num_stages=3, split=num_rows <= 128)
    many_grains = grain_inputs(num_inputs) < num_inputs
    if num_rows <= 64:
        if many_grains:
            return Tile(64, 128, num_stages=6, split=True)
        return Tile(64, 64, 256, num_stages=5)
    if many_grains and num_rows <= 256:
        return Tile(128, 128, 128, 8, 4 if num_rows <= 128 else 5, split=True)
    if num_rows <= 128:
        if num_outputs >= MANY_OUTPUTS:
            return Tile(128, 128, num_warps=8, num_stages=5)
        if num_outputs >= SEVERAL_OUTPUTS:
            return Tile(128, 64, num_stages=6)
        return Tile(128, 32, 256, num_stages=4)
    if 256 < num_rows <= 320 and num_outputs >= SEVERAL_OUTPUTS:
        return Tile(64, 128, num_stages=4, per_sm=2)
    # Elsewhere the largest spills, and with several grains it takes too much shared memory.
    tiles = LARGE_TILES if capability == 90 and not many_grains else LARGE_TILES[1:]

    def estimate(pair: tuple[Tile, float]) -> float:
        tile, time = pair
        num_tiles = triton.cdiv(num_rows, tile.rows) * triton.cdiv(num_outputs, tile.outputs)
        return float(triton.cdiv(num_tiles, NUM_MULTIPROCESSORS) * time)

    return min(tiles, key=estimate)[0]


def pick_grouped_tile(num_rows: int, num_outputs: int, capability: int) -> Tile:
    """`pick_tile` where every 128 inputs have scales: sums take twice the registers.

    All inputs are one grain, as sums are in float32 after every group.
    """
    if capability not in DATACENTER_CHIPS:
        return Tile(64, 64, GROUP_INPUTS, num_stages=3)
    if num_rows <= 64:
        return Tile(64, 64 if num_outputs > 8192 else 32, GROUP_INPUTS, num_stages=8)
    if num_rows <= 128:
        return Tile(128, 64, GROUP_INPUTS, num_warps=8, num_stages=6)
    return Tile(128, 128, GROUP_INPUTS, 8, 5, None if num_rows <= 512 else 1)


@triton.jit
def _finish(total, row_scales, scales, bias, residual, out, o_m, o_n, num_rows, num_outputs,
            BIAS: tl.constexpr, RESIDUAL: tl.constexpr, GROUPED: tl.constexpr):  # fmt: skip
    """Scale the sums unless groups were scaled, add bias and residual, round once.

    The fma is explicit: the compiler must not round differently in the two kernels.
    """
    m_m, m_n = o_m < num_rows, o_n < num_outputs
    mask = m_m[:, None] & m_n[None, :]
    offsets = o_m.to(tl.int64)[:, None] * num_outputs + o_n[None, :]
    b_added = tl.zeros_like(total)
    if BIAS:
        b_added += tl.load(bias + o_n, mask=m_n, other=0.0).to(tl.float32)[None, :]
    if RESIDUAL:
        b_added += tl.load(residual + offsets, mask=mask, other=0.0).to(tl.float32)
    if GROUPED:
        b_out = total + b_added
    else:
        b_scaled = total * tl.load(scales + o_n, mask=m_n, other=0.0)[None, :]
        b_row_scale = tl.load(row_scales + o_m, mask=m_m, other=0.0)[:, None]
        b_out = tl.fma(b_scaled, b_row_scale + tl.zeros_like(total), b_added)
    tl.store(out + offsets, b_out.to(out.dtype.element_ty), mask=mask)


@triton.jit
def _place(tile, num_tiles_m, num_tiles_n, GROUP_M: tl.constexpr):
    """Row and column of a tile, `GROUP_M` tiles of rows at a time before the next outputs."""
    num_in_group = GROUP_M * num_tiles_n
    first = tile // num_in_group * GROUP_M
    rows = tl.minimum(num_tiles_m - first, GROUP_M)
    return first + tile % num_in_group % rows, tile % num_in_group // rows


@triton.jit
def _prefetch(values, i_n, first, num_outputs, num_inputs, BLOCK_N: tl.constexpr,
              LINES: tl.constexpr):  # fmt: skip
    """Prefetch the first LINES cache lines of each output's weights, which no kernel writes."""
    o_n = tl.minimum(i_n * BLOCK_N + tl.arange(0, BLOCK_N), num_outputs - 1)
    o_k = tl.minimum(first + tl.arange(0, LINES) * LINE_BYTES, num_inputs - 1)
    prefetch(values + o_n.to(tl.int64)[:, None] * num_inputs + o_k[None, :])


@triton.jit
def _end_grain(
    b_sum, scratch, is_first, is_last, row_scales, scales, bias, residual, out,
    first_row, first_output, first_column, num_rows, num_outputs,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, WIDTH: tl.constexpr, BIAS: tl.constexpr,
    RESIDUAL: tl.constexpr, GROUPED: tl.constexpr,
):  # fmt: skip
    """Add a grain's sums [BLOCK_M, WIDTH] to those before it, which are in `scratch`.

    In halves, as the conversion from the matrix units' layout takes shared memory. A sum may be
    loaded by another thread than stored it; there are many barriers between two ends of grains.
    """
    if WIDTH > ADD_WIDTH:
        b_both = tl.permute(tl.reshape(b_sum, [BLOCK_M, 2, WIDTH // 2]), [0, 2, 1])
        b_low, b_high = tl.split(b_both)
        _end_grain(b_low, scratch, is_first, is_last, row_scales, scales, bias, residual, out,
                   first_row, first_output, first_column, num_rows, num_outputs,
                   BLOCK_M, BLOCK_N, WIDTH // 2, BIAS, RESIDUAL, GROUPED)  # fmt: skip
        _end_grain(b_high, scratch, is_first, is_last, row_scales, scales, bias, residual, out,
                   first_row, first_output, first_column + WIDTH // 2, num_rows, num_outputs,
                   BLOCK_M, BLOCK_N, WIDTH // 2, BIAS, RESIDUAL, GROUPED)  # fmt: skip
    else:
        o_column = first_column + tl.arange(0, WIDTH)
        o_m = tl.arange(0, BLOCK_M)
        p_scratch = scratch + o_m[:, None] * BLOCK_N + o_column[None, :]
        b_before = tl.load(p_scratch, mask=(o_m[:, None] >= 0) & (not is_first), other=0.0)
        b_sum = b_before + b_sum
        if is_last:
            _finish(b_sum, row_scales, scales, bias, residual, out, first_row + o_m,
                    first_output + o_column, num_rows, num_outputs,
                    BIAS, RESIDUAL, GROUPED)  # fmt: skip
        else:
            tl.store(p_scratch, b_sum)


@triton.jit(do_not_specialize=["num_rows", "stride_row_scale"])
def fp8_product_kernel(
    x, weights, values, row_scales, scales, bias, residual, out, partial,
    num_rows, num_outputs, num_inputs, stride_row_scale, stride_scale,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, GRAIN: tl.constexpr,
    SPLIT: tl.constexpr, SEVERAL: tl.constexpr, GROUPED: tl.constexpr, BIAS: tl.constexpr,
    RESIDUAL: tl.constexpr, GROUP_M: tl.constexpr, STAGES: tl.constexpr, LINES: tl.constexpr,
    PDL: tl.constexpr,
):  # fmt: skip
    """Tiles of rows and outputs, one after another in one loop over inputs.

    With `SPLIT`, a program takes the grain `program_id(1)` of one tile and writes its sum to
    `partial` [G, M, N]. With `SEVERAL`, it adds several grains of a tile up in its part of
    `partial` [programs, BLOCK_M, BLOCK_N], as the registers hold one sum. With `GROUPED`, every
    BLOCK_K inputs have scales. `weights` is the descriptor of `values`, whose first LINES cache
    lines an output are prefetched while the kernel before still runs.
    """
    num_tiles_m, num_tiles_n = tl.cdiv(num_rows, BLOCK_M), tl.cdiv(num_outputs, BLOCK_N)
    tile, grain = tl.program_id(0), tl.program_id(1)
    first, last = 0, num_inputs
    if SPLIT:
        first = grain * GRAIN
        last = tl.minimum(first + GRAIN, num_inputs)
    if PDL and LINES > 0:
        _, i_first = _place(tile, num_tiles_m, num_tiles_n, GROUP_M)
        _prefetch(values, i_first, first, num_outputs, num_inputs, BLOCK_N, LINES)
    wait_for_inputs(PDL)
    num_tiles = tl.cdiv(num_tiles_m * num_tiles_n - tile, tl.num_programs(0))
    num_steps = tl.cdiv(last - first, BLOCK_K)
    tile -= tl.num_programs(0)
    i_m, i_n, step = 0, 0, num_steps - 1
    acc = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
    for _ in tl.range(0, num_tiles * num_steps, num_stages=STAGES):
        # Apart from the use of sums, so that loads are issued before sums are complete.
        step = tl.where(step == num_steps - 1, 0, step + 1)
        if step == 0:
            tile += tl.num_programs(0)
            i_m, i_n = _place(tile, num_tiles_m, num_tiles_n, GROUP_M)
        start = first + step * BLOCK_K
        b_x = x.load([i_m * BLOCK_M, start])
        b_w = weights.load([i_n * BLOCK_N, start])
        if GROUPED:
            o_x = i_m * BLOCK_M + tl.arange(0, BLOCK_M)
            o_w = i_n * BLOCK_N + tl.arange(0, BLOCK_N)
            p_row_scale = row_scales + (start // BLOCK_K) * stride_row_scale + o_x
            p_scale = scales + (start // BLOCK_K) * stride_scale + o_w
            b_row_scale = tl.load(p_row_scale, mask=o_x < num_rows, other=0.0)[:, None]
            b_scale = tl.load(p_scale, mask=o_w < num_outputs, other=0.0)[None, :]
            acc = tl.fma(tl.dot(b_x, b_w.T), b_row_scale * b_scale, acc)
        else:
            acc = tl.dot(b_x, b_w.T, acc)
        is_last = step == num_steps - 1
        if SEVERAL:
            if (start + BLOCK_K) % GRAIN == 0 or is_last:
                scratch = partial + tl.program_id(0).to(tl.int64) * (BLOCK_M * BLOCK_N)
                _end_grain(acc, scratch, start < GRAIN, is_last, row_scales, scales, bias,
                           residual, out, i_m * BLOCK_M, i_n * BLOCK_N, 0, num_rows, num_outputs,
                           BLOCK_M, BLOCK_N, BLOCK_N, BIAS, RESIDUAL, GROUPED)  # fmt: skip
                acc = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
        elif is_last:
            o_m, o_n = i_m * BLOCK_M + tl.arange(0, BLOCK_M), i_n * BLOCK_N + tl.arange(0, BLOCK_N)
            if SPLIT:
                o_row = (grain * num_rows + o_m).to(tl.int64)
                p_partial = partial + o_row[:, None] * num_outputs + o_n[None, :]
                mask = (o_m < num_rows)[:, None] & (o_n < num_outputs)[None, :]
                tl.store(p_partial, acc, mask=mask)
            else:
                _finish(acc, row_scales, scales, bias, residual, out, o_m, o_n,
                        num_rows, num_outputs, BIAS, RESIDUAL, GROUPED)  # fmt: skip
            acc = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)


@triton.jit(do_not_specialize=["num_rows"])
def add_grains_kernel(
    partial, row_scales, scales, bias, residual, out, num_rows, num_outputs,
    GRAINS: tl.constexpr, GROUPED: tl.constexpr, BIAS: tl.constexpr, RESIDUAL: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Add the grains of rows and outputs in order, like a program with several grains."""
    wait_for_inputs(PDL)
    o_m = tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)
    o_n = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    mask = (o_m < num_rows)[:, None] & (o_n < num_outputs)[None, :]
    total = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
    for grain in tl.static_range(GRAINS):
        o_row = (grain * num_rows + o_m).to(tl.int64)
        p_partial = partial + o_row[:, None] * num_outputs + o_n[None, :]
        total += tl.load(p_partial, mask=mask, other=0.0)
    _finish(total, row_scales, scales, bias, residual, out, o_m, o_n, num_rows, num_outputs,
            BIAS, RESIDUAL, GROUPED)  # fmt: skip


def fp8_product(
    rows: QuantizedRows,
    values: Tensor,
    scales: Tensor,
    bias: Tensor | None,
    residual: Tensor | None,
    tile: Tile | None = None,
    grain: int | None = None,
) -> Tensor:
    """Implements `linear.quantized.row_product`; `tile` and `grain` are for measurements."""
    (num_rows, num_inputs), num_outputs = rows.values.shape, len(values)
    device = values.device
    out = residual
    if out is None:
        out = torch.empty((num_rows, num_outputs), dtype=rows.dtype, device=device)
    if not num_rows:
        return out
    row_scales, scales, grouped = (
        _groups_contiguous(rows.scales),
        _groups_contiguous(scales),
        scales.ndim > 1,
    )
    if tile is None and grouped:
        tile = pick_grouped_tile(num_rows, num_outputs, capability(device))
    elif tile is None:
        tile = pick_tile(num_rows, num_outputs, num_inputs, capability(device))
    if grain is None:
        grain = num_inputs if grouped else grain_inputs(num_inputs)
    num_grains = triton.cdiv(num_inputs, grain)
    split = tile.split and num_grains > 1
    num_tiles = triton.cdiv(num_rows, tile.rows) * triton.cdiv(num_outputs, tile.outputs)
    num_programs = num_tiles
    if tile.per_sm is not None and not split:
        num_programs = min(num_tiles, tile.per_sm * _num_multiprocessors(device))
    shape: tuple[int, ...] = (1,)
    if num_grains > 1:
        of_grains, of_programs = (
            (num_grains, num_rows, num_outputs),
            (num_programs, tile.rows, tile.outputs),
        )
        shape = of_grains if split else of_programs
    partial = torch.empty(shape, dtype=torch.float32, device=device)
    fp8_product_kernel[(num_programs, num_grains if split else 1)](
        TensorDescriptor.from_tensor(rows.values, [tile.rows, tile.inputs]),
        TensorDescriptor.from_tensor(values, [tile.outputs, tile.inputs]), values,
        row_scales, scales, bias, residual, out, partial, num_rows, num_outputs, num_inputs,
        row_scales.stride(-1), scales.stride(-1),
        BLOCK_M=tile.rows, BLOCK_N=tile.outputs, BLOCK_K=tile.inputs,
        GRAIN=grain if num_grains > 1 else 0, SPLIT=split,
        SEVERAL=num_grains > 1 and not split, GROUPED=grouped, BIAS=bias is not None,
        RESIDUAL=residual is not None, GROUP_M=tile.group, STAGES=tile.num_stages,
        LINES=_lines_ahead(tile, num_rows), num_warps=tile.num_warps,
        **dependent_launch(device, num_rows, AHEAD_ROWS),
    )  # fmt: skip
    if split:
        grid = (triton.cdiv(num_outputs, ADD_OUTPUTS), triton.cdiv(num_rows, ADD_ROWS))
        add_grains_kernel[grid](
            partial, row_scales, scales, bias, residual, out, num_rows, num_outputs,
            GRAINS=num_grains, GROUPED=grouped, BIAS=bias is not None,
            RESIDUAL=residual is not None, BLOCK_M=ADD_ROWS, BLOCK_N=ADD_OUTPUTS, num_warps=4,
            **dependent_launch(device, num_rows, AHEAD_ROWS),
        )  # fmt: skip
    return out


def _lines_ahead(tile: Tile, num_rows: int) -> int:
    """Cache lines of an output to prefetch while the kernel before still runs."""
    return AHEAD_BYTES // LINE_BYTES.value // tile.outputs if num_rows <= AHEAD_ROWS else 0


def _groups_contiguous(scales: Tensor) -> Tensor:
    """Scales [N] or [N, G] with those of a group side by side."""
    return scales if scales.stride(0) == 1 else scales.T.contiguous().T


def _num_multiprocessors(device: torch.device) -> int:
    if device.type != "cuda":
        return INTERPRETED_PROGRAMS
    return torch.cuda.get_device_properties(device).multi_processor_count


def variants(chip: int) -> Iterator[Variant]:
    """Every variant launched for layers of SDAR-8B; products of few outputs have a residual."""
    if chip < FIRST_FP8_CAPABILITY:
        return
    shapes = (6144, 4096), (4096, 4096), (24_576, 4096), (4096, 12_288), (4096, 53_248)
    variants_by_name: dict[str, Variant] = {}
    for num_rows in (32, 128, 256, 320, 512, 4096):
        for num_outputs, num_inputs in shapes:
            variant = _variant(num_rows, num_outputs, num_inputs, chip, grouped=False)
            variants_by_name[variant.name] = variant
        variant = _variant(num_rows, 4096, 12_288, chip, grouped=True)
        variants_by_name[variant.name] = variant
    yield from variants_by_name.values()
    types = _types() | {"residual": "*bf16"}
    constants: dict[str, int | None] = {"GRAINS": 3, "BIAS": False, "RESIDUAL": True, "bias": None}
    constants |= {"BLOCK_M": ADD_ROWS, "BLOCK_N": ADD_OUTPUTS, "GROUPED": False}
    yield Variant("fp8 grains", add_grains_kernel, types, constants)


def _types() -> dict[str, str]:
    types = {"row_scales": "*fp32", "scales": "*fp32", "partial": "*fp32", "out": "*bf16"}
    types |= {"num_rows": "i32", "stride_row_scale": "i32", "stride_scale": "i32:16"}
    return types | dict.fromkeys(("num_outputs", "num_inputs"), "i32:16")


def _variant(
    num_rows: int, num_outputs: int, num_inputs: int, chip: int, *, grouped: bool
) -> Variant:
    tile = pick_tile(num_rows, num_outputs, num_inputs, chip)
    tile = pick_grouped_tile(num_rows, num_outputs, chip) if grouped else tile
    several = grain_inputs(num_inputs) < num_inputs and not grouped
    split, residual, bias = tile.split and several, num_outputs == 4096, num_outputs == 6144
    types = _types() | {"bias": "*bf16", "residual": "*bf16"}
    types["values"] = "*fp8e4nv"
    types["x"] = f"tensordesc<fp8e4nv[{tile.rows}, {tile.inputs}]>"
    types["weights"] = f"tensordesc<fp8e4nv[{tile.outputs}, {tile.inputs}]>"
    constants: dict[str, int | None] = {
        "BLOCK_M": tile.rows, "BLOCK_N": tile.outputs, "BLOCK_K": tile.inputs,
        "GRAIN": grain_inputs(num_inputs) if several else 0, "SPLIT": split,
        "SEVERAL": several and not split,
        "GROUPED": grouped, "BIAS": bias, "RESIDUAL": residual, "GROUP_M": tile.group,
        "STAGES": tile.num_stages, "LINES": _lines_ahead(tile, num_rows),
    }  # fmt: skip
    constants |= {} if bias else {"bias": None}
    constants |= {} if residual else {"residual": None}
    marks = ["bias"] * bias + ["residual"] * residual + ["in groups"] * grouped
    marks += ["split" if split else "several grains"] * several
    name = " ".join(["fp8 product", f"{tile.rows}x{tile.outputs}", *marks])
    return Variant(name, fp8_product_kernel, types, constants, tile.num_warps, multiplies=True)
