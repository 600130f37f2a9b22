"""LLaDA-MoE (7B-A1B): full attention, QK norm, experts routed by softmax."""

from functools import partial

import torch

from unmask.errors import InvalidCheckpoint
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
            # The published code never renormalises top-k weights; the authors' server does if true.
            "norm_topk_prob": (False,),
            # -2 is the default of the configuration's class, without a meaning.
            "router_num_group": (-2, 0, 1),
            "router_topk_group": (-2, 0, 1),
        },
    )
)


def build(raw: RawConfig, weights: Weights, num_positions: int) -> Decoder:
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
    """MLP of a layer: dense if `moe_layer_freq` has a 0 at its index, experts otherwise."""
    hidden, num_experts = raw["hidden_size"], raw["num_experts"]
    mlp, sparse = f"{prefix}mlp.", raw["moe_layer_freq"]
    if len(sparse) != raw["num_hidden_layers"]:
        raise InvalidCheckpoint(
            f"config.json: moe_layer_freq has {len(sparse)} entries for "
            f"{raw['num_hidden_layers']} layers"
        )
    if not sparse[index]:
        return take_gated_mlp(weights, hidden, raw["dense_intermediate_size"], _names(mlp))
    bias = None
    if raw.get("moe_router_enable_expert_bias"):
        bias = weights.take(f"{mlp}expert_bias", (num_experts,), torch.float32)
    shared = raw.get("shared_expert_intermediate_size")
    return MoeMlp(
        router=take_router(weights, f"{mlp}gate.weight", (num_experts, hidden), weights.dtype),
        router_dtype=weights.dtype,
        route=partial(route_softmax, top=raw["num_experts_per_tok"], renormalise=False, bias=bias),
        experts=take_experts(
            weights, f"{mlp}experts.", num_experts, hidden, raw["expert_intermediate_size"]
        ),
        shared=take_gated_mlp(weights, hidden, shared, _names(f"{prefix}shared_expert."))
        if shared
        else None,
    )


def _names(prefix: str) -> tuple[str, str, str]:
    return f"{prefix}gate_proj.weight", f"{prefix}up_proj.weight", f"{prefix}down_proj.weight"


def traits(raw: RawConfig) -> Traits:
    """Full attention; config.json does not name the end-of-turn token."""
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
