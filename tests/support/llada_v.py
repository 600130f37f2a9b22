"""The golden LLaDA-V with its images and the answers of its reference."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.support.golden_images import recorded_cases, recorded_pixels
from tests.support.tiny import GOLDEN, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.image_fits import Square, Tiles
from unmask.images import ImageTraits
from unmask.models.registry import LoadedModel, load_model

FOLDER = GOLDEN / "llada_v"
# Special tokens of the tiny tokenizer, the last but the end and the mask.
TAGS = (
    *("<|startoftext|>", "<|endoftext|>", "<|start_header_id|>", "<|end_header_id|>"),
    *("<|eot_id|>", "<|reserved_token_0|>"),
)
BANNED, END, PLACEHOLDER = (504, 505, 506, 507), 508, 509
TILES = Tiles(
    *(20, 3, tuple((20 * down, 20 * across) for across in range(1, 5) for down in range(1, 5)), 4),
    is_rounded=False,
)
TRAITS = ImageTraits(
    *(PLACEHOLDER, (), (), TILES),
    sees_itself=False,
    fit_of_several=Square(20, 3, (127, 127, 127)),
)
golden_pixels = partial(recorded_pixels, FOLDER, TRAITS)
image_cases = partial(recorded_cases, FOLDER, TRAITS)


def raw_config(**changes: Any) -> dict[str, Any]:
    """Golden configuration with changed fields."""
    raw: dict[str, Any] = json.loads((FOLDER / "config.json").read_text())
    return raw | changes


def write(folder: Path, raw: dict[str, Any], tensors: dict[str, Tensor] | None = None) -> Path:
    """A checkpoint, by default with the golden tensors."""
    (folder / "config.json").write_text(json.dumps(raw))
    save_file(tensors or load_file(FOLDER / "model.safetensors"), folder / "model.safetensors")
    byte_tokenizer(tags=TAGS).save_pretrained(folder)
    return folder


def load(folder: Path, **config: Any) -> LoadedModel:
    """The checkpoint in a folder, in float32 on a CPU by default."""
    options = {"dtype": "float32", "device": "cpu"} | config
    return load_model(ModelConfig(str(folder), **options), DecodingConfig())
