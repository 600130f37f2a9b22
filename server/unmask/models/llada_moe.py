"""LLaDA-MoE (7B-A1B): experts by softmax, normalised heads, the whole sequence seen."""

from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.errors import InvalidCheckpoint
from unmask.models.accepted import Accepted, check_fields
from unmask.models.decoder import Decoder, Mlp
from unmask.models.family import Family, RawConfig, Traits
from unmask.models.qwen import build_decoder
from unmask.models.weights import Weights
from unmask_kernels.experts import experts, route_softmax
from unmask_kernels.linear import Linear, make_linear

MASK_TOKEN_ID = 156895
BLOCK_LENGTH = 32
ACCEPTED: Accepted = {
    "attention_bias": (None, False),
    "moe_router_enable_expert_bias": (None, False),
    "moe_router_score_function": (None, "softmax"),
    "routed_scaling_factor": (None, 1),
    # Ports of the published code do not agree on what this does.
    "norm_topk_prob": (None, False),
    # -2 is what the configuration's class has where groups mean nothing.
    "router_num_group": (None, -2, 0, 1),
    "router_topk_group": (None, -2, 0, 1),
    "shared_expert_intermediate_size": (None, 0),
}


@dataclass(frozen=True, slots=True)
class ExpertMlp:
    """A router and its experts, without any that all rows go through."""

    router: Linear  # [E, C]
    gate_up: Tensor  # [E, 2 I, C]
    down: Tensor  # [E, C, I]
    top: int

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        """Rows [M, C] added to `residual`."""
        ids, shares = route_softmax(self.router(x), self.top, renormalise=False)
        return residual + experts(x, self.gate_up, self.down, ids, shares)


def build(raw: RawConfig, weights: Weights, num_positions: int) -> Decoder:
    """The model of a checkpoint; raises `InvalidCheckpoint`."""
    check_fields(raw, ACCEPTED)
    if not all(raw["moe_layer_freq"]):
        raise InvalidCheckpoint("moe_layer_freq with dense layers is not supported")
    outer, inner = raw["hidden_size"], raw["expert_intermediate_size"]
    num_experts = raw["num_experts"]

    def take_mlp(weights: Weights, prefix: str) -> Mlp:
        dtype, device = weights.dtype, weights.device
        gate_up = torch.empty((num_experts, 2 * inner, outer), dtype=dtype, device=device)
        down = torch.empty((num_experts, outer, inner), dtype=dtype, device=device)
        for i in range(num_experts):
            expert = f"{prefix}mlp.experts.{i}."
            gate_up[i, :inner] = weights.take(f"{expert}gate_proj.weight", (inner, outer))
            gate_up[i, inner:] = weights.take(f"{expert}up_proj.weight", (inner, outer))
            down[i] = weights.take(f"{expert}down_proj.weight", (outer, inner))
        router = make_linear(weights.take(f"{prefix}mlp.gate.weight", (num_experts, outer)))
        return ExpertMlp(router, gate_up, down, raw["num_experts_per_tok"])

    qk_norm = bool(raw.get("qk_layernorm"))
    return build_decoder(raw, weights, num_positions, take_mlp=take_mlp, qk_norm=qk_norm)


def traits(raw: RawConfig) -> Traits:
    """A turn of a conversation ends with a token that the configuration does not name."""
    return Traits(
        "full",
        mask_token_id=MASK_TOKEN_ID,
        block_length=BLOCK_LENGTH,
        end_tokens=("<|role_end|>",),
    )


FAMILY = Family("llada-moe", ("LLaDAMoEModelLM",), traits, build)
