"""Attention over pages in Triton: one program a tile of queries, key head and chunk of keys.

Chunks begin at absolute multiples of a constant and are merged in order, and a key out of reach
adds an exact zero, so a row's result depends on nothing but its own query, keys and reach: not on
the tile it shares, nor on how many programs there are.
"""

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from unmask_kernels.testing.variant import Variant
from unmask_kernels.tiles import TilePlan, tile_config

LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def _attend(acc, b_max, b_sum, b_q, b_k, b_v, m_reach, scale, softcap, SOFTCAP: tl.constexpr,
            MASKED: tl.constexpr, PRECISION: tl.constexpr):  # fmt: skip
    """Take a tile of keys into the running maximum, sum and mix; `scale` is for powers of two."""
    b_s = tl.dot(b_q, tl.trans(b_k), input_precision=PRECISION)
    if SOFTCAP:
        b_t = tl.exp2(tl.abs(b_s) * (-2.0 * scale / softcap))
        b_s = tl.where(b_s < 0, -1.0, 1.0) * (1.0 - b_t) / (1.0 + b_t)  # tanh
        scale = softcap * LOG2_E
    if MASKED:
        b_s = tl.where(m_reach, b_s, float("-inf"))
    b_new = tl.maximum(b_max, tl.max(b_s, 1) * scale)
    b_base = tl.where(b_new == float("-inf"), 0.0, b_new)
    # A multiply-add by name: the compiler would make one in one loop and not in the other.
    b_p = tl.exp2(tl.fma(b_s, tl.zeros_like(b_s) + scale, -b_base[:, None] + tl.zeros_like(b_s)))
    b_alpha = tl.exp2(b_max - b_base)
    b_sum = tl.fma(b_sum, b_alpha, tl.sum(b_p, 1))
    acc = tl.dot(b_p.to(b_v.dtype), b_v, acc * b_alpha[:, None], input_precision=PRECISION)
    return acc, b_new, b_sum


@triton.jit
def _load_tile(pages, o_page, o_slot, i_head, first_dim, m_key, stride_page, stride_slot,
               stride_head, PAGE: tl.constexpr, HEAD_DIM: tl.constexpr, PADDED_DIM: tl.constexpr,
               WIDTH: tl.constexpr, TMA: tl.constexpr, MASKED: tl.constexpr):  # fmt: skip
    """Keys or values of consecutive slots; those that were never written become zero."""
    if TMA:
        row = (o_page * PAGE + o_slot).to(tl.int32)
        b_tile = pages.load([row, i_head * HEAD_DIM + first_dim])
        if MASKED:
            b_tile = tl.where(m_key[:, None], b_tile, tl.zeros_like(b_tile))
    else:
        o_dim = first_dim + tl.arange(0, WIDTH)
        p_rows = pages + o_page * stride_page + o_slot * stride_slot + i_head * stride_head
        p_tile = p_rows[:, None] + o_dim[None, :]
        if PADDED_DIM > HEAD_DIM:
            b_tile = tl.load(p_tile, mask=m_key[:, None] & (o_dim < HEAD_DIM)[None, :], other=0.0)
        elif MASKED:
            b_tile = tl.load(p_tile, mask=m_key[:, None], other=0.0)
        else:
            b_tile = tl.load(p_tile)
    return b_tile


