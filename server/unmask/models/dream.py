"""Dream, DiffuCoder, d3LLM, DreamOn: Qwen2.5 with full attention and logits shifted by one.

DreamOn is told by `expand_token_id` of its configuration, or by that token of its tokenizer.
"""

from unmask.models.config_fields import ConfigFields
from unmask.models.d3llm import d3llm_presets
from unmask.models.decoder import Decoder
from unmask.models.family import Family, Presets, RawConfig, Traits
from unmask.models.qwen import FIELDS as QWEN_FIELDS
from unmask.models.qwen import build_decoder, dense
from unmask.models.weights import Weights

MASK_TOKEN_ID = 151666
STATED_POSITIONS = 2048  # the configuration still has Qwen2.5's 131,072
FIELDS = QWEN_FIELDS.joined(
    ConfigFields(
        read=frozenset(("expand_token_id", "delete_token_id")),
        accepted={
            "pad_delete_to_right": (False,),  # an option of the server, or of requests
            "number_transfer_tokens": (1,),
        },
    )
)
# The second fills DiffuCoder's answers behind their ends; its authors cut them there.
END_TOKENS = "<|im_end|>", "<|dlm_pad|>"
# DreamOn's quickstart. Its code is greedy by itself.
PRESETS: Presets = {
    "infilling": {"policy": "entropy", "temperature": 0.2, "top_p": 0.9},
    "greedy": {"policy": "entropy"},
}


def build(raw: RawConfig, weights: Weights, num_positions: int) -> Decoder:
    return build_decoder(raw, weights, num_positions, take_mlp=dense(raw), qkv_bias=True)


def traits(raw: RawConfig) -> Traits:
    """Full attention; by default the whole answer is one block, as in the authors' code.

    Qwen's end-of-turn token ends an answer in a conversation, the tokenizer's EOS or DiffuCoder's
    padding any other text.
    """
    return Traits(
        "full",
        shift=True,
        mask_token_id=MASK_TOKEN_ID,
        schedule="timed",
        stated_positions=STATED_POSITIONS,
        end_tokens=END_TOKENS,
        length_commands=("<|expand|>", "<|delete|>"),
    )


def presets(raw: RawConfig, name: str) -> Presets:
    """Values of DreamOn and d3LLM, for a configuration or a name that is theirs."""
    is_dreamon = raw.get("expand_token_id") is not None or "dreamon" in name.lower()
    return PRESETS if is_dreamon else d3llm_presets(name, shift=True)


FAMILY = Family(
    "dream",
    ("DreamModel",),
    traits,
    build,
    FIELDS,
    verified="logits to 1e-4 and tokens exactly, of Dream's and Fast-dLLM's code on a tiny random "
    "checkpoint; of DreamOn with a port of its loop",
    model_types=(
        "Dream",
        "dream",
    ),
    presets=presets,
    block_attention="prompt_block",
)
