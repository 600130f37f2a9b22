"""What lies between matrix products: norms, rotation, the KV cache, gates. One pass over each."""

from collections.abc import Iterator

import torch
import triton
import triton.language as tl
from torch import Tensor

from unmask_kernels.testing.variant import Variant


@triton.jit
def rms_norm_kernel(
    x, weight, out, stride_x, num_columns, eps, BLOCK: tl.constexpr
):  # fmt: skip
    """Normalise a row."""
    i_row = tl.program_id(0).to(tl.int64)
    o_column = tl.arange(0, BLOCK)
    m_column = o_column < num_columns
    b_x = tl.load(x + i_row * stride_x + o_column, mask=m_column, other=0.0).to(tl.float32)
    scale = tl.rsqrt(tl.sum(b_x * b_x, 0) / num_columns + eps)
    b_normed = (b_x * scale).to(out.dtype.element_ty).to(tl.float32)
    b_weight = tl.load(weight + o_column, mask=m_column, other=0.0).to(tl.float32)
    p_out = out + i_row * num_columns + o_column
    tl.store(p_out, (b_normed * b_weight).to(out.dtype.element_ty), mask=m_column)


@triton.jit
def _narrowed(b_x, p_scale):
    """Divided by a scale, and within what e4m3 can say."""
    return tl.minimum(tl.maximum(b_x / tl.load(p_scale), -448.0), 448.0)


