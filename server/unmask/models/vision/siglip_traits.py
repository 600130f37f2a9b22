"""Images of a LLaVA-OneVision checkpoint: its configuration and the files of its processor."""

from collections.abc import Mapping
from pathlib import Path

from unmask.errors import InvalidCheckpoint
from unmask.image_fits import Tiles
from unmask.images import ImageTraits
from unmask.json_file import read_json
from unmask.models.config_fields import ConfigFields
from unmask.models.family import RawConfig, TokenId
from unmask.models.vision.processor import (
    NESTED,
    USUAL,
    check_processor,
    read_processor,
    token_of,
)
from unmask.models.vision.siglip_config import COLOURS, DEFAULT_RATIO, RATIO, SHAPES, read_sizes

TOKEN, OLD_TOKEN = "image_token_id", "image_token_index"
PROCESSOR = USUAL.joined(
    ConfigFields(
        read=frozenset((SHAPES, "size")),
        harmless=frozenset(("do_pad",)),
        accepted={"crop_size": (), "do_center_crop": (False,), "do_normalize": (True,)},
    )
)


def read_tile_traits(raw: RawConfig, folder: Path, _: TokenId | None = None) -> ImageTraits | None:
    """The way that the checkpoint in a folder, with the `config.json` `raw`, takes images.

    None if it has no vision tower. Raises `InvalidCheckpoint` if that is not supported.
    """
    sizes = read_sizes(raw)
    if sizes is None:
        return None
    tiles = sizes.tiles
    processor = read_processor(folder)
    size = {"height": tiles.size, "width": tiles.size}
    check_processor(processor, PROCESSOR, {**COLOURS, "size": size})
    if processor.fields.get(SHAPES, raw[SHAPES]) != raw[SHAPES]:
        raise InvalidCheckpoint(f"{processor.file}: {SHAPES} are not those of config.json")
    _check_numbers(read_json(folder / NESTED, optional=True), tiles, raw)
    token = token_of(raw, OLD_TOKEN if raw.get(OLD_TOKEN) is not None else TOKEN)
    return ImageTraits(token, before=(), behind=(), fit=tiles, sees_itself=False)


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
