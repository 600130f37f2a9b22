"""Constants and stacked weights of experts."""

from dataclasses import dataclass

from torch import Tensor

PER_OUTPUT_NDIM = 2  # of scales [E, N]; those of groups of inputs are [E, N, G]
INNER_GROUP = 64  # activations between up and down that share a scale


@dataclass(frozen=True, slots=True)
class Stacked:
    """Weights of all experts, gate before up; 8-bit ones with scales."""

    gate_up: Tensor  # [E, 2 I, C]
    down: Tensor  # [E, C, I]
    gate_up_scales: Tensor | None = None  # [E, 2 I] or [E, 2 I, G]
    down_scales: Tensor | None = None  # [E, C] or [E, C, G]
