"""Images are stretched to whole units as transformers' processor of Qwen2-VL does it."""

import io

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("transformers.models.qwen2_vl")

from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from unmask.errors import InvalidRequest
from unmask.image_files import read_image
from unmask.image_fits import Units
from unmask.images import ImageTraits

PUBLISHED = Units(28, 56**2, 12_845_056)
SMALL = Units(8, 256, 2048)


@pytest.mark.parametrize("units", [PUBLISHED, SMALL], ids=["published", "small"])
def test_sizes_are_those_of_transformers(units: Units) -> None:
    rng = np.random.default_rng(7)
    sizes = [(int(h), int(w)) for h, w in rng.integers(1, 6000, (400, 2))]
    sizes += [(int(h), int(w)) for h, w in rng.integers(1, 60, (400, 2))]
    sizes += [(1080, 1920), (2160, 3840), (14, 42), (13, 2600), (1, 200), (3584, 3584), (70, 12)]
    for height, width in sizes:
        if max(height, width) > 200 * min(height, width):
            continue
        expected = smart_resize(height, width, units.size, units.min_pixels, units.max_pixels)
        assert units.scaled(height, width) == expected
        rows, columns = (length // units.size for length in expected)
        assert units.num_rows(height, width) == rows * columns > 0


@pytest.mark.parametrize(("height", "width"), [(1, 201), (4020, 20)])
def test_an_image_that_transformers_refuses_is_refused(height: int, width: int) -> None:
    with pytest.raises(ValueError, match="aspect ratio"):
        smart_resize(height, width)
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    traits = ImageTraits(5, (), (), SMALL, sees_itself=False)
    with pytest.raises(InvalidRequest, match=f"{width} x {height} pixels: a side may be at most"):
        read_image(file.getvalue(), traits)


def test_a_screen_takes_as_many_rows_as_in_the_published_model() -> None:
    assert PUBLISHED.num_rows(1080, 1920) == 39 * 69
    assert PUBLISHED.num_rows(2160, 3840) == 77 * 137
    assert PUBLISHED.num_rows(8000, 8000) == 128**2
