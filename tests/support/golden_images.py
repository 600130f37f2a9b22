"""Recorded images and answers to prompts with them, and models that serve text alone."""

import io
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from tests.support.golden import sampling_of
from unmask.image_files import read_image
from unmask.images import ImageTraits, Pixels, place_images
from unmask.models.registry import LoadedModel
from unmask.types import Request


def in_file(image: np.ndarray | Tensor) -> bytes:
    """A PNG of an image [H, W, 3]."""
    file = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(file, "PNG")
    return file.getvalue()


def recorded_pixels(folder: Path, traits: ImageTraits) -> list[Pixels]:
    """The images of a golden checkpoint as the model takes them."""
    recorded = load_file(folder / "forward.safetensors")
    number = sum(name.startswith("image.") for name in recorded)
    return [read_image(in_file(recorded[f"image.{i}"]), traits) for i in range(number)]


@dataclass(frozen=True)
class ImageCase:
    """A request with images and its reference's answer."""

    name: str
    request: Request
    tokens: list[int]
    forwards: int


def recorded_cases(folder: Path, traits: ImageTraits) -> list[ImageCase]:
    """All recorded answers of a golden checkpoint."""
    golden = json.loads((folder / "golden.json").read_text())
    cases = list[ImageCase]()
    for case in golden["cases"]:
        fitted = traits.of_number(len(case["images"]))
        pixels = recorded_pixels(folder, fitted)
        shown = [pixels[index] for index in case["images"]]
        prompt, images = place_images(case["prompt"], shown, fitted)
        sampling = sampling_of(golden, case["settings"])
        request = Request(case["name"], prompt, sampling, images=images)
        cases.append(ImageCase(case["name"], request, case["tokens"], case["forwards"]))
    return cases


def assert_serves_text_alone(loaded: LoadedModel) -> None:
    assert loaded.model.vision is None
    assert loaded.info.images is None


def assert_logged(caplog: pytest.LogCaptureFixture, pattern: str) -> None:
    assert any(re.search(pattern, message) for message in caplog.messages), caplog.messages
