"""LFM2.5 as a block-diffusion model of uniform noise (LFM2.5-350M-Diffusion, Liquid AI, 2026).

The prompt and finished blocks are read from left to right; a block of random tokens behind them is
denoised by the posterior of DUO, told its noise level and the previous step's expected embedding.
"""

from collections.abc import Sequence

from torch import Tensor

from unmask.errors import InvalidCheckpoint
from unmask.models.config_fields import ConfigFields
from unmask.models.decoder import DecoderConfig, GatedMlp, take_gated_mlp, take_qk_norm, take_qkv
from unmask.models.family import Family, RawConfig, Traits
from unmask.models.lfm2_decoder import (
    AttentionMixer,
    ConvolutionMixer,
    Lfm2Decoder,
    Lfm2Layer,
    NoiseLevels,
    SelfConditioning,
)
from unmask.models.rope import FIELDS as ROPE_FIELDS
from unmask.models.rope import read_rope, rope_tables
from unmask.models.weights import Weights
from unmask.types import MAX_BLOCK_LENGTH, PosteriorSchedule
from unmask_kernels.linear.ops import Linear, make_linear
from unmask_kernels.noise.vocabulary import make_vocabulary

BLOCK_LENGTH = 32
REAL_VOCABULARY = 64_400  # tokens of LFM2's tokenizer; the embedding has more rows
LEVEL_WIDTH, NUM_FREQUENCIES = 256, 256  # where a configuration does not say
THETA, NUM_TAPS = 1_000_000.0, 3
CONVOLUTION, ATTENTION = "conv", "full_attention"
PARTS = 3  # scale, shift and gate

FIELDS = ConfigFields(
    read=frozenset(
        (
            *("block_auto_adjust_ff_dim", "block_ff_dim", "block_ffn_dim_multiplier"),
            *("block_multiple_of", "conv_L_cache", "conv_bias", "diffusion_block_size"),
            *("full_attn_idxs", "head_dim", "hidden_size", "intermediate_size", "layer_types"),
            *("max_position_embeddings", "norm_eps", "num_attention_heads", "num_hidden_layers"),
            *("num_key_value_heads", "real_vocab_size", "rope_theta", "self_conditioning"),
            *("selfcond_ffn_bias", "sigma_cond_dim", "sigma_freq_embedding_size"),
        )
    ),
    # Copies of other fields, and the initialisation of weights.
    harmless=frozenset(
        (
            *("block_dim", "block_mlp_init_scale", "block_norm_eps", "block_out_init_scale"),
            *("block_use_xavier_init", "conv_dim", "conv_dim_out", "conv_use_xavier_init"),
            *("num_heads", "theta"),
        )
    ),
    accepted={
        "adaln_conditioning": (True,),
        "block_use_swiglu": (True,),
        "tie_embedding": (True,),
        "tie_word_embeddings": (True,),
        "use_pos_enc": (True,),
    },
    nested={"rope_parameters": ROPE_FIELDS, "rope_scaling": ROPE_FIELDS},
)


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


class _Reader:
    """Reads the tensors of layers."""

    def __init__(self, raw: RawConfig, config: DecoderConfig, weights: Weights) -> None:
        self.raw = raw
        self.config = config
        self.weights = weights

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
        prefix = f"model.layers.{index}."
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

    def levels(self) -> NoiseLevels:
        hidden, width = self.config.hidden_size, self.raw.get("sigma_cond_dim") or LEVEL_WIDTH
        frequencies = self.raw.get("sigma_freq_embedding_size") or NUM_FREQUENCIES
        shape = self.config.num_layers, PARTS * hidden
        return NoiseLevels(
            first=self.exact("model.sigma_embed.mlp.0", width, frequencies, bias=True),
            second=self.exact("model.sigma_embed.mlp.2", width, width, bias=True),
            projection=self.exact("model.adaln_proj.1", PARTS * hidden, width, bias=True),
            of_layers=self.weights.take("model.adaln_block_emb", shape),
            num_frequencies=frequencies,
        )

    def self_conditioning(self) -> SelfConditioning | None:
        if not self.raw.get("self_conditioning", True):
            return None
        hidden, has_bias = self.config.hidden_size, self.raw.get("selfcond_ffn_bias", True)
        return SelfConditioning(
            norm=self.norm("model.selfcond_norm"),
            first=self.exact("model.selfcond_ffn.0", hidden, hidden, bias=bool(has_bias)),
            second=self.exact("model.selfcond_ffn.2", hidden, hidden, bias=False),
        )


def build(raw: RawConfig, weights: Weights, num_positions: int) -> Lfm2Decoder:
    config = read_config(raw)
    reader = _Reader(raw, config, weights)
    name = "model.embed_tokens.weight"
    weights.drop_copy("lm_head.weight", name)
    embedding = weights.take(name, (config.vocab_size, config.hidden_size))
    weights.note_shared(name, "the LM head")
    embedding = embedding[: real_vocabulary(raw)]
    pairs = config.rope.pairs(config.head_dim)
    scale = config.rope.scale
    cos, sin = rope_tables(pairs, num_positions, weights.dtype, weights.device, scale=scale)
    model = Lfm2Decoder(
        config,
        embedding=embedding,
        vocabulary=make_vocabulary(embedding, softcap=None, scale=1.0),
        layers=[reader.layer(i, kind) for i, kind in enumerate(layer_kinds(raw))],
        cos=cos,
        sin=sin,
        levels=reader.levels(),
        self_conditioning=reader.self_conditioning(),
        norm=reader.norm("model.embedding_norm"),
        num_taps=raw.get("conv_L_cache", NUM_TAPS),
    )
    weights.check_all_taken()
    return model


def real_vocabulary(raw: RawConfig) -> int:
    """Tokens that noise and answers may have; raises `InvalidCheckpoint`."""
    size: int = raw.get("real_vocab_size") or REAL_VOCABULARY
    if size > (num_rows := raw.get("vocab_size", size)):
        raise InvalidCheckpoint(
            f"real_vocab_size {size} is more than the {num_rows} rows of the embedding"
        )
    return size


def traits(raw: RawConfig) -> Traits:
    """Canvases as long as the trained block."""
    length = raw.get("diffusion_block_size") or BLOCK_LENGTH
    if length > MAX_BLOCK_LENGTH:
        raise InvalidCheckpoint(
            f"diffusion_block_size must be at most {MAX_BLOCK_LENGTH} to be served, got {length}"
        )
    return Traits("canvas", block_length=length, vocab_size=real_vocabulary(raw))


def read_schedule(_generation: RawConfig) -> PosteriorSchedule:
    """The authors' schedule of eight steps, which their files of weights do not say."""
    return PosteriorSchedule()


FAMILY = Family(
    "lfm2-diffusion",
    ("Lfm2ForBlockDiffusion",),
    traits,
    build,
    FIELDS,
    read_schedule,
    verified="logits to 1e-4, of transformers' LFM2 layers with the authors' conditioning on a "
    "tiny random checkpoint, and the posterior's exact chances",
    model_types=("lfm2_diffusion",),
)
