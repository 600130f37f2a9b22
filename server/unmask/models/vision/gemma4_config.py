"""Vision configuration of Gemma 4, read from `vision_config` of a `config.json`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unmask.models.config_fields import ConfigFields
from unmask.models.family import RawConfig
from unmask.models.vision.vision_config import refused, vision_fields

NUM_AXES, HALVES = 2, 2  # RoPE turns pairs of each half of a head, one for an axis
# Defaults of transformers' class, which configurations leave out.
DEFAULTS: Mapping[str, Any] = {
    "head_dim": 64,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_attention_heads": 12,
    "num_hidden_layers": 16,
    "num_key_value_heads": 12,
    "patch_size": 16,
    "pooling_kernel_size": 3,
    "position_embedding_size": 10_240,
    "rms_norm_eps": 1e-6,
    "standardize": False,
    "use_clipped_linears": False,
}
DEFAULT_THETA = 100.0
FIELDS = ConfigFields(
    read=frozenset(DEFAULTS),
    # The length is the processor's; neither positions nor heads have a second size.
    harmless=frozenset(("default_output_length", "global_head_dim", "max_position_embeddings")),
    accepted={
        "attention_bias": (False,),
        "hidden_activation": ("gelu_pytorch_tanh",),
        "model_type": ("gemma4_vision",),
        "standardize": (False, True),
        "use_clipped_linears": (False, True),
    },
    nested={
        "rope_parameters": ConfigFields(
            read=frozenset(("rope_theta",)), accepted={"rope_type": ("axial", "default")}
        )
    },
)


@dataclass(frozen=True, slots=True)
class Gemma4VisionConfig:
    """Sizes of the vision tower, its norm epsilon and RoPE."""

    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    rms_norm_eps: float
    rope_theta: float
    patch_size: int  # pixels, height and width
    pooling: int  # patches of a cell, height and width
    num_positions: int  # largest number of patches in a row or a column
    is_clipped: bool  # inputs and outputs of linear layers have bounds
    is_standardized: bool

    @property
    def cell(self) -> int:
        """Pixels of a cell, height and width."""
        return self.patch_size * self.pooling


def read_gemma4_config(raw: RawConfig) -> Gemma4VisionConfig | None:
    """Vision configuration of a `config.json`, if it has one; raises `InvalidCheckpoint`."""
    fields = vision_fields(raw, FIELDS, DEFAULTS)
    if fields is None:
        return None
    rope = fields.get("rope_parameters", {})
    if not isinstance(rope, Mapping):
        raise refused("rope_parameters must be an object")
    if fields["head_dim"] % (NUM_AXES * HALVES):
        raise refused(f"head_dim {fields['head_dim']} is no multiple of {NUM_AXES * HALVES}")
    return Gemma4VisionConfig(
        hidden_size=fields["hidden_size"],
        intermediate_size=fields["intermediate_size"],
        num_layers=fields["num_hidden_layers"],
        num_heads=fields["num_attention_heads"],
        num_kv_heads=fields["num_key_value_heads"],
        head_dim=fields["head_dim"],
        rms_norm_eps=fields["rms_norm_eps"],
        rope_theta=rope.get("rope_theta", DEFAULT_THETA),
        patch_size=fields["patch_size"],
        pooling=fields["pooling_kernel_size"],
        num_positions=fields["position_embedding_size"],
        is_clipped=fields["use_clipped_linears"],
        is_standardized=fields["standardize"],
    )
