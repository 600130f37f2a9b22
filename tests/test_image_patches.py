"""Images that are scaled to cover whole units, and cut in the middle."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from tests.support.golden_images import in_file
from unmask.errors import InvalidRequest
from unmask.image_files import read_image
from unmask.image_fits import Patches
from unmask.images import ImageTraits, SizeTokens

ONE = Patches(16, 32, 128**2, 800**2)
SEVERAL = Patches(16, 32, 128**2, 448**2)
NUMBERS = SizeTokens({number: 1000 + number for number in range(2, 120)}, 16, 9)
TRAITS = ImageTraits(7, (7,), (8,), ONE, sees_itself=False, size_tokens=NUMBERS)
SIDES = st.integers(1, 4000)


@given(height=SIDES, width=SIDES, fit=st.sampled_from([ONE, SEVERAL]))
def test_what_is_cut_covers_the_size_of_qwen2_vl(height: int, width: int, fit: Patches) -> None:
    """Whole units; the scaled image has no more than a unit beside what is cut out.

    Where a length is a whole number of units but for rounding, formulas may differ.
    """
    for limit in (fit.min_pixels, fit.max_pixels):
        units = [math.sqrt(limit / (height * width)) * side / 32 for side in (height, width)]
        assume(all(abs(length - round(length)) > 1e-9 for length in units))
    rows, columns = fit.cut(height, width)
    scaled = fit.scaled(height, width)
    if max(height, width) <= 200 * min(height, width):  # Qwen2-VL takes no others
        least = smart_resize(height, width, 32, fit.min_pixels, fit.max_pixels)
        assert rows >= least[0]
        assert columns >= least[1]
        assert rows == least[0] or columns == least[1]
    assert rows % 32 == columns % 32 == 0
    assert fit.num_rows(height, width) == rows * columns // 16**2
    assert 0 <= scaled[0] - rows < 32
    assert 0 <= scaled[1] - columns < 32


@pytest.mark.parametrize(
    ("size", "cut"),
    [((800, 800), (800, 800)), ((900, 1200), (672, 896)), ((40, 50), (128, 160))],
    ids=str,
)
def test_pixels_are_those_of_pillow(size: tuple[int, int], cut: tuple[int, int]) -> None:
    """Heights and widths that were computed by the formulas of the authors' `smart_resize`."""
    rng = np.random.default_rng(3)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8))
    image = coarse.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    pixels = read_image(in_file(np.asarray(image)), TRAITS)
    assert (pixels.height, pixels.width) == cut
    scale = max(cut[0] / size[0], cut[1] / size[1])
    scaled = image.resize(
        (round(size[1] * scale), round(size[0] * scale)), Image.Resampling.BICUBIC
    )
    left, top = (scaled.width - cut[1]) // 2, (scaled.height - cut[0]) // 2
    expected = scaled.crop((left, top, left + cut[1], top + cut[0]))
    assert pixels.data == expected.tobytes()


def test_an_image_that_no_tokens_tell_the_size_of_is_refused() -> None:
    assert read_image(in_file(np.zeros((100, 500, 3), np.uint8)), TRAITS).width == 512
    with pytest.raises(InvalidRequest, match=r"too long: scaled, it has 2 x 31250 patches"):
        read_image(in_file(np.zeros((2, 31250, 3), np.uint8)), TRAITS)


def test_each_of_several_images_is_smaller() -> None:
    several = ImageTraits(7, (), (), ONE, sees_itself=False, fit_of_several=SEVERAL)
    assert several.of_number(1).fit == ONE
    assert several.of_number(2).fit == SEVERAL
    assert TRAITS.of_number(2) is TRAITS
