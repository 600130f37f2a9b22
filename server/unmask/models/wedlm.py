"""WeDLM: Qwen2.5 or Qwen3, causal over a window whose filled rows come first (Liu et al., 2025)."""

from unmask.models.config_fields import ConfigFields
from unmask.models.decoder import Decoder
from unmask.models.family import Family, RawConfig, Traits
from unmask.models.qwen import FIELDS as QWEN_FIELDS
from unmask.models.qwen import build_decoder, dense
from unmask.models.weights import Weights

MASK_TOKEN_ID = 151665  # default of the published engine, for configurations without one
WINDOW = 16
DISTANCE_PENALTY = 0.02  # of the published engine, as is the policy

FIELDS = QWEN_FIELDS.joined(ConfigFields(read=frozenset(("attention_bias", "qk_norm"))))


def build(raw: RawConfig, weights: Weights, num_positions: int) -> Decoder:
    """Decoder with Qwen2.5's biases or Qwen3's norms, as both flags say."""
    bias = raw.get("attention_bias")
    return build_decoder(
        raw,
        weights,
        num_positions,
        take_mlp=dense(raw),
        qkv_bias=bias is None or bool(bias),  # on by default in the published class
        qk_norm=bool(raw.get("qk_norm")),
    )


def traits(raw: RawConfig) -> Traits:
    """Causal attention in the order of the rows; each row has the position of its token.

    Greedy: the published engine ignores the generation configuration.
    """
    return Traits(
        "causal_window",
        mask_token_id=MASK_TOKEN_ID,
        block_length=WINDOW,
        policy="entropy_threshold",
        distance_penalty=DISTANCE_PENALTY,
        end_tokens=("<|im_end|>", "<|endoftext|>"),
        greedy=True,
    )


FAMILY = Family(
    "wedlm",
    ("WeDLMForCausalLM",),
    traits,
    build,
    FIELDS,
    verified="logits to 1e-4 and tokens exactly, of the published model and engine on tiny random "
    "checkpoints",
    model_types=("wedlm",),
)
