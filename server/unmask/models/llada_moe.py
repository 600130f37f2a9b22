"""LLaDA-MoE (7B-A1B): experts by softmax, normalised heads, the whole sequence seen."""

from functools import partial

from unmask.errors import InvalidCheckpoint
from unmask.models.accepted import Accepted, check_fields
from unmask.models.decoder import Decoder, Mlp
from unmask.models.family import Family, RawConfig, Traits
from unmask.models.moe import MoeMlp, take_experts, take_router
from unmask.models.qwen import build_decoder
from unmask.models.weights import Weights
from unmask_kernels.experts import route_softmax

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


def build(raw: RawConfig, weights: Weights, num_positions: int) -> Decoder:
    """The model of a checkpoint; raises `InvalidCheckpoint`."""
    check_fields(raw, ACCEPTED)
    if not all(raw["moe_layer_freq"]):
        raise InvalidCheckpoint("moe_layer_freq with dense layers is not supported")
    outer, inner = raw["hidden_size"], raw["expert_intermediate_size"]
    num_experts = raw["num_experts"]

    route = partial(route_softmax, top=raw["num_experts_per_tok"], renormalise=False)

    def take_mlp(weights: Weights, prefix: str) -> Mlp:
        shape = num_experts, outer
        router = take_router(weights, f"{prefix}mlp.gate.weight", shape, weights.dtype)
        own = take_experts(weights, f"{prefix}mlp.experts.", num_experts, outer, inner)
        return MoeMlp(router, weights.dtype, route, own)

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


FAMILY = Family(
    "llada-moe",
    ("LLaDAMoEModelLM",),
    traits,
    build,
    verified="logits to 1e-4, of a second implementation in the tests; not of the authors' code",
)
