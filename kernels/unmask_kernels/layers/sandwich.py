"""Gemma's sandwich norms around attention and feed-forward layers, with residuals and scales.

Each function is one pass over its rows on a GPU, with the bits of the unfused operations.
"""

from collections.abc import Sequence

from torch import Tensor

from unmask_kernels.dispatch import uses_triton
from unmask_kernels.layers.ops import rms_norm, rms_norm_quantized
from unmask_kernels.quantization.types import QuantizedRows


def add_attention(
    x: Tensor,
    mixed: Tensor,
    post_norm: Tensor,
    norms: Tensor,
    eps: float,
    quantized: Sequence[bool] | None = None,
) -> tuple[Tensor, Sequence[Tensor | QuantizedRows]]:
    """`x` [M, C] plus the norm of attention's `mixed` [M, C]; then each of `norms` [K, C] of it.

    Results of the norms marked in `quantized` are those of `rms_norm_quantized`.
    """
    _check(x, (mixed,), (post_norm, *norms))
    if quantized is None:
        quantized = (False,) * len(norms)
    if uses_triton(x.device):
        from unmask_kernels.layers.gpu import sandwich

        return sandwich.add_attention(x, mixed, post_norm, norms, eps, quantized)
    x = x + rms_norm(mixed, post_norm, eps)
    return x, [
        _norm(x, norm, eps, is_quantized)
        for norm, is_quantized in zip(norms, quantized, strict=True)
    ]


def add_feed_forward(
    x: Tensor,
    dense: Tensor,
    mixed: Tensor,
    post_norms: Tensor,
    factors: Tensor,
    next_norm: Tensor | None,
    eps: float,
    *,
    quantized: bool = False,
) -> tuple[Tensor, Tensor | QuantizedRows | None]:
    """Add the results of a dense MLP and of parallel experts to `x` [M, C].

    `post_norms` [3, C] are those of `dense` [M, C], of the experts' `mixed` [M, C] and of their
    sum. A row is then multiplied by its factor, [M, 1] or one for all. Returns rows, and the
    `next_norm` [C] of them, which the last layer does not have, `quantized` on request.
    """
    _check(x, (dense, mixed), (*post_norms, post_norms[0] if next_norm is None else next_norm))
    if len(factors) not in (1, len(x)):
        raise ValueError(f"{len(factors)} factors for {len(x)} rows")
    if uses_triton(x.device):
        from unmask_kernels.layers.gpu import sandwich

        return sandwich.add_feed_forward(
            x, dense, mixed, post_norms, factors, next_norm, eps, quantized
        )
    total = rms_norm(dense, post_norms[0], eps) + rms_norm(mixed, post_norms[1], eps)
    x = (x + rms_norm(total, post_norms[2], eps)) * factors
    return x, None if next_norm is None else _norm(x, next_norm, eps, quantized)


def _norm(x: Tensor, norm: Tensor, eps: float, quantized: bool) -> Tensor | QuantizedRows:
    return rms_norm_quantized(x, norm, eps) if quantized else rms_norm(x, norm, eps)


def _check(x: Tensor, others: Sequence[Tensor], norms: Sequence[Tensor]) -> None:
    for other in others:
        if other.shape != x.shape or other.dtype != x.dtype:
            raise ValueError(f"rows {tuple(other.shape)} do not fit rows {tuple(x.shape)}")
    for norm in norms:
        if norm.shape != x.shape[1:]:
            raise ValueError(f"a norm {tuple(norm.shape)} does not fit rows {tuple(x.shape)}")
