"""Dream-VL (7B): Dream with Qwen2-VL's vision tower and its positions (2512.22615, 2025).

Its loop is Dream's. Rows of images are rotated by where they are in their image (M-RoPE), and see
the whole sequence as all others do.
"""

from dataclasses import replace
from pathlib import Path

from unmask.images import ImageTraits
from unmask.models import dream
from unmask.models.config_fields import ConfigFields
from unmask.models.decoder import Decoder
from unmask.models.family import Family, Presets, RawConfig, TokenId, Traits
from unmask.models.rope import SECTIONS
from unmask.models.vision.qwen2_config import read_qwen2_config
from unmask.models.vision.qwen2_weights import take_qwen2_tower
from unmask.models.vision.qwen_traits import OTHER_TOKENS, TOKEN, unit_traits
from unmask.models.vision.vision_config import NAME as VISION
from unmask.models.weights import Weights

USUAL_SECTIONS = [16, 24, 24]  # of the authors' class
STATED_POSITIONS = 8192  # of the authors' training; the configuration still has Qwen2.5's 131,072
FIELDS = dream.FIELDS.joined(
    ConfigFields(
        read=frozenset((TOKEN, VISION, SECTIONS)),
        harmless=OTHER_TOKENS,
        accepted={
            "expand_token_id": (),
            "delete_token_id": (),
            "full_attn_mask": (True,),
            "projector_hidden_act": ("gelu",),
        },
    )
)
# Those of their evaluation and of their quickstart.
PRESETS: Presets = {
    "greedy": {"policy": "low_confidence"},
    "quickstart": {"policy": "low_confidence", "temperature": 0.1},
}


def traits(raw: RawConfig) -> Traits:
    """Dream's; answers neither grow nor shrink."""
    return replace(dream.traits(raw), stated_positions=STATED_POSITIONS, length_commands=None)


def presets(_raw: RawConfig, _name: str) -> Presets:
    """Values of the authors' examples."""
    return PRESETS


def build(raw: RawConfig, weights: Weights, num_positions: int) -> Decoder:
    """Dream's decoder with a vision tower; raises `InvalidCheckpoint`."""
    config = read_qwen2_config(raw) if weights.with_images else None
    vision = take_qwen2_tower(config, raw["hidden_size"], weights)
    name = "rope_parameters" if raw.get("rope_parameters") else "rope_scaling"
    rope = {**(raw.get(name) or {}), SECTIONS: raw.get(SECTIONS, USUAL_SECTIONS)}
    decoder = dream.build({**raw, name: rope}, weights, num_positions)
    decoder.vision = vision
    return decoder


def read_images(raw: RawConfig, folder: Path, token_id: TokenId) -> ImageTraits | None:
    """The way that a checkpoint takes images; raises `InvalidCheckpoint`."""
    config = read_qwen2_config(raw)
    if config is None:
        return None
    return replace(unit_traits(config, raw, folder, token_id), has_grid=True)


FAMILY = Family(
    "dream-vl",
    ("DreamVLModel",),
    traits,
    build,
    FIELDS,
    verified="logits and rows of images to 1e-4, of transformers' Qwen2-VL, and tokens exactly, of "
    "a port of the authors' loop over it, on a tiny random checkpoint",
    model_types=("dream-vl",),
    presets=presets,
    images=read_images,
)
