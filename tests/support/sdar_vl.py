"""The golden SDAR-VL with its images and the answers of its reference."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.support.golden_images import recorded_cases, recorded_pixels
from tests.support.tiny import GOLDEN, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.image_fits import Tiles
from unmask.images import ImageTraits
from unmask.models.registry import LoadedModel, load_model

FOLDER = GOLDEN / "sdar_vl"
TILES = Tiles(20, 3, tuple((20 * h, 20 * w) for h in range(1, 5) for w in range(1, 5)), 9)
TRAITS = ImageTraits(505, (), (), TILES, sees_itself=False)
golden_pixels = partial(recorded_pixels, FOLDER, TRAITS)
image_cases = partial(recorded_cases, FOLDER, TRAITS)


def raw_config(**changes: Any) -> dict[str, Any]:
    """Golden configuration with changed fields."""
    raw: dict[str, Any] = json.loads((FOLDER / "config.json").read_text())
    return raw | changes


def processor_config(**changes: Any) -> dict[str, Any]:
    """Golden configuration of the processor with changed fields."""
    fields: dict[str, Any] = json.loads((FOLDER / "preprocessor_config.json").read_text())
    return fields | changes


def write(
    folder: Path,
    raw: dict[str, Any],
    tensors: dict[str, Tensor] | None = None,
) -> Path:
    """A checkpoint with the golden processor, by default with the golden tensors."""
    (folder / "config.json").write_text(json.dumps(raw))
    (folder / "preprocessor_config.json").write_text(json.dumps(processor_config()))
    save_file(tensors or load_file(FOLDER / "model.safetensors"), folder / "model.safetensors")
    byte_tokenizer().save_pretrained(folder)
    return folder


def load(folder: Path, **config: Any) -> LoadedModel:
    """The checkpoint in a folder, in float32 on a CPU by default."""
    options = {"dtype": "float32", "device": "cpu"} | config
    return load_model(ModelConfig(str(folder), **options), DecodingConfig())
