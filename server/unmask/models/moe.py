"""A mixture of experts between a layer's attention and the next layer."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.models.decoder import GatedMlp
from unmask.models.weights import Weights
from unmask_kernels.layers.ops import Activation
from unmask_kernels.linear.ops import Linear, make_linear
from unmask_kernels.moe.ops import Experts, gather_experts, halves
from unmask_kernels.moe.routing import router_logits
from unmask_kernels.quantization.ops import quantize_rows
from unmask_kernels.quantization.types import QuantizedRows

Route = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class MoeMlp:
    """Experts that a router chooses for each row, and one, if any, that every row goes through."""

    router: Linear  # [E, C]
    router_dtype: torch.dtype
    route: Route  # of logits [M, E] makes ids and shares, both [M, K]
    experts: Experts
    shared: GatedMlp | None = None

    @property
    def is_w8a8(self) -> bool:
        """Whether its products are in 8 bits; a router's bits follow no number of rows either."""
        shared = self.shared is None or self.shared.is_w8a8
        return shared and self.experts.takes_quantized_rows

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        """Rows [M, C] added to `residual`, which may be overwritten."""
        ids, shares = self.route(router_logits(x, self.router, self.router_dtype))
        rows: Tensor | QuantizedRows = x
        if self.experts.takes_quantized_rows:
            rows = quantize_rows(x, grouped=self.experts.takes_groups)
        if self.shared is not None:
            gated = self.shared.gated
            takes_them = gated.takes_groups == self.experts.takes_groups
            takes_them = takes_them and gated.takes_quantized_rows
            residual = self.shared.add(rows if takes_them else x, residual)
        return self.experts.add(rows, ids, shares, residual)


def take_router(weights: Weights, name: str, shape: tuple[int, int], dtype: torch.dtype) -> Linear:
    """A router's weight [E, C], to be multiplied with rows of `dtype`."""
    return make_linear(weights.take(name, shape).to(dtype))


def take_experts(
    weights: Weights,
    prefix: str,
    num_experts: int,
    hidden_size: int,
    intermediate_size: int,
    activation: Activation = "silu",
) -> Experts:
    """Experts of three tensors each, `{prefix}{number}.gate_proj.weight` and its like.

    Held as the weights of linear layers are; one expert at a time is in memory twice.
    """
    experts = [f"{prefix}{expert}." for expert in range(num_experts)]
    inward, outward = (intermediate_size, hidden_size), (hidden_size, intermediate_size)
    names = [f"{expert}{own}_proj.weight" for expert in experts for own in ("gate", "up", "down")]
    taken = weights.take_alike(names, [inward, inward, outward] * num_experts)
    # Three calls of one iterator make a group of three.
    held = gather_experts(zip(taken, taken, taken, strict=True), num_experts, activation)
    weights.note_experts(held.num_bytes)
    return held


def take_stacked_experts(
    weights: Weights,
    prefix: str,
    num_experts: int,
    hidden_size: int,
    intermediate_size: int,
    activation: Activation = "silu",
) -> Experts:
    """Experts of two tensors for all, `{prefix}gate_up_proj` [E, 2 I, C] and `down_proj` [E, C, I].

    As `take_experts`, by whose names they are read where a checkpoint has those.
    """
    sizes = num_experts, hidden_size, intermediate_size
    if weights.has(f"{prefix}0.gate_proj.weight"):
        return take_experts(weights, prefix, *sizes, activation)
    both = 2 * intermediate_size, hidden_size
    outward = hidden_size, intermediate_size
    names = []
    for own, shape in (("gate_up_proj", both), ("down_proj", outward)):
        parts = [f"{prefix}{expert}.{own}" for expert in range(num_experts)]
        stored = f"{prefix}{own}"
        stored += "" if weights.has(stored) or not weights.has(f"{stored}.weight") else ".weight"
        weights.split(stored, (num_experts, *shape), parts)
        names.append(parts)
    pairs = [name for pair in zip(*names, strict=True) for name in pair]
    taken = weights.take_alike(pairs, [both, outward] * num_experts)
    each = ((*halves(gate_up), down) for gate_up, down in zip(taken, taken, strict=True))
    held = gather_experts(each, num_experts, activation)
    weights.note_experts(held.num_bytes)
    return held
