"""Norms, QK norm with RoPE and KV writes, and gates in Triton, one pass each."""

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.dependent_launch import dependent_launch, wait_for_inputs
from unmask_kernels.quantization.gpu import row_warps, side_by_side
from unmask_kernels.variant import Variant

# Elements of each half of a program's heads: 16 bytes of each for a thread.
HEADS_HALVES, HEADS_WARPS = 512, 2


def heads_tile(num_heads: int, head_dim: int) -> tuple[int, int]:
    """Heads of a program, and padded length of half a head; they never follow the load."""
    half = triton.next_power_of_2(head_dim // 2)
    return min(triton.next_power_of_2(num_heads), max(1, HEADS_HALVES // half)), half


@triton.jit
def norm_values(p_row, weight, o_column, m_column, num_columns, eps):
    """Normalised row in float32, rounded to its dtype before the weight is applied."""
    b_x = tl.load(p_row + o_column, mask=m_column, other=0.0)
    b_wide = b_x.to(tl.float32)
    scale = tl.rsqrt(tl.sum(b_wide * b_wide, 0) / num_columns + eps)
    b_normed = (b_wide * scale).to(b_x.dtype).to(tl.float32)
    return b_normed * tl.load(weight + o_column, mask=m_column, other=0.0).to(tl.float32)


@triton.jit
def rms_norm_kernel(
    x, weight, out, stride_x, num_columns, eps, BLOCK: tl.constexpr, PDL: tl.constexpr
):  # fmt: skip
    """RMS norm of a row."""
    wait_for_inputs(PDL)
    i_row = tl.program_id(0).to(tl.int64)
    o_column = tl.arange(0, BLOCK)
    m_column = o_column < num_columns
    b_out = norm_values(x + i_row * stride_x, weight, o_column, m_column, num_columns, eps)
    p_out = out + i_row * num_columns + o_column
    tl.store(p_out, b_out.to(out.dtype.element_ty), mask=m_column)


@triton.jit
def _load_halves(p_heads, i_head, m_head, HEAD_DIM: tl.constexpr, HALF: tl.constexpr):
    """Both halves of heads, [H, HALF] in float32."""
    o_low = tl.arange(0, HALF)[None, :]
    mask = m_head[:, None] & (o_low < HEAD_DIM // 2)
    p_low = p_heads + i_head[:, None] * HEAD_DIM + o_low
    b_low = tl.load(p_low, mask=mask, other=0.0)
    b_high = tl.load(p_low + HEAD_DIM // 2, mask=mask, other=0.0)
    return b_low.to(tl.float32), b_high.to(tl.float32)


@triton.jit
def _make_heads(
    p_row, norm_weights, cos, sin, i_row, i_head, i_norm, m_head, eps,
    HEAD_DIM: tl.constexpr, HALF: tl.constexpr, NORMED: tl.constexpr, TURNED: tl.constexpr,
):  # fmt: skip
    """Both halves of heads `i_head` of a row, after rows `i_norm` of the norms and RoPE."""
    b_low, b_high = _load_halves(p_row, i_head, m_head, HEAD_DIM, HALF)
    if NORMED:
        b_norm, b_norm_high = _load_halves(norm_weights, i_norm, m_head, HEAD_DIM, HALF)
        b_total = tl.sum(b_low * b_low, 1) + tl.sum(b_high * b_high, 1)
        b_scale = tl.rsqrt(b_total / HEAD_DIM + eps)[:, None]
        b_low *= b_scale * b_norm
        b_high *= b_scale * b_norm_high
    if TURNED:
        # In the shape of the heads: a single row would have another layout.
        o_low = tl.broadcast_to(tl.arange(0, HALF)[None, :], b_low.shape)
        m_low = o_low < HEAD_DIM // 2
        o_angle = i_row * (HEAD_DIM // 2) + o_low
        b_cos = tl.load(cos + o_angle, mask=m_low, other=0.0).to(tl.float32)
        b_sin = tl.load(sin + o_angle, mask=m_low, other=0.0).to(tl.float32)
        b_low, b_high = b_low * b_cos - b_high * b_sin, b_high * b_cos + b_low * b_sin
    return b_low, b_high


@triton.jit
def _narrow(b_x, p_scale, m_head):
    """Divided by each head's scale, and clamped to e4m3."""
    b_scale = tl.load(p_scale, mask=m_head, other=1.0)[:, None]
    return tl.minimum(tl.maximum(b_x / b_scale, -448.0), 448.0)


@triton.jit
def _store_halves(
    p_heads, i_head, m_head, b_low, b_high, HEAD_DIM: tl.constexpr, HALF: tl.constexpr
):  # fmt: skip
    o_low = tl.arange(0, HALF)[None, :]
    mask = m_head[:, None] & (o_low < HEAD_DIM // 2)
    p_low = p_heads + i_head[:, None] * HEAD_DIM + o_low
    tl.store(p_low, b_low.to(p_heads.dtype.element_ty), mask=mask)
    tl.store(p_low + HEAD_DIM // 2, b_high.to(p_heads.dtype.element_ty), mask=mask)


@triton.jit
def heads_kernel(
    heads, norm_weights, cos, sin, slots, query, keys, values,
    key_scales, value_scales, stride_heads, stride_slot, eps,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, HEAD_DIM: tl.constexpr, HALF: tl.constexpr,
    NORMED: tl.constexpr, SCALED: tl.constexpr, SHARED: tl.constexpr, BLOCK_H: tl.constexpr,
    PDL: tl.constexpr,
):  # fmt: skip
    """BLOCK_H heads of one kind of a row: queries to `query`, keys and values to their slot.

    The first `NORMED` heads are normalised; if `SHARED`, values are the projected keys.
    """
    wait_for_inputs(PDL)
    num_tiles: tl.constexpr = (HEADS + BLOCK_H - 1) // BLOCK_H
    num_kv_tiles: tl.constexpr = (KV_HEADS + BLOCK_H - 1) // BLOCK_H
    i_program = tl.program_id(0)
    i_row = (i_program // (num_tiles + 2 * num_kv_tiles)).to(tl.int64)
    i_tile = i_program % (num_tiles + 2 * num_kv_tiles)
    p_row = heads + i_row * stride_heads
    if i_tile < num_tiles:
        i_head = i_tile * BLOCK_H + tl.arange(0, BLOCK_H)
        m_head = i_head < HEADS
        b_low, b_high = _make_heads(
            p_row, norm_weights, cos, sin, i_row, i_head, i_head, m_head, eps,
            HEAD_DIM, HALF, NORMED > 0, True,
        )  # fmt: skip
        p_query = query + i_row * HEADS * HEAD_DIM
        _store_halves(p_query, i_head, m_head, b_low, b_high, HEAD_DIM, HALF)
    elif i_tile < num_tiles + num_kv_tiles:
        slot = tl.load(slots + i_row)
        i_head = (i_tile - num_tiles) * BLOCK_H + tl.arange(0, BLOCK_H)
        m_head = i_head < KV_HEADS
        i_norm = HEADS + i_head
        b_low, b_high = _make_heads(
            p_row, norm_weights, cos, sin, i_row, i_norm, i_norm, m_head, eps,
            HEAD_DIM, HALF, NORMED > 0, True,
        )  # fmt: skip
        if SCALED:
            b_low = _narrow(b_low, key_scales + i_head, m_head)
            b_high = _narrow(b_high, key_scales + i_head, m_head)
        p_slot = keys + slot * stride_slot
        _store_halves(p_slot, i_head, m_head, b_low, b_high, HEAD_DIM, HALF)
    else:
        slot = tl.load(slots + i_row)
        i_head = (i_tile - num_tiles - num_kv_tiles) * BLOCK_H + tl.arange(0, BLOCK_H)
        m_head = i_head < KV_HEADS
        i_norm = HEADS + KV_HEADS + i_head
        i_source = i_norm
        if SHARED:
            i_source = HEADS + i_head
        b_low, b_high = _make_heads(
            p_row, norm_weights, cos, sin, i_row, i_source, i_norm, m_head, eps,
            HEAD_DIM, HALF, NORMED > HEADS + KV_HEADS, False,
        )  # fmt: skip
        if SCALED:
            b_low = _narrow(b_low, value_scales + i_head, m_head)
            b_high = _narrow(b_high, value_scales + i_head, m_head)
        p_slot = values + slot * stride_slot
        _store_halves(p_slot, i_head, m_head, b_low, b_high, HEAD_DIM, HALF)


@triton.jit
def gate_values(p_row, o_column, m_column, num_columns, GELU: tl.constexpr):
    """silu(gate) * up, or gelu(gate) * up, of a row with gate columns before up columns.

    (1 + tanh(z)) / 2 is the sigmoid of 2 z, so both activations are gate times a sigmoid.
    """
    b_gate = tl.load(p_row + o_column, mask=m_column, other=0.0).to(tl.float32)
    b_up = tl.load(p_row + num_columns + o_column, mask=m_column, other=0.0).to(tl.float32)
    b_z = b_gate
    if GELU:
        b_z = 1.5957691216057308 * (b_gate + 0.044715 * b_gate * b_gate * b_gate)
        b_z = tl.maximum(b_z, -80.0)  # keeps the exponential finite; the result is zero
    return b_gate / (1.0 + tl.exp(-b_z)) * b_up


@triton.jit
def swiglu_kernel(
    both, out, stride_both, num_columns, GELU: tl.constexpr, BLOCK: tl.constexpr, PDL: tl.constexpr
):  # fmt: skip
    """BLOCK columns of a gated row."""
    wait_for_inputs(PDL)
    i_row = tl.program_id(0).to(tl.int64)
    o_column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    m_column = o_column < num_columns
    b_out = gate_values(both + i_row * stride_both, o_column, m_column, num_columns, GELU)
    p_out = out + i_row * num_columns + o_column
    tl.store(p_out, b_out.to(out.dtype.element_ty), mask=m_column)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Implements `layers.ops.rms_norm`, for rows [M, C]."""
    num_rows, num_columns = x.shape
    x = side_by_side(x)
    out = torch.empty((num_rows, num_columns), dtype=x.dtype, device=x.device)
    if num_rows:
        block = triton.next_power_of_2(num_columns)
        rms_norm_kernel[(num_rows,)](
            x, weight, out, x.stride(0), num_columns, eps,
            BLOCK=block, num_warps=row_warps(block),
            **dependent_launch(x.device, num_rows),
        )  # fmt: skip
    return out


def qk_norm_rope_store(
    heads: Tensor,
    norm_weights: Tensor | None,
    eps: float,
    cos: Tensor,
    sin: Tensor,
    key_pages: Tensor,
    value_pages: Tensor,
    slots: Tensor,
    key_scales: Tensor | None,
    value_scales: Tensor | None,
    key_is_value: bool,
) -> Tensor:
    """Implements `layers.ops.qk_norm_rope_store`, which checks."""
    num_rows, num_heads, head_dim = heads.shape
    num_kv_heads = key_pages.shape[2]
    num_heads += num_kv_heads if key_is_value else 0
    num_queries = num_heads - 2 * num_kv_heads
    query = torch.empty((num_rows, num_queries, head_dim), dtype=heads.dtype, device=heads.device)
    if num_rows:
        block, half = heads_tile(num_queries, head_dim)
        num_tiles = triton.cdiv(num_queries, block) + 2 * triton.cdiv(num_kv_heads, block)
        heads_kernel[(num_rows * num_tiles,)](
            heads, norm_weights, cos, sin, slots, query, key_pages, value_pages,
            key_scales, value_scales, heads.stride(0), key_pages.stride(1), eps,
            HEADS=num_queries, KV_HEADS=num_kv_heads, HEAD_DIM=head_dim, HALF=half,
            NORMED=0 if norm_weights is None else len(norm_weights),
            SCALED=key_scales is not None, SHARED=key_is_value, BLOCK_H=block,
            num_warps=HEADS_WARPS,
            **dependent_launch(heads.device, num_rows),
        )  # fmt: skip
    return query


def swiglu(both: Tensor) -> Tensor:
    """silu(gate) * up of rows [M, 2 N]."""
    return _gate(both, gelu=False)


def geglu(both: Tensor) -> Tensor:
    """gelu(gate) * up of rows [M, 2 N]."""
    return _gate(both, gelu=True)


def _gate(both: Tensor, *, gelu: bool) -> Tensor:
    num_rows, num_columns = both.shape[0], both.shape[1] // 2
    both = side_by_side(both)
    out = torch.empty((num_rows, num_columns), dtype=both.dtype, device=both.device)
    if num_rows:
        block = min(1024, triton.next_power_of_2(num_columns))
        grid = (num_rows, triton.cdiv(num_columns, block))
        swiglu_kernel[grid](
            both, out, both.stride(0), num_columns, GELU=gelu, BLOCK=block, num_warps=4,
            **dependent_launch(both.device, num_rows),
        )  # fmt: skip
    return out


def variants(capability: int) -> Iterator[Variant]:
    """Every launched variant, for the compile checks."""
    rows = {"x": "*bf16", "weight": "*bf16", "out": "*bf16", "stride_x": "i32:16"}
    rows |= {"num_columns": "i32:16", "eps": "fp32"}
    for columns in (2048, 4096, 8192):
        yield Variant(f"rms_norm {columns}", rms_norm_kernel, rows, {"BLOCK": columns}, 8)
    gate = {"both": "*bf16", "out": "*bf16", "stride_both": "i32:16", "num_columns": "i32:16"}
    yield Variant("swiglu", swiglu_kernel, gate, {"BLOCK": 1024, "GELU": False})
    yield Variant("geglu", swiglu_kernel, gate, {"BLOCK": 1024, "GELU": True})
    names = ("heads", "norm_weights", "cos", "sin", "query")
    for pages in ("bf16", "fp8e4nv"):
        if pages != "bf16" and capability < 89:
            continue
        scaled = pages != "bf16"
        types = dict.fromkeys(names, "*bf16") | {"keys": f"*{pages}", "values": f"*{pages}"}
        types |= {"slots": "*i64", "eps": "fp32"}
        types |= {"stride_heads": "i32:16", "stride_slot": "i32:16"}
        if scaled:
            types |= {"key_scales": "*fp32", "value_scales": "*fp32"}
        constants: dict[str, int | None]
        constants = {} if scaled else {"key_scales": None, "value_scales": None}
        for model, num_heads, num_kv_heads, head_dim in (
            ("", 32, 8, 128),
            (" keys = values", 8, 2, 512),
        ):
            block, half = heads_tile(num_heads, head_dim)
            shared = bool(model)  # its values are normalised too
            constants |= {"HEADS": num_heads, "KV_HEADS": num_kv_heads, "HEAD_DIM": head_dim}
            constants |= {"HALF": half, "BLOCK_H": block, "SCALED": scaled, "SHARED": shared}
            shape = constants | {"NORMED": num_heads + num_kv_heads * (1 + shared)}
            yield Variant(f"heads {pages}{model}", heads_kernel, types, shape, HEADS_WARPS)
