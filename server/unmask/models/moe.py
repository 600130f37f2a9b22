"""A mixture of experts between a layer's attention and the next layer."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.models.decoder import GatedMlp
from unmask.models.weights import Weights
from unmask_kernels.experts import Experts, gather_experts, score_experts
from unmask_kernels.linear import Linear, make_linear

Route = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class MoeMlp:
    """Experts that a router chooses for each row, and one, if any, that every row goes through."""

    router: Linear  # [E, C]
    router_dtype: torch.dtype
    route: Route  # of logits [M, E] makes ids and shares, both [M, K]
    experts: Experts
    shared: GatedMlp | None = None

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        """Rows [M, C] added to `residual`, which may be overwritten."""
        ids, shares = self.route(score_experts(x.to(self.router_dtype), self.router))
        mixed = self.experts(x, ids, shares)
        if self.shared is not None:
            mixed = self.shared.add(x, mixed)
        return residual.add_(mixed)


def take_router(weights: Weights, name: str, shape: tuple[int, int], dtype: torch.dtype) -> Linear:
    """A router's weight [E, C], to be multiplied with rows of `dtype`."""
    return make_linear(weights.take(name, shape).to(dtype))


def take_experts(
    weights: Weights, prefix: str, num_experts: int, hidden_size: int, intermediate_size: int
) -> Experts:
    """Experts of three tensors each: `{prefix}{number}.gate_proj.weight` and its like."""
    inward = intermediate_size, hidden_size

    def each() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for expert in range(num_experts):
            own = f"{prefix}{expert}."
            yield (
                weights.take(f"{own}gate_proj.weight", inward),
                weights.take(f"{own}up_proj.weight", inward),
                weights.take(f"{own}down_proj.weight", inward[::-1]),
            )

    return gather_experts(each(), num_experts)
