"""Fast-dLLM v2: block-causal Qwen2.5 with logits shifted by one (Wu et al., 2025)."""

from unmask.models.config_fields import ConfigFields
from unmask.models.decoder import Decoder
from unmask.models.family import Family, RawConfig, Traits
from unmask.models.qwen import FIELDS as QWEN_FIELDS
from unmask.models.qwen import build_decoder, dense
from unmask.models.weights import Weights

MASK_TOKEN_ID = 151665
BLOCK_LENGTH = 32
SUB_BLOCK_LENGTH = 8  # the published generate's default; config.json has no field for it

FIELDS = QWEN_FIELDS.joined(ConfigFields(read=frozenset(("bd_size",))))


def build(raw: RawConfig, weights: Weights, num_positions: int) -> Decoder:
    return build_decoder(raw, weights, num_positions, take_mlp=dense(raw), qkv_bias=True)


def traits(raw: RawConfig) -> Traits:
    """Block-causal attention in blocks of `bd_size` from the first prompt token.

    Greedy: the published `generate` ignores the generation configuration, which is Qwen2.5's.
    """
    return Traits(
        "block_causal",
        shift=True,
        mask_token_id=MASK_TOKEN_ID,
        block_length=raw.get("bd_size") or BLOCK_LENGTH,
        sub_block_length=SUB_BLOCK_LENGTH,
        end_tokens=("<|im_end|>",),
        greedy=True,
    )


FAMILY = Family(
    "fast-dllm",
    ("Fast_dLLM_QwenForCausalLM",),
    traits,
    build,
    FIELDS,
    verified="logits to 1e-4 and tokens exactly, of the published code on a tiny random checkpoint",
    model_types=("Fast_dLLM_Qwen",),
    block_field="bd_size",
)
