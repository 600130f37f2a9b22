"""Configuration of Pixtral's vision tower, as Nemotron-Labs-Diffusion-VLM has it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unmask.errors import InvalidCheckpoint
from unmask.models.config_fields import ConfigFields
from unmask.models.config_values import RANGES, without_nulls
from unmask.models.family import RawConfig
from unmask.models.vision.vision_config import NUM_COLOURS, TURNED, refused, vision_fields

MERGE, ROPE, ACTIVATION = "spatial_merge_size", "rope_parameters", "hidden_act"
THETA = 10_000.0
# Defaults of transformers' class.
DEFAULTS: Mapping[str, Any] = {
    "hidden_size": 1024,
    "image_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
    "patch_size": 16,
}
FIELDS = ConfigFields(
    read=frozenset((*DEFAULTS, "head_dim", "rope_theta")),
    accepted={
        ACTIVATION: ("silu",),
        "model_type": ("pixtral",),
        "num_channels": (NUM_COLOURS,),
        "rope_scaling": (),
    },
    nested={
        ROPE: ConfigFields(
            read=frozenset(("rope_theta",)),
            # Both are the same: transformers renamed it.
            accepted=dict.fromkeys(("rope_type", "type"), ("axial", "default")),
        )
    },
)
# Fields beside those of the tower, of its projector, with the values that the code here has.
BESIDE: Mapping[str, tuple[Any, ...]] = {
    "multimodal_projector_bias": (False,),
    "projector_hidden_act": ("gelu",),
    "vision_feature_layer": (-1,),
}


@dataclass(frozen=True, slots=True)
class PixtralConfig:
    """Sizes of the tower; a unit is a square of patches that become one row of a prompt."""

    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    patch_size: int  # pixels, height and width
    unit_side: int  # patches
    max_side: int  # pixels, height and width, for which there are positions
    rope_theta: float
    num_outputs: int  # hidden size of the text model
    projector_eps: float

    @property
    def unit_size(self) -> int:
        """Pixels of a unit, height and width."""
        return self.patch_size * self.unit_side


def read_pixtral_config(raw: RawConfig) -> PixtralConfig | None:
    """Configuration of the tower, if a `config.json` has one; raises `InvalidCheckpoint`."""
    fields = vision_fields(raw, FIELDS, DEFAULTS, BESIDE)
    if fields is None:
        return None
    width, heads = fields["hidden_size"], fields["num_attention_heads"]
    if width % (TURNED * heads):
        raise refused(f"hidden_size {width} is no multiple of {TURNED} num_attention_heads")
    if fields.get("head_dim", width // heads) * heads != width:
        raise refused(f"head_dim {fields['head_dim']} is not hidden_size / num_attention_heads")
    if fields.get(ACTIVATION) is None:  # it would be another one
        raise refused(f"{ACTIVATION} is not there, and transformers' default is not supported")
    side = raw.get(MERGE)
    if not RANGES[MERGE].holds(side):
        raise InvalidCheckpoint(f"config.json: {MERGE} must be a {RANGES[MERGE]}, got {side!r:.40}")
    rope = without_nulls(fields.get(ROPE) or {})
    return PixtralConfig(
        hidden_size=width,
        intermediate_size=fields["intermediate_size"],
        num_layers=fields["num_hidden_layers"],
        num_heads=heads,
        patch_size=fields["patch_size"],
        unit_side=raw[MERGE],
        max_side=fields["image_size"],
        rope_theta=rope.get("rope_theta", fields.get("rope_theta", THETA)),
        num_outputs=raw["hidden_size"],
        projector_eps=raw["rms_norm_eps"],
    )
