"""Text configuration of DiffusionGemma, read from its `config.json`; `vision` reads the rest."""

from dataclasses import dataclass
from typing import Any, Literal

from unmask.errors import InvalidCheckpoint
from unmask.models.config_fields import ConfigFields
from unmask.models.config_values import without_nulls
from unmask.models.family import RawConfig
from unmask.models.kv_cache import LayerShape
from unmask.models.rope import FIELDS as ROPE_FIELDS
from unmask.models.rope import check_used
from unmask_kernels.layers.ops import Activation

Span = Literal["sliding_attention", "full_attention"]

# Defaults of transformers' class, which configurations leave out.
DEFAULT_WINDOW, DEFAULT_FULL_HEAD_DIM, DEFAULT_SOFTCAP = 512, 512, 30.0
DEFAULT_ROPE: dict[Span, dict[str, Any]] = {
    "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
    "full_attention": {
        "rope_type": "proportional",
        "partial_rotary_factor": 0.25,
        "rope_theta": 1_000_000.0,
    },
}
FULL_EVERY = 6
NULL_MEANS_NONE = "final_logit_softcapping", "sliding_window"  # rather than the default
TEXT_FIELDS = ConfigFields(
    read=frozenset(
        (
            *("final_logit_softcapping", "global_head_dim", "head_dim", "hidden_activation"),
            *("hidden_size", "intermediate_size", "layer_types", "max_position_embeddings"),
            *("moe_intermediate_size", "num_attention_heads", "num_experts"),
            *("num_global_key_value_heads", "num_hidden_layers", "num_key_value_heads"),
            *("per_layer_config", "rms_norm_eps", "sliding_window", "top_k_experts"),
        )
    ),
    harmless=frozenset(("tie_word_embeddings", "vocab_size_per_layer_input")),
    accepted={
        "attention_bias": (False,),
        "attention_k_eq_v": (True,),
        "enable_moe_block": (True,),
        "hidden_size_per_layer_input": (0,),
        "num_kv_shared_layers": (0,),
        "use_bidirectional_attention": ("vision",),
        "use_double_wide_mlp": (False,),
    },
    nested={
        "rope_parameters": ConfigFields(
            nested={"sliding_attention": ROPE_FIELDS, "full_attention": ROPE_FIELDS}
        )
    },
)
FIELDS = ConfigFields(
    # Fields of `vision_config` that are not supported keep nobody from text; see `vision`.
    read=frozenset(
        (
            *("boi_token_id", "canvas_length", "eoi_token_id", "image_token_id"),
            *("tie_word_embeddings", "vision_config", "vision_soft_tokens_per_image"),
        )
    ),
    # Audio and video are not supported.
    harmless=frozenset(
        (
            *("audio_config", "audio_token_id", "boa_token_id", "eoa_token_id"),
            *("eoa_token_index", "video_token_id"),
        )
    ),
    nested={"text_config": TEXT_FIELDS},
)
ACTIVATIONS: dict[str, Activation] = {"gelu_pytorch_tanh": "gelu_tanh", "silu": "silu"}


@dataclass(frozen=True, slots=True)
class RopeConfig:
    """RoPE of a layer kind; the first `num_pairs` pairs of a head's dimensions are rotated."""

    head_dim: int
    num_pairs: int
    theta: float
    factor: float


