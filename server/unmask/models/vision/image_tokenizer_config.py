"""Configuration of an image tokenizer: GLM-Image's, in a folder beside LLaDA2.0-Uni's weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unmask.errors import InvalidCheckpoint
from unmask.json_file import read_json
from unmask.models.config_fields import CONFIG, ConfigFields
from unmask.models.hub import IMAGE_TOKENIZER
from unmask.models.vision.vision_config import NAME, NUM_COLOURS, object_fields

CODES, FILE = "vq_config", f"{IMAGE_TOKENIZER}/{CONFIG}"
# Defaults of transformers' classes.
DEFAULTS: Mapping[str, Any] = {
    "depth": 40,
    "hidden_size": 1536,
    "image_size": 2048,
    "intermediate_size": 6144,
    "layer_norm_eps": 1e-6,
    "num_heads": 16,
    "patch_size": 16,
}
CODE_DEFAULTS: Mapping[str, Any] = {
    "embed_dim": 2048,
    "latent_channels": 1536,
    "num_embeddings": 16384,
}
FIELDS = ConfigFields(
    read=frozenset(DEFAULTS),
    accepted={
        "attention_bias": (True,),
        "hidden_act": ("gelu",),
        "in_channels": (NUM_COLOURS,),
        "spatial_merge_size": (1,),
    },
)
CODE_FIELDS = ConfigFields(
    read=frozenset(CODE_DEFAULTS),
    harmless=frozenset(("beta", "in_channels")),  # of training, and of pixels that nothing reads
)


@dataclass(frozen=True, slots=True)
class ImageTokenizerConfig:
    """Sizes of the tower and of its codes, and the norms' epsilon."""

    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    layer_norm_eps: float
    patch_size: int  # pixels, height and width
    side: int  # patches that have positions, height and width; others are between them
    num_codes: int
    code_size: int


def read_image_tokenizer_config(folder: Path) -> ImageTokenizerConfig | None:
    """Configuration in the folder of a checkpoint, if it has one; raises `InvalidCheckpoint`."""
    path = folder / FILE
    if not path.is_file():
        return None
    raw = read_json(path)
    vision = object_fields(raw, NAME, FIELDS, DEFAULTS, FILE)
    codes = object_fields(raw, CODES, CODE_FIELDS, CODE_DEFAULTS, FILE)
    width, patch = vision["hidden_size"], vision["patch_size"]
    if codes["latent_channels"] != width:
        raise InvalidCheckpoint(
            f"{FILE}: {CODES}.latent_channels is not {NAME}.hidden_size {width}"
        )
    return ImageTokenizerConfig(
        hidden_size=width,
        intermediate_size=vision["intermediate_size"],
        num_layers=vision["depth"],
        num_heads=vision["num_heads"],
        layer_norm_eps=vision["layer_norm_eps"],
        patch_size=patch,
        side=vision["image_size"] // patch,
        num_codes=codes["num_embeddings"],
        code_size=codes["embed_dim"],
    )
