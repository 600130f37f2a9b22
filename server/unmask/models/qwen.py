"""Layers and tensor names of Qwen2, Qwen3 and Llama, shared by several families."""

from collections.abc import Callable

from unmask.errors import InvalidCheckpoint
from unmask.models.config_fields import ConfigFields
from unmask.models.decoder import (
    Decoder,
    DecoderConfig,
    Layer,
    Mlp,
    take_gated_mlp,
    take_qk_norm,
    take_qkv,
)
from unmask.models.family import RawConfig
from unmask.models.rope import FIELDS as ROPE_FIELDS
from unmask.models.rope import read_query_scale, read_rope
from unmask.models.weights import Weights

FIELDS = ConfigFields(
    read=frozenset(
        (
            *("head_dim", "hidden_size", "intermediate_size", "layer_types"),
            *("max_position_embeddings", "num_attention_heads", "num_hidden_layers"),
            *("num_key_value_heads", "partial_rotary_factor", "rms_norm_eps", "rope_theta"),
            "tie_word_embeddings",
        )
    ),
    harmless=frozenset(("max_window_layers", "sliding_window")),  # `use_sliding_window` is refused
    accepted={
        "hidden_act": ("silu",),
        "mlp_bias": (False,),
        "rope_parameters": (False, {}),
        "rope_scaling": (False, {}),
        "use_mrope": (False,),
        "use_sliding_window": (False,),
        "clip_qkv": (),
    },
    nested={"rope_parameters": ROPE_FIELDS, "rope_scaling": ROPE_FIELDS},
)

TakeMlp = Callable[[Weights, str, int], Mlp]  # of weights, a layer's prefix and its index


def read_config(raw: RawConfig) -> DecoderConfig:
    for kind in raw.get("layer_types") or ():
        if kind != "full_attention":
            raise InvalidCheckpoint(f"layer_types with {kind} is not supported")
    head_dim = raw.get("head_dim") or raw["hidden_size"] // raw["num_attention_heads"]
    return DecoderConfig(
        vocab_size=raw["vocab_size"],
        hidden_size=raw["hidden_size"],
        num_layers=raw["num_hidden_layers"],
        num_heads=raw["num_attention_heads"],
        num_kv_heads=raw.get("num_key_value_heads") or raw["num_attention_heads"],
        head_dim=head_dim,
        rms_norm_eps=raw["rms_norm_eps"],
        rope=read_rope(raw, head_dim),
        tied=raw.get("tie_word_embeddings"),
        query_scale=read_query_scale(raw),
    )


def dense(raw: RawConfig) -> TakeMlp:

    def take(weights: Weights, prefix: str, _index: int) -> Mlp:
        mlp = f"{prefix}mlp."
        names = f"{mlp}gate_proj.weight", f"{mlp}up_proj.weight", f"{mlp}down_proj.weight"
        return take_gated_mlp(weights, raw["hidden_size"], raw["intermediate_size"], names)

    return take


def build_decoder(
    raw: RawConfig,
    weights: Weights,
    num_positions: int,
    *,
    take_mlp: TakeMlp,
    qkv_bias: bool = False,
    out_bias: bool = False,
    qk_norm: bool = False,
    root: str = "model.",
    head: str = "lm_head.weight",
) -> Decoder:
    """Decoder from a checkpoint with Qwen's tensor names; raises `InvalidCheckpoint`.

    All names but the head's begin with `root`.
    """
    config = read_config(raw)

    def layer(weights: Weights, index: int) -> Layer:
        prefix = f"{root}layers.{index}."
        attn = f"{prefix}self_attn."
        names = f"{attn}q_proj", f"{attn}k_proj", f"{attn}v_proj"
        norms = f"{attn}q_norm.weight", f"{attn}k_norm.weight"
        return Layer(
            input_norm=weights.take(f"{prefix}input_layernorm.weight", (config.hidden_size,)),
            qkv=take_qkv(weights, config, names, bias=qkv_bias),
            qk_norm=take_qk_norm(weights, config, *norms) if qk_norm else None,
            out=weights.take_linear(
                [f"{attn}o_proj"], [config.hidden_size], config.num_qkv[0], bias=out_bias
            ),
            post_norm=weights.take(
                f"{prefix}post_attention_layernorm.weight", (config.hidden_size,)
            ),
            mlp=take_mlp(weights, prefix, index),
        )

    return Decoder(
        config,
        weights,
        num_positions,
        embedding=f"{root}embed_tokens.weight",
        norm=f"{root}norm.weight",
        head=head,
        layer=layer,
    )
