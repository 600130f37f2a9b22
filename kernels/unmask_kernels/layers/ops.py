"""Operations around a layer's matrix products: embeddings, norms, RoPE, KV writes, gates."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.dispatch import uses_native, uses_triton
from unmask_kernels.layers import cpu as native
from unmask_kernels.layers import reference
from unmask_kernels.quantization.ops import quantize_rows
from unmask_kernels.quantization.types import QuantizedRows

Activation = Literal["silu", "gelu_tanh"]


def mixed_embedding(
    token_ids: Tensor, embedding: Tensor, shares: Tensor, mask_token_id: int
) -> Tensor:
    """Embeddings [T, C] of tokens, mixed with that of the mask token (Chen et al., 2026).

    A token's embedding has its share [T] float32, and the mask token's the rest; the sum is as long
    as the two are in the mean. With a share of 1 a row is the token's embedding to the last bit.
    """
    if embedding.ndim != 2 or token_ids.shape != shares.shape or shares.dtype != torch.float32:
        raise ValueError(f"shares {tuple(shares.shape)} do not fit tokens {tuple(token_ids.shape)}")
    if uses_triton(embedding.device):
        from unmask_kernels.layers.gpu import mixing

        return mixing.mixed_embedding(token_ids, embedding, shares, mask_token_id)
    return reference.mixed_embedding(token_ids, embedding, shares, mask_token_id)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Root-mean-square norm of rows [M, C] (Zhang and Sennrich, 2019), in float32 inside."""
    if x.ndim != 2 or weight.shape != x.shape[1:]:
        raise ValueError(f"a weight {tuple(weight.shape)} does not fit rows {tuple(x.shape)}")
    if uses_triton(x.device):
        from unmask_kernels.layers.gpu import layers

        return layers.rms_norm(x, weight, eps)
    if x.dtype is weight.dtype and uses_native(x):
        return native.rms_norm(x, weight, eps)
    return reference.rms_norm(x, weight, eps)


def rms_norm_quantized(
    x: Tensor, weight: Tensor, eps: float, *, grouped: bool = False
) -> QuantizedRows:
    """`rms_norm` of rows [M, C], then `quantize_rows`; one pass on a GPU."""
    if uses_triton(x.device):
        from unmask_kernels.layers.gpu import quantized_rows

        return quantized_rows.rms_norm(x, weight, eps, grouped=grouped)
    return quantize_rows(rms_norm(x, weight, eps), grouped=grouped)


def qk_norm_rope_store(
    heads: Tensor,
    norm_weights: Tensor | None,
    eps: float,
    cos: Tensor,
    sin: Tensor,
    key_pages: Tensor,
    value_pages: Tensor,
    slots: Tensor,
    *,
    key_scales: Tensor | None = None,
    value_scales: Tensor | None = None,
    key_is_value: bool = False,
) -> Tensor:
    """QK norm and RoPE of the heads of a projection; stores keys and values, returns queries.

    `heads` [T, H + 2 Hkv, D] are queries, keys and values. With `key_is_value` they are
    [T, H + Hkv, D], and values are the projected keys (Gemma 4). `norm_weights` is [H + Hkv, D], or
    [H + 2 Hkv, D] to normalise values as well, which are never rotated. `cos` and `sin` are
    [T, 1, D / 2], contiguous; pages are [N, page, Hkv, D], of 8 bits if there are scales [Hkv], and
    `slots` [T] are indices into the slots of all pages. Returns [T, H, D].
    """
    num_kv_heads = key_pages.shape[2]
    num_rotated = heads.shape[1] - (0 if key_is_value else num_kv_heads)
    if key_pages.shape != value_pages.shape or key_pages.shape[3] != heads.shape[2]:
        raise ValueError(f"pages {tuple(key_pages.shape)} do not fit heads {tuple(heads.shape)}")
    num_norms = num_rotated if norm_weights is None else len(norm_weights)
    if num_norms not in (num_rotated, num_rotated + num_kv_heads):
        raise ValueError(f"{num_norms} norms for {heads.shape[1]} heads")
    if uses_triton(heads.device):
        from unmask_kernels.layers.gpu import layers

        return layers.qk_norm_rope_store(
            heads,
            norm_weights,
            eps,
            cos,
            sin,
            key_pages,
            value_pages,
            slots,
            key_scales,
            value_scales,
            key_is_value,
        )
    norms_dtype = heads.dtype if norm_weights is None else norm_weights.dtype
    is_one_dtype = heads.dtype is key_pages.dtype is cos.dtype is norms_dtype
    if is_one_dtype and uses_native(heads) and not key_is_value:
        return native.qk_norm_rope_store(
            heads, norm_weights, eps, cos, sin, key_pages, value_pages, slots
        )
    rotated, values = heads[:, :num_rotated], heads[:, -num_kv_heads:]
    if norm_weights is not None:
        rotated = reference.rms_norm(rotated, norm_weights[:num_rotated], eps)
        if num_norms > num_rotated:
            values = reference.rms_norm(values, norm_weights[num_rotated:], eps)
    rotated = reference.rotary(rotated, cos, sin)
    keys = rotated[:, num_rotated - num_kv_heads :]
    if key_scales is not None and value_scales is not None:
        keys = _saturated(keys.float() / key_scales[:, None], key_pages.dtype)
        values = _saturated(values.float() / value_scales[:, None], value_pages.dtype)
    reference.kv_store(keys, values, key_pages, value_pages, slots)
    return rotated[:, : num_rotated - num_kv_heads]


def _saturated(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Cast to 8 bits; out-of-range numbers become the largest, as on a GPU."""
    limit = torch.finfo(dtype).max
    return x.clamp(-limit, limit).to(dtype)


def swiglu(gate_up: Tensor) -> Tensor:
    """silu(gate) * up (Shazeer, 2020) of rows [M, 2 N], gate columns before up columns."""
    if uses_triton(gate_up.device):
        from unmask_kernels.layers.gpu import layers

        return layers.swiglu(gate_up)
    gate, up = torch.chunk(gate_up, 2, 1)
    return reference.swiglu(gate, up)


def geglu(gate_up: Tensor) -> Tensor:
    """gelu(gate) * up, with the tanh approximation (Shazeer, 2020); see `swiglu`."""
    if uses_triton(gate_up.device):
        from unmask_kernels.layers.gpu import layers

        return layers.geglu(gate_up)
    gate, up = torch.chunk(gate_up, 2, 1)
    return reference.geglu(gate, up)


def activated(x: Tensor, activation: Activation) -> Tensor:
    """SiLU of `x`, or GELU with the tanh approximation."""
    return F.silu(x) if activation == "silu" else F.gelu(x, approximate="tanh")


def gated(gate_up: Tensor, activation: Activation) -> Tensor:
    """`swiglu` or `geglu` of rows [M, 2 N]."""
    return swiglu(gate_up) if activation == "silu" else geglu(gate_up)


def gated_quantized(
    gate_up: Tensor, activation: Activation, *, grouped: bool = False
) -> QuantizedRows:
    """`gated`, then `quantize_rows` of rows [M, N]; one pass on a GPU."""
    if uses_triton(gate_up.device):
        from unmask_kernels.layers.gpu import quantized_rows

        return quantized_rows.gated(gate_up, activation, grouped=grouped)
    return quantize_rows(gated(gate_up, activation), grouped=grouped)
