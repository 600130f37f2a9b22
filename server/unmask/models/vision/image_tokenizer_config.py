"""Configuration of an image tokenizer: GLM-Image's, in a folder beside LLaDA2.0-Uni's weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unmask.errors import InvalidCheckpoint
from unmask.json_file import read_json
from unmask.models.config_fields import ConfigFields, check_fields
from unmask.models.config_values import Range, check_values, without_nulls
from unmask.models.hub import IMAGE_TOKENIZER
from unmask.models.vision.vision_config import NAME, NUM_COLOURS

CODES, FILE = "vq_config", "config.json"
# Defaults of transformers' classes.
DEFAULTS: Mapping[str, Any] = {
    "attention_bias": True,
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
    read=frozenset(DEFAULTS) - {"attention_bias"},
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
SIZES: Mapping[str, Range] = {
    "depth": Range(1, 1000),
    "embed_dim": Range(1, 2**17),
    "num_embeddings": Range(1, 2**20),
    "num_heads": Range(1, 1024),
}


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
    path = folder / IMAGE_TOKENIZER / FILE
    if not path.is_file():
        return None
    raw = read_json(path)
    vision = _fields(raw, NAME, FIELDS, DEFAULTS)
    codes = _fields(raw, CODES, CODE_FIELDS, CODE_DEFAULTS)
    width, patch = vision["hidden_size"], vision["patch_size"]
    if codes["latent_channels"] != width:
        raise _refused(f"{CODES}.latent_channels is not {NAME}.hidden_size {width}")
    if width % vision["num_heads"]:
        raise _refused(f"{NAME}.hidden_size {width} is no multiple of num_heads")
    if patch > vision["image_size"]:
        raise _refused(f"{NAME}.patch_size is above image_size")
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


def _fields(
    raw: Mapping[str, Any], name: str, known: ConfigFields, defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """Fields of an object of the file, with defaults."""
    given = raw.get(name)
    if not isinstance(given, Mapping):
        raise _refused(f"{name} must be an object, got {given!r:.60}")
    check_fields(given, known, f"{IMAGE_TOKENIZER}/{FILE}")
    fields = {**defaults, **without_nulls(given)}
    check_values(fields, f"{name}.")
    for size, allowed in SIZES.items():
        if size in fields and not allowed.holds(fields[size]):
            raise _refused(f"{name}.{size} must be a {allowed}, got {fields[size]!r:.40}")
    return fields


def _refused(reason: str) -> InvalidCheckpoint:
    return InvalidCheckpoint(f"{IMAGE_TOKENIZER}/{FILE}: {reason}")
