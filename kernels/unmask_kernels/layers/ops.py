"""What lies between a layer's matrix products, on whatever device they are."""

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
    """`rms_norm` of rows [M, C], quantized as `quantize_rows` does; in one pass on a GPU."""
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
    """Normalise and rotate the heads of a projection, store keys and values, return the queries.

    `heads` [T, H + 2 Hkv, D] are queries, keys and values, or [T, H + Hkv, D] where `key_is_value`:
    values are then the keys as they were projected (Gemma 4). `norm_weights` [H + Hkv, D] has one
    row for each that is normalised; where it has [H + 2 Hkv, D], values are too, but not rotated.
    `cos` and `sin` are [T, 1, D / 2], contiguous; pages are [N, page, Hkv, D], of 8 bits where
    there are scales [Hkv], and `slots` [T] number the slots of all pages. Returns [T, H, D].
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
        keys = _narrowed(keys.float() / key_scales[:, None], key_pages.dtype)
        values = _narrowed(values.float() / value_scales[:, None], value_pages.dtype)
    reference.kv_store(keys, values, key_pages, value_pages, slots)
    return rotated[:, : num_rotated - num_kv_heads]


def _narrowed(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Numbers of 8 bits, the largest there is where one is out of range, as a GPU has it."""
    limit = torch.finfo(dtype).max
    return x.clamp(-limit, limit).to(dtype)


def swiglu(both: Tensor) -> Tensor:
    """silu(gate) * up (Shazeer, 2020) of rows [M, 2 N], the gate's columns before the other's."""
    if uses_triton(both.device):
        from unmask_kernels.layers.gpu import layers

        return layers.swiglu(both)
    gate, up = torch.chunk(both, 2, 1)
    return reference.swiglu(gate, up)


def geglu(both: Tensor) -> Tensor:
    """gelu(gate) * up as `swiglu`, the GELU by its hyperbolic tangent (Shazeer, 2020)."""
    if uses_triton(both.device):
        from unmask_kernels.layers.gpu import layers

        return layers.geglu(both)
    gate, up = torch.chunk(both, 2, 1)
    return reference.geglu(gate, up)


def activated(x: Tensor, activation: Activation) -> Tensor:
    """`x` through SiLU, or GELU by its hyperbolic tangent."""
    return F.silu(x) if activation == "silu" else F.gelu(x, approximate="tanh")


def gated(both: Tensor, activation: Activation) -> Tensor:
    """`swiglu` or `geglu` of rows [M, 2 N]."""
    return swiglu(both) if activation == "silu" else geglu(both)


def gated_quantized(
    both: Tensor, activation: Activation, *, grouped: bool = False
) -> QuantizedRows:
    """`gated` rows [M, N], quantized as `quantize_rows` does; in one pass on a GPU."""
    if uses_triton(both.device):
        from unmask_kernels.layers.gpu import quantized_rows

        return quantized_rows.gated(both, activation, grouped=grouped)
    return quantize_rows(gated(both, activation), grouped=grouped)
