"""Norms, RoPE and KV writes by the C kernels of `layers.c`, all tensors of one dtype."""

import torch
from torch import Tensor

from unmask_kernels.native.library import address, kernels
from unmask_kernels.native.threads import get_num_threads


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Implements `unmask_kernels.layers.ops.rms_norm`."""
    native = kernels(x.dtype)
    x, weight = x.contiguous(), weight.contiguous()
    out = torch.empty_like(x)
    native.rms_norm(
        x.data_ptr(), weight.data_ptr(), out.data_ptr(), *x.shape, eps, get_num_threads()
    )
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
) -> Tensor:
    """Implements `unmask_kernels.layers.ops.qk_norm_rope_store`, without scales."""
    native = kernels(heads.dtype)
    num_rows, num_heads, head_dim = heads.shape
    num_kv_heads = key_pages.shape[2]
    num_queries = num_heads - 2 * num_kv_heads
    assert key_pages.is_contiguous()
    assert value_pages.is_contiguous()
    heads, cos, sin, slots = (x.contiguous() for x in (heads, cos, sin, slots))
    norms = None if norm_weights is None else norm_weights.contiguous()
    queries = heads.new_empty(num_rows, num_queries, head_dim)
    native.qk_norm_rope_store(
        heads.data_ptr(),
        address(norms),
        0 if norms is None else len(norms),
        eps,
        cos.data_ptr(),
        sin.data_ptr(),
        key_pages.data_ptr(),
        value_pages.data_ptr(),
        slots.data_ptr(),
        queries.data_ptr(),
        num_rows,
        num_queries,
        num_kv_heads,
        head_dim,
        get_num_threads(),
    )
    return queries
