"""Configuration of LLaVA's own class: a SigLIP tower by its name, and tiles by `mm_` fields.

Sizes of towers are constants of the authors' code, as are the layer that is read, which is the last
but one, and the way that pixels are scaled. A `vision_config` may have other sizes.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from unmask.errors import InvalidCheckpoint
from unmask.image_fits import Square, Tiles
from unmask.images import ImageTraits
from unmask.models.family import RawConfig, TokenId
from unmask.models.vision.siglip_config import (
    SHAPES,
    TowerSizes,
    most_tiles,
    read_shapes,
    read_siglip_config,
)
from unmask.models.vision.vision_config import LARGEST, MIDDLE, NAME

TOWER, WIDTH, RATIO = "mm_vision_tower", "mm_hidden_size", "image_aspect_ratio"
SO400M = re.compile(r"(^|/)siglip2?-so400m-patch14-384$")
SIZES: Mapping[str, Any] = {
    "hidden_size": 1152,
    "image_size": 384,
    "intermediate_size": 4304,
    "layer_norm_eps": 1e-6,
    "num_attention_heads": 16,
    "num_hidden_layers": 27,
    "patch_size": 14,
}
# The way from the tower to rows of a prompt. Without the first two, LLaVA has another one.
NEEDED = "mm_projector_type", "mm_patch_merge_type"
PACKING: Mapping[str, tuple[Any, ...]] = {
    "mm_projector_type": ("mlp2x_gelu",),
    "mm_patch_merge_type": ("spatial_unpad",),
    "mm_resampler_type": (),
    "mm_use_im_patch_token": (False,),
    "mm_use_im_start_end": (False,),
    "mm_vision_select_feature": ("patch",),
    "mm_vision_select_layer": (-2,),
    "s2": (False,),
    "use_mm_proj": (True,),
}
READ = frozenset((TOWER, WIDTH, RATIO, SHAPES, NAME, *PACKING))
RANGE = re.compile(r"\(([1-9]\d?)x([1-9]\d?)\),\.\.\.,\(([1-9]\d?)x([1-9]\d?)\)")
GREY = int(MIDDLE * LARGEST)  # of what is beside a picture in a square


def read_llava_traits(raw: RawConfig, token_id: TokenId, token: str) -> ImageTraits | None:
    """The way that a checkpoint takes images, each a `token` in prompts; None without a tower.

    The images of a request that has several are squares. Raises `InvalidCheckpoint`.
    """
    sizes = read_llava_sizes(raw)
    if sizes is None:
        return None
    placeholder = token_id(token)
    if placeholder is None:
        raise InvalidCheckpoint(f"the tokenizer has no {token}, which stands for an image")
    tiles = sizes.tiles
    square = Square(tiles.size, tiles.side, (GREY, GREY, GREY))
    return ImageTraits(
        placeholder, before=(), behind=(), fit=tiles, sees_itself=False, fit_of_several=square
    )


def read_llava_sizes(raw: RawConfig) -> TowerSizes | None:
    """Sizes of the tower, without its last layer, and its tiles; raises `InvalidCheckpoint`."""
    tower = raw.get(TOWER)
    if tower is None:
        return None
    if not isinstance(tower, str) or not SO400M.search(tower):
        raise InvalidCheckpoint(
            f"config.json: {TOWER} must be siglip-so400m-patch14-384 or SigLIP 2's, "
            f"got {tower!r:.80}"
        )
    for name in NEEDED:
        if raw.get(name) is None:
            raise InvalidCheckpoint(f"config.json has no {name}")
    vision = {NAME: raw.get(NAME) or {}}
    config = read_siglip_config(raw | vision, SIZES, PACKING)
    assert config is not None, "it has a vision configuration"
    if raw.get(WIDTH) not in (None, config.hidden_size):
        raise InvalidCheckpoint(
            f"config.json: {WIDTH} must be {config.hidden_size}, got {raw[WIDTH]!r:.40}"
        )
    tiles = Tiles(
        size=config.image_size,
        side=config.side,
        shapes=tuple((height, width) for width, height in _shapes(raw, config.image_size)),
        max_tiles=most_tiles(RATIO, raw.get(RATIO)),
        is_rounded=False,
    )
    return TowerSizes(replace(config, num_layers=config.num_layers - 1), tiles)


def _shapes(raw: RawConfig, size: int) -> list[tuple[int, int]]:
    """Widths and heights of whole tiles in pixels, which are listed or are all of a range."""
    listed = raw.get(SHAPES)
    if isinstance(listed, str) and (found := RANGE.fullmatch(listed)) is not None:
        first, low, last, high = map(int, found.groups())
        listed = [
            [across * size, down * size]
            for across in range(first, last + 1)
            for down in range(low, high + 1)
        ]
    return read_shapes(listed, size)