@dataclass(frozen=True, slots=True)
class GemmaConfig:
    """Sizes, norm epsilon, layer shapes and RoPE of the text model."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_heads: int
    num_experts: int
    top_k_experts: int
    expert_size: int
    activation: Activation
    rms_norm_eps: float
    softcap: float | None
    spans: tuple[Span, ...]
    shapes: tuple[LayerShape, ...]
    ropes: dict[Span, RopeConfig]


def read_config(raw: RawConfig) -> GemmaConfig:
    """Text configuration of a `config.json`; raises `InvalidCheckpoint`."""
    text: RawConfig = without_nulls(raw["text_config"], NULL_MEANS_NONE)
    if not raw.get("tie_word_embeddings", True):
        raise InvalidCheckpoint("DiffusionGemma with untied encoder and decoder is not supported")
    if text.get("use_bidirectional_attention") == "all":
        raise InvalidCheckpoint("use_bidirectional_attention: all is not supported")
    if text.get("attention_bias"):  # transformers does not tie the encoder's to the decoder's
        raise InvalidCheckpoint("attention_bias is not supported")
    activation = text.get("hidden_activation", "gelu_pytorch_tanh")
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise InvalidCheckpoint(f"hidden_activation {activation} is not supported")
    spans = _spans(text)
    shapes = _shapes(text, spans)
    softcap = text.get("final_logit_softcapping", DEFAULT_SOFTCAP)
    return GemmaConfig(
        vocab_size=text["vocab_size"],
        hidden_size=text["hidden_size"],
        intermediate_size=text["intermediate_size"],
        num_heads=text["num_attention_heads"],
        num_experts=text["num_experts"],
        top_k_experts=text["top_k_experts"],
        expert_size=text["moe_intermediate_size"],
        activation=ACTIVATIONS[activation],
        rms_norm_eps=text.get("rms_norm_eps", 1e-6),
        softcap=softcap,
        spans=spans,
        shapes=shapes,
        ropes=_ropes(text, spans, shapes),
    )


def _spans(text: RawConfig) -> tuple[Span, ...]:
    """Attention span of each layer; the last one is always full."""
    num_layers = text["num_hidden_layers"]
    named: list[Span] = text.get("layer_types") or [
        "sliding_attention" if (i + 1) % FULL_EVERY else "full_attention" for i in range(num_layers)
    ]
    if len(named) != num_layers or set(named) - set(DEFAULT_ROPE):
        raise InvalidCheckpoint(f"layer_types do not fit {num_layers} layers: {named}")
    return (*named[:-1], "full_attention")


def _shapes(text: RawConfig, spans: tuple[Span, ...]) -> tuple[LayerShape, ...]:
    """Key and value shape of each layer; `per_layer_config` overrides the older field names."""
    num_heads = text["num_attention_heads"]
    base = {"head_dim": text["head_dim"], "num_key_value_heads": text["num_key_value_heads"]}
    full = base | {"head_dim": text.get("global_head_dim") or DEFAULT_FULL_HEAD_DIM}
    if text.get("num_global_key_value_heads"):
        full["num_key_value_heads"] = text["num_global_key_value_heads"]
    listed: dict[str, dict[str, int]] | None = text.get("per_layer_config")
    if listed is None:
        listed = {str(i): full for i, span in enumerate(spans) if span == "full_attention"}
    shapes = []
    for i, span in enumerate(spans):
        layer = base | listed.get(str(i), {})
        heads = layer["num_key_value_heads"]
        if num_heads % heads:
            raise InvalidCheckpoint(
                f"num_attention_heads {num_heads} is not a multiple of {heads} key and value heads"
            )
        window = None if span == "full_attention" else text.get("sliding_window", DEFAULT_WINDOW)
        shapes.append(LayerShape(heads, layer["head_dim"], num_heads // heads, window))
    return tuple(shapes)


def _ropes(
    text: RawConfig, spans: tuple[Span, ...], shapes: tuple[LayerShape, ...]
) -> dict[Span, RopeConfig]:
    ropes: dict[Span, RopeConfig] = {}
    tables = text.get("rope_parameters") or DEFAULT_ROPE
    for span, shape in zip(spans, shapes, strict=True):
        rope = tables[span]
        kind, part = rope.get("rope_type", "default"), rope.get("partial_rotary_factor", 1.0)
        if kind not in ("default", "proportional") or (kind == "default" and part != 1.0):
            raise InvalidCheckpoint(f"rope_parameters {rope} of {span} are not supported")
        check_used(rope, kind, f"rope_parameters of {span}")
        num_pairs = int(part * shape.head_dim // 2)
        factor = rope.get("factor", 1.0) if kind == "proportional" else 1.0
        layer_rope = RopeConfig(shape.head_dim, num_pairs, rope["rope_theta"], factor)
        if ropes.setdefault(span, layer_rope) != layer_rope:
            raise InvalidCheckpoint(f"{span} layers have heads of different sizes")
    return ropes
