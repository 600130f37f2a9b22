"""Grouped products: tiles of rows that are routed to one expert, times that expert's weights.

Outputs are the first dimension of a product and rows the second: matrix units take 64 of the first
and as few as 8 of the second, and an expert of a small step has one row or two.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from unmask_kernels.dependent_launch import dependent_launch, wait_for_inputs
from unmask_kernels.layers.ops import Activation
from unmask_kernels.linear.gpu.fp8 import DATACENTER_CHIPS
from unmask_kernels.moe.types import INNER_GROUP, PER_OUTPUT_NDIM
from unmask_kernels.quantization import types as formats
from unmask_kernels.quantization.types import DTYPES, FIRST_FP8_CAPABILITY, LARGEST, QuantizedRows
from unmask_kernels.variant import Variant

GROUP = tl.constexpr(INNER_GROUP)
GROUP_INPUTS = tl.constexpr(formats.GROUP_INPUTS)
LARGEST_FP8 = tl.constexpr(LARGEST["fp8"])
SMALLEST_TOP = tl.constexpr(formats.SMALLEST_TOP)
BOX_ALIGNMENT = 16  # bytes, of rows that the copy engine copies
MOST_ROWS = {16: 8, 32: 20, 64: 44}  # rows of a tile: largest mean of rows an expert
FP8_AS_BF16_BITS = tl.constexpr(formats.FP8_AS_BF16_BITS)
FP8_AS_BF16_FACTOR = tl.constexpr(formats.FP8_AS_BF16_FACTOR)


@dataclass(frozen=True, slots=True)
class Tile:
    """Tile of a grouped product; gate_up has `outputs` of gate, and as many of up."""

    outputs: int
    inputs: int
    num_warps: int = 4
    num_stages: int = 4
    experts_first: bool = False  # consecutive programs have the same outputs


@dataclass(frozen=True, slots=True)
class GroupedConfig:
    """Tile sizes of both products.

    `rows` of a tile may follow the load, as every output of every row is summed over all inputs in
    order by one program. `inputs` follow the dtype alone: partial sums of 8-bit products end there.
    """

    rows: int
    gate_up: Tile
    down: Tile
    tma: bool = False
    promotes: bool = True  # sums of 8-bit products to float32 after every tile of inputs


def grouped_config(
    rows_dtype: torch.dtype, capability: int, rows_an_expert: float, *, in_groups: bool = False
) -> GroupedConfig:
    """Tiles for a dtype of rows on a chip, such as 90 for sm_90, and a mean load.

    Tiles for sm_90 were the fastest on an H100. Scales of groups of inputs take registers too.
    """
    if rows_dtype == torch.float32:
        return GroupedConfig(32, Tile(32, 32, num_stages=2), Tile(64, 32, num_stages=2))
    is_small = rows_dtype == DTYPES["fp8"]
    rows = next((rows for rows, most in MOST_ROWS.items() if rows_an_expert <= most), 128)
    if capability not in DATACENTER_CHIPS:  # others have less shared memory
        return GroupedConfig(min(rows, 64), Tile(64, 64, 4, 3), Tile(64, 64, 4, 3))
    if not is_small:
        gate_up = Tile(64, 64, num_stages=3) if rows < 128 else Tile(64, 64, 8)
        return GroupedConfig(rows, gate_up, Tile(128, 64, 8 if rows == 128 else 4), tma=True)
    rows, group = min(rows, 64), INNER_GROUP
    num_warps = 8 if in_groups and rows == 64 else 4
    if rows < 64:
        down = Tile(64, group, num_warps, 8, experts_first=True)
    else:
        down = Tile(128, group, num_warps)
    return GroupedConfig(rows, Tile(64, 128, num_warps, 3), down, tma=True)


@triton.jit
def _load_weights(
    weights, row, num_rows, start, num_inputs, stride,
    BLOCK_O: tl.constexpr, BLOCK_K: tl.constexpr, TMA: tl.constexpr,
):  # fmt: skip
    """Outputs from `row` on of all experts' weights; beyond `num_rows` anything or zeros."""
    if TMA:
        b_w = weights.load([row, start])
    else:
        o_o, o_k = tl.arange(0, BLOCK_O), start + tl.arange(0, BLOCK_K)
        p_w = weights + (row + o_o).to(tl.int64)[:, None] * stride + o_k[None, :]
        m_w = (o_o < num_rows)[:, None] & (o_k < num_inputs)[None, :]
        b_w = tl.load(p_w, mask=m_w, other=0.0)
    return b_w


