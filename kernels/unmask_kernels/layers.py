"""What lies between a layer's matrix products, on whatever device they are."""

import torch
from torch import Tensor

from unmask_kernels import reference
from unmask_kernels.dispatch import uses_triton


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Root-mean-square norm of rows [M, C] (Zhang and Sennrich, 2019), in float32 inside."""
    if x.ndim != 2 or weight.shape != x.shape[1:]:
        raise ValueError(f"a weight {tuple(weight.shape)} does not fit rows {tuple(x.shape)}")
    if uses_triton(x.device):
        from unmask_kernels.gpu import layers

        return layers.rms_norm(x, weight, eps)
    return reference.rms_norm(x, weight, eps)


def place_heads(
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
) -> Tensor:
    """Normalise and rotate the heads of a projection, store keys and values, return the queries.

    `heads` [T, H + 2 Hkv, D] are queries, keys and values; `norm_weights` [H + Hkv, D] one row for
    each that is normalised; `cos` and `sin` are [T, 1, D / 2], contiguous; pages are
    [N, page, Hkv, D], of 8 bits where there are scales [Hkv], and `slots` [T] number the slots of
    all pages. Returns [T, H, D].
    """
    num_kv_heads = key_pages.shape[2]
    if key_pages.shape != value_pages.shape or key_pages.shape[3] != heads.shape[2]:
        raise ValueError(f"pages {tuple(key_pages.shape)} do not fit heads {tuple(heads.shape)}")
    if norm_weights is not None and len(norm_weights) != heads.shape[1] - num_kv_heads:
        raise ValueError(f"{len(norm_weights)} norms for {heads.shape[1]} heads")
    if uses_triton(heads.device):
        from unmask_kernels.gpu import layers

        return layers.place_heads(
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
        )
    num_rotated = heads.shape[1] - num_kv_heads
    rotated, values = heads[:, :num_rotated], heads[:, num_rotated:]
    if norm_weights is not None:
        rotated = reference.rms_norm(rotated, norm_weights, eps)
    rotated = reference.rotary(rotated, cos, sin)
    keys = rotated[:, num_rotated - num_kv_heads :]
    if key_scales is not None and value_scales is not None:
        keys = (keys.float() / key_scales[:, None]).to(key_pages.dtype)
        values = (values.float() / value_scales[:, None]).to(value_pages.dtype)
    reference.kv_store(keys, values, key_pages, value_pages, slots)
    return rotated[:, : num_rotated - num_kv_heads]


def swiglu(both: Tensor) -> Tensor:
    """silu(gate) * up (Shazeer, 2020) of rows [M, 2 N], the gate's columns before the other's."""
    if uses_triton(both.device):
        from unmask_kernels.gpu import layers

        return layers.swiglu(both)
    gate, up = torch.chunk(both, 2, 1)
    return reference.swiglu(gate, up)
