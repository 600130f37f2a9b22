"""Files of images: scaled as transformers' processor does it, and refused by name."""

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("transformers.models.gemma4")

from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil

from unmask.errors import InvalidRequest
from unmask.image_files import MAX_PIXELS, read_image
from unmask.image_fits import Cells
from unmask.images import ImageTraits, Pixels

CELL, MAX_ROWS = 48, 70
FIT = Cells(CELL, MAX_ROWS)
TRAITS = ImageTraits(8, (9,), (10,), FIT, sees_itself=True)
SIZES = (
    *((400, 300), (300, 400), (48, 48), (1, 1), (7, 900)),
    *((900, 7), (1, 4000), (333, 1000), (479, 337), (96, 144)),
)


def drawn(height: int, width: int) -> Image.Image:
    """A smooth image with noise."""
    rng = np.random.default_rng(height * 10_000 + width)
    slope = np.linspace(0, 180, height)[:, None, None] + np.linspace(0, 40, width)[None, :, None]
    noise = rng.integers(0, 36, (height, width, 3))
    return Image.fromarray((slope + noise).astype(np.uint8))


def in_file(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def as_array(pixels: Pixels) -> np.ndarray:
    return np.frombuffer(pixels.data, np.uint8).reshape(pixels.height, pixels.width, 3)


def image_of(data: bytes) -> np.ndarray:
    return as_array(read_image(data, TRAITS))


def colour_of(data: bytes) -> list[int]:
    """The one colour of an image."""
    array = image_of(data)
    assert (array == array[0, 0]).all()
    return array[0, 0].tolist()


def reference(image: Image.Image) -> np.ndarray:
    """Pixels [H, W, 3] of transformers, put together from its patches."""
    processor = Gemma4ImageProcessorPil(max_soft_tokens=MAX_ROWS)
    inputs = processor(image, return_tensors="np")
    patches, places = inputs["pixel_values"][0], inputs["image_position_ids"][0]
    size = processor.patch_size
    width, height = (places.max(0) + 1) * size
    out = np.zeros((height, width, 3))
    for patch, (x, y) in zip(patches, places, strict=True):
        if x >= 0:
            rows, columns = slice(y * size, (y + 1) * size), slice(x * size, (x + 1) * size)
            out[rows, columns] = patch.reshape(size, size, 3)
    return (out * 255).round().astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_an_image_is_scaled_as_transformers_does_it(height: int, width: int) -> None:
    image = drawn(height, width)
    expected = reference(image)
    assert FIT.scaled(height, width) == expected.shape[:2]
    pixels = read_image(in_file(image), TRAITS)
    assert np.array_equal(as_array(pixels), expected)
    assert 0 < pixels.num_rows <= MAX_ROWS


def test_images_of_the_same_pixels_have_one_digest() -> None:
    image = drawn(100, 200)
    png, webp = (
        read_image(in_file(image, name, lossless=True), TRAITS) for name in ("PNG", "WEBP")
    )
    assert png == webp
    other = drawn(100, 201)
    assert read_image(in_file(other), TRAITS).digest != png.digest


def test_an_image_is_turned_as_its_exif_says() -> None:
    image = drawn(480, 240)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter, clockwise
    turned = image.transpose(Image.Transpose.ROTATE_270)
    assert np.array_equal(image_of(in_file(image, exif=exif)), image_of(in_file(turned)))


RED = (200, 30, 40)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("RGB", (60, 50), RED), [*RED]),
        (Image.new("RGB", (60, 50), RED).convert("P", palette=Image.Palette.ADAPTIVE), [*RED]),
        (Image.new("L", (60, 50), 90), [90] * 3),
        (Image.new("1", (60, 50), 1), [255] * 3),
        (Image.new("RGBA", (60, 50), (*RED, 0)), [255] * 3),
        (Image.new("RGBA", (60, 50), (*RED, 255)), [*RED]),
        (Image.new("LA", (60, 50), (0, 0)), [255] * 3),
        (Image.new("I;16", (60, 50), 90 * 257), [90] * 3),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else None,
)
def test_an_image_of_any_mode_is_read_in_rgb(image: Image.Image, expected: list[int]) -> None:
    assert colour_of(in_file(image)) == expected


def test_a_colour_of_a_palette_may_be_transparent() -> None:
    image = Image.new("P", (60, 50), 0)
    image.putpalette([*RED, 0, 0, 0])
    assert colour_of(in_file(image, transparency=0)) == [255] * 3


def test_half_transparent_colours_are_mixed_with_white() -> None:
    assert colour_of(in_file(Image.new("RGBA", (60, 50), (0, 0, 0, 51)))) == [204] * 3


def test_a_jpeg_in_cmyk_is_read() -> None:
    data = in_file(Image.new("CMYK", (60, 50), (0, 0, 0, 0)), "JPEG")
    assert colour_of(data) == [255] * 3


def test_the_first_image_of_an_animation_is_read() -> None:
    first, second = (Image.new("RGB", (60, 50), colour) for colour in ("white", "black"))
    data = in_file(first, "GIF", save_all=True, append_images=[second])
    assert colour_of(data) == [255] * 3


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no image",
        in_file(drawn(60, 50), "BMP"),
        in_file(drawn(60, 50), "TIFF"),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    ],
)
def test_a_file_of_another_format_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequest, match="none of PNG, JPEG, WEBP and GIF"):
        read_image(data, TRAITS)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_broken_file_is_refused(file_format: str) -> None:
    data = in_file(drawn(200, 200), file_format)
    for end in (40, len(data) // 2, len(data) - len(data) // 8):
        with pytest.raises(InvalidRequest, match="the image"):
            read_image(data[:end], TRAITS)


def test_numbers_in_a_file_may_be_anything() -> None:
    """Each is read, or refused as a request's fault."""
    rng = np.random.default_rng(0)
    for file_format in ("PNG", "JPEG", "WEBP", "GIF"):
        whole = in_file(drawn(40, 40), file_format)
        for _ in range(60):
            spoiled = bytearray(whole)
            for place in rng.integers(0, len(whole), 4):
                spoiled[place] = rng.integers(0, 256)
            with contextlib.suppress(InvalidRequest):
                read_image(bytes(spoiled), TRAITS)


def test_a_huge_image_is_refused_before_it_is_decoded() -> None:
    image = Image.new("1", (MAX_PIXELS // 1000 + 1, 1000))
    with pytest.raises(InvalidRequest, match=r"64001 x 1000 pixels; at most 64,000,000 are read"):
        read_image(in_file(image), TRAITS)
