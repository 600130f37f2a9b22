"""LLaDA (8B, 1.5), UltraLLaDA: OLMo-style decoder with full attention (Nie et al., 2025)."""

from unmask.errors import InvalidCheckpoint
from unmask.models.config_fields import ConfigFields
from unmask.models.d3llm import d3llm_presets
from unmask.models.decoder import Decoder, DecoderConfig, Layer, take_gated_mlp, take_qkv
from unmask.models.family import Family, Presets, RawConfig, Traits
from unmask.models.rope import Rope, plain_rope
from unmask.models.weights import Weights

MASK_TOKEN_ID = 126336
BLOCK_LENGTH = 32
END_TOKENS = ("<|eot_id|>",)  # ends a turn; config.json does not name it
FIELDS = ConfigFields(
    read=frozenset(
        (
            *("d_model", "embedding_size", "include_qkv_bias", "max_sequence_length"),
            *("mlp_hidden_size", "mlp_ratio", "multi_query_attention", "n_heads", "n_kv_heads"),
            *("n_layers", "rms_norm_eps", "rope_theta", "weight_tying"),
        )
    ),
    harmless=frozenset(
        (
            *("alibi_bias_max", "attention_layer_norm_with_affine", "flash_attention"),
            *("init_cutoff_factor", "init_device", "init_fn", "init_std", "precision"),
            # Angles are computed in float32; LLaDA ties by `weight_tying`.
            *("rope_full_precision", "tie_word_embeddings", "train_max_sequence_length"),
        )
    ),
    accepted={
        "activation_type": ("silu",),
        "alibi": (False,),
        "attention_layer_norm": (False,),
        "bias_for_layer_norm": (False,),
        "block_group_size": (1,),
        "block_type": ("llama",),
        "clip_qkv": (),
        "include_bias": (False,),
        "input_emb_norm": (False,),
        "layer_norm_type": ("rms",),
        "layer_norm_with_affine": (True,),
        "rope": (True,),
        "scale_logits": (False,),
        "sliding_window": (False,),
    },
    nested={
        "rope_scaling": ConfigFields(
            read=frozenset(("factor",)),
            harmless=frozenset(("original_max_position_embeddings",)),
            accepted={
                "attention_factor": (1,),
                "rope_type": ("default", "ntk"),
                "type": ("default", "ntk"),
            },
        )
    },
)


def read_config(raw: RawConfig) -> DecoderConfig:
    num_heads = raw["n_heads"]
    head_dim = raw["d_model"] // num_heads
    num_kv_heads = raw.get("n_kv_heads") or (1 if raw.get("multi_query_attention") else num_heads)
    return DecoderConfig(
        vocab_size=_num_embeddings(raw) or raw["vocab_size"],
        hidden_size=raw["d_model"],
        num_layers=raw["n_layers"],
        num_heads=num_heads,
        num_kv_heads=num_kv_heads,
        head_dim=head_dim,
        rms_norm_eps=raw["rms_norm_eps"],
        rope=_rope(raw, head_dim),
        tied=raw.get("weight_tying"),
    )


def _rope(raw: RawConfig, head_dim: int) -> Rope:
    """RoPE with a base that NTK scaling multiplies by its factor (UltraLLaDA; He et al., 2025).

    Raises `InvalidCheckpoint` for a factor without that type.
    """
    fields = raw.get("rope_scaling") or {}
    factor = fields.get("factor")
    is_scaled = "ntk" in (fields.get("rope_type"), fields.get("type"))
    if (factor is None) if is_scaled else factor not in (None, 1):
        raise InvalidCheckpoint(
            f"config.json: rope_scaling of type ntk and a factor belong together, got {fields}"
        )
    return plain_rope(raw["rope_theta"] * (factor or 1), head_dim)


def _num_embeddings(raw: RawConfig) -> int | None:
    """Rows of the embedding, if it is padded beyond the vocabulary."""
    return raw.get("embedding_size")


def build(raw: RawConfig, weights: Weights, num_positions: int) -> Decoder:
    config = read_config(raw)
    inner = raw.get("mlp_hidden_size") or raw["mlp_ratio"] * config.hidden_size

    def layer(weights: Weights, index: int) -> Layer:
        prefix = f"model.transformer.blocks.{index}."
        names = f"{prefix}q_proj", f"{prefix}k_proj", f"{prefix}v_proj"
        mlp = f"{prefix}ff_proj.weight", f"{prefix}up_proj.weight", f"{prefix}ff_out.weight"
        return Layer(
            input_norm=weights.take(f"{prefix}attn_norm.weight", (config.hidden_size,)),
            qkv=take_qkv(weights, config, names, bias=bool(raw.get("include_qkv_bias"))),
            qk_norm=None,
            out=weights.take_linear([f"{prefix}attn_out"], [config.hidden_size], config.num_qkv[0]),
            post_norm=weights.take(f"{prefix}ff_norm.weight", (config.hidden_size,)),
            mlp=take_gated_mlp(weights, config.hidden_size, inner, mlp),
        )

    return Decoder(
        config,
        weights,
        num_positions,
        embedding="model.transformer.wte.weight",
        norm="model.transformer.ln_f.weight",
        head="model.transformer.ff_out.weight",
        layer=layer,
    )


def traits(raw: RawConfig) -> Traits:
    """Full attention; embeddings may be padded beyond the vocabulary."""
    return Traits(
        "full",
        mask_token_id=MASK_TOKEN_ID,
        block_length=BLOCK_LENGTH,
        max_positions=raw.get("max_sequence_length"),
        vocab_size=_num_embeddings(raw),
        end_tokens=END_TOKENS,
        fills_best=True,
    )


def presets(_raw: RawConfig, name: str) -> Presets:
    """Settings of d3LLM-LLaDA, for a name that is its."""
    return d3llm_presets(name, shift=False)


FAMILY = Family(
    "llada",
    ("LLaDAModelLM",),
    traits,
    build,
    FIELDS,
    verified="logits to 1e-4 and tokens exactly, of LLaDA's and Fast-dLLM's code on a tiny random "
    "checkpoint",
    model_types=("llada",),
    presets=presets,
    block_attention="prompt_block",
)
