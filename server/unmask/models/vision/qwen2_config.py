"""Configuration of Qwen2-VL's vision tower, as Dream-VL has it."""

from collections.abc import Mapping
from typing import Any

from unmask.models.config_fields import ConfigFields
from unmask.models.family import RawConfig
from unmask.models.vision.qwen_config import QwenVisionConfig
from unmask.models.vision.vision_config import NUM_COLOURS, TURNED, refused, vision_fields

# Defaults of the authors' class, which are Qwen2-VL's.
DEFAULTS: Mapping[str, Any] = {
    "depth": 32,
    "embed_dim": 1280,
    "hidden_size": 3584,
    "mlp_ratio": 4,
    "num_heads": 16,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}
FIELDS = ConfigFields(
    read=frozenset(DEFAULTS),
    harmless=frozenset(("spatial_patch_size",)),  # of older code
    accepted={
        "hidden_act": ("quick_gelu",),
        "in_channels": (NUM_COLOURS,),
        "in_chans": (NUM_COLOURS,),
        "model_type": ("dream-vl", "dream_vl", "qwen2_vl"),
    },
)


def read_qwen2_config(raw: RawConfig) -> QwenVisionConfig | None:
    """Configuration of the tower, if a `config.json` has one; raises `InvalidCheckpoint`.

    All of its layers have attention to the whole image.
    """
    fields = vision_fields(raw, FIELDS, DEFAULTS)
    if fields is None:
        return None
    width, heads = fields["embed_dim"], fields["num_heads"]
    if width % (TURNED * heads):
        raise refused(f"embed_dim {width} is no multiple of {TURNED} num_heads {heads}")
    return QwenVisionConfig(
        hidden_size=width,
        intermediate_size=width * fields["mlp_ratio"],
        num_outputs=fields["hidden_size"],
        num_layers=fields["depth"],
        num_heads=heads,
        full_layers=frozenset(range(fields["depth"])),
        patch_size=fields["patch_size"],
        num_frames=fields["temporal_patch_size"],
        unit_side=fields["spatial_merge_size"],
        window_side=1,
    )
