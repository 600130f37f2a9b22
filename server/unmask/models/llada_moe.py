"""LLaDA-MoE (7B-A1B): experts by softmax, normalised heads, the whole sequence seen."""

from functools import partial

from unmask.models.config_fields import ConfigFields
from unmask.models.decoder import Decoder, Mlp, take_gated_mlp
from unmask.models.family import Family, RawConfig, Traits
from unmask.models.moe import MoeMlp, take_experts, take_router
from unmask.models.qwen import FIELDS as QWEN_FIELDS
from unmask.models.qwen import build_decoder
from unmask.models.weights import Weights
from unmask_kernels.moe.routing import route_softmax

MASK_TOKEN_ID = 156895
BLOCK_LENGTH = 32
FIELDS = QWEN_FIELDS.joined(
    ConfigFields(
        read=frozenset(
            (
                *("attention_bias", "dense_intermediate_size", "expert_intermediate_size"),
                *("moe_layer_freq", "moe_router_enable_expert_bias", "num_experts"),
                *("num_experts_per_tok", "qk_layernorm", "shared_expert_intermediate_size"),
            )
        ),
        harmless=frozenset(("output_router_logits", "router_aux_loss_coef")),
        accepted={
            "moe_router_score_function": ("softmax",),
            "routed_scaling_factor": (1,),
            # The published code never divides shares by their sum, its authors' server does if
            # told to.
            "norm_topk_prob": (False,),
            # -2 is the default of the configuration's class, without a meaning.
            "router_num_group": (-2, 0, 1),
            "router_topk_group": (-2, 0, 1),
        },
    )
)


def build(raw: RawConfig, weights: Weights, num_positions: int) -> Decoder:
    """The model of a checkpoint; raises `InvalidCheckpoint`."""
    return build_decoder(
        raw,
        weights,
        num_positions,
        take_mlp=partial(_take_mlp, raw),
        qkv_bias=bool(raw.get("attention_bias")),
        out_bias=bool(raw.get("attention_bias")),
        qk_norm=bool(raw.get("qk_layernorm")),
    )


def _take_mlp(raw: RawConfig, weights: Weights, prefix: str, index: int) -> Mlp:
    """The MLP of a layer: one for every row where `moe_layer_freq` has a 0, experts elsewhere."""
    outer, num_experts = raw["hidden_size"], raw["num_experts"]
    own = f"{prefix}mlp."
    if not raw["moe_layer_freq"][index]:
        return take_gated_mlp(weights, outer, raw["dense_intermediate_size"], _names(own))
    bias = None
    if raw.get("moe_router_enable_expert_bias"):
        bias = weights.take(f"{own}expert_bias", (num_experts,)).float()
    shared = raw.get("shared_expert_intermediate_size")
    return MoeMlp(
        router=take_router(weights, f"{own}gate.weight", (num_experts, outer), weights.dtype),
        router_dtype=weights.dtype,
        route=partial(route_softmax, top=raw["num_experts_per_tok"], renormalise=False, bias=bias),
        experts=take_experts(
            weights, f"{own}experts.", num_experts, outer, raw["expert_intermediate_size"]
        ),
        shared=take_gated_mlp(weights, outer, shared, _names(f"{prefix}shared_expert."))
        if shared
        else None,
    )


def _names(prefix: str) -> tuple[str, str, str]:
    return f"{prefix}gate_proj.weight", f"{prefix}up_proj.weight", f"{prefix}down_proj.weight"


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
    ("LLaDAMoEModelLM", "LLaDAMoEModel"),
    traits,
    build,
    FIELDS,
    verified="logits to 1e-4 and tokens exactly, of the published code on tiny random checkpoints",
    model_types=(
        "llada",
        "llada_moe",
    ),
)
