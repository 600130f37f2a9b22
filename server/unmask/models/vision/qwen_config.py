"""Configuration of Qwen2.5-VL's vision tower, as LLaDA-UI and Fast-dVLM have it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unmask.models.config_fields import ConfigFields
from unmask.models.family import RawConfig
from unmask.models.vision.vision_config import NUM_COLOURS, TURNED, refused, vision_fields

FULL = "fullatt_block_indexes"  # layers without windows
# Defaults of the authors' class, which are Qwen2.5-VL's.
DEFAULTS: Mapping[str, Any] = {
    "depth": 32,
    FULL: [7, 15, 23, 31],
    "hidden_size": 3584,
    "intermediate_size": 3420,
    "num_heads": 16,
    "out_hidden_size": 3584,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "window_size": 112,
}
FIELDS = ConfigFields(
    read=frozenset(DEFAULTS),
    harmless=frozenset(("spatial_patch_size", "tokens_per_second")),  # of older code, and of videos
    accepted={
        "hidden_act": ("silu",),
        "in_channels": (NUM_COLOURS,),
        "in_chans": (NUM_COLOURS,),
        "model_type": ("fast_dvlm", "lladavision", "qwen2_5_vl", "qwen2_5_vl_vision"),
    },
)


@dataclass(frozen=True, slots=True)
class QwenVisionConfig:
    """Sizes of the tower; a unit is a square of patches that become one row of a prompt."""

    hidden_size: int
    intermediate_size: int
    num_outputs: int  # hidden size of the text model
    num_layers: int
    num_heads: int
    full_layers: frozenset[int]
    patch_size: int  # pixels, height and width
    num_frames: int  # of a patch; an image is all of them
    unit_side: int  # patches
    window_side: int  # units

    @property
    def unit_size(self) -> int:
        """Pixels of a unit, height and width."""
        return self.patch_size * self.unit_side


def read_qwen_config(raw: RawConfig) -> QwenVisionConfig | None:
    """Configuration of the tower, if a `config.json` has one; raises `InvalidCheckpoint`."""
    fields = vision_fields(raw, FIELDS, DEFAULTS)
    if fields is None:
        return None
    width, heads, depth = fields["hidden_size"], fields["num_heads"], fields["depth"]
    if width % (TURNED * heads):
        raise refused(f"hidden_size {width} is no multiple of {TURNED} num_heads {heads}")
    layers = fields[FULL]
    is_list = isinstance(layers, list) and all(type(layer) is int for layer in layers)
    if not is_list or not all(0 <= layer < depth for layer in layers):
        raise refused(f"{FULL} must list some of {depth} layers, got {layers!r:.60}")
    unit = fields["patch_size"] * fields["spatial_merge_size"]
    if fields["window_size"] < unit:
        raise refused(f"window_size {fields['window_size']} is less than a unit of {unit} pixels")
    return QwenVisionConfig(
        hidden_size=width,
        intermediate_size=fields["intermediate_size"],
        num_outputs=fields["out_hidden_size"],
        num_layers=depth,
        num_heads=heads,
        full_layers=frozenset(layers),
        patch_size=fields["patch_size"],
        num_frames=fields["temporal_patch_size"],
        unit_side=fields["spatial_merge_size"],
        window_side=fields["window_size"] // unit,
    )