@triton.jit
def attention_kernel(
    query, keys, values, out, partial, partial_max, partial_sum,
    item_query, item_rows, item_page, item_chunk, item_slot, starts, horizons, pages,
    key_scales, value_scales, scale, softcap,
    stride_query, stride_page, stride_slot, stride_head,
    HEADS: tl.constexpr, GROUP: tl.constexpr, HEAD_DIM: tl.constexpr, PADDED_DIM: tl.constexpr,
    VALUE_DIM: tl.constexpr, PAGE: tl.constexpr, CHUNK: tl.constexpr, BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr, STAGES: tl.constexpr, TMA: tl.constexpr, SCALED: tl.constexpr,
    SOFTCAP: tl.constexpr, WINDOWED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Row m of a tile is query m // GROUP with head m % GROUP of the key head's own.

    Heads that are too wide for the registers are mixed VALUE_DIM columns at a time. Those that are
    no power of two, or too small for the matrix units, are filled up to PADDED_DIM with zeros.
    """
    i_item, i_head, i_part = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    num_rows = tl.load(item_rows + i_item)
    if num_rows == 0:
        return
    first = tl.load(item_query + i_item)
    first_page = tl.load(item_page + i_item)
    chunk = tl.load(item_chunk + i_item)
    slot = tl.load(item_slot + i_item).to(tl.int64)

    o_m, o_dim, o_n = tl.arange(0, BLOCK_M), tl.arange(0, PADDED_DIM), tl.arange(0, BLOCK_N)
    o_row = first + o_m // GROUP
    m_row = o_m // GROUP < num_rows
    o_head = i_head * GROUP + o_m % GROUP
    b_start = tl.load(starts + o_row, mask=m_row, other=2147483647)
    b_horizon = tl.load(horizons + o_row, mask=m_row, other=0)
    p_query = query + o_row.to(tl.int64) * stride_query + o_head * HEAD_DIM
    m_query = m_row[:, None]
    if PADDED_DIM > HEAD_DIM:
        m_query = m_query & (o_dim < HEAD_DIM)[None, :]
    b_q = tl.load(p_query[:, None] + o_dim[None, :], mask=m_query, other=0.0)

    # Keys that any row sees, and those that every row sees and that need no mask.
    low = tl.maximum(tl.min(b_start, 0) // BLOCK_N * BLOCK_N, chunk * CHUNK)
    last = tl.max(b_horizon, 0)
    high = tl.minimum(last, (chunk + 1) * CHUNK)
    all_from = tl.max(tl.where(m_row, b_start, 0), 0)
    all_to = tl.min(tl.where(m_row, b_horizon, 2147483647), 0)
    clear_low = tl.minimum(tl.maximum(tl.cdiv(all_from, BLOCK_N) * BLOCK_N, low), high)
    clear_high = tl.maximum(tl.minimum(all_to, high) // BLOCK_N * BLOCK_N, clear_low)

    factor = scale * LOG2_E
    if SCALED:
        factor *= tl.load(key_scales + i_head)
    b_max = tl.full([BLOCK_M], float("-inf"), tl.float32)
    b_sum = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, VALUE_DIM], tl.float32)

    for phase in tl.static_range(0 if WINDOWED else 1, 3):
        if phase == 0:
            o_from, o_to = low, clear_low
        elif phase == 1:
            o_from, o_to = clear_low, clear_high
        else:
            o_from, o_to = clear_high, high
        for o_key in tl.range(o_from, o_to, BLOCK_N, num_stages=STAGES if phase == 1 else 1):
            o_position = o_key + o_n
            m_key = o_position < last
            m_reach = (o_position[None, :] >= b_start[:, None]) & (
                o_position[None, :] < b_horizon[:, None]
            )
            if TMA:
                o_page = tl.load(pages + first_page + o_key // PAGE).to(tl.int64)
                o_slot = o_key % PAGE
            else:
                o_page = tl.load(pages + first_page + o_position // PAGE, mask=m_key, other=0).to(
                    tl.int64
                )
                o_slot = o_position % PAGE
            b_k = _load_tile(keys, o_page, o_slot, i_head, 0, m_key, stride_page, stride_slot,
                             stride_head, PAGE, HEAD_DIM, PADDED_DIM, PADDED_DIM, TMA,
                             phase != 1)  # fmt: skip
            b_v = _load_tile(values, o_page, o_slot, i_head, i_part * VALUE_DIM, m_key,
                             stride_page, stride_slot, stride_head, PAGE, HEAD_DIM, PADDED_DIM,
                             VALUE_DIM, TMA, phase != 1)  # fmt: skip
            if SCALED:
                b_k, b_v = b_k.to(b_q.dtype), b_v.to(b_q.dtype)
            acc, b_max, b_sum = _attend(acc, b_max, b_sum, b_q, b_k, b_v, m_reach, factor,
                                        softcap, SOFTCAP, phase != 1, PRECISION)  # fmt: skip

    if SCALED:
        acc *= tl.load(value_scales + i_head)
    o_value = i_part * VALUE_DIM + tl.arange(0, VALUE_DIM)
    if slot >= 0:
        o_stat = (slot * tl.num_programs(1) + i_head) * BLOCK_M + o_m
        tl.store(partial + o_stat[:, None] * PADDED_DIM + o_value[None, :], acc)
        if i_part == 0:
            tl.store(partial_max + o_stat, b_max)
            tl.store(partial_sum + o_stat, b_sum)
    else:
        b_out = acc / tl.where(b_sum == 0.0, 1.0, b_sum)[:, None]
        p_out = out + (o_row.to(tl.int64) * HEADS + o_head) * HEAD_DIM
        m_out = m_row[:, None]
        if PADDED_DIM > HEAD_DIM:
            m_out = m_out & (o_value < HEAD_DIM)[None, :]
        tl.store(p_out[:, None] + o_value[None, :], b_out.to(out.dtype.element_ty), mask=m_out)


@triton.jit
def merge_kernel(
    partial, partial_max, partial_sum, out, tile_query, tile_rows, tile_slot, tile_parts,
    HEADS: tl.constexpr, GROUP: tl.constexpr, HEAD_DIM: tl.constexpr, PADDED_DIM: tl.constexpr,
    TILE_M: tl.constexpr, BLOCK_M: tl.constexpr,
):  # fmt: skip
    """Merge the chunks of a tile in their order, BLOCK_M of its TILE_M rows in a program."""
    i_tile, i_head, i_m = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    num_rows = tl.load(tile_rows + i_tile)
    if i_m * BLOCK_M >= num_rows * GROUP:
        return
    o_m, o_dim = i_m * BLOCK_M + tl.arange(0, BLOCK_M), tl.arange(0, PADDED_DIM)
    first_slot = tl.load(tile_slot + i_tile).to(tl.int64)
    b_max = tl.full([BLOCK_M], float("-inf"), tl.float32)
    b_sum = tl.zeros([BLOCK_M], tl.float32)
    acc = tl.zeros([BLOCK_M, PADDED_DIM], tl.float32)
    for part in range(0, tl.load(tile_parts + i_tile)):
        o_stat = ((first_slot + part) * tl.num_programs(1) + i_head) * TILE_M + o_m
        b_part_max = tl.load(partial_max + o_stat)
        b_part = tl.load(partial + o_stat[:, None] * PADDED_DIM + o_dim[None, :])
        b_new = tl.maximum(b_max, b_part_max)
        b_base = tl.where(b_new == float("-inf"), 0.0, b_new)
        b_alpha, b_beta = tl.exp2(b_max - b_base), tl.exp2(b_part_max - b_base)
        acc = acc * b_alpha[:, None] + b_part * b_beta[:, None]
        b_sum = b_sum * b_alpha + tl.load(partial_sum + o_stat) * b_beta
        b_max = b_new
    b_out = acc / tl.where(b_sum == 0.0, 1.0, b_sum)[:, None]
    o_row = (tl.load(tile_query + i_tile) + o_m // GROUP).to(tl.int64)
    p_out = out + (o_row * HEADS + i_head * GROUP + o_m % GROUP) * HEAD_DIM
    m_out = (o_m // GROUP < num_rows)[:, None]
    if PADDED_DIM > HEAD_DIM:
        m_out = m_out & (o_dim < HEAD_DIM)[None, :]
    tl.store(p_out[:, None] + o_dim[None, :], b_out.to(out.dtype.element_ty), mask=m_out)


MERGE_ROWS = 16
SMALLEST_DIM = 16  # that matrix units sum over
MAX_BOX = 256  # columns that the copy engine takes at a time
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
    """Launch the kernels of a plan; arguments as of `attention.attention`, which checks them."""
    num_heads, head_dim = query.shape[1:]
    page_size, num_kv_heads = key_pages.shape[1:3]
    config = plan.config
    make_out = torch.zeros if plan.has_spare_rows else torch.empty
    out = make_out(query.shape, dtype=query.dtype, device=query.device)
    if not len(query):
        return out
    query = query if query.stride()[1:] == (head_dim, 1) else query.contiguous()
    slots = (plan.num_slots, num_kv_heads, config.rows)
    padded_dim = _padded(head_dim)
    partial = torch.empty((*slots, padded_dim), dtype=torch.float32, device=query.device)
    stats = torch.empty((2, *slots), dtype=torch.float32, device=query.device)
    value_dim = min(padded_dim, config.columns)
    fits_boxes = page_size % config.keys == 0 and head_dim == padded_dim <= MAX_BOX
    use_tma = config.tma and fits_boxes
    keys = _described(key_pages, config.keys, head_dim) if use_tma else key_pages
    values = _described(value_pages, config.keys, value_dim) if use_tma else value_pages
    attention_kernel[(len(plan.item_query), num_kv_heads, padded_dim // value_dim)](
        query, keys, values, out, partial, stats[0], stats[1],
        plan.item_query, plan.item_rows, plan.item_page, plan.item_chunk, plan.item_slot,
        plan.starts, plan.horizons, plan.pages, key_scales, value_scales, scale, softcap or 0.0,
        query.stride(0), *key_pages.stride()[:3],
        HEADS=num_heads, GROUP=num_heads // num_kv_heads, HEAD_DIM=head_dim,
        PADDED_DIM=padded_dim, VALUE_DIM=value_dim, PAGE=page_size, CHUNK=config.chunk,
        BLOCK_M=config.rows, BLOCK_N=config.keys, STAGES=config.num_stages, TMA=use_tma,
        SCALED=key_scales is not None, SOFTCAP=softcap is not None,
        WINDOWED=plan.windowed, PRECISION="ieee" if query.dtype == torch.float32 else "tf32",
        num_warps=config.num_warps,
    )  # fmt: skip
    if len(plan.tile_query):
        merge_kernel[(len(plan.tile_query), num_kv_heads, triton.cdiv(config.rows, MERGE_ROWS))](
            partial, stats[0], stats[1], out,
            plan.tile_query, plan.tile_rows, plan.tile_slot, plan.tile_parts,
            HEADS=num_heads, GROUP=num_heads // num_kv_heads, HEAD_DIM=head_dim,
            PADDED_DIM=padded_dim, TILE_M=config.rows, BLOCK_M=MERGE_ROWS, num_warps=4,
        )  # fmt: skip
    return out


def _padded(head_dim: int) -> int:
    """What a program computes with: a power of two that matrix units sum over."""
    return max(SMALLEST_DIM, int(triton.next_power_of_2(head_dim)))


def _described(pages: Tensor, rows: int, columns: int) -> TensorDescriptor:
    """Pages [N, page, Hkv, D] as a matrix of slots that is copied in boxes."""
    matrix = pages.view(pages.shape[0] * pages.shape[1], -1)
    return TensorDescriptor.from_tensor(matrix, [rows, columns])


def variants(capability: int) -> Iterator[Variant]:
    """Every configuration of `tiles.tile_config`, for the compile checks."""
    for head_dim in (8, 96):
        yield _variant(capability, head_dim, "bf16")
    for head_dim in (64, 128, 256, 512):
        yield _variant(capability, head_dim, "bf16")
        yield _variant(capability, head_dim, "bf16", SOFTCAP=True)
        yield _variant(capability, head_dim, "bf16", WINDOWED=True)
        if capability >= 89:
            yield _variant(capability, head_dim, "fp8e4nv", SCALED=True)
        if capability == 90 and head_dim <= MAX_BOX:
            own = tile_config(head_dim, torch.bfloat16, capability)
            yield _variant(capability, head_dim, "bf16", TMA=not own.tma)
        types = dict.fromkeys(("partial", "partial_max", "partial_sum"), "*fp32") | {"out": "*bf16"}
        types |= dict.fromkeys(("tile_query", "tile_rows", "tile_slot", "tile_parts"), "*i32")
        rows = tile_config(head_dim, torch.bfloat16, capability).rows
        shape = {"HEADS": 32, "GROUP": 4, "HEAD_DIM": head_dim, "PADDED_DIM": head_dim}
        merged = shape | {"TILE_M": rows, "BLOCK_M": MERGE_ROWS}
        yield Variant(f"merge d{head_dim}", merge_kernel, types, merged)


def _variant(capability: int, head_dim: int, pages: str, **changes: bool) -> Variant:
    config, padded_dim = tile_config(head_dim, torch.bfloat16, capability), _padded(head_dim)
    value_dim = min(padded_dim, config.columns)
    types = {"query": "*bf16", "out": "*bf16", "keys": f"*{pages}", "values": f"*{pages}"}
    types |= dict.fromkeys(("partial", "partial_max", "partial_sum"), "*fp32")
    types |= dict.fromkeys(("item_query", "item_rows", "item_page", "item_chunk"), "*i32")
    types |= dict.fromkeys(("item_slot", "starts", "horizons", "pages"), "*i32")
    types |= dict.fromkeys(STRIDES, "i32:16") | {"scale": "fp32", "softcap": "fp32"}
    constants = {
        "HEADS": 32, "GROUP": 4, "HEAD_DIM": head_dim, "PADDED_DIM": padded_dim,
        "VALUE_DIM": value_dim, "PAGE": 64,
        "CHUNK": config.chunk, "BLOCK_M": config.rows, "BLOCK_N": config.keys,
        "STAGES": config.num_stages, "TMA": config.tma and head_dim == padded_dim,
        "SCALED": False, "SOFTCAP": False, "WINDOWED": False, "PRECISION": "tf32",
    } | changes  # fmt: skip
    if constants["TMA"]:
        types["keys"] = f"tensordesc<{pages}[{config.keys}, {head_dim}]>"
        types["values"] = f"tensordesc<{pages}[{config.keys}, {value_dim}]>"
    if constants["SCALED"]:
        types |= {"key_scales": "*fp32", "value_scales": "*fp32"}
    else:
        constants |= {"key_scales": None, "value_scales": None}
    marks = [change.lower() if on else f"no {change.lower()}" for change, on in changes.items()]
    name = " ".join([f"attention d{head_dim} {pages}", *marks])
    return Variant(name, attention_kernel, types, constants, config.num_warps, multiplies=True)
