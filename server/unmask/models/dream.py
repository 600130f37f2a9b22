"""Dream, DiffuCoder, DreamOn: Qwen2.5 with full attention and logits shifted by one."""

from unmask.models.decoder import Decoder
from unmask.models.family import Family, RawConfig, Traits
from unmask.models.qwen import FIELDS as QWEN_FIELDS
from unmask.models.qwen import build_decoder, dense
from unmask.models.weights import Weights

MASK_TOKEN_ID = 151666
STATED_POSITIONS = 2048  # the configuration still has Qwen2.5's 131,072


def build(raw: RawConfig, weights: Weights, num_positions: int) -> Decoder:
    return build_decoder(raw, weights, num_positions, take_mlp=dense(raw), qkv_bias=True)


def traits(raw: RawConfig) -> Traits:
    """Full attention; by default the whole answer is one block, as in the authors' code.

    Qwen's end-of-turn token ends an answer in a conversation, the tokenizer's EOS any other text.
    """
    return Traits(
        "full",
        shift=True,
        mask_token_id=MASK_TOKEN_ID,
        schedule="timed",
        stated_positions=STATED_POSITIONS,
        end_tokens=("<|im_end|>",),
        commands=("<|expand|>", "<|delete|>"),  # DreamOn's: grow and shrink the answer
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
