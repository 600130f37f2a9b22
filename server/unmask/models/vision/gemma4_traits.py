"""Images of a Gemma 4 checkpoint: its configuration and the files of its processor."""

from pathlib import Path

from unmask.errors import InvalidCheckpoint
from unmask.image_fits import Cells
from unmask.images import ImageTraits
from unmask.models.config_fields import ConfigFields
from unmask.models.config_values import Range
from unmask.models.family import RawConfig, TokenId
from unmask.models.vision.gemma4_config import read_gemma4_config
from unmask.models.vision.processor import USUAL, check_processor, find_processor, token_of
from unmask.models.vision.vision_config import NUM_COLOURS

NEUTRAL = {"image_mean": [0] * NUM_COLOURS, "image_std": [1] * NUM_COLOURS}
# Defaults of transformers' classes.
IMAGE, BEFORE, BEHIND = 258_880, 255_999, 258_882
DEFAULT_ROWS = 280
DEFAULTS = {**NEUTRAL, "patch_size": 16, "pooling_kernel_size": 3}
PROCESSOR = USUAL.joined(
    ConfigFields(
        read=frozenset(("max_soft_tokens", *DEFAULTS)),
        # The processor of Gemma 4 has no use for a size, for a crop or for padding.
        harmless=frozenset(
            ("crop_size", "do_center_crop", "do_pad", "feature_extractor_type", "size")
        ),
        accepted={"do_normalize": (False, True)},
    )
)
ROWS = Range(1, 2**14)


def read_cell_traits(raw: RawConfig, folder: Path, _: TokenId | None = None) -> ImageTraits | None:
    """The way that the checkpoint in a folder, with the `config.json` `raw`, takes images.

    None if it has no vision tower. Raises `InvalidCheckpoint` if that is not supported.
    """
    vision = read_gemma4_config(raw)
    if vision is None:
        return None
    rows = raw.get("vision_soft_tokens_per_image", DEFAULT_ROWS)
    if (processor := find_processor(folder, DEFAULTS)) is not None:
        sizes = {"patch_size": vision.patch_size, "pooling_kernel_size": vision.pooling}
        colours = NEUTRAL if processor.fields.get("do_normalize") else {}
        check_processor(processor, PROCESSOR, {**sizes, **colours})
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
