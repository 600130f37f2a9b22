"""A2D and OPDLM: Qwen3, Qwen2 or Llama, fine-tuned to fill masks (dLLM's recipes).

MDLM's recipe trains with full attention, BD3-LM's with block-causal attention. Both write the same
configuration, so `model.attention` chooses.
"""

from unmask.models.config_fields import ConfigFields
from unmask.models.decoder import Decoder
from unmask.models.family import Family, Presets, RawConfig, Traits
from unmask.models.qwen import FIELDS as QWEN_FIELDS
from unmask.models.qwen import build_decoder, dense
from unmask.models.weights import Weights

BLOCK_LENGTH = 32  # of both samplers' examples; config.json has no field for it
OPDLM_BLOCK_LENGTH = 4
FIELDS = QWEN_FIELDS.joined(ConfigFields(read=frozenset(("attention_bias", "block_size"))))


def build(raw: RawConfig, weights: Weights, num_positions: int) -> Decoder:
    """Decoder of the base model that the class or the model type is called after."""
    base = " ".join((*(raw.get("architectures") or ()), str(raw.get("model_type")))).lower()
    has_bias = bool(raw.get("attention_bias"))
    return build_decoder(
        raw,
        weights,
        num_positions,
        take_mlp=dense(raw),
        qkv_bias="qwen2" in base or has_bias,
        out_bias="qwen2" not in base and has_bias,
        qk_norm="qwen3" in base,
    )


def traits(raw: RawConfig) -> Traits:
    """Traits with full attention; the mask token is the tokenizer's."""
    return Traits(
        "full",
        block_length=raw.get("block_size") or BLOCK_LENGTH,
        schedule="rounded",
        end_tokens=("<|im_end|>",),
    )


def presets(raw: RawConfig, name: str) -> Presets:
    """OPDLM's block length, by the checkpoint's name, where the configuration has none."""
    if "opdlm" in name.lower() and not raw.get("block_size"):
        return {"opdlm": {"block_length": OPDLM_BLOCK_LENGTH}}
    return {}


FAMILY = Family(
    "a2d",
    (
        *("A2DQwen3LMHeadModel", "A2DQwen2LMHeadModel", "A2DLlamaLMHeadModel"),
        *("_A2DQwen3LMHeadModel", "_A2DQwen2LMHeadModel", "_A2DLlamaLMHeadModel"),
    ),
    traits,
    build,
    FIELDS,
    attentions=("full", "block_causal"),
    verified="logits to 1e-4, of transformers' Qwen3, Qwen2 and Llama with either mask, and tokens "
    "exactly, of ports of dLLM's samplers over them, on tiny random checkpoints",
    model_types=("a2d-qwen3", "a2d-qwen2", "a2d-llama"),
    block_field="block_size",
    presets=presets,
)
