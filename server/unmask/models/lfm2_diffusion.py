"""LFM2.5 as a block-diffusion model of uniform noise (LFM2.5-350M-Diffusion, Liquid AI, 2026).

The prompt and finished blocks are read from left to right; a block of random tokens behind them is
denoised by the posterior of DUO, told its noise level and the previous step's expected embedding.
"""

from unmask.errors import InvalidCheckpoint
from unmask.models.config_fields import ConfigFields
from unmask.models.family import Family, RawConfig, Traits
from unmask.models.lfm2_decoder import Lfm2Decoder, NoiseLevels, SelfConditioning
from unmask.models.lfm2_layers import FIELDS as LFM2_FIELDS
from unmask.models.lfm2_layers import NUM_TAPS, LayerReader, layer_kinds, read_config
from unmask.models.rope import rope_tables
from unmask.models.weights import Weights
from unmask.types import MAX_BLOCK_LENGTH, PosteriorSchedule
from unmask_kernels.noise.vocabulary import make_vocabulary

BLOCK_LENGTH = 32
REAL_VOCABULARY = 64_400  # tokens of LFM2's tokenizer; the embedding has more rows
LEVEL_WIDTH, NUM_FREQUENCIES = 256, 256  # where a configuration does not say
PARTS = 3  # scale, shift and gate

FIELDS = LFM2_FIELDS.joined(
    ConfigFields(
        read=frozenset(
            (
                *("diffusion_block_size", "real_vocab_size", "self_conditioning"),
                *("selfcond_ffn_bias", "sigma_cond_dim", "sigma_freq_embedding_size"),
            )
        ),
        accepted={"adaln_conditioning": (True,)},
    )
)


class _Reader(LayerReader):
    """Reads the tensors of layers and of their conditioning."""

    def levels(self) -> NoiseLevels:
        hidden, width = self.config.hidden_size, self.raw.get("sigma_cond_dim") or LEVEL_WIDTH
        frequencies = self.raw.get("sigma_freq_embedding_size") or NUM_FREQUENCIES
        if frequencies % 2:
            raise InvalidCheckpoint(
                f"sigma_freq_embedding_size must be even, for cosines and sines, got {frequencies}"
            )
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
