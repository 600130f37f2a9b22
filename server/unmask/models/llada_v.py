"""LLaDA-V: LLaDA by Llama's names with SigLIP's tower, in LLaVA's own layout (You et al., 2025)."""

from pathlib import Path

from unmask.images import ImageTraits
from unmask.models import llada, llada_hf
from unmask.models.config_fields import ConfigFields
from unmask.models.decoder import Decoder
from unmask.models.family import Family, RawConfig, TokenId, Traits
from unmask.models.vision.llava_config import READ, read_llava_sizes, read_llava_traits
from unmask.models.vision.siglip_weights import Names, take_siglip_tower
from unmask.models.weights import Weights

BLOCK_LENGTH = 128
# Any token that is in no text would do: the authors' code has none for images.
IMAGE = "<|reserved_token_0|>"
BANNED = "<|endoftext|>", "<|startoftext|>", "<|start_header_id|>", "<|end_header_id|>"
SYSTEM = (
    "You are a helpful language and vision assistant. You are able to understand the visual "
    "content that the user provides, and assist the user with a variety of tasks using natural "
    "language."
)
# LLaDA's template with the system message of `llava_llada`. Nothing is between an image and a text:
# the authors write a newline, whose token `tokenizer_image_token` drops.
CHAT_TEMPLATE = (
    "{%- macro shown(content) -%}"
    "{%- if content is string -%}{{ content }}{%- else -%}{%- for part in content or [] -%}"
    "{{ '" + IMAGE + "' if part.type == 'image' else part.text }}"
    "{%- endfor -%}{%- endif -%}{%- endmacro -%}"
    "{%- macro turn(role, content) -%}"
    "{{ '<|start_header_id|>' + role + '<|end_header_id|>\n\n' + content + '<|eot_id|>' }}"
    "{%- endmacro -%}"
    "{{ '<|startoftext|>' }}"
    "{%- if messages[0].role != 'system' -%}{{ turn('system', '" + SYSTEM + "') }}{%- endif -%}"
    "{%- for message in messages -%}{{ turn(message.role, shown(message.content) | trim) }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}"
    "{%- endif -%}"
)
TOWER, PROJECTOR, NEWLINE = "model.vision_tower.", "model.mm_projector.", "model.image_newline"
INNER = f"{TOWER}vision_tower.vision_model."
FIELDS = llada_hf.FIELDS.joined(
    ConfigFields(
        # Fields of images that are not supported keep nobody from text; see `vision`.
        read=READ,
        # Of training, and of videos, which are not supported.
        harmless=frozenset(
            (
                *("add_faster_video", "add_time_instruction", "delay_load", "faster_token_stride"),
                *("force_sample", "freeze_mm_mlp_adapter", "freeze_mm_vision_resampler"),
                *("image_crop_resolution", "image_split_resolution", "max_new_tokens"),
                *("mm_newline_position", "mm_projector_lr", "mm_spatial_pool_mode"),
                *("mm_spatial_pool_out_channels", "mm_spatial_pool_stride", "mm_tunable_parts"),
                *("mm_vision_tower_lr", "pos_skipping_range", "s2_scales"),
                *("tokenizer_model_max_length", "tokenizer_padding_side", "tune_mm_mlp_adapter"),
                *("tune_mm_vision_resampler", "unfreeze_mm_vision_tower", "use_pos_skipping"),
                "vision_tower_pretrained",
            )
        ),
    )
)


def traits(_raw: RawConfig) -> Traits:
    """LLaDA's, but that an answer is one block, some tokens are in none, and its end is kept."""
    return Traits(
        "full",
        mask_token_id=llada.MASK_TOKEN_ID,
        block_length=BLOCK_LENGTH,
        end_tokens=llada.END_TOKENS,
        banned_tokens=BANNED,
        stops_at_end=True,
        fills_best=True,
    )


def build(raw: RawConfig, weights: Weights, num_positions: int) -> Decoder:
    """LLaDA's decoder with a vision tower; raises `InvalidCheckpoint`."""
    sizes = read_llava_sizes(raw) if weights.with_images else None
    unread = ["head.", "post_layernorm."]
    if sizes is not None:  # the last layer is not read
        unread.append(f"encoder.layers.{sizes.config.num_layers}.")
    names = Names(
        tower=INNER,
        projector=(f"{PROJECTOR}0", f"{PROJECTOR}2"),
        newline=NEWLINE,
        prefixes=(TOWER, PROJECTOR, NEWLINE, "model.faster_token"),
        unread=(*(f"{INNER}{part}" for part in unread), "model.faster_token"),
    )
    vision = take_siglip_tower(sizes, names, raw["hidden_size"], weights)
    decoder = llada_hf.build(raw, weights, num_positions)
    decoder.vision = vision
    return decoder


def _images(raw: RawConfig, _folder: Path, token_id: TokenId) -> ImageTraits | None:
    return read_llava_traits(raw, token_id, IMAGE)


FAMILY = Family(
    "llada-v",
    ("LlavaLLaDAModelLM",),
    traits,
    build,
    FIELDS,
    verified="rows of images to 1e-4, of transformers' SigLIP under a port of the authors' tiles, "
    "and tokens exactly, of a port of their loop over transformers' Llama, on a tiny random "
    "checkpoint",
    model_types=("llava_llada",),
    images=_images,
    chat_template=CHAT_TEMPLATE,
)
