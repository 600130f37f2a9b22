"""Fast-dVLM (3B): Qwen2.5-VL with a causal prefix and an open block (Wu et al., 2604.06832, 2026).

Attention is that of Nemotron-Labs-Diffusion, and so are the modes: text and images before the open
block are causal, and so is a finished block. But logits are shifted by one in the open block too:
its rows predict the next positions, as rows of Fast-dLLM v2 do. Rows of images are rotated by where
they are in their image (M-RoPE).
"""

from types import NoneType

from unmask.errors import InvalidCheckpoint
from unmask.models.config_fields import ConfigFields
from unmask.models.config_values import without_nulls
from unmask.models.decoder import Decoder
from unmask.models.family import Family, RawConfig, Traits
from unmask.models.fast_dllm import BLOCK_LENGTH, MASK_TOKEN_ID, SUB_BLOCK_LENGTH
from unmask.models.qwen import FIELDS as QWEN_FIELDS
from unmask.models.qwen import build_decoder, dense
from unmask.models.rope import SECTION_FIELDS, SECTIONS, plain_kind
from unmask.models.vision.qwen_traits import OTHER_TOKENS, TOKEN, read_grid_traits
from unmask.models.vision.qwen_weights import take_qwen_tower
from unmask.models.vision.vision_config import NAME as VISION
from unmask.models.weights import Weights

TEXT, ROOT, TIED = "text_config", "model.language_model.", "tie_word_embeddings"
ROPES = "rope_parameters", "rope_scaling"
# Of training, and of loops that a request chooses.
TRAINING = frozenset(
    (
        *("always_mask_im_end", "anneal_block_size", "block_causal_no_dynamic", "block_length"),
        *("complementary_mask", "enable_efficient_vision_embed", "entropy_loss"),
        *("entropy_loss_weight", "flexible_bd_size", "minimum_noise_level"),
        *("self_spec_inference_mode", "use_block_causal_mask"),
    )
)
OF_TEXT = QWEN_FIELDS.joined(
    ConfigFields(
        # `bd_size` is beside the text model, where it has the default of its class.
        harmless=TRAINING | OTHER_TOKENS | {"bd_size", TOKEN},
        nested=dict.fromkeys(ROPES, SECTION_FIELDS),
    )
)
FIELDS = ConfigFields(
    read=frozenset((TOKEN, VISION, TIED, "bd_size")),
    # The class builds its text model of `text_config`, whatever is said beside it.
    harmless=TRAINING
    | OTHER_TOKENS
    | {"is_composition"}
    | OF_TEXT.read
    | OF_TEXT.harmless
    | frozenset((*OF_TEXT.accepted, *OF_TEXT.nested)),
    nested={TEXT: OF_TEXT},
)


def traits(raw: RawConfig) -> Traits:
    """Causal prefix and open block, of `bd_size`; greedy, as the authors' loops are."""
    return Traits(
        "causal_prefix",
        shift=True,
        mask_token_id=MASK_TOKEN_ID,
        block_length=raw.get("bd_size") or BLOCK_LENGTH,
        sub_block_length=SUB_BLOCK_LENGTH,
        end_tokens=("<|im_end|>",),
        greedy=True,
    )


def build(raw: RawConfig, weights: Weights, num_positions: int) -> Decoder:
    """Qwen2.5's decoder with a vision tower; raises `InvalidCheckpoint`."""
    text = without_nulls(raw[TEXT])
    text |= {name: plain_kind(text[name]) for name in ROPES if name in text}
    text[TIED] = _is_tied(raw)
    vision = take_qwen_tower(raw, weights)
    if vision is not None and not any((text.get(name) or {}).get(SECTIONS) for name in ROPES):
        raise InvalidCheckpoint(
            f"{TEXT}.rope_scaling has no {SECTIONS}, by which rows of images are rotated"
        )
    decoder = build_decoder(
        text, weights, num_positions, take_mlp=dense(text), qkv_bias=True, root=ROOT
    )
    decoder.vision = vision
    return decoder


def _is_tied(raw: RawConfig) -> bool | None:
    """True if the LM head is the embedding; None if that is told by the tensors alone.

    Releases of transformers read it of the text model or of the whole, and write one or both.
    """
    said = [fields.get(TIED) for fields in (raw[TEXT], raw)]
    if any(type(value) not in (bool, NoneType) for value in said):
        raise InvalidCheckpoint(f"{TIED} must be true, false or null, got {said!r:.60}")
    known = set(said) - {None}
    return known.pop() if len(known) == 1 else None


FAMILY = Family(
    "fast-dvlm",
    ("Fast_dVLMForConditionalGeneration",),
    traits,
    build,
    FIELDS,
    verified="logits and rows of images to 1e-4, of transformers' Qwen2.5-VL, and tokens exactly, "
    "of ports of the authors' loops over it, on a tiny random checkpoint",
    model_types=("fast_dvlm",),
    block_field="bd_size",
    images=read_grid_traits,
)
