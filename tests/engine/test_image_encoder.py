"""Vectors of images are made once for the steps that have their rows, and placed there."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from unmask.engine.run.images import ImageEncoder
from unmask.engine.run.staging import Staging
from unmask.engine.schedule.image_rows import ImageSpan, StepImages
from unmask.image_fits import Size
from unmask.images import ImageRows, Pixels
from unmask.models.inputs import ForwardInputs
from unmask.models.kv_cache import KVCache

CPU, WIDTH = torch.device("cpu"), 4


def image(number: int, num_rows: int = 6) -> ImageRows:
    """An image of one colour, with rows from 10 on."""
    pixels = Pixels(bytes([number]) * 3, 1, 1, bytes([number]) * 16, num_rows, (1, num_rows))
    return ImageRows(10, 10 + num_rows, pixels, sees_itself=False)


class Tower:
    """Makes rows of an image that count up from its colour; notes the colours."""

    def __init__(self) -> None:
        self.encoded: list[int] = []

    def __call__(self, pixels: Tensor, source: Size) -> Tensor:
        colour = int(pixels[0, 0, 0])
        self.encoded.append(colour)
        return (colour + torch.arange(source[1])[:, None] / 100).expand(-1, WIDTH)


@pytest.fixture
def tower() -> Tower:
    return Tower()


def step(*parts: ImageSpan, num_rows: int = 20) -> StepImages:
    return StepImages(parts, np.full(num_rows, 99))


def placed(encoder: ImageEncoder, images: StepImages | None) -> dict[int, float]:
    """Rows of a step that have a vector, and its first number, rounded."""
    empty = torch.empty(0, dtype=torch.int64)
    cache = KVCache.empty((), 1, 16, torch.float32, CPU)
    inputs = encoder.with_images(ForwardInputs(empty, empty, empty, (), cache), images)
    rows = inputs.with_images(torch.full((20, WIDTH), -1.0))[:, 0].tolist()
    return {i: round(row, 2) for i, row in enumerate(rows) if row >= 0}


def encoder_of(tower: Callable[[Tensor, Size], Tensor], **options: int) -> ImageEncoder:
    return ImageEncoder(tower, Staging(CPU), **options)


def test_rows_of_an_image_are_where_its_part_says(tower: Tower) -> None:
    parts = ImageSpan(image(1), 3, 5, 2), ImageSpan(image(2), 5, 8, 0)
    assert placed(encoder_of(tower), step(*parts)) == {3: 1.02, 4: 1.03, 5: 2.0, 6: 2.01, 7: 2.02}


def test_a_step_without_images_is_as_it_was(tower: Tower) -> None:
    assert placed(encoder_of(tower), None) == {}
    assert tower.encoded == []


def test_an_image_in_several_steps_is_encoded_once(tower: Tower) -> None:
    encoder = encoder_of(tower)
    first = placed(encoder, step(ImageSpan(image(1), 0, 4, 0), ImageSpan(image(1), 9, 10, 5)))
    second = placed(encoder, step(ImageSpan(image(1), 0, 2, 4)))
    assert (first, second) == ({0: 1, 1: 1.01, 2: 1.02, 3: 1.03, 9: 1.05}, {0: 1.04, 1: 1.05})
    assert tower.encoded == [1]


def test_vectors_of_the_images_that_were_used_last_are_kept(tower: Tower) -> None:
    encoder = encoder_of(tower, max_kept_bytes=2 * 6 * WIDTH * 4)
    for number in (1, 2, 1, 3, 1, 2):
        placed(encoder, step(ImageSpan(image(number), 0, 4, 0)))
    assert tower.encoded == [1, 2, 3, 2]


def test_an_image_above_the_limit_is_encoded_all_the_same(tower: Tower) -> None:
    encoder = encoder_of(tower, max_kept_bytes=1)
    for _ in range(2):
        assert placed(encoder, step(ImageSpan(image(1), 0, 1, 0))) == {0: 1}
    assert tower.encoded == [1]


def test_rows_that_a_step_leaves_out_have_no_vectors(tower: Tower) -> None:
    images = step(ImageSpan(image(1), 2, 8, 0), ImageSpan(image(2), 8, 10, 1))
    kept = np.ones(20, np.bool_)
    kept[[0, 3, 4, 8, 9]] = False
    left = images.of_rows(kept)
    assert left is not None
    assert placed(encoder_of(tower), left) == {1: 1.0, 2: 1.03, 3: 1.04, 4: 1.05}
    assert len(left.first_keys) == 15
    assert images.of_rows(np.arange(20) > 9) is None
