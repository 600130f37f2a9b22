"""Checks of rows of images that golden checkpoints share."""

from collections.abc import Callable

import torch
from torch import Tensor

from tests.support.golden_images import GoldenImages
from unmask.images import Pixels
from unmask.models.registry import LoadedModel

Change = Callable[[dict[str, Tensor]], object]


def rows_of(loaded: LoadedModel, pixels: Pixels) -> Tensor:
    """Rows of a prompt for an image."""
    vision = loaded.model.vision
    assert vision is not None
    data = torch.frombuffer(bytearray(pixels.data), dtype=torch.uint8)
    return vision(data.view(pixels.height, pixels.width, 3), pixels.source)


def assert_pixels_are_recorded(golden: GoldenImages) -> None:
    recorded = golden.recorded()
    for index, pixels in enumerate(golden.pixels()):
        assert pixels.data == recorded[f"pixels.{index}"].numpy().tobytes()
        assert pixels.num_rows == len(recorded[f"features.{index}"])


def assert_rows_are_recorded(golden: GoldenImages, loaded: LoadedModel) -> None:
    recorded = golden.recorded()
    for index, pixels in enumerate(golden.pixels()):
        expected = recorded[f"features.{index}"]
        rows = rows_of(loaded, pixels)
        assert rows.dtype == torch.float32
        assert (rows - expected).abs().max() < 1e-4 * expected.abs().max()


def assert_rows_are_near(
    golden: GoldenImages, loaded: LoadedModel, dtype: str, most: float
) -> None:
    """Rows in fewer bits are `most` of the recorded ones' norm away."""
    recorded = golden.recorded()
    for index, pixels in enumerate(golden.pixels()):
        expected = recorded[f"features.{index}"]
        rows = rows_of(loaded, pixels)
        assert rows.dtype == getattr(torch, dtype)
        assert (rows.float() - expected).norm() < most * expected.norm()


def assert_rows_depend_on_the_image_alone(golden: GoldenImages, loaded: LoadedModel) -> None:
    first = [rows_of(loaded, pixels) for pixels in golden.pixels()]
    again = [rows_of(loaded, pixels) for pixels in reversed(golden.pixels())]
    assert all(torch.equal(one, two) for one, two in zip(first, reversed(again), strict=True))
