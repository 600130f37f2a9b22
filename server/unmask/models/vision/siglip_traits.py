"""Images of a LLaVA-OneVision checkpoint: its configuration and the files of its processor."""

from collections.abc import Mapping
from pathlib import Path

from unmask.errors import InvalidCheckpoint
from unmask.image_fits import Tiles
from unmask.images import ImageTraits
from unmask.json_file import read_json
from unmask.models.config_fields import ConfigFields, check_fields
from unmask.models.config_values import without_nulls
from unmask.models.family import RawConfig, TokenId
from unmask.models.vision.processor import (
    BICUBIC,
    NESTED,
    PLAIN,
    Processor,
    check_factor,
    read_processor,
    token_of,
)
from unmask.models.vision.siglip_config import DEFAULT_RATIO, RATIO, SHAPES, read_sizes
from unmask.models.vision.vision_config import MIDDLE

TOKEN, OLD_TOKEN = "image_token_id", "image_token_index"
PROCESSOR = ConfigFields(
    read=frozenset((SHAPES, "image_mean", "image_std", "rescale_factor", "size")),
    harmless=frozenset(
        (
            *("data_format", "default_to_square", "device", "disable_grouping", "do_pad"),
            *("image_processor_type", "image_seq_length", "input_data_format", "pad_size"),
            *("processor_class", "return_tensors"),
        )
    ),
    accepted={
        "crop_size": (),
        "do_center_crop": (False,),
        "do_convert_rgb": (True,),
        "do_normalize": (True,),
        "do_rescale": (True,),
        "do_resize": (True,),
        "resample": (BICUBIC,),
    },
)


def read_tile_traits(raw: RawConfig, folder: Path, _: TokenId | None = None) -> ImageTraits | None:
    """The way that the checkpoint in a folder, with the `config.json` `raw`, takes images.

    None if it has no vision tower. Raises `InvalidCheckpoint` if that is not supported.
    """
    sizes = read_sizes(raw)
    if sizes is None:
        return None
    tiles = sizes.tiles
    _check_processor(read_processor(folder), tiles, raw)
    _check_numbers(read_json(folder / NESTED, optional=True), tiles, raw)
    token = token_of(raw, OLD_TOKEN if raw.get(OLD_TOKEN) is not None else TOKEN)
    return ImageTraits(token, before=(), behind=(), fit=tiles, sees_itself=False)


def _check_processor(processor: Processor | None, tiles: Tiles, raw: RawConfig) -> None:
    """Raise `InvalidCheckpoint` for a processor that scales or cuts images in another way."""
    if processor is None:
        raise InvalidCheckpoint(f"there is neither {PLAIN} nor a processor of images in {NESTED}")
    file, fields = processor
    check_fields(fields, PROCESSOR, file)
    check_factor(processor)
    for name in ("image_mean", "image_std"):
        given = fields.get(name)
        values = given if isinstance(given, list) and given else [given]
        if any(value != MIDDLE for value in values):
            raise InvalidCheckpoint(f"{file}: {name} must be {MIDDLE}, got {given!r:.40}")
    size = fields.get("size")
    expected = {"height": tiles.size, "width": tiles.size}
    if not isinstance(size, Mapping) or without_nulls(size) != expected:
        raise InvalidCheckpoint(f"{file}: size must be {expected}, got {size!r:.60}")
    shapes = fields.get(SHAPES)
    if shapes is not None and shapes != raw[SHAPES]:
        raise InvalidCheckpoint(f"{file}: {SHAPES} are not those of config.json")


def _check_numbers(fields: Mapping[str, object], tiles: Tiles, raw: RawConfig) -> None:
    """Raise `InvalidCheckpoint` where the processor of prompts counts other rows."""
    counted = {
        "num_image_tokens": tiles.side**2,
        RATIO: raw.get(RATIO, DEFAULT_RATIO),
        "vision_feature_select_strategy": "full",
    }
    for name, expected in counted.items():
        if fields.get(name) not in (None, expected):
            raise InvalidCheckpoint(
                f"{NESTED}: {name} is {fields[name]!r:.40}, but config.json has {expected!r}"
            )
