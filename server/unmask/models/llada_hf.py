"""LLaDA with Llama's tensor names, as in the text models of LLaDA's multimodal variants."""

from unmask.models import llada
from unmask.models.config_fields import ConfigFields
from unmask.models.decoder import Decoder
from unmask.models.family import Family, RawConfig, Traits
from unmask.models.qwen import FIELDS as QWEN_FIELDS
from unmask.models.qwen import build_decoder, dense
from unmask.models.weights import Weights

FIELDS = QWEN_FIELDS.joined(ConfigFields(read=frozenset(("attention_bias",))))


def build(raw: RawConfig, weights: Weights, num_positions: int) -> Decoder:
    bias = bool(raw.get("attention_bias"))
    return build_decoder(
        raw, weights, num_positions, take_mlp=dense(raw), qkv_bias=bias, out_bias=bias
    )


def traits(_raw: RawConfig) -> Traits:
    """LLaDA's traits."""
    return Traits(
        "full",
        mask_token_id=llada.MASK_TOKEN_ID,
        block_length=llada.BLOCK_LENGTH,
        end_tokens=llada.END_TOKENS,
        fills_best=True,
    )


FAMILY = Family(
    "llada-hf",
    llada.FAMILY.architectures,
    traits,
    build,
    FIELDS,
    verified="logits to 1e-4, of the golden LLaDA's weights by the other names",
    model_types=llada.FAMILY.model_types,
    presets=llada.presets,
    block_attention="prompt_block",
)
