"""SDAR (dense), TraDo, DreamReasoner, the embedded model: Qwen3 with block-causal attention."""

from unmask.models.config_fields import ConfigFields
from unmask.models.decoder import Decoder
from unmask.models.family import Family, Presets, RawConfig, Traits
from unmask.models.multi_block import multi_block_presets
from unmask.models.qwen import FIELDS as QWEN_FIELDS
from unmask.models.qwen import TakeMlp, build_decoder, dense
from unmask.models.weights import Weights

DREAM_REASONER, DREAM_BLOCK_LENGTH, DREAM_MASK_TOKEN_ID = "DreamForCausalLM", 32, 151669
BLOCK_LENGTH = 4  # default: the block length of the models in SDAR's paper
OPEN_BLOCKS = 4  # of MBD-LMs
END_TOKENS = ("<|im_end|>",)  # published files have it in generation_config.json, copies may not

FIELDS = QWEN_FIELDS.joined(
    ConfigFields(
        read=frozenset(("attention_bias", "block_size")),
        harmless=frozenset(
            (
                *("debug", "ep_size", "fuse_cross_entropy", "micro_forward"),
                *("skip_checkpoint", "use_deepep"),
            )
        ),
        accepted={"use_regular_causal": (False,)},
    )
)


def build(
    raw: RawConfig,
    weights: Weights,
    num_positions: int,
    take_mlp: TakeMlp | None = None,
    *,
    prefix: str = "",
) -> Decoder:
    """Dense decoder, or one with the MLPs of `take_mlp`; raises `InvalidCheckpoint`.

    Names of all tensors begin with `prefix`.
    """
    has_bias = bool(raw.get("attention_bias"))
    return build_decoder(
        raw,
        weights,
        num_positions,
        take_mlp=take_mlp or dense(raw),
        qkv_bias=has_bias,
        out_bias=has_bias,
        qk_norm=True,
        root=f"{prefix}model.",
        head=f"{prefix}lm_head.weight",
    )


def traits(raw: RawConfig) -> Traits:
    """Block-causal attention with the trained block length."""
    is_reasoner = DREAM_REASONER in (raw.get("architectures") or ())
    usual_len = DREAM_BLOCK_LENGTH if is_reasoner else BLOCK_LENGTH
    return Traits(
        "block_causal",
        block_length=raw.get("block_size") or usual_len,
        mask_token_id=DREAM_MASK_TOKEN_ID if is_reasoner else None,
        end_tokens=END_TOKENS,
    )


def presets(raw: RawConfig, name: str) -> Presets:
    """Presets of MBD-LMs, for those only."""
    return multi_block_presets(name, raw.get("block_size") or BLOCK_LENGTH, OPEN_BLOCKS)


FAMILY = Family(
    "sdar",
    ("SDARForCausalLM", DREAM_REASONER),
    traits,
    build,
    FIELDS,
    verified="logits to 1e-4 and tokens exactly, of SDAR's own code on a tiny random checkpoint",
    model_types=("sdar",),
    block_field="block_size",
    presets=presets,
)
