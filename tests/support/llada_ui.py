"""The golden LLaDA-UI with its images and the answers of its reference."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.support.golden import sampling_of
from tests.support.sdar_vl import ImageCase, in_file
from tests.support.tiny import GOLDEN, MASK_ID, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.image_files import read_image
from unmask.image_fits import Units
from unmask.images import ImageTraits, Pixels, place_images
from unmask.models.registry import LoadedModel, load_model
from unmask.types import Request

FOLDER = GOLDEN / "llada_ui"
NUM_IMAGES = 4
UNITS = Units(8, 256, 2048)
TRAITS = ImageTraits(505, (), (), UNITS, sees_itself=False)
# The third is the token of images.
TAGS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>", "<|role_end|>")
TAGS += ("<role>", "</role>")


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
    tags: tuple[str, ...] = TAGS,
) -> Path:
    """A checkpoint with the golden processor, by default with the golden tensors."""
    (folder / "config.json").write_text(json.dumps(raw))
    (folder / "preprocessor_config.json").write_text(json.dumps(processor_config()))
    save_file(tensors or load_file(FOLDER / "model.safetensors"), folder / "model.safetensors")
    byte_tokenizer(tags=tags).save_pretrained(folder)
    return folder


def load(folder: Path, **config: Any) -> LoadedModel:
    """The checkpoint in a folder, in float32 on a CPU by default."""
    options = {"dtype": "float32", "device": "cpu", "mask_token_id": MASK_ID} | config
    return load_model(ModelConfig(str(folder), **options), DecodingConfig())


def golden_pixels() -> list[Pixels]:
    """The recorded images as the model takes them."""
    recorded = load_file(FOLDER / "forward.safetensors")
    return [read_image(in_file(recorded[f"image.{i}"]), TRAITS) for i in range(NUM_IMAGES)]


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
