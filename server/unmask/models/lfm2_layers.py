"""Layers of LFM2 (Liquid AI, 2025): short convolutions and attention, each before a gated MLP."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from unmask.errors import InvalidCheckpoint
from unmask.models.cached_attention import attend, store_heads
from unmask.models.config_fields import ConfigFields
from unmask.models.decoder import DecoderConfig, GatedMlp, take_gated_mlp, take_qk_norm, take_qkv
from unmask.models.family import RawConfig
from unmask.models.inputs import ForwardInputs
from unmask.models.kv_cache import LayerShape
from unmask.models.rope import FIELDS as ROPE_FIELDS
from unmask.models.rope import read_rope
from unmask.models.weights import Weights
from unmask_kernels.linear.ops import Linear, make_linear

THETA, NUM_TAPS = 1_000_000.0, 3  # where a configuration does not say
CONVOLUTION, ATTENTION = "conv", "full_attention"

FIELDS = ConfigFields(
    read=frozenset(
        (
            *("block_auto_adjust_ff_dim", "block_ff_dim", "block_ffn_dim_multiplier"),
            *("block_multiple_of", "conv_L_cache", "conv_bias", "full_attn_idxs", "head_dim"),
            *("hidden_size", "intermediate_size", "layer_types", "max_position_embeddings"),
            *("norm_eps", "num_attention_heads", "num_hidden_layers", "num_key_value_heads"),
            "rope_theta",
        )
    ),
    # Copies of other fields, and the initialisation of weights.
    harmless=frozenset(
        (
            *("block_dim", "block_mlp_init_scale", "block_norm_eps", "block_out_init_scale"),
            *("block_use_xavier_init", "conv_dim", "conv_dim_out", "conv_use_xavier_init"),
            *("model_name", "num_heads", "theta"),
        )
    ),
    accepted={
        "block_use_swiglu": (True,),
        "tie_embedding": (True,),
        "tie_word_embeddings": (True,),
        "use_pos_enc": (True,),
    },
    nested={"rope_parameters": ROPE_FIELDS, "rope_scaling": ROPE_FIELDS},
)


@dataclass(frozen=True, slots=True)
class ConvolutionMixer:
    """Gated short convolution between two products."""

    inner: Linear  # [3 C, C]: gates before the convolution, after it, and its inputs
    weight: Tensor  # [K, C], the last of a row's own position
    bias: Tensor | None  # [C]
    out: Linear


@dataclass(frozen=True, slots=True)
class AttentionMixer:
    """Grouped-query attention with norms of heads."""

    qkv: Linear
    qk_norm: Tensor  # [H + Hkv, D]
    out: Linear


@dataclass(frozen=True, slots=True)
class Lfm2Layer:
    """Weights of one layer in kernel layouts."""

    norm: Tensor
    mixer: ConvolutionMixer | AttentionMixer
    mlp_norm: Tensor
    mlp: GatedMlp


def layer_shapes(config: DecoderConfig, layers: Sequence[Lfm2Layer]) -> tuple[LayerShape, ...]:
    """Key and value shape of each attention layer."""
    shape = LayerShape(
        config.num_kv_heads, config.head_dim, config.num_heads // config.num_kv_heads
    )
    return (shape,) * sum(isinstance(layer.mixer, AttentionMixer) for layer in layers)


def mix_by_attention(
    mixer: AttentionMixer,
    config: DecoderConfig,
    normed: Tensor,
    step: ForwardInputs,
    cos_sin: tuple[Tensor, Tensor],
    index: int,
) -> Tensor:
    """Mixed rows [T, H D] of `normed` [M, C], before the product; `index` counts such layers."""
    num_rows = len(step.token_ids)
    heads = mixer.qkv(normed)[:num_rows].view(num_rows, -1, config.head_dim)
    query = store_heads(step, index, heads, mixer.qk_norm, config.rms_norm_eps, cos_sin)
    return attend(step, index, query, config.head_dim**-0.5).flatten(1)


def read_config(raw: RawConfig) -> DecoderConfig:
    """Sizes and RoPE of the attention layers; raises `InvalidCheckpoint`."""
    hidden, heads = raw["hidden_size"], raw["num_attention_heads"]
    head_dim = raw.get("head_dim") or hidden // heads
    if not raw.get("rope_parameters") and not raw.get("rope_theta"):
        raw = {**raw, "rope_theta": THETA}
    return DecoderConfig(
        vocab_size=raw["vocab_size"],
        hidden_size=hidden,
        num_layers=raw["num_hidden_layers"],
        num_heads=heads,
        num_kv_heads=raw.get("num_key_value_heads") or heads,
        head_dim=head_dim,
        rms_norm_eps=raw.get("norm_eps", 1e-5),
        rope=read_rope(raw, head_dim),
        tied=True,
    )


def layer_kinds(raw: RawConfig) -> Sequence[str]:
    """Kind of each layer, from `layer_types` or `full_attn_idxs`; raises `InvalidCheckpoint`."""
    count = raw["num_hidden_layers"]
    kinds: list[str] = raw.get("layer_types") or [
        ATTENTION if i in (raw.get("full_attn_idxs") or range(count)) else CONVOLUTION
        for i in range(count)
    ]
    if len(kinds) != count or set(kinds) - {ATTENTION, CONVOLUTION}:
        raise InvalidCheckpoint(f"layer_types do not fit {count} layers: {kinds}")
    if ATTENTION not in kinds:
        raise InvalidCheckpoint("a model without attention layers is not supported")
    return kinds


def inner_size(raw: RawConfig) -> int:
    """Width of the MLP, which is adjusted as in transformers' `Lfm2MLP`."""
    size: int = raw.get("block_ff_dim") or raw["intermediate_size"]
    if not raw.get("block_auto_adjust_ff_dim", True):
        return size
    size = 2 * size // 3
    multiplier: float = raw.get("block_ffn_dim_multiplier", 1.0)
    unit: int = raw.get("block_multiple_of", 256)
    return -(-int(multiplier * size) // unit) * unit


class LayerReader:
    """Reads the tensors of layers, whose names begin with `root`."""

    def __init__(
        self, raw: RawConfig, config: DecoderConfig, weights: Weights, root: str = "model."
    ) -> None:
        self.raw = raw
        self.config = config
        self.weights = weights
        self.root = root

    def norm(self, name: str) -> Tensor:
        return self.weights.take(f"{name}.weight", (self.config.hidden_size,))

    def exact(self, name: str, num_outputs: int, num_inputs: int, *, bias: bool) -> Linear:
        """A product that is never quantized: it steers every layer."""
        weight = self.weights.take(f"{name}.weight", (num_outputs, num_inputs))
        biases = self.weights.take(f"{name}.bias", (num_outputs,)) if bias else None
        return make_linear(weight, biases)

    def mlp(self, prefix: str) -> GatedMlp:
        names = f"{prefix}w1.weight", f"{prefix}w3.weight", f"{prefix}w2.weight"
        return take_gated_mlp(self.weights, self.config.hidden_size, inner_size(self.raw), names)

    def convolution(self, prefix: str) -> ConvolutionMixer:
        hidden, num_taps = self.config.hidden_size, self.raw.get("conv_L_cache", NUM_TAPS)
        bias, weights = bool(self.raw.get("conv_bias")), self.weights
        kernel = weights.take(f"{prefix}conv.weight", (hidden, 1, num_taps))
        return ConvolutionMixer(
            inner=weights.take_linear([f"{prefix}in_proj"], [3 * hidden], hidden, bias=bias),
            weight=kernel[:, 0].T.contiguous(),
            bias=weights.take(f"{prefix}conv.bias", (hidden,)) if bias else None,
            out=weights.take_linear([f"{prefix}out_proj"], [hidden], hidden, bias=bias),
        )

    def attention(self, prefix: str) -> AttentionMixer:
        config, weights = self.config, self.weights
        names = f"{prefix}q_proj", f"{prefix}k_proj", f"{prefix}v_proj"
        norms = f"{prefix}q_layernorm.weight", f"{prefix}k_layernorm.weight"
        size = [config.hidden_size], config.num_qkv[0]
        return AttentionMixer(
            qkv=take_qkv(weights, config, names),
            qk_norm=take_qk_norm(weights, config, *norms),
            out=weights.take_linear([f"{prefix}out_proj"], *size),
        )

    def layer(self, index: int, kind: str) -> Lfm2Layer:
        prefix = f"{self.root}layers.{index}."
        mixer = (
            self.convolution(f"{prefix}conv.")
            if kind == CONVOLUTION
            else self.attention(f"{prefix}self_attn.")
        )
        return Lfm2Layer(
            norm=self.norm(f"{prefix}operator_norm"),
            mixer=mixer,
            mlp_norm=self.norm(f"{prefix}ffn_norm"),
            mlp=self.mlp(f"{prefix}feed_forward."),
        )
