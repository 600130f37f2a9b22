"""Images of a Gemma 4 checkpoint: its configuration and the files of its processor."""

from pathlib import Path

from unmask.errors import InvalidCheckpoint
from unmask.image_fits import Cells
from unmask.images import ImageTraits
from unmask.models.config_fields import ConfigFields, check_fields
from unmask.models.config_values import Range
from unmask.models.family import RawConfig, TokenId
from unmask.models.vision.gemma4_config import VisionConfig, read_vision_config
from unmask.models.vision.processor import (
    BICUBIC,
    Processor,
    check_factor,
    read_processor,
    token_of,
)

# Defaults of transformers' classes.
IMAGE, BEFORE, BEHIND = 258_880, 255_999, 258_882
DEFAULT_ROWS, DEFAULT_PATCH, DEFAULT_POOLING = 280, 16, 3
PROCESSOR = ConfigFields(
    read=frozenset(
        (
            *("image_mean", "image_std", "max_soft_tokens", "patch_size", "pooling_kernel_size"),
            "rescale_factor",
        )
    ),
    # The processor of Gemma 4 has no use for a size, for a crop or for padding.
    harmless=frozenset(
        (
            *("crop_size", "data_format", "default_to_square", "device", "disable_grouping"),
            *("do_center_crop", "do_pad", "feature_extractor_type", "image_processor_type"),
            *("image_seq_length", "input_data_format", "pad_size", "processor_class"),
            *("return_tensors", "size"),
        )
    ),
    accepted={
        "do_convert_rgb": (True,),
        "do_normalize": (False, True),
        "do_rescale": (True,),
        "do_resize": (True,),
        "resample": (BICUBIC,),
    },
)
ROWS = Range(1, 2**14)


def read_image_traits(raw: RawConfig, folder: Path, _: TokenId | None = None) -> ImageTraits | None:
    """The way that the checkpoint in a folder, with the `config.json` `raw`, takes images.

    None if it has no vision tower. Raises `InvalidCheckpoint` if that is not supported.
    """
    vision = read_vision_config(raw)
    if vision is None:
        return None
    rows = raw.get("vision_soft_tokens_per_image", DEFAULT_ROWS)
    if (processor := read_processor(folder)) is not None:
        _check_processor(processor, vision)
        rows = processor.fields.get("max_soft_tokens") or rows
    if not ROWS.holds(rows):
        raise InvalidCheckpoint(f"the rows of an image must be a {ROWS}, got {rows!r:.40}")
    if rows * vision.pooling > vision.num_positions:
        raise InvalidCheckpoint(
            f"{rows} rows of an image may be {rows * vision.pooling} patches in a line, but "
            f"vision_config.position_embedding_size is {vision.num_positions}"
        )
    return ImageTraits(
        token_id=token_of(raw, "image_token_id", IMAGE),
        before=(token_of(raw, "boi_token_id", BEFORE),),
        behind=(token_of(raw, "eoi_token_id", BEHIND),),
        fit=Cells(vision.cell, rows),
        sees_itself=raw["text_config"].get("use_bidirectional_attention") == "vision",
    )


def _check_processor(processor: Processor, vision: VisionConfig) -> None:
    """Raise `InvalidCheckpoint` for a processor that scales or cuts images in another way."""
    file, fields = processor
    check_fields(fields, PROCESSOR, file)
    sizes = {
        "patch_size": (DEFAULT_PATCH, vision.patch_size),
        "pooling_kernel_size": (DEFAULT_POOLING, vision.pooling),
    }
    for name, (default, expected) in sizes.items():
        given = default if fields.get(name) is None else fields[name]
        if given != expected:
            raise InvalidCheckpoint(
                f"{file}: {name} is {given!r:.40}, but vision_config has {expected}"
            )
    check_factor(processor)
    for name, neutral in (("image_mean", 0), ("image_std", 1)):
        given = fields.get(name)
        values = given if isinstance(given, list) else [neutral if given is None else given]
        if fields.get("do_normalize") and any(value != neutral for value in values):
            raise InvalidCheckpoint(
                f"{file}: {name} must be {neutral} where do_normalize is true, got {given!r:.40}"
            )