@triton.jit
def _widen(b_w, b_x, BITS: tl.constexpr):
    """Weights in the rows' type; with BITS they are bytes of e4m3, on a chip without it."""
    if BITS:
        b_bits = (b_w.to(tl.int16) << 4) & FP8_AS_BF16_BITS
        b_wide = b_bits.to(tl.bfloat16, bitcast=True).to(tl.float32) * FP8_AS_BF16_FACTOR
        return b_wide.to(b_x.dtype)
    if b_w.dtype == tl.int8:
        b_w = b_w.to(tl.float32)  # the interpreter casts integers to bfloat16 by this alone
    return b_w.to(b_x.dtype)


@triton.jit(do_not_specialize=["num_pairs", "stride_row_scale"])
def grouped_gate_kernel(
    x, x_scales, weights, weight_scales, out, out_scales, row_of, expert_of,
    num_pairs, num_places, num_inner, num_inputs, stride_x, stride_output, stride_row_scale,
    pairs_per_row,
    BLOCK_R: tl.constexpr, BLOCK_O: tl.constexpr, BLOCK_K: tl.constexpr, STAGES: tl.constexpr,
    TMA: tl.constexpr, BITS: tl.constexpr, ROWS_SCALED: tl.constexpr, SCALED: tl.constexpr,
    IN_GROUPS: tl.constexpr, PROMOTES: tl.constexpr, GELU: tl.constexpr,
    EXPERTS_FIRST: tl.constexpr, PRECISION: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Gate times up of a tile of pairs of a row and an expert; `num_pairs` marks padding.

    Pair p reads row p // pairs_per_row of `x`, and its result keeps its place in the tile. 8-bit
    rows give 8-bit rows, with scales [inner / GROUP, places]. With IN_GROUPS, rows and weights have
    scales for every GROUP_INPUTS: [G, rows] and [experts, G, outputs].
    """
    wait_for_inputs(PDL)
    i_tile = tl.program_id(0) if EXPERTS_FIRST else tl.program_id(1)
    i_o = tl.program_id(1) if EXPERTS_FIRST else tl.program_id(0)
    expert = tl.load(expert_of + i_tile)
    if expert < 0:
        return
    first = i_o * BLOCK_O
    row = expert * 2 * num_inner + first
    b_pair = tl.load(row_of + i_tile * BLOCK_R + tl.arange(0, BLOCK_R))
    m_pair = b_pair < num_pairs
    b_row = b_pair // pairs_per_row
    o_k = tl.arange(0, BLOCK_K)
    p_x = x + b_row.to(tl.int64)[:, None] * stride_x + o_k[None, :]
    b_gate = tl.zeros([BLOCK_O, BLOCK_R], tl.float32)
    b_up = tl.zeros([BLOCK_O, BLOCK_R], tl.float32)
    o_o = first + tl.arange(0, BLOCK_O)
    m_o = o_o < num_inner
    p_scale = weight_scales
    if IN_GROUPS:
        p_scale += expert * tl.cdiv(num_inputs, GROUP_INPUTS) * 2 * num_inner + o_o
    elif SCALED:
        p_scale += expert * 2 * num_inner + o_o
    for start in tl.range(0, num_inputs, BLOCK_K, num_stages=STAGES):
        m_x = m_pair[:, None] & (start + o_k < num_inputs)[None, :]
        b_x = tl.load(p_x + start, mask=m_x, other=0.0)
        b_wg = _load_weights(weights, row, num_inner - first, start, num_inputs, stride_output,
                             BLOCK_O, BLOCK_K, TMA)  # fmt: skip
        b_wu = _load_weights(weights, row + num_inner, num_inner - first, start, num_inputs,
                             stride_output, BLOCK_O, BLOCK_K, TMA)  # fmt: skip
        b_wg, b_wu, b_xt = _widen(b_wg, b_x, BITS), _widen(b_wu, b_x, BITS), tl.trans(b_x)
        if IN_GROUPS:
            i_group = start // GROUP_INPUTS
            p_row_scale = x_scales + i_group * stride_row_scale + b_row
            b_row_scale = tl.load(p_row_scale, mask=m_pair, other=0.0)[None, :]
            p_own = p_scale + i_group * 2 * num_inner
            b_gate_scale = tl.load(p_own, mask=m_o, other=0.0)[:, None] * b_row_scale
            b_up_scale = tl.load(p_own + num_inner, mask=m_o, other=0.0)[:, None] * b_row_scale
            b_gate = tl.fma(tl.dot(b_wg, b_xt), b_gate_scale, b_gate)
            b_up = tl.fma(tl.dot(b_wu, b_xt), b_up_scale, b_up)
        elif ROWS_SCALED and PROMOTES:  # 8-bit sums keep few bits, so end them with a tile
            b_gate = tl.dot(b_wg, b_xt, b_gate, max_num_imprecise_acc=BLOCK_K)
            b_up = tl.dot(b_wu, b_xt, b_up, max_num_imprecise_acc=BLOCK_K)
        else:
            b_gate = tl.dot(b_wg, b_xt, b_gate, input_precision=PRECISION)
            b_up = tl.dot(b_wu, b_xt, b_up, input_precision=PRECISION)
    if SCALED and not IN_GROUPS:
        b_gate *= tl.load(p_scale, mask=m_o, other=0.0)[:, None]
        b_up *= tl.load(p_scale + num_inner, mask=m_o, other=0.0)[:, None]
    if ROWS_SCALED and not IN_GROUPS:
        b_scale = tl.load(x_scales + b_row, mask=m_pair, other=0.0)[None, :]
        b_gate *= b_scale
        b_up *= b_scale
    b_z = b_gate
    if GELU:  # (1 + tanh(z)) / 2 is the sigmoid of 2 z
        b_z = 1.5957691216057308 * (b_gate + 0.044715 * b_gate * b_gate * b_gate)
    b_z = tl.maximum(b_z, -80.0)  # keeps the exponential finite; the result is zero
    b_inner = b_gate / (1.0 + tl.exp(-b_z)) * b_up
    o_place = i_tile * BLOCK_R + tl.arange(0, BLOCK_R)
    if ROWS_SCALED:
        b_inner = tl.where(m_o[:, None], b_inner, 0.0)
        b_groups = tl.reshape(b_inner, [BLOCK_O // GROUP, GROUP, BLOCK_R])
        b_top = tl.max(tl.abs(b_groups), 1)
        b_scale = tl.where(b_top > SMALLEST_TOP, b_top / LARGEST_FP8, 1.0)
        b_groups = b_groups / b_scale[:, None, :]
        b_inner = tl.reshape(b_groups, [BLOCK_O, BLOCK_R])
        o_group = i_o * (BLOCK_O // GROUP) + tl.arange(0, BLOCK_O // GROUP)
        p_scale = out_scales + o_group.to(tl.int64)[:, None] * num_places + o_place[None, :]
        tl.store(p_scale, b_scale, mask=(o_group * GROUP < num_inner)[:, None])
    p_out = out + o_place.to(tl.int64)[None, :] * num_inner + o_o[:, None]
    tl.store(p_out, b_inner.to(out.dtype.element_ty), mask=m_o[:, None])


@triton.jit(do_not_specialize=["num_pairs"])
def grouped_down_kernel(
    x, x_scales, weights, weight_scales, out, row_of, expert_of,
    num_pairs, num_places, num_outputs, num_inputs, stride_output,
    BLOCK_R: tl.constexpr, BLOCK_O: tl.constexpr, BLOCK_K: tl.constexpr, STAGES: tl.constexpr,
    TMA: tl.constexpr, BITS: tl.constexpr, ROWS_SCALED: tl.constexpr, SCALED: tl.constexpr,
    IN_GROUPS: tl.constexpr, EXPERTS_FIRST: tl.constexpr, PRECISION: tl.constexpr,
    PDL: tl.constexpr,
):  # fmt: skip
    """Down product of a tile of pairs, in the places of `grouped_gate_kernel`.

    Pair p becomes row p of `out`. 8-bit rows have a scale for every GROUP of inputs, one step of
    the loop.
    """
    wait_for_inputs(PDL)
    i_tile = tl.program_id(0) if EXPERTS_FIRST else tl.program_id(1)
    i_o = tl.program_id(1) if EXPERTS_FIRST else tl.program_id(0)
    expert = tl.load(expert_of + i_tile)
    if expert < 0:
        return
    first = i_o * BLOCK_O
    row = expert * num_outputs + first
    b_pair = tl.load(row_of + i_tile * BLOCK_R + tl.arange(0, BLOCK_R))
    m_pair = b_pair < num_pairs
    o_k = tl.arange(0, BLOCK_K)
    o_place = i_tile * BLOCK_R + tl.arange(0, BLOCK_R)
    acc = tl.zeros([BLOCK_O, BLOCK_R], tl.float32)
    o_o = first + tl.arange(0, BLOCK_O)
    m_o = o_o < num_outputs
    p_scale = weight_scales
    if IN_GROUPS:
        p_scale += expert * tl.cdiv(num_inputs, GROUP_INPUTS) * num_outputs + o_o
    elif SCALED:
        p_scale += expert * num_outputs + o_o
    for start in tl.range(0, num_inputs, BLOCK_K, num_stages=STAGES):
        if TMA:
            b_x = x.load([i_tile * BLOCK_R, start])
        else:
            p_x = x + o_place.to(tl.int64)[:, None] * num_inputs + (start + o_k)[None, :]
            b_x = tl.load(p_x, mask=(start + o_k < num_inputs)[None, :], other=0.0)
        b_w = _load_weights(weights, row, num_outputs - first, start, num_inputs, stride_output,
                            BLOCK_O, BLOCK_K, TMA)  # fmt: skip
        b_w = _widen(b_w, b_x, BITS)
        if ROWS_SCALED:
            b_scale = tl.load(x_scales + start // GROUP * num_places + o_place)
            b_scale = tl.zeros([BLOCK_O, BLOCK_R], tl.float32) + b_scale[None, :]
            if IN_GROUPS:
                p_own = p_scale + start // GROUP_INPUTS * num_outputs
                b_scale *= tl.load(p_own, mask=m_o, other=0.0)[:, None]
            # An explicit fma, so that the compiler rounds it in one way.
            acc = tl.fma(tl.dot(b_w, tl.trans(b_x)), b_scale, acc)
        else:
            acc = tl.dot(b_w, tl.trans(b_x), acc, input_precision=PRECISION)
    if SCALED and not IN_GROUPS:
        acc *= tl.load(p_scale, mask=m_o, other=0.0)[:, None]
    p_out = out + b_pair.to(tl.int64)[None, :] * num_outputs + o_o[:, None]
    tl.store(p_out, acc.to(out.dtype.element_ty), mask=m_o[:, None] & m_pair[None, :])


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of a row and an expert in tiles, from `routing.align_block_size`."""

    row_of: Tensor  # [places] int32
    expert_of: Tensor  # [tiles] int32
    num_pairs: int
    pairs_per_row: int


@dataclass(frozen=True, slots=True)
class Inner:
    """Activations between the two products, by place in the tiles."""

    values: Tensor  # [places, I]
    scales: Tensor | None  # [I / GROUP, places] of values in e4m3


def multiply_gate_up(
    x: Tensor | QuantizedRows,
    weights: Tensor,
    weight_scales: Tensor | None,
    pairs: Pairs,
    activation: Activation,
    config: GroupedConfig,
) -> Inner:
    """Gate times up of every place, in e4m3 if rows are."""
    values, scales = (x.values, x.scales) if isinstance(x, QuantizedRows) else (x, None)
    if scales is not None and scales.stride(0) != 1:  # scales of a group side by side
        scales = scales.T.contiguous().T
    both, num_inputs = weights.shape[1:]
    num_places, num_inner = len(pairs.row_of), both // 2
    tile, device = config.gate_up, values.device
    out = torch.empty((num_places, num_inner), dtype=values.dtype, device=device)
    out_scales = None
    if scales is not None:
        groups = (triton.cdiv(num_inner, GROUP.value), num_places)
        out_scales = torch.empty(groups, dtype=torch.float32, device=device)
    raw_weights, bits = _raw_weights(weights, values)
    weight_scales, in_groups = _outputs_contiguous(weight_scales)
    use_tma = config.tma and _fits_boxes(weights)
    num_tiles = len(pairs.expert_of)
    grouped_gate_kernel[_grid(num_tiles, triton.cdiv(num_inner, tile.outputs), tile)](
        values, scales,
        _descriptor(raw_weights, tile.outputs, tile.inputs) if use_tma else raw_weights,
        weight_scales, out, out_scales, pairs.row_of, pairs.expert_of, pairs.num_pairs, num_places,
        num_inner, num_inputs, values.stride(0), weights.stride(1),
        0 if scales is None else scales.stride(-1), pairs.pairs_per_row,
        BLOCK_R=config.rows, BLOCK_O=tile.outputs, BLOCK_K=tile.inputs, STAGES=tile.num_stages,
        TMA=use_tma, BITS=bits, ROWS_SCALED=scales is not None, SCALED=weight_scales is not None,
        IN_GROUPS=in_groups,
        PROMOTES=config.promotes, GELU=activation == "gelu_tanh", EXPERTS_FIRST=tile.experts_first,
        PRECISION=_precision(values), num_warps=tile.num_warps,
        **dependent_launch(device, len(values)),
    )  # fmt: skip
    return Inner(out, out_scales)


def multiply_down(
    inner: Inner,
    weights: Tensor,
    weight_scales: Tensor | None,
    pairs: Pairs,
    dtype: torch.dtype,
    config: GroupedConfig,
) -> Tensor:
    """Down product of `inner`: [pairs, C] in `dtype`, in the order of rows."""
    values, scales = inner.values, inner.scales
    num_outputs, num_inputs = weights.shape[1:]
    tile, num_places = config.down, len(pairs.row_of)
    out = torch.empty((pairs.num_pairs, num_outputs), dtype=dtype, device=values.device)
    raw_weights, bits = _raw_weights(weights, values)
    weight_scales, in_groups = _outputs_contiguous(weight_scales)
    use_tma = config.tma and _fits_boxes(weights) and _fits_boxes(values)
    grid = _grid(len(pairs.expert_of), triton.cdiv(num_outputs, tile.outputs), tile)
    grouped_down_kernel[grid](
        _descriptor(values, config.rows, tile.inputs) if use_tma else values, scales,
        _descriptor(raw_weights, tile.outputs, tile.inputs) if use_tma else raw_weights,
        weight_scales, out,
        pairs.row_of, pairs.expert_of, pairs.num_pairs, num_places, num_outputs, num_inputs,
        weights.stride(1),
        BLOCK_R=config.rows, BLOCK_O=tile.outputs, BLOCK_K=tile.inputs, STAGES=tile.num_stages,
        TMA=use_tma, BITS=bits, ROWS_SCALED=scales is not None, SCALED=weight_scales is not None,
        IN_GROUPS=in_groups,
        EXPERTS_FIRST=tile.experts_first, PRECISION=_precision(values),
        num_warps=tile.num_warps,
        **dependent_launch(values.device, pairs.num_pairs // pairs.pairs_per_row),
    )  # fmt: skip
    return out


def _grid(num_tiles: int, num_blocks: int, tile: Tile) -> tuple[int, int]:
    return (num_tiles, num_blocks) if tile.experts_first else (num_blocks, num_tiles)


def _raw_weights(weights: Tensor, rows: Tensor) -> tuple[Tensor, bool]:
    """Weights for the kernel, and True if they are passed as bytes of e4m3."""
    as_bits = weights.dtype == DTYPES["fp8"] and rows.dtype != weights.dtype
    return (weights.view(torch.int8), True) if as_bits else (weights, False)


def _outputs_contiguous(scales: Tensor | None) -> tuple[Tensor | None, bool]:
    """Scales with outputs side by side, and True if groups of inputs have scales."""
    if scales is None or scales.ndim == PER_OUTPUT_NDIM:
        return scales, False
    return scales if scales.stride(1) == 1 else scales.mT.contiguous().mT, True


def _fits_boxes(weights: Tensor) -> bool:
    """True if the copy engine can copy tiles of a weight."""
    row_bytes = weights.shape[-1] * weights.element_size()
    return row_bytes % BOX_ALIGNMENT == 0


def _descriptor(matrices: Tensor, rows: int, columns: int) -> TensorDescriptor:
    """TMA descriptor of a tensor [..., N, K], copied in boxes of `rows` by `columns`."""
    return TensorDescriptor.from_tensor(matrices.flatten(0, -2), [rows, columns])


def _precision(rows: Tensor) -> str:
    return "ieee" if rows.dtype == torch.float32 else "tf32"


def variants(capability: int) -> Iterator[Variant]:
    """Every kernel as it is launched, for the compile checks."""
    for rows, stored in (("bf16", "bf16"), ("bf16", "i8"), ("fp8e4nv", "fp8e4nv")):
        if rows == "fp8e4nv" and capability < FIRST_FP8_CAPABILITY:
            rows, stored = "bf16", "fp8 as bits"
        dtype = DTYPES["fp8"] if rows == "fp8e4nv" else torch.bfloat16
        seen: set[tuple[GroupedConfig, bool]] = set()
        for load in (1, 16, 32, 64):
            for in_groups in (False, True) if rows == "fp8e4nv" else (False,):
                config = grouped_config(dtype, capability, load, in_groups=in_groups)
                if (config, in_groups) in seen:
                    continue
                seen.add((config, in_groups))
                yield from _pair(rows, stored, config, in_groups=in_groups)


def _pair(
    rows: str, stored: str, config: GroupedConfig, *, in_groups: bool = False
) -> Iterator[Variant]:
    bits, weights = stored == "fp8 as bits", "i8" if stored == "fp8 as bits" else stored
    types = {"x": f"*{rows}", "weights": f"*{weights}"}
    types |= {"row_of": "*i32", "expert_of": "*i32", "num_pairs": "i32", "pairs_per_row": "i32"}
    types |= {"stride_row_scale": "i32"}
    sizes = ("num_inner", "num_outputs", "num_inputs", "num_places")
    types |= dict.fromkeys((*sizes, "stride_x", "stride_output"), "i32:16")
    constants = {
        "BLOCK_R": config.rows, "TMA": config.tma, "BITS": bits, "ROWS_SCALED": rows != "bf16",
        "SCALED": stored != "bf16", "PRECISION": "tf32",
        "IN_GROUPS": in_groups, "PROMOTES": config.promotes,
    }  # fmt: skip
    scales = {"x_scales": rows != "bf16", "out_scales": rows != "bf16"}
    for name, has in (scales | {"weight_scales": stored != "bf16"}).items():
        types |= {name: "*fp32"} if has else {}
        constants |= {} if has else {name: None}
    for kernel, tile in ((grouped_gate_kernel, config.gate_up), (grouped_down_kernel, config.down)):
        signature = types | {"out": f"*{rows}" if kernel is grouped_gate_kernel else "*bf16"}
        if config.tma:
            signature["weights"] = f"tensordesc<{weights}[{tile.outputs}, {tile.inputs}]>"
            if kernel is grouped_down_kernel:
                signature["x"] = f"tensordesc<{rows}[{config.rows}, {tile.inputs}]>"
        cut = {"BLOCK_O": tile.outputs, "BLOCK_K": tile.inputs, "STAGES": tile.num_stages}
        cut |= {"EXPERTS_FIRST": tile.experts_first}
        name = f"experts {kernel.__name__.split('_')[1]} {stored} {config.rows} rows"
        name += " in groups" if in_groups else ""
        taken = set(kernel.arg_names)
        yield Variant(
            name,
            kernel,
            {key: kind for key, kind in signature.items() if key in taken},
            {k: v for k, v in (constants | cut | {"GELU": True}).items() if k in taken},
            tile.num_warps,
            multiplies=True,
        )
