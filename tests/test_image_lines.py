"""Images are stretched to lines of units as beside Nemotron's VLM, with OpenCV's bicubic filter."""

import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from unmask.image_cubic import LOWEST, STEPS, UPPER, cubic_levels
from unmask.image_files import read_image
from unmask.image_fits import Lines
from unmask.images import ImageTraits, place_images

PUBLISHED = Lines(28, 1400)


@pytest.mark.parametrize(
    ("width", "height", "columns", "rows"),
    [
        *((1400, 1400, 50, 50), (1540, 1540, 50, 50), (28, 28, 1, 1), (29, 28, 2, 1)),
        *((50, 100, 2, 4), (1500, 3000, 25, 50), (1401, 1401, 50, 50), (3080, 770, 50, 13)),
        *((300, 200, 11, 8), (29, 1, 2, 1), (2800, 1400, 50, 25), (4201, 3, 50, 1)),
        (32000, 1, 50, 1),
    ],
)
def test_sizes_are_those_of_the_authors_processor(
    width: int, height: int, columns: int, rows: int
) -> None:
    """Ports of it name these sizes; of the last image it would leave no line."""
    assert PUBLISHED.scaled(height, width) == (rows * 28, columns * 28)
    assert PUBLISHED.num_rows(height, width) == rows * (columns + 1) - 1


def test_halves_are_rounded_to_even_numbers_as_by_python() -> None:
    assert PUBLISHED.scaled(2800, 113) == (1400, 56)  # 56.5 is 56
    assert PUBLISHED.scaled(2800, 115) == (1400, 84)  # 57.5 is 58


def levels_of(halves: np.ndarray) -> np.ndarray:
    """Levels [H, W, 3] of their halves [2 * H, W, 3]."""
    upper, lower = halves.astype(np.int64).reshape(2, -1, *halves.shape[1:])
    return (upper * UPPER + lower) / STEPS + LOWEST


@pytest.mark.parametrize(
    ("height", "width", "scaled"),
    [
        *((40, 40, (40, 40)), (13, 50, (28, 56)), (90, 301, (28, 84)), (1, 1, (28, 28))),
        *((1, 700, (28, 140)), (333, 5, (56, 28))),
    ],
)
def test_levels_are_those_of_torch_whose_filter_is_that_of_opencv(
    height: int, width: int, scaled: tuple[int, int]
) -> None:
    """A cubic of -0.75 that reads four lines and columns, of sharp edges too."""
    pixels = np.random.default_rng(5).choice([0, 128, 255], (height, width, 3)).astype(np.uint8)
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].double()
    expected = F.interpolate(planes, scaled, mode="bicubic", align_corners=False)[0]
    halves = np.asarray(cubic_levels(Image.fromarray(pixels), *scaled))
    assert halves.shape == (2 * scaled[0], scaled[1], 3)
    difference = levels_of(halves) - expected.permute(1, 2, 0).numpy()
    assert np.abs(difference).max() < 0.6 / STEPS


@pytest.mark.parametrize("is_bright", [True, False])
def test_the_largest_overshoot_is_within_what_is_kept(is_bright: bool) -> None:
    """Pixels are as the weights of the middle one have their signs."""
    sign = np.array([-1, 1, 1, -1])
    pattern = (sign[:, None] * sign > 0) == is_bright
    pixels = np.repeat(pattern[..., None] * 255, 3, 2).astype(np.uint8)
    levels = levels_of(np.asarray(cubic_levels(Image.fromarray(pixels), 1, 1)))
    assert np.abs(levels - (368.554 if is_bright else -113.554)).max() < 0.6 / STEPS
    assert LOWEST < levels.min() <= levels.max() < LOWEST + 2**16 / STEPS


def test_an_image_becomes_lines_between_its_two_tokens() -> None:
    file = io.BytesIO()
    Image.new("RGB", (60, 20), (10, 200, 90)).save(file, "PNG")
    traits = ImageTraits(18, (18,), (21,), PUBLISHED, sees_itself=False)
    pixels = read_image(file.getvalue(), traits)
    assert (pixels.height, pixels.width, pixels.num_rows) == (56, 84, 3)
    assert pixels.source == (20, 60)
    data = np.frombuffer(pixels.data, np.uint8).reshape(56, 84, 3)
    assert np.abs(levels_of(data) - [10, 200, 90]).max() <= 1 / STEPS
    ids, images = place_images([5, 18, 6], [pixels], traits)
    assert ids == (5, 18, 18, 18, 18, 21, 6)
    assert (images[0].start, images[0].end) == (2, 5)


def test_images_of_other_sizes_or_fractions_are_told_apart() -> None:
    def digest_of(*size: int, level: int = 100) -> bytes:
        file = io.BytesIO()
        Image.new("RGB", size, (level, 0, 0)).save(file, "PNG")
        return read_image(file.getvalue(), ImageTraits(1, (), (), PUBLISHED, False)).digest

    assert len({digest_of(28, 56), digest_of(56, 28), digest_of(28, 28, level=99)}) == 3
    assert digest_of(28, 28) == digest_of(28, 28)
