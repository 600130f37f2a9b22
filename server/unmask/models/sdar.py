"""SDAR (dense), TraDo and the embedded model: Qwen3-style, with block-causal attention."""

from unmask.errors import InvalidCheckpoint
from unmask.models.decoder import (
    Decoder,
    DecoderConfig,
    Layer,
    take_gated_mlp,
    take_qk_norm,
    take_qkv,
)
from unmask.models.family import Family, RawConfig, Traits
from unmask.models.weights import Weights


def read_config(raw: RawConfig) -> DecoderConfig:
    """The sizes in a `config.json`; raises `InvalidCheckpoint`."""
    if raw.get("rope_scaling") not in (None, {}) or raw.get("use_sliding_window"):
        raise InvalidCheckpoint("rope_scaling and sliding windows are not supported for SDAR")
    rope = raw.get("rope_parameters") or {}
    return DecoderConfig(
        vocab_size=raw["vocab_size"],
        hidden_size=raw["hidden_size"],
        num_layers=raw["num_hidden_layers"],
        num_heads=raw["num_attention_heads"],
        num_kv_heads=raw["num_key_value_heads"],
        head_dim=raw.get("head_dim") or raw["hidden_size"] // raw["num_attention_heads"],
        rms_norm_eps=raw["rms_norm_eps"],
        rope_theta=raw.get("rope_theta") or rope["rope_theta"],
        tied=raw.get("tie_word_embeddings", False),
    )


def build(raw: RawConfig, weights: Weights, num_positions: int) -> Decoder:
    """The model of a checkpoint."""
    config = read_config(raw)

    def layer(weights: Weights, index: int) -> Layer:
        prefix = f"model.layers.{index}."
        attn, mlp = f"{prefix}self_attn.", f"{prefix}mlp."
        names = f"{attn}q_proj", f"{attn}k_proj", f"{attn}v_proj"
        return Layer(
            input_norm=weights.take(f"{prefix}input_layernorm.weight", (config.hidden_size,)),
            qkv=take_qkv(weights, config, names),
            qk_norm=take_qk_norm(weights, config, f"{attn}q_norm.weight", f"{attn}k_norm.weight"),
            out=weights.take_linear([f"{attn}o_proj"], [config.hidden_size], config.num_qkv[0]),
            post_norm=weights.take(
                f"{prefix}post_attention_layernorm.weight", (config.hidden_size,)
            ),
            mlp=take_gated_mlp(
                weights,
                config.hidden_size,
                raw["intermediate_size"],
                (f"{mlp}gate_proj.weight", f"{mlp}up_proj.weight", f"{mlp}down_proj.weight"),
            ),
        )

    return Decoder(
        config,
        weights,
        num_positions,
        embedding="model.embed_tokens.weight",
        norm="model.norm.weight",
        head="lm_head.weight",
        layer=layer,
    )


def traits(raw: RawConfig) -> Traits:
    """Blocks of the length that the checkpoint was trained with, if it says."""
    return Traits("block_causal", block_length=raw.get("block_size"))


FAMILY = Family(
    "sdar",
    ("SDARForCausalLM",),
    traits,
    build,
    verified="logits to 1e-4 and tokens exactly, of SDAR's own code on a tiny random checkpoint",
)
