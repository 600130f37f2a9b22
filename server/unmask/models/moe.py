"""Mixture-of-experts MLP, and reading its tensors."""

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

EXPERTS, MLX_STACK = "experts.", "switch_mlp."
# Router logits [M, E], and routing blocks [M] if the model has them, to expert ids and top-k
# weights, both [M, K].
Route = Callable[..., tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class MoeMlp:
    """Routed experts, and an optional shared expert for all rows."""

    router: Linear  # [E, C]
    router_dtype: torch.dtype
    route: Route
    experts: Experts
    shared: GatedMlp | None = None

    @property
    def is_invariant(self) -> bool:
        """True if all products are batch-invariant for any number of rows, as the router's is."""
        is_shared_invariant = self.shared is None or self.shared.is_invariant
        return is_shared_invariant and self.experts.takes_quantized_rows

    def add(self, x: Tensor, residual: Tensor, routing_blocks: Tensor | None = None) -> Tensor:
        """Sum [M, C] of the output and of `residual`, which may be overwritten."""
        logits = router_logits(x, self.router, self.router_dtype)
        blocks = () if routing_blocks is None else (routing_blocks,)
        ids, topk_weights = self.route(logits, *blocks)
        rows: Tensor | QuantizedRows = x
        if self.experts.takes_quantized_rows:
            rows = quantize_rows(x, grouped=self.experts.takes_groups)
        if self.shared is not None:
            gated = self.shared.gated
            is_same_format = gated.takes_groups == self.experts.takes_groups
            is_same_format = is_same_format and gated.takes_quantized_rows
            residual = self.shared.add(rows if is_same_format else x, residual)
        return self.experts.add(rows, ids, topk_weights, residual)


def take_router(weights: Weights, name: str, shape: tuple[int, int], dtype: torch.dtype) -> Linear:
    """Router weight [E, C] for rows of `dtype`."""
    return make_linear(weights.take(name, shape).to(dtype))


def take_experts(
    weights: Weights,
    prefix: str,
    num_experts: int,
    hidden_size: int,
    intermediate_size: int,
    activation: Activation = "silu",
) -> Experts:
    """Experts stored as gate, up and down each, such as `{prefix}0.gate_proj.weight`.

    They may be three stacks: `{prefix}gate_proj` [E, I, C], as LLaDA2's training code writes them,
    or MLX's `switch_mlp.gate_proj.weight` beside. Their format is that of linear layers; at most
    one expert is in memory twice.
    """
    up_shape, down_shape = (intermediate_size, hidden_size), (hidden_size, intermediate_size)
    shapes = {"gate": up_shape, "up": up_shape, "down": down_shape}
    experts_of = {
        part: [f"{prefix}{expert}.{part}_proj.weight" for expert in range(num_experts)]
        for part in shapes
    }
    of_mlx = f"{prefix.removesuffix(EXPERTS)}{MLX_STACK}"
    for stack, last in ((of_mlx, "_proj.weight"), (prefix, "_proj")):
        if any(weights.has(f"{stack}{part}{last}") for part in shapes):
            for part, shape in shapes.items():
                name = f"{stack}{part}{last}"
                weights.split(name, (num_experts, *shape), experts_of[part])
    names = [name for triple in zip(*experts_of.values(), strict=True) for name in triple]
    matrices = weights.take_matrices(names, list(shapes.values()) * num_experts)
    # One iterator three times: groups of gate, up and down.
    triples = zip(matrices, matrices, matrices, strict=True)
    experts = gather_experts(triples, num_experts, activation)
    weights.record_experts(experts.num_bytes)
    return experts


def take_stacked_experts(
    weights: Weights,
    prefix: str,
    num_experts: int,
    hidden_size: int,
    intermediate_size: int,
    activation: Activation = "silu",
) -> Experts:
    """Experts stacked as `{prefix}gate_up_proj` [E, 2 I, C] and `{prefix}down_proj` [E, C, I].

    Falls back to the names of `take_experts`.
    """
    sizes = num_experts, hidden_size, intermediate_size
    if weights.has(f"{prefix}0.gate_proj.weight"):
        return take_experts(weights, prefix, *sizes, activation)
    gate_up_shape = 2 * intermediate_size, hidden_size
    down_shape = hidden_size, intermediate_size
    names = []
    for part, shape in (("gate_up_proj", gate_up_shape), ("down_proj", down_shape)):
        expert_names = [f"{prefix}{expert}.{part}" for expert in range(num_experts)]
        stack = f"{prefix}{part}"
        stack += "" if weights.has(stack) or not weights.has(f"{stack}.weight") else ".weight"
        weights.split(stack, (num_experts, *shape), expert_names)
        names.append(expert_names)
    pairs = [name for pair in zip(*names, strict=True) for name in pair]
    matrices = weights.take_matrices(pairs, [gate_up_shape, down_shape] * num_experts)
    triples = ((*halves(gate_up), down) for gate_up, down in zip(matrices, matrices, strict=True))
    experts = gather_experts(triples, num_experts, activation)
    weights.record_experts(experts.num_bytes)
    return experts
