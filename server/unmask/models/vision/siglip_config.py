"""Configuration of a SigLIP tower and of LLaVA-OneVision's tiles, of a `config.json`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from unmask.errors import InvalidCheckpoint
from unmask.image_fits import Size, Tiles
from unmask.models.config_fields import ConfigFields
from unmask.models.config_values import Range
from unmask.models.family import RawConfig
from unmask.models.vision.vision_config import MIDDLE, NUM_COLOURS, refused, vision_fields

SHAPES, RATIO = "image_grid_pinpoints", "vision_aspect_ratio"
# Defaults of transformers' classes, which configurations leave out.
DEFAULTS: Mapping[str, Any] = {
    "hidden_size": 768,
    "image_size": 224,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-6,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "patch_size": 16,
}
DEFAULT_RATIO = "anyres_max_9"
FIELDS = ConfigFields(
    read=frozenset(DEFAULTS),
    # The head is behind the layers that are read.
    harmless=frozenset(("projection_size", "vision_use_head")),
    accepted={
        "hidden_act": ("gelu_pytorch_tanh",),
        "model_type": ("siglip_vision_model",),
        "num_channels": (NUM_COLOURS,),
    },
)
# Of the whole `config.json`: the way from the tower to rows of a prompt.
PACKING: Mapping[str, tuple[Any, ...]] = {
    "multimodal_projector_bias": (True,),
    "projector_hidden_act": ("gelu",),
    "use_image_newline_parameter": (True,),
    "vision_feature_layer": (-1,),
    "vision_feature_select_strategy": ("full",),
}
COLOURS = {"image_mean": [MIDDLE] * NUM_COLOURS, "image_std": [MIDDLE] * NUM_COLOURS}
MAX_SHAPES, MAX_SIZE = 256, Range(1, 2**14)


@dataclass(frozen=True, slots=True)
class SiglipConfig:
    """Sizes of the tower, and its norm epsilon."""

    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    layer_norm_eps: float
    image_size: int  # pixels of a tile, height and width
    patch_size: int  # pixels, height and width

    @property
    def side(self) -> int:
        """Patches of a tile, height and width; pixels behind the last whole one are not read."""
        return self.image_size // self.patch_size


class TowerSizes(NamedTuple):
    """Sizes of a tower, and the tiles that it takes."""

    config: SiglipConfig
    tiles: Tiles


def read_sizes(raw: RawConfig) -> TowerSizes | None:
    """Sizes of LLaVA-OneVision's tower, if there is one; raises `InvalidCheckpoint`."""
    config = read_siglip_config(raw)
    return None if config is None else TowerSizes(config, read_tiles(raw, config))


def read_siglip_config(
    raw: RawConfig,
    defaults: Mapping[str, Any] = DEFAULTS,
    packing: Mapping[str, tuple[Any, ...]] = PACKING,
) -> SiglipConfig | None:
    """Configuration of the tower, if a `config.json` has one; raises `InvalidCheckpoint`.

    Fields of `packing` are those of the whole file, with their accepted values.
    """
    fields = vision_fields(raw, FIELDS, defaults, packing)
    if fields is None:
        return None
    heads, width = fields["num_attention_heads"], fields["hidden_size"]
    if width % heads:
        raise refused(f"hidden_size {width} is no multiple of num_attention_heads {heads}")
    return SiglipConfig(
        hidden_size=width,
        intermediate_size=fields["intermediate_size"],
        num_layers=fields["num_hidden_layers"],
        num_heads=heads,
        layer_norm_eps=fields["layer_norm_eps"],
        image_size=fields["image_size"],
        patch_size=fields["patch_size"],
    )


def read_tiles(raw: RawConfig, config: SiglipConfig) -> Tiles:
    """The tiles that images are cut into; raises `InvalidCheckpoint`."""
    return Tiles(
        size=config.image_size,
        side=config.side,
        shapes=tuple(read_shapes(raw.get(SHAPES), config.image_size)),
        max_tiles=most_tiles(RATIO, raw.get(RATIO, DEFAULT_RATIO)),
    )


def most_tiles(name: str, ratio: object) -> int:
    """The number in `anyres_max_N`, the value of a field; raises `InvalidCheckpoint`."""
    found = re.fullmatch(r"anyres_max_([1-9]\d{0,3})", ratio) if isinstance(ratio, str) else None
    if found is None:
        raise InvalidCheckpoint(f"config.json: {name} must be anyres_max_N, got {ratio!r:.40}")
    return int(found[1])


def read_shapes(listed: object, size: int) -> list[Size]:
    """Pairs of whole tiles in pixels, in their order; raises `InvalidCheckpoint`."""
    if not isinstance(listed, list) or not 0 < len(listed) <= MAX_SHAPES:
        raise InvalidCheckpoint(
            f"config.json: {SHAPES} must list up to {MAX_SHAPES} heights and widths, "
            f"got {listed!r:.60}"
        )
    shapes = list[Size]()
    for shape in listed:
        is_pair = isinstance(shape, list) and len(shape) == len(("height", "width"))
        if not is_pair or any(not MAX_SIZE.holds(n) or n % size for n in shape):
            raise InvalidCheckpoint(
                f"config.json: {SHAPES} has {shape!r:.40}, which are not two multiples of {size}"
            )
        shapes.append((shape[0], shape[1]))
    return shapes