@triton.jit
def heads_kernel(
    heads, norm_weights, cos, sin, slots, query, keys, values,
    key_scales, value_scales, stride_heads, stride_slot, eps,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, HEAD_DIM: tl.constexpr, HALF: tl.constexpr,
    NORMED: tl.constexpr, SCALED: tl.constexpr, SHARED: tl.constexpr,
):  # fmt: skip
    """A head of a row: queries to `query`, keys and values to their slot.

    The first `NORMED` heads are normalised; where `SHARED`, values are the keys as projected.
    """
    i_row, i_head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    o_low = tl.arange(0, HALF)
    m_low = o_low < HEAD_DIM // 2
    o_high = o_low + HEAD_DIM // 2
    i_source = i_head
    if SHARED:
        if i_head >= HEADS + KV_HEADS:
            i_source = i_head - KV_HEADS
    p_head = heads + i_row * stride_heads + i_source * HEAD_DIM
    b_low = tl.load(p_head + o_low, mask=m_low, other=0.0).to(tl.float32)
    b_high = tl.load(p_head + o_high, mask=m_low, other=0.0).to(tl.float32)
    if NORMED > 0:
        if i_head < NORMED:
            total = tl.sum(b_low * b_low, 0) + tl.sum(b_high * b_high, 0)
            scale = tl.rsqrt(total / HEAD_DIM + eps)
            p_norm = norm_weights + i_head * HEAD_DIM
            b_low *= scale * tl.load(p_norm + o_low, mask=m_low, other=0.0).to(tl.float32)
            b_high *= scale * tl.load(p_norm + o_high, mask=m_low, other=0.0).to(tl.float32)
    if i_head < HEADS + KV_HEADS:
        o_angle = i_row * (HEAD_DIM // 2) + o_low
        b_cos = tl.load(cos + o_angle, mask=m_low, other=0.0).to(tl.float32)
        b_sin = tl.load(sin + o_angle, mask=m_low, other=0.0).to(tl.float32)
        b_low, b_high = b_low * b_cos - b_high * b_sin, b_high * b_cos + b_low * b_sin
    if i_head < HEADS:
        p_query = query + (i_row * HEADS + i_head) * HEAD_DIM
        tl.store(p_query + o_low, b_low.to(query.dtype.element_ty), mask=m_low)
        tl.store(p_query + o_high, b_high.to(query.dtype.element_ty), mask=m_low)
    else:
        slot = tl.load(slots + i_row)
        if i_head < HEADS + KV_HEADS:
            i_kv = i_head - HEADS
            if SCALED:
                b_low = _narrowed(b_low, key_scales + i_kv)
                b_high = _narrowed(b_high, key_scales + i_kv)
            p_slot = keys + slot * stride_slot + i_kv * HEAD_DIM
            tl.store(p_slot + o_low, b_low.to(keys.dtype.element_ty), mask=m_low)
            tl.store(p_slot + o_high, b_high.to(keys.dtype.element_ty), mask=m_low)
        else:
            i_kv = i_head - HEADS - KV_HEADS
            if SCALED:
                b_low = _narrowed(b_low, value_scales + i_kv)
                b_high = _narrowed(b_high, value_scales + i_kv)
            p_slot = values + slot * stride_slot + i_kv * HEAD_DIM
            tl.store(p_slot + o_low, b_low.to(values.dtype.element_ty), mask=m_low)
            tl.store(p_slot + o_high, b_high.to(values.dtype.element_ty), mask=m_low)


@triton.jit
def swiglu_kernel(both, out, num_columns, GELU: tl.constexpr, BLOCK: tl.constexpr):
    """silu(gate) * up, or gelu(gate) * up, where a row holds the gate's columns, then the other's.

    (1 + tanh(z)) / 2 is the sigmoid of 2 z, so both are the gate times a sigmoid.
    """
    i_row = tl.program_id(0).to(tl.int64)
    o_column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    m_column = o_column < num_columns
    p_row = both + i_row * 2 * num_columns + o_column
    b_gate = tl.load(p_row, mask=m_column, other=0.0).to(tl.float32)
    b_up = tl.load(p_row + num_columns, mask=m_column, other=0.0).to(tl.float32)
    b_z = b_gate
    if GELU:
        b_z = 1.5957691216057308 * (b_gate + 0.044715 * b_gate * b_gate * b_gate)
        b_z = tl.maximum(b_z, -80.0)  # where the result is zero, and the exponential finite
    b_out = b_gate / (1.0 + tl.exp(-b_z)) * b_up
    p_out = out + i_row * num_columns + o_column
    tl.store(p_out, b_out.to(out.dtype.element_ty), mask=m_column)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """As of `reference.rms_norm`, for rows [M, C]."""
    num_rows, num_columns = x.shape
    out = torch.empty((num_rows, num_columns), dtype=x.dtype, device=x.device)
    if num_rows:
        block = triton.next_power_of_2(num_columns)
        rms_norm_kernel[(num_rows,)](
            x, weight, out, x.stride(0), num_columns, eps,
            BLOCK=block, num_warps=max(1, min(16, block // 512)),
        )  # fmt: skip
    return out


def place_heads(
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
    """As of `layers.place_heads`, which checks."""
    num_rows, num_heads, head_dim = heads.shape
    num_kv_heads = key_pages.shape[2]
    num_heads += num_kv_heads if key_is_value else 0
    num_queries = num_heads - 2 * num_kv_heads
    query = torch.empty((num_rows, num_queries, head_dim), dtype=heads.dtype, device=heads.device)
    if num_rows:
        heads_kernel[(num_rows, num_heads)](
            heads, norm_weights, cos, sin, slots, query, key_pages, value_pages,
            key_scales, value_scales, heads.stride(0), key_pages.stride(1), eps,
            HEADS=num_queries, KV_HEADS=num_kv_heads, HEAD_DIM=head_dim,
            HALF=triton.next_power_of_2(head_dim // 2),
            NORMED=0 if norm_weights is None else len(norm_weights),
            SCALED=key_scales is not None, SHARED=key_is_value, num_warps=1,
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
    out = torch.empty((num_rows, num_columns), dtype=both.dtype, device=both.device)
    if num_rows:
        block = min(1024, triton.next_power_of_2(num_columns))
        grid = (num_rows, triton.cdiv(num_columns, block))
        swiglu_kernel[grid](both, out, num_columns, GELU=gelu, BLOCK=block, num_warps=4)
    return out


def variants(capability: int) -> Iterator[Variant]:
    """What is launched, for the compile checks."""
    rows = {"x": "*bf16", "weight": "*bf16", "out": "*bf16", "stride_x": "i32:16"}
    rows |= {"num_columns": "i32:16", "eps": "fp32"}
    for columns in (2048, 4096, 8192):
        yield Variant(f"rms_norm {columns}", rms_norm_kernel, rows, {"BLOCK": columns}, 8)
    gate = {"both": "*bf16", "out": "*bf16", "num_columns": "i32:16"}
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
        constants: dict[str, int | None]
        constants = {"HEADS": 32, "KV_HEADS": 8, "HEAD_DIM": 128, "HALF": 64, "NORMED": 40}
        constants |= {"SCALED": scaled, "SHARED": False}
        if scaled:
            types |= {"key_scales": "*fp32", "value_scales": "*fp32"}
        else:
            constants |= {"key_scales": None, "value_scales": None}
        yield Variant(f"heads {pages}", heads_kernel, types, constants, num_warps=1)
        own = {"HEADS": 8, "KV_HEADS": 2, "HEAD_DIM": 512, "HALF": 256, "NORMED": 12}
        own |= {"SHARED": True}
        yield Variant(f"heads {pages} keys = values", heads_kernel, types, constants | own, 1)
