"""Golden checkpoints that take images, with recorded images and answers to prompts with them."""

import io
import json
import logging
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from tests.support.golden import sampling_of
from tests.support.tiny import GOLDEN, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.image_files import read_image
from unmask.images import ImageTraits, Pixels, place_images
from unmask.models.checkpoint import Checkpoint
from unmask.models.registry import LoadedModel, load_model
from unmask.types import Request, SamplingParams

NOT_COPIED = {"config.json", "forward.safetensors", "golden.json", "model.safetensors"}


def bytes_with(tags: tuple[str, ...]) -> PreTrainedTokenizerFast:
    """A tokenizer of bytes and tags."""
    return byte_tokenizer(tags=tags)


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


@dataclass(frozen=True)
class GoldenImages:
    """A golden checkpoint that takes images, and folders of it with changes."""

    name: str
    traits: ImageTraits
    tags: tuple[str, ...] = ()
    tokenizer: Callable[[tuple[str, ...]], PreTrainedTokenizerFast] = bytes_with
    options: Mapping[str, Any] = field(default_factory=dict)  # of the model's configuration

    @property
    def folder(self) -> Path:
        return GOLDEN / self.name

    def pixels(self) -> list[Pixels]:
        """Recorded images as the model takes them."""
        return recorded_pixels(self.folder, self.traits)

    def cases(self) -> list[ImageCase]:
        """All recorded answers."""
        return recorded_cases(self.folder, self.traits)

    def recorded(self) -> dict[str, Tensor]:
        """Images, their pixels and their rows."""
        return load_file(self.folder / "forward.safetensors")

    def tensors(self) -> dict[str, Tensor]:
        return load_file(self.folder / "model.safetensors")

    def raw_config(self, **changes: Any) -> dict[str, Any]:
        """Golden configuration with changed fields."""
        return self._json("config.json") | changes

    def processor_config(self, **changes: Any) -> dict[str, Any]:
        """Golden configuration of the processor with changed fields."""
        return self._json("preprocessor_config.json") | changes

    def _json(self, file: str) -> dict[str, Any]:
        fields: dict[str, Any] = json.loads((self.folder / file).read_text())
        return fields

    def write(
        self,
        folder: Path,
        raw: dict[str, Any],
        tensors: dict[str, Tensor] | None = None,
        tags: tuple[str, ...] | None = None,
    ) -> Path:
        """A checkpoint with what is beside the golden one, by default with its tensors."""
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.copytree(path, folder / path.name, dirs_exist_ok=True)
            elif path.name not in NOT_COPIED:
                shutil.copy(path, folder)
        (folder / "config.json").write_text(json.dumps(raw))
        save_file(tensors or self.tensors(), folder / "model.safetensors")
        self.tokenizer(self.tags if tags is None else tags).save_pretrained(folder)
        return folder

    def load(self, folder: Path, **config: Any) -> LoadedModel:
        """The checkpoint in a folder, in float32 on a CPU by default."""
        options = {"dtype": "float32", "device": "cpu", **self.options} | config
        return load_model(ModelConfig(str(folder), **options), DecodingConfig())

    def opened(self, folder: Path, **changes: Any) -> Checkpoint:
        """A checkpoint of a configuration alone, with changed fields."""
        (folder / "config.json").write_text(json.dumps(self.raw_config(**changes)))
        return Checkpoint.open(folder)

    def shown(self, name: str, *which: int, **sampling: Any) -> Request:
        """A prompt of the same text for any images."""
        pixels = self.pixels()
        ids = list(range(30, 39))
        for _ in which:
            ids += [self.traits.token_id, 40]
        prompt, images = place_images(ids, [pixels[i] for i in which], self.traits)
        params = {"max_tokens": 12, "ignore_eos": True, **sampling}
        return Request(name, prompt, SamplingParams(**params), images=images)

    def assert_takes_none(
        self,
        folder: Path,
        caplog: pytest.LogCaptureFixture,
        reason: str,
        *,
        raw: dict[str, Any] | None = None,
        **written: Any,
    ) -> LoadedModel:
        """A checkpoint with changes serves text alone, and a reason is logged."""
        with caplog.at_level(logging.WARNING):
            loaded = self.load(self.write(folder, raw or self.raw_config(), **written))
        assert_serves_text_alone(loaded)
        assert_logged(caplog, reason)
        return loaded


def assert_serves_text_alone(loaded: LoadedModel) -> None:
    assert loaded.model.vision is None
    assert loaded.info.images is None


def assert_logged(caplog: pytest.LogCaptureFixture, pattern: str) -> None:
    assert any(re.search(pattern, message) for message in caplog.messages), caplog.messages
