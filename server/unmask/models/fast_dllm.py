"""Fast-dLLM v2: Qwen2.5, block-causal, its logits shifted by one (Wu et al., 2025)."""

from unmask.models.config_fields import ConfigFields
from unmask.models.decoder import Decoder
from unmask.models.family import Family, RawConfig, Traits
from unmask.models.qwen import FIELDS as QWEN_FIELDS
from unmask.models.qwen import build_decoder, dense
from unmask.models.weights import Weights

MASK_TOKEN_ID = 151665
BLOCK_LENGTH = 32
SUB_BLOCK_LENGTH = 8  # as its authors decode it; the configuration does not say

FIELDS = QWEN_FIELDS.joined(ConfigFields(read=frozenset(("bd_size",))))


def build(raw: RawConfig, weights: Weights, num_positions: int) -> Decoder:
    """The model of a checkpoint."""
    return build_decoder(raw, weights, num_positions, take_mlp=dense(raw), qkv_bias=True)


def traits(raw: RawConfig) -> Traits:
    """Blocks of `bd_size`, which are counted from the first token of the prompt.

    The generation configuration is still that of Qwen2.5, which samples; the published `generate`
    does not read it.
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
