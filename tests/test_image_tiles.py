"""Tiles of images are those of transformers' processor, pixel for pixel."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("transformers.models.llava_onevision")

from transformers import LlavaOnevisionConfig
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.models.llava_onevision.modeling_llava_onevision import LlavaOnevisionModel

from tests.support.golden_images import in_file
from unmask.image_files import read_image
from unmask.image_fits import Square, Tiles
from unmask.images import ImageTraits

SIZE, SIDE, MOST = 30, 4, 3
SHAPES = tuple((SIZE * rows, SIZE * columns) for rows in range(1, 5) for columns in range(1, 5))
TILES = Tiles(SIZE, SIDE, SHAPES, MOST)
TRAITS = ImageTraits(8, (), (), TILES, sees_itself=False)
SIZES = (
    *((30, 30), (60, 90), (1, 1), (31, 29), (200, 333), (7, 25)),
    *((25, 7), (400, 399), (119, 61), (33, 120), (500, 77), (77, 500), (1, 4000), (4000, 1)),
)


def drawn(height: int, width: int) -> np.ndarray:
    """A smooth image [H, W, 3] with noise."""
    rng = np.random.default_rng(height * 10_000 + width)
    slope = np.linspace(0, 180, height)[:, None, None] + np.linspace(0, 40, width)[None, :, None]
    return (slope + rng.integers(0, 36, (height, width, 3))).astype(np.uint8)


def reference() -> LlavaOnevisionImageProcessorPil:
    return LlavaOnevisionImageProcessorPil(
        size={"height": SIZE, "width": SIZE},
        image_grid_pinpoints=[list(shape) for shape in SHAPES],
        image_mean=[0.0] * 3,
        image_std=[1.0] * 3,
    )


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_tiles_are_those_of_transformers(height: int, width: int) -> None:
    image = drawn(height, width)
    values = reference()(Image.fromarray(image), return_tensors="np")["pixel_values"][0]
    expected = (values * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)
    pixels = read_image(in_file(image), TRAITS)
    assert pixels.source == (height, width)
    assert (pixels.height, pixels.width) == (SIZE * len(expected), SIZE)
    tiles = np.frombuffer(pixels.data, np.uint8).reshape(expected.shape)
    assert np.array_equal(tiles, expected)


def config() -> LlavaOnevisionConfig:
    """A configuration with tiles of which two pixels are in no patch."""
    return LlavaOnevisionConfig(
        vision_config={
            "model_type": "siglip_vision_model",
            "image_size": SIZE,
            "patch_size": (SIZE - 2) // SIDE,
        },
        image_grid_pinpoints=[list(shape) for shape in SHAPES],
    )


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_an_image_has_as_many_rows_as_transformers_packs(height: int, width: int) -> None:
    shape = TILES.shape_of(height, width)
    tiles = torch.zeros(1 + shape[0] * shape[1] // SIZE**2, SIDE**2, 2)
    packing: Any = SimpleNamespace(config=config())
    _, (expected,) = LlavaOnevisionModel.pack_image_features(
        packing, [tiles], [(height, width)], torch.ones(2), f"anyres_max_{MOST}"
    )
    assert TILES.num_rows(height, width) == expected


def test_images_whose_padding_differs_have_other_digests() -> None:
    """Black pictures have the same tiles, and other padding."""
    black = [np.zeros((60, width, 3), np.uint8) for width in (60, 50, 60)]
    first, narrow, again = (read_image(in_file(image), TRAITS) for image in black)
    assert first == again
    assert first.data == narrow.data
    assert first.num_rows != narrow.num_rows
    assert first.digest != narrow.digest


def test_a_length_that_floats_miss_is_cut_as_in_llava_unless_it_is_rounded() -> None:
    """Of 81 columns an image has 60, which are 59.99999999999999 to LLaVA's own code."""
    shapes = tuple((384 * rows, 384 * columns) for rows in range(1, 7) for columns in range(1, 7))
    assert Tiles(384, 27, shapes, 9).map_of(738, 820).size == (54, 61)
    assert Tiles(384, 27, shapes, 9, is_rounded=False).map_of(738, 820).size == (54, 59)


SQUARE = Square(SIZE, SIDE, (127, 120, 9))


@pytest.mark.parametrize(("height", "width"), [*SIZES, (700, 300), (300, 700), (2, 1800)])
def test_a_square_has_the_pixels_of_one_that_is_padded_first(height: int, width: int) -> None:
    image = Image.fromarray(drawn(height, width))
    side = max(height, width)
    padded = Image.new("RGB", (side, side), SQUARE.colour)
    padded.paste(image, ((side - width) // 2, (side - height) // 2))
    expected = padded.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    pixels = read_image(in_file(drawn(height, width)), ImageTraits(8, (), (), SQUARE, False))
    assert (pixels.height, pixels.width) == (SIZE, SIZE)
    assert pixels.num_rows == SIDE**2 + 1
    assert pixels.data == expected.tobytes()
