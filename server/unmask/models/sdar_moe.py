"""SDAR with experts: Qwen3-MoE with block-causal attention."""

from functools import partial

from unmask.errors import InvalidCheckpoint
from unmask.models import sdar
from unmask.models.decoder import (
    Decoder,
    DecoderConfig,
    Layer,
    Mlp,
    take_gated_mlp,
    take_qk_norm,
    take_qkv,
)
from unmask.models.family import Family, RawConfig
from unmask.models.moe import MoeMlp, take_experts, take_router
from unmask.models.weights import Weights
from unmask_kernels.experts import route_softmax


def build(raw: RawConfig, weights: Weights, num_positions: int) -> Decoder:
    """The model of a checkpoint; raises `InvalidCheckpoint`."""
    for name, served in (("attention_bias", False), ("hidden_act", "silu")):
        if raw.get(name, served) != served:
            raise InvalidCheckpoint(f"{name} {raw[name]!r} is not supported for SDAR-MoE")
    config = sdar.read_config(raw)
    return Decoder(
        config,
        weights,
        num_positions,
        embedding="model.embed_tokens.weight",
        norm="model.norm.weight",
        head="lm_head.weight",
        layer=partial(_layer, raw, config),
    )


def _layer(raw: RawConfig, config: DecoderConfig, weights: Weights, index: int) -> Layer:
    prefix, hidden = f"model.layers.{index}.", config.hidden_size
    attn = f"{prefix}self_attn."
    names = f"{attn}q_proj", f"{attn}k_proj", f"{attn}v_proj"
    return Layer(
        input_norm=weights.take(f"{prefix}input_layernorm.weight", (hidden,)),
        qkv=take_qkv(weights, config, names),
        qk_norm=take_qk_norm(weights, config, f"{attn}q_norm.weight", f"{attn}k_norm.weight"),
        out=weights.take_linear([f"{attn}o_proj"], [hidden], config.num_qkv[0]),
        post_norm=weights.take(f"{prefix}post_attention_layernorm.weight", (hidden,)),
        mlp=(_sparse if is_sparse(raw, index) else _dense)(raw, weights, f"{prefix}mlp."),
    )


def is_sparse(raw: RawConfig, index: int) -> bool:
    """Whether a layer has experts, as Qwen3-MoE counts them."""
    if index in (raw.get("mlp_only_layers") or ()) or not raw["num_experts"]:
        return False
    return bool((index + 1) % raw.get("decoder_sparse_step", 1) == 0)


def _dense(raw: RawConfig, weights: Weights, prefix: str) -> Mlp:
    names = f"{prefix}gate_proj.weight", f"{prefix}up_proj.weight", f"{prefix}down_proj.weight"
    return take_gated_mlp(weights, raw["hidden_size"], raw["intermediate_size"], names)


def _sparse(raw: RawConfig, weights: Weights, prefix: str) -> Mlp:
    num_experts, hidden = raw["num_experts"], raw["hidden_size"]
    inner = raw["moe_intermediate_size"]
    return MoeMlp(
        # The reference computes logits in the dtype of the weights and their softmax in float32.
        router=take_router(weights, f"{prefix}gate.weight", (num_experts, hidden), weights.dtype),
        router_dtype=weights.dtype,
        route=partial(
            route_softmax, top=raw["num_experts_per_tok"], renormalise=raw["norm_topk_prob"]
        ),
        experts=take_experts(weights, f"{prefix}experts.", num_experts, hidden, inner),
    )


FAMILY = Family(
    "sdar-moe",
    ("SDARMoeForCausalLM",),
    sdar.traits,
    build,
    verified="logits to 1e-4, of a second implementation in the tests; not of the authors' code",
)
