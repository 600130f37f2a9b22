"""Rows of layers that a noise level modulates."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Modulation:
    """Scale, shift and gate of each layer for G groups of rows."""

    tables: Tensor  # [layers, G, 3 C]
    groups: Tensor  # [M] int64, the group of each row


@dataclass(frozen=True, slots=True)
class Entered:
    """Rows [M, C] at the door of a layer."""

    x: Tensor  # as they were
    inner: Tensor  # scaled and shifted
    normed: Tensor  # `inner` under the layer's first norm
