"""The golden SDAR-VL with its images and the answers of its reference."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.support.golden import sampling_of
from tests.support.tiny import GOLDEN, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.image_files import read_image
from unmask.image_fits import Tiles
from unmask.images import ImageTraits, Pixels, place_images
from unmask.models.registry import LoadedModel, load_model
from unmask.types import Request

FOLDER = GOLDEN / "sdar_vl"
NUM_IMAGES = 4
TILES = Tiles(20, 3, tuple((20 * h, 20 * w) for h in range(1, 5) for w in range(1, 5)), 9)
TRAITS = ImageTraits(505, (), (), TILES, sees_itself=False)


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


def in_file(image: np.ndarray | Tensor) -> bytes:
    """A PNG of an image [H, W, 3]."""
    file = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(file, "PNG")
    return file.getvalue()


def golden_pixels() -> list[Pixels]:
    """The recorded images as the model takes them."""
    recorded = load_file(FOLDER / "forward.safetensors")
    return [read_image(in_file(recorded[f"image.{i}"]), TRAITS) for i in range(NUM_IMAGES)]


@dataclass(frozen=True)
class ImageCase:
    """A request with images and its reference's answer."""

    name: str
    request: Request
    tokens: list[int]
    forwards: int


def image_cases() -> list[ImageCase]:
    """All recorded answers."""
    golden, pixels = json.loads((FOLDER / "golden.json").read_text()), golden_pixels()
    cases = list[ImageCase]()
    for case in golden["cases"]:
        shown = [pixels[index] for index in case["images"]]
        prompt, images = place_images(case["prompt"], shown, TRAITS)
        sampling = sampling_of(golden, case["settings"])
        request = Request(case["name"], prompt, sampling, images=images)
        cases.append(ImageCase(case["name"], request, case["tokens"], case["forwards"]))
    return cases
