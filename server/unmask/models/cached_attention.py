"""Attention of a layer over the KV cache: the same two steps in every model."""

from torch import Tensor

from unmask.models.inputs import ForwardInputs
from unmask_kernels.attention.ops import attention
from unmask_kernels.layers.ops import qk_norm_rope_store


def store_heads(
    step: ForwardInputs,
    index: int,
    heads: Tensor,
    norms: Tensor | None,
    eps: float,
    cos_sin: tuple[Tensor, Tensor],
    *,
    key_is_value: bool = False,
) -> Tensor:
    """Queries [T, H, D] of `heads` [T, H + 2 Hkv, D], whose keys and values go to the cache.

    `index` counts the layers with attention; see `unmask_kernels.layers.ops.qk_norm_rope_store`.
    """
    scales = step.cache.scales[index]
    return qk_norm_rope_store(
        heads,
        norms,
        eps,
        *cos_sin,
        step.cache.keys[index],
        step.cache.values[index],
        step.slots,
        key_scales=scales,
        value_scales=scales,
        key_is_value=key_is_value,
    )


def attend(step: ForwardInputs, index: int, query: Tensor, scale: float) -> Tensor:
    """Mixed values [T, H, D] of queries [T, H, D] over what their rows see in the cache."""
    scales = step.cache.scales[index]
    return attention(
        query,
        step.cache.keys[index],
        step.cache.values[index],
        step.plans[index],
        scale,
        key_scales=scales,
        value_scales=scales,
    )
