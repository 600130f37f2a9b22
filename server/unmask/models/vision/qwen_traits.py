"""Images of checkpoints with Qwen2.5-VL's tower: configuration, and files of the processor."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from unmask.errors import InvalidCheckpoint
from unmask.image_fits import Units
from unmask.images import ImageTraits
from unmask.models.config_fields import ConfigFields, check_fields
from unmask.models.config_values import Range
from unmask.models.family import RawConfig, TokenId
from unmask.models.vision.processor import (
    USUAL,
    Processor,
    check_processor,
    read_processor,
    token_of,
)
from unmask.models.vision.qwen_config import QwenVisionConfig, read_qwen_config
from unmask.models.vision.vision_config import DEVIATION, MEAN, refused

TOKEN, PAD = "image_token_id", "<|image_pad|>"
# Of text around images, which prompts have, and of videos, which are not supported.
OTHER_TOKENS = frozenset(
    ("video_token_id", "vision_end_token_id", "vision_start_token_id", "vision_token_id")
)
SIZE, LEAST, MOST = "size", "shortest_edge", "longest_edge"
OWN = {LEAST: "min_pixels", MOST: "max_pixels"}  # names that override those of a size
# Defaults of transformers' class.
COLOURS: Mapping[str, Any] = {"image_mean": list(MEAN), "image_std": list(DEVIATION)}
DEFAULTS = {**COLOURS, "merge_size": 2, "patch_size": 14, "temporal_patch_size": 2}
DEFAULT_SIZE: Mapping[str, Any] = {LEAST: 56**2, MOST: 1280 * 28**2}
PROCESSOR = USUAL.joined(
    ConfigFields(
        read=frozenset((SIZE, *OWN.values(), *DEFAULTS)),
        accepted={
            "crop_size": (),
            "do_center_crop": (False,),
            "do_normalize": (True,),
            "do_pad": (False,),
        },
    )
)
EDGES = ConfigFields(nested={SIZE: ConfigFields(read=frozenset(DEFAULT_SIZE))})
PIXELS = Range(1, 2**26)


def read_unit_traits(raw: RawConfig, folder: Path, token_id: TokenId) -> ImageTraits | None:
    """The way that the checkpoint in a folder, with the `config.json` `raw`, takes images.

    None if it has no vision tower. Raises `InvalidCheckpoint` if that is not supported.
    """
    config = read_qwen_config(raw)
    if config is None:
        return None
    if config.num_outputs != (hidden := raw["text_config"]["hidden_size"]):
        raise refused(
            f"out_hidden_size is {config.num_outputs}, but the text model has rows of {hidden}"
        )
    return unit_traits(config, raw, folder, token_id)


def unit_traits(
    config: QwenVisionConfig, raw: RawConfig, folder: Path, token_id: TokenId
) -> ImageTraits:
    """The same for a tower that is read; raises `InvalidCheckpoint`."""
    processor = read_processor(folder, DEFAULTS)
    sizes = {
        "merge_size": config.unit_side,
        "patch_size": config.patch_size,
        "temporal_patch_size": config.num_frames,
    }
    check_processor(processor, PROCESSOR, {**COLOURS, **sizes})
    token = token_of(raw, TOKEN)
    if token_id(PAD) != token:
        raise InvalidCheckpoint(
            f"config.json: {TOKEN} is {token}, but {PAD} of the tokenizer is {token_id(PAD)}"
        )
    fit = Units(config.unit_size, *_num_pixels(processor))
    return ImageTraits(token, before=(), behind=(), fit=fit, sees_itself=False)


def read_grid_traits(raw: RawConfig, folder: Path, token_id: TokenId) -> ImageTraits | None:
    """The same, of a model whose rows are turned by where they are in their image (M-RoPE)."""
    traits = read_unit_traits(raw, folder, token_id)
    return None if traits is None else replace(traits, has_grid=True)


def _num_pixels(processor: Processor) -> tuple[int, int]:
    """The fewest and the most pixels of an image; raises `InvalidCheckpoint`."""
    file, fields = processor
    size = fields.get(SIZE) or {}
    if not isinstance(size, Mapping):
        raise InvalidCheckpoint(f"{file}: {SIZE} must be an object, got {size!r:.60}")
    check_fields({SIZE: size}, EDGES, file)
    stated = {**DEFAULT_SIZE, **size}
    stated |= {edge: fields[name] for edge, name in OWN.items() if name in fields}
    least, most = stated[LEAST], stated[MOST]
    if not PIXELS.holds(least) or not PIXELS.holds(most) or least > most:
        raise InvalidCheckpoint(
            f"{file}: images of {least!r:.40} to {most!r:.40} pixels are not possible"
        )
    return int(least), int(most)
