"""Layers whose rows are scaled, shifted and gated by a noise level (adaLN-single).

PixArt-alpha (Chen et al., 2023), after DiT (Peebles and Xie, 2023), around whole layers: a layer
reads `x * (1 + scale) + shift`, and `(1 + gate)` times what it adds to that is added to `x`.
"""

from torch import Tensor

from unmask_kernels.dispatch import uses_triton
from unmask_kernels.layers.ops import rms_norm
from unmask_kernels.layers.types import Entered, Modulation


def enter_layer(x: Tensor, modulation: Modulation, layer: int, norm: Tensor, eps: float) -> Entered:
    """Rows `x` [M, C] that enter the first layer."""
    _check(x, modulation)
    if uses_triton(x.device):
        from unmask_kernels.layers.gpu import modulation as gpu

        return gpu.enter_layer(x, None, modulation, layer, norm, eps)
    return _enter(x, modulation, layer, norm, eps)


def next_layer(
    entered: Entered, out: Tensor, modulation: Modulation, layer: int, norm: Tensor, eps: float
) -> Entered:
    """Rows that leave the layer before `layer`, whose output is `out` [M, C], and enter this one.

    One pass over the rows on a GPU.
    """
    _check(out, modulation)
    if uses_triton(out.device):
        from unmask_kernels.layers.gpu import modulation as gpu

        return gpu.enter_layer(entered.x, (entered.inner, out), modulation, layer, norm, eps)
    x = leave_layer(entered, out, modulation, layer - 1)
    return _enter(x, modulation, layer, norm, eps)


def leave_layer(entered: Entered, out: Tensor, modulation: Modulation, layer: int) -> Tensor:
    """Rows [M, C] after a layer whose output is `out` [M, C]."""
    _check(out, modulation)
    if uses_triton(out.device):
        from unmask_kernels.layers.gpu import modulation as gpu

        return gpu.leave_layer(entered, out, modulation, layer)
    gate = modulation.tables[layer].chunk(3, -1)[2] + 1
    return entered.x + gate[modulation.groups] * (out - entered.inner)


def _enter(x: Tensor, modulation: Modulation, layer: int, norm: Tensor, eps: float) -> Entered:
    scale, shift, _ = modulation.tables[layer].chunk(3, -1)
    inner = x * (1 + scale)[modulation.groups] + shift[modulation.groups]
    return Entered(x, inner, rms_norm(inner, norm, eps))


def _check(x: Tensor, modulation: Modulation) -> None:
    if modulation.groups.shape != x.shape[:1] or modulation.tables.shape[2] != 3 * x.shape[1]:
        raise ValueError(
            f"tables {tuple(modulation.tables.shape)} of {len(modulation.groups)} rows do not fit "
            f"rows {tuple(x.shape)}"
        )
