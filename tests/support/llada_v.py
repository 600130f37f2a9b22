"""The golden LLaDA-V with its images and the answers of its reference."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.support.golden import sampling_of
from tests.support.sdar_vl import ImageCase, in_file
from tests.support.tiny import GOLDEN, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.image_files import read_image
from unmask.image_fits import Square, Tiles
from unmask.images import ImageTraits, Pixels, place_images
from unmask.models.registry import LoadedModel, load_model
from unmask.types import Request

FOLDER = GOLDEN / "llada_v"
NUM_IMAGES = 5
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


def golden_pixels(traits: ImageTraits = TRAITS) -> list[Pixels]:
    """The recorded images as the model takes each."""
    recorded = load_file(FOLDER / "forward.safetensors")
    return [read_image(in_file(recorded[f"image.{i}"]), traits) for i in range(NUM_IMAGES)]


def image_cases() -> list[ImageCase]:
    """All recorded answers."""
    golden = json.loads((FOLDER / "golden.json").read_text())
    cases = list[ImageCase]()
    for case in golden["cases"]:
        fitted = TRAITS.of_number(len(case["images"]))
        pixels = golden_pixels(fitted)
        shown = [pixels[index] for index in case["images"]]
        prompt, images = place_images(case["prompt"], shown, fitted)
        sampling = sampling_of(golden, case["settings"])
        request = Request(case["name"], prompt, sampling, images=images)
        cases.append(ImageCase(case["name"], request, case["tokens"], case["forwards"]))
    return cases
