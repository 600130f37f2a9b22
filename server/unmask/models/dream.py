"""Dream, DiffuCoder, DreamOn: Qwen2.5 that sees the whole sequence, logits shifted by one."""

from unmask.models.decoder import Decoder
from unmask.models.family import Family, RawConfig, Traits
from unmask.models.qwen import FIELDS as QWEN_FIELDS
from unmask.models.qwen import build_decoder, dense
from unmask.models.weights import Weights

MASK_TOKEN_ID = 151666
STATED_POSITIONS = 2048  # the configuration still has Qwen2.5's 131,072


def build(raw: RawConfig, weights: Weights, num_positions: int) -> Decoder:
    """The model of a checkpoint."""
    return build_decoder(raw, weights, num_positions, take_mlp=dense(raw), qkv_bias=True)


def traits(raw: RawConfig) -> Traits:
    """The whole answer is one block, if a request does not say, as its authors denoise it.

    A turn of a conversation ends with Qwen's token for it, a text with the tokenizer's.
    """
    return Traits(
        "full",
        shift=True,
        mask_token_id=MASK_TOKEN_ID,
        schedule="timed",
        stated_positions=STATED_POSITIONS,
        end_tokens=("<|im_end|>",),
        commands=("<|expand|>", "<|delete|>"),  # DreamOn's, which grow and shrink a canvas
    )


FAMILY = Family(
    "dream",
    ("DreamModel",),
    traits,
    build,
    QWEN_FIELDS,
    verified="logits to 1e-4 and tokens exactly, of Dream's and Fast-dLLM's code on a tiny random "
    "checkpoint",
    model_types=(
        "Dream",
        "dream",
    ),
)
