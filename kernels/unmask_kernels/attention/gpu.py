"""Batch-invariant attention over pages in Triton: programs take items of the plan, a KV head each.

Keys are summed in grains that begin at absolute multiples of a constant. Grains are merged in order
into chunks, and chunks in order into the result, by one formula, in one program or in several. A
key out of reach adds an exact zero. So a row's result depends on its own query, keys and reach
alone: not on the rows of its tile, nor on the assignment of grains to programs.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from unmask_kernels.attention.static_tiles import TileSize
from unmask_kernels.attention.tiles import (
    ITEM_FIELDS,
    TILE_FIELDS,
    TileConfig,
    TilePlan,
    num_lanes,
    tile_config,
)
from unmask_kernels.dependent_launch import dependent_launch, wait_for_inputs
from unmask_kernels.variant import Variant

LOG2_E = tl.constexpr(1.4426950408889634)
ITEM, TILE = tl.constexpr(ITEM_FIELDS), tl.constexpr(TILE_FIELDS)


@triton.jit
def _scores(b_q, b_low, b_k, b_scale, softcap, SPLIT: tl.constexpr, SOFTCAP: tl.constexpr,
            PRECISION: tl.constexpr):  # fmt: skip
    """Products of queries and keys; for 8-bit keys queries have two terms, see `_split`."""
    if SPLIT:
        b_s = tl.dot(b_q, tl.trans(b_k), tl.dot(b_low, tl.trans(b_k)))
    else:
        b_s = tl.dot(b_q, tl.trans(b_k), input_precision=PRECISION)
    if SOFTCAP:
        b_t = tl.exp2(tl.abs(b_s) * (-2.0 * b_scale / softcap)[:, None])
        b_s = tl.where(b_s < 0, -1.0, 1.0) * (1.0 - b_t) / (1.0 + b_t)  # tanh
    return b_s


@triton.jit
def _masked(b_s, first_key, p_item, starts, horizons, GROUP: tl.constexpr, BLOCK_M: tl.constexpr,
            BLOCK_N: tl.constexpr):  # fmt: skip
    """Scores of a tile of keys, minus infinity where a row does not see the key.

    Items and reaches are read again, to save registers.
    """
    o_position = first_key + tl.arange(0, BLOCK_N)
    first, num_rows = tl.load(p_item, volatile=True), tl.load(p_item + 1, volatile=True)
    o_row = first + tl.minimum(tl.arange(0, BLOCK_M) // GROUP, num_rows - 1)
    b_start, b_horizon = tl.load(starts + o_row), tl.load(horizons + o_row)
    m_reach = (o_position[None, :] >= b_start[:, None]) & (o_position[None, :] < b_horizon[:, None])
    return tl.where(m_reach, b_s, float("-inf"))


@triton.jit
def _split(b_q):
    """Queries as `(high + low) * unit`, both e4m3: together they have bfloat16's 8 digits.

    The unit [M] is a power of two, so that a row's largest number lies between 128 and 256. Digits
    beyond 2**-18 of that number are lost.
    """
    b_wide = b_q.to(tl.float32)
    b_top = tl.maximum(tl.max(tl.abs(b_wide), 1), 1e-30)
    b_power = (b_top.to(tl.int32, bitcast=True) & 0x7F800000).to(tl.float32, bitcast=True)
    b_unit = b_power * (1.0 / 128)
    b_wide = b_wide * (1.0 / b_unit)[:, None]
    b_high = b_wide.to(tl.float8e4nv)
    b_low = (b_wide - b_high.to(tl.float32)).to(tl.float8e4nv)
    return b_high, b_low, b_unit


@triton.jit
def _attend(acc, b_max, b_sum, b_s, b_v, b_scale, PRECISION: tl.constexpr):
    """Add a tile of keys to a running maximum, sum and weighted values (online softmax).

    `b_scale` [BLOCK_M] turns scores into exponents of two. A maximum of minus infinity drops
    earlier keys.
    """
    b_new = tl.maximum(b_max, tl.max(b_s, 1) * b_scale)
    b_base = tl.where(b_new == float("-inf"), 0.0, b_new)
    # An explicit fma: the compiler would contract one in one place and not in another.
    b_p = tl.exp2(tl.fma(b_s, b_scale[:, None] + tl.zeros_like(b_s),
                         -b_base[:, None] + tl.zeros_like(b_s)))  # fmt: skip
    b_alpha = tl.exp2(b_max - b_base)
    b_sum = tl.fma(b_sum, b_alpha, tl.sum(b_p, 1))
    acc = tl.dot(b_p.to(b_v.dtype), b_v, acc * b_alpha[:, None], input_precision=PRECISION)
    return acc, b_new, b_sum


@triton.jit
def _merge(total, total_max, total_sum, acc, b_max, b_sum):
    """Merge the result of later keys into that of earlier ones.

    Explicit fmas, so that both kernels round alike. A result of no keys, with a maximum of minus
    infinity, changes nothing.
    """
    b_new = tl.maximum(total_max, b_max)
    b_base = tl.where(b_new == float("-inf"), 0.0, b_new)
    b_alpha, b_beta = tl.exp2(total_max - b_base), tl.exp2(b_max - b_base)
    total = tl.fma(total, b_alpha[:, None] + tl.zeros_like(total), acc * b_beta[:, None])
    total_sum = tl.fma(total_sum, b_alpha, b_sum * b_beta)
    return total, b_new, total_sum


@triton.jit
def _load_tile(pages, o_page, o_slot, i_head, first_dim, m_key, stride_page, stride_slot,
               stride_head, PAGE: tl.constexpr, HEAD_DIM: tl.constexpr, PADDED_DIM: tl.constexpr,
               WIDTH: tl.constexpr, TMA: tl.constexpr):  # fmt: skip
    """Keys or values of consecutive slots; without TMA those out of reach are zero."""
    if TMA:
        row = (o_page * PAGE + o_slot).to(tl.int32)
        b_tile = pages.load([row, i_head * HEAD_DIM + first_dim])
    else:
        o_dim = first_dim + tl.arange(0, WIDTH)
        p_rows = pages + o_page * stride_page + o_slot * stride_slot + i_head * stride_head
        p_tile = p_rows[:, None] + o_dim[None, :]
        m_tile = m_key[:, None]
        if PADDED_DIM > HEAD_DIM:
            m_tile = m_tile & (o_dim < HEAD_DIM)[None, :]
        b_tile = tl.load(p_tile, mask=m_tile, other=0.0)
    return b_tile


@triton.jit
def attention_kernel(
    query, keys, values, out, partial, partial_max, partial_sum,
    items, counts, starts, horizons, pages, key_scales, value_scales, scale, softcap,
    stride_query, stride_page, stride_slot, stride_head,
    HEADS: tl.constexpr, GROUP: tl.constexpr, HEAD_DIM: tl.constexpr, PADDED_DIM: tl.constexpr,
    VALUE_DIM: tl.constexpr, PAGE: tl.constexpr, CHUNK: tl.constexpr, GRAIN: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, STAGES: tl.constexpr, TMA: tl.constexpr,
    SCALED: tl.constexpr, SPLIT: tl.constexpr, SOFTCAP: tl.constexpr, PRECISION: tl.constexpr,
    PDL: tl.constexpr,
):  # fmt: skip
    """Takes every num_programs(1)-th item of the plan, for one KV head and VALUE_DIM columns.

    Row m of an item is query m // GROUP with query head m % GROUP of the KV head. Head sizes that
    are no power of two, or too small for the matrix units, are padded to PADDED_DIM with zeros.
    """
    wait_for_inputs(PDL)
    i_head, i_part = tl.program_id(0), tl.program_id(2)
    o_m, o_dim, o_n = tl.arange(0, BLOCK_M), tl.arange(0, PADDED_DIM), tl.arange(0, BLOCK_N)
    factor = scale * LOG2_E
    if SCALED:
        factor *= tl.load(key_scales + i_head)
    for i_item in tl.range(tl.program_id(1), tl.load(counts), tl.num_programs(1), num_stages=1):
        p_item = items + ITEM * i_item
        first, num_rows, first_page = tl.load(p_item), tl.load(p_item + 1), tl.load(p_item + 2)
        low, high = tl.load(p_item + 3), tl.load(p_item + 4)
        clear_low, clear_high = tl.load(p_item + 5), tl.load(p_item + 6)

        o_row = first + o_m // GROUP
        m_row = o_m // GROUP < num_rows
        o_head = i_head * GROUP + o_m % GROUP
        p_query = query + o_row.to(tl.int64) * stride_query + o_head * HEAD_DIM
        m_query = m_row[:, None]
        if PADDED_DIM > HEAD_DIM:
            m_query = m_query & (o_dim < HEAD_DIM)[None, :]
        b_q = tl.load(p_query[:, None] + o_dim[None, :], mask=m_query, other=0.0)
        b_low = b_q
        b_scale = tl.zeros([BLOCK_M], tl.float32) + factor
        if SPLIT:
            b_q, b_low, b_query = _split(b_q)
            b_scale *= b_query
        b_unit = b_scale
        if SOFTCAP:
            b_unit = tl.zeros([BLOCK_M], tl.float32) + softcap * LOG2_E

        b_max = tl.full([BLOCK_M], float("-inf"), tl.float32)
        b_sum = tl.zeros([BLOCK_M], tl.float32)
        acc = tl.zeros([BLOCK_M, VALUE_DIM], tl.float32)
        total, total_max, total_sum = acc, b_max, b_sum
        # A TMA tile may end in slots that were never written: the last is another phase.
        for phase in tl.static_range(2 if TMA else 1):
            if not TMA:
                o_from, o_to = low, high
            elif phase == 0:
                o_from, o_to = low, high // BLOCK_N * BLOCK_N
            else:
                o_from, o_to = high // BLOCK_N * BLOCK_N, high
            for o_key in tl.range(o_from, o_to, BLOCK_N, num_stages=STAGES if phase == 0 else 2):
                o_position = o_key + o_n
                m_key = o_position < high
                if PAGE % BLOCK_N == 0:
                    o_page = tl.load(pages + first_page + o_key // PAGE).to(tl.int64)
                    o_slot = o_key % PAGE if TMA else o_key % PAGE + o_n
                else:
                    o_page = tl.load(pages + first_page + o_position // PAGE, mask=m_key, other=0)
                    o_page, o_slot = o_page.to(tl.int64), o_position % PAGE
                b_k = _load_tile(keys, o_page, o_slot, i_head, 0, m_key, stride_page,
                                 stride_slot, stride_head, PAGE, HEAD_DIM, PADDED_DIM,
                                 PADDED_DIM, TMA)  # fmt: skip
                b_v = _load_tile(values, o_page, o_slot, i_head, i_part * VALUE_DIM, m_key,
                                 stride_page, stride_slot, stride_head, PAGE, HEAD_DIM, PADDED_DIM,
                                 VALUE_DIM, TMA)  # fmt: skip
                if SCALED:
                    b_v = b_v.to(tl.float16 if SPLIT else query.dtype.element_ty)
                    if not SPLIT:
                        b_k = b_k.to(query.dtype.element_ty)
                if phase == 1:
                    b_v = tl.where(m_key[:, None], b_v, tl.zeros_like(b_v))
                b_s = _scores(b_q, b_low, b_k, b_scale, softcap, SPLIT, SOFTCAP, PRECISION)
                # Merged under a condition on the scores, not at the end of a grain: there Triton
                # 3.6 would read the accumulator while the matrix unit still adds to it.
                is_first = GRAIN < CHUNK and o_key % GRAIN == 0
                if is_first | (o_key < clear_low) | (o_key >= clear_high):
                    b_s = _masked(b_s, o_key, p_item, starts, horizons, GROUP, BLOCK_M, BLOCK_N)
                    if GRAIN < CHUNK:
                        if is_first:
                            total, total_max, total_sum = _merge(
                                total, total_max, total_sum, acc, b_max, b_sum
                            )
                            b_max = tl.full([BLOCK_M], float("-inf"), tl.float32)
                acc, b_max, b_sum = _attend(acc, b_max, b_sum, b_s, b_v, b_unit, PRECISION)
        if GRAIN < CHUNK:
            acc, b_max, b_sum = _merge(total, total_max, total_sum, acc, b_max, b_sum)

        # Read again, to save registers in the loop over keys.
        first, num_rows = tl.load(p_item, volatile=True), tl.load(p_item + 1, volatile=True)
        slot = tl.load(p_item + 7, volatile=True).to(tl.int64)
        o_row, m_row = first + o_m // GROUP, o_m // GROUP < num_rows
        o_value = i_part * VALUE_DIM + tl.arange(0, VALUE_DIM)
        if slot >= 0:
            o_stat = (slot * tl.num_programs(0) + i_head) * BLOCK_M + o_m
            tl.store(partial + o_stat[:, None] * PADDED_DIM + o_value[None, :], acc)
            if i_part == 0:
                tl.store(partial_max + o_stat, b_max)
                tl.store(partial_sum + o_stat, b_sum)
        else:
            b_out = acc / tl.where(b_sum == 0.0, 1.0, b_sum)[:, None]
            if SCALED:
                b_out *= tl.load(value_scales + i_head)
            p_out = out + (o_row.to(tl.int64) * HEADS + o_head) * HEAD_DIM
            m_out = m_row[:, None]
            if PADDED_DIM > HEAD_DIM:
                m_out = m_out & (o_value < HEAD_DIM)[None, :]
            tl.store(p_out[:, None] + o_value[None, :], b_out.to(out.dtype.element_ty), mask=m_out)


@triton.jit
def merge_kernel(
    partial, partial_max, partial_sum, out, tiles, counts, closes, value_scales,
    HEADS: tl.constexpr, GROUP: tl.constexpr, HEAD_DIM: tl.constexpr, PADDED_DIM: tl.constexpr,
    TILE_M: tl.constexpr, BLOCK_M: tl.constexpr, SCALED: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Merges the grains of each chunk in order, and the chunks in order.

    A program takes BLOCK_M of the TILE_M rows of every num_programs(2)-th tile.
    """
    wait_for_inputs(PDL)
    i_head, i_m = tl.program_id(0), tl.program_id(1)
    o_m, o_dim = i_m * BLOCK_M + tl.arange(0, BLOCK_M), tl.arange(0, PADDED_DIM)
    for i_tile in tl.range(tl.program_id(2), tl.load(counts + 1), tl.num_programs(2), num_stages=1):
        p_tile = tiles + TILE * i_tile
        first, num_rows = tl.load(p_tile), tl.load(p_tile + 1)
        first_slot, num_slots = tl.load(p_tile + 2).to(tl.int64), tl.load(p_tile + 3)
        b_max = tl.full([BLOCK_M], float("-inf"), tl.float32)
        b_sum = tl.zeros([BLOCK_M], tl.float32)
        acc = tl.zeros([BLOCK_M, PADDED_DIM], tl.float32)
        total, total_max, total_sum = acc, b_max, b_sum
        if i_m * BLOCK_M < num_rows * GROUP:
            for part in tl.range(0, num_slots, num_stages=3):
                o_stat = ((first_slot + part) * tl.num_programs(0) + i_head) * TILE_M + o_m
                b_part = tl.load(partial + o_stat[:, None] * PADDED_DIM + o_dim[None, :])
                acc, b_max, b_sum = _merge(acc, b_max, b_sum, b_part, tl.load(partial_max + o_stat),
                                           tl.load(partial_sum + o_stat))  # fmt: skip
                if tl.load(closes + first_slot + part) != 0:
                    total, total_max, total_sum = _merge(total, total_max, total_sum, acc, b_max,
                                                         b_sum)  # fmt: skip
                    b_max = tl.full([BLOCK_M], float("-inf"), tl.float32)
        b_out = total / tl.where(total_sum == 0.0, 1.0, total_sum)[:, None]
        if SCALED:
            b_out *= tl.load(value_scales + i_head)
        o_row = (first + o_m // GROUP).to(tl.int64)
        p_out = out + (o_row * HEADS + i_head * GROUP + o_m % GROUP) * HEAD_DIM
        m_out = (o_m // GROUP < num_rows)[:, None]
        if PADDED_DIM > HEAD_DIM:
            m_out = m_out & (o_dim < HEAD_DIM)[None, :]
        tl.store(p_out[:, None] + o_dim[None, :], b_out.to(out.dtype.element_ty), mask=m_out)


MERGE_ROWS = 8
SMALLEST_DIM = 16  # inputs of a matrix unit
MAX_BOX = 256  # columns of a TMA box
STRIDES = ("stride_query", "stride_page", "stride_slot", "stride_head")


def run_tiles(
    query: Tensor,
    key_pages: Tensor,
    value_pages: Tensor,
    plan: TilePlan,
    scale: float,
    softcap: float | None,
    key_scales: Tensor | None,
    value_scales: Tensor | None,
) -> Tensor:
    """Launch the kernels of a plan; `attention.ops.attention` checks the arguments."""
    num_heads, head_dim = query.shape[1:]
    page_size, num_kv_heads = key_pages.shape[1:3]
    config = plan.config
    out = torch.empty(query.shape, dtype=query.dtype, device=query.device)
    if not len(query):
        return out
    query = query if query.stride()[1:] == (head_dim, 1) else query.contiguous()
    padded_dim = _padded(head_dim)
    value_dim = min(padded_dim, config.columns)
    is_scaled = key_scales is not None
    is_split = _splits(config, query.dtype, key_pages.dtype)
    # Softcaps and widened keys need the registers of TMA's last tile.
    use_tma = _uses_tma(config, head_dim, page_size) and softcap is None
    use_tma = use_tma and (not is_scaled or (is_split and config.fp8_tma))
    keys = _descriptor(key_pages, config.keys, head_dim) if use_tma else key_pages
    values = _descriptor(value_pages, config.keys, value_dim) if use_tma else value_pages
    lanes = num_lanes(config, num_kv_heads, head_dim)
    shape = {
        "HEADS": num_heads, "GROUP": num_heads // num_kv_heads, "HEAD_DIM": head_dim,
        "PADDED_DIM": padded_dim, "SCALED": is_scaled,
    }  # fmt: skip
    for part in plan.parts():
        size, slots = TileSize.from_plan(part), (part.num_slots, num_kv_heads, config.rows)
        partial = torch.empty((*slots, padded_dim), dtype=torch.float32, device=query.device)
        stats = torch.empty((2, *slots), dtype=torch.float32, device=query.device)
        attention_kernel[(num_kv_heads, min(size.items, lanes), padded_dim // value_dim)](
            query, keys, values, out, partial, stats[0], stats[1],
            part.items, part.counts, part.starts, part.horizons, part.pages,
            key_scales, value_scales, scale, softcap or 0.0,
            query.stride(0), *key_pages.stride()[:3],
            **shape, VALUE_DIM=value_dim, PAGE=page_size, CHUNK=config.chunk, GRAIN=config.grain,
            BLOCK_M=config.rows, BLOCK_N=config.keys, STAGES=_stages(config, use_tma, is_scaled),
            TMA=use_tma,
            SPLIT=is_split, SOFTCAP=softcap is not None,
            PRECISION="ieee" if query.dtype == torch.float32 else "tf32",
            num_warps=config.num_warps,
            **dependent_launch(query.device, len(query)),
        )  # fmt: skip
        if size.tiles:
            row_blocks = triton.cdiv(config.rows, MERGE_ROWS)
            merge_kernel[(num_kv_heads, row_blocks, min(size.tiles, lanes))](
                partial, stats[0], stats[1], out,
                part.tiles, part.counts, part.closes, value_scales,
                **shape, TILE_M=config.rows, BLOCK_M=MERGE_ROWS, num_warps=4,
                **dependent_launch(query.device, len(query)),
            )  # fmt: skip
    return out


def _padded(head_dim: int) -> int:
    """Head size of a program: a power of two, at least the inputs of a matrix unit."""
    return max(SMALLEST_DIM, int(triton.next_power_of_2(head_dim)))


def _uses_tma(config: TileConfig, head_dim: int, page_size: int) -> bool:
    """True if tiles are TMA boxes: whole heads, and within a page."""
    fits_boxes = page_size % config.keys == 0 and head_dim == _padded(head_dim) <= MAX_BOX
    return config.tma and fits_boxes


def _stages(config: TileConfig, use_tma: bool, is_scaled: bool) -> int:
    """Pipeline stages that leave registers for pointers to 16-bit pages and for widened keys."""
    if is_scaled:
        return config.num_stages if config.fp8_scores else min(config.num_stages, 2)
    return 3 if config.tma and not use_tma else config.num_stages


def _splits(config: TileConfig, queries: torch.dtype, pages: torch.dtype) -> bool:
    """True if 8-bit keys are multiplied unwidened, by queries of two 8-bit terms."""
    return config.fp8_scores and pages == torch.float8_e4m3fn and queries != torch.float32


def _descriptor(pages: Tensor, rows: int, columns: int) -> TensorDescriptor:
    """TMA descriptor of pages [N, page, Hkv, D] as a matrix of slots."""
    matrix = pages.view(pages.shape[0] * pages.shape[1], -1)
    return TensorDescriptor.from_tensor(matrix, [rows, columns])


def variants(capability: int) -> Iterator[Variant]:
    """Every configuration of `tiles.tile_config`, for the compile checks."""
    for head_dim in (8, 96):
        yield variant(tile_config(head_dim, torch.bfloat16, capability), head_dim)
    for head_dim in (64, 128, 256, 512):
        config = tile_config(head_dim, torch.bfloat16, capability)
        yield variant(config, head_dim)
        yield variant(config, head_dim, SOFTCAP=True)
        if capability >= 89:
            yield variant(config, head_dim, "fp8e4nv")
        if config.tma:
            yield variant(replace(config, tma=False, num_stages=3), head_dim, name="no tma")
            yield variant(replace(config, fp8_tma=False), head_dim, "fp8e4nv", name="no tma")
            yield variant(replace(config, fp8_scores=False), head_dim, "fp8e4nv", name="widened")
        types = dict.fromkeys(("partial", "partial_max", "partial_sum"), "*fp32") | {"out": "*bf16"}
        types |= dict.fromkeys(("tiles", "counts", "closes"), "*i32")
        shape: dict[str, int | None] = {"HEADS": 32, "GROUP": 4, "value_scales": None}
        shape |= {"HEAD_DIM": head_dim, "PADDED_DIM": head_dim, "SCALED": False}
        shape |= {"TILE_M": config.rows, "BLOCK_M": MERGE_ROWS}
        yield Variant(f"merge d{head_dim}", merge_kernel, types, shape)


def variant(
    config: TileConfig, head_dim: int, pages: str = "bf16", *, name: str = "", **changes: bool
) -> Variant:
    """Attention kernel of a configuration, for 32 query heads over 8 KV heads."""
    padded_dim, is_scaled = _padded(head_dim), pages != "bf16"
    value_dim = min(padded_dim, config.columns)
    types = {"query": "*bf16", "out": "*bf16", "keys": f"*{pages}", "values": f"*{pages}"}
    types |= dict.fromkeys(("partial", "partial_max", "partial_sum"), "*fp32")
    types |= dict.fromkeys(("items", "counts", "starts", "horizons", "pages"), "*i32")
    types |= dict.fromkeys(STRIDES, "i32:16") | {"scale": "fp32", "softcap": "fp32"}
    use_tma = _uses_tma(config, head_dim, 64) and not changes.get("SOFTCAP")
    use_tma = use_tma and (not is_scaled or (config.fp8_scores and config.fp8_tma))
    constants = {
        "HEADS": 32, "GROUP": 4, "HEAD_DIM": head_dim, "PADDED_DIM": padded_dim,
        "VALUE_DIM": value_dim, "PAGE": 64, "CHUNK": config.chunk, "GRAIN": config.grain,
        "BLOCK_M": config.rows, "BLOCK_N": config.keys,
        "STAGES": _stages(config, use_tma, is_scaled),
        "TMA": use_tma, "SCALED": is_scaled,
        "SPLIT": is_scaled and config.fp8_scores, "SOFTCAP": False, "PRECISION": "tf32",
    } | changes  # fmt: skip
    if constants["TMA"]:
        types["keys"] = f"tensordesc<{pages}[{config.keys}, {head_dim}]>"
        types["values"] = f"tensordesc<{pages}[{config.keys}, {value_dim}]>"
    if is_scaled:
        types |= {"key_scales": "*fp32", "value_scales": "*fp32"}
    else:
        constants |= {"key_scales": None, "value_scales": None}
    marks = [change.lower() for change, on in changes.items() if on] + ([name] if name else [])
    name = " ".join([f"attention d{head_dim} {pages}", *marks])
    return Variant(name, attention_kernel, types, constants, config.num_warps, multiplies=True)
