"""Coordinates by which rows of prompts with images are rotated."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.support.facts import FACTS
from unmask.engine.schedule.admission import resolve
from unmask.engine.schedule.limits import EngineLimits
from unmask.engine.schedule.query_range import QueryRange
from unmask.engine.schedule.rotary import rotary_coordinates
from unmask.engine.schedule.sequence import Sequence
from unmask.engine.schedule.span import Span
from unmask.image_fits import Units
from unmask.images import ImageTraits, Pixels, place_images
from unmask.types import Request, SamplingParams

LIMITS = EngineLimits(max_batch_tokens=512, num_pages=60, page_size=16)
TRAITS = ImageTraits(40, (), (), Units(4, 16, 2**16), sees_itself=False, has_grid=True)
MODEL = replace(FACTS, max_model_len=900, images=TRAITS)
PLAIN = replace(TRAITS, has_grid=False)


def sequence(texts: list[int], grids: list[tuple[int, int]], traits: ImageTraits) -> Sequence:
    """Text of these lengths, between which are images of these lines and columns."""
    ids = [1] * texts[0]
    for length in texts[1:]:
        ids += [TRAITS.token_id, *[1] * length]
    shown = [
        Pixels(b"", 4 * lines, 4 * columns, b"", lines * columns, (4, 4))
        for lines, columns in grids
    ]
    prompt, images = place_images(ids, shown, traits)
    request = Request("r", prompt, SamplingParams(max_tokens=8, block_length=8), images=images)
    return Sequence(request, resolve(request, MODEL, LIMITS), MODEL)


def coordinates(*parts: tuple[Sequence, int, int]) -> NDArray[np.int64] | None:
    """Coordinates of positions [start, end) of sequences."""
    spans = [Span(s, QueryRange(a, b, b), 0, 0, False, ()) for s, a, b in parts]
    positions = np.concatenate([np.arange(a, b) for _, a, b in parts])
    starts = np.cumsum([0, *(b - a for _, a, b in parts)])
    return rotary_coordinates(spans, positions, starts)


def told(texts: list[int], grids: list[tuple[int, int]], num_more: int) -> list[list[int]]:
    """The rule of Qwen2.5-VL, token after token."""
    found, number = list[list[int]](), 0
    for length, grid in zip(texts, (*grids, None), strict=True):
        more = length if grid is not None else length + num_more
        found += [[number + i] * 3 for i in range(more)]
        number += more
        if grid is not None:
            lines, columns = grid
            found += [
                [number, number + i, number + j] for i in range(lines) for j in range(columns)
            ]
            number += max(grid)
    return found


GRIDS = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=4)


@given(data=st.data(), grids=GRIDS)
def test_coordinates_are_those_of_qwen(data: st.DataObject, grids: list[tuple[int, int]]) -> None:
    """Of any part of a prompt and its answer, beside any part of another."""
    lengths = st.integers(1, 5)
    texts = data.draw(st.lists(lengths, min_size=len(grids) + 1, max_size=len(grids) + 1))
    expected = told(texts, grids, 8)
    start = data.draw(st.integers(0, len(expected) - 1))
    end = data.draw(st.integers(start + 1, len(expected)))
    own = sequence(texts, grids, TRAITS)
    found = coordinates((sequence([3], [], TRAITS), 1, 5), (own, start, end), (own, 0, 2))
    assert found is not None
    assert found.tolist() == [[i] * 3 for i in range(1, 5)] + expected[start:end] + expected[:2]


def test_images_without_a_space_between_them_are_counted_one_after_the_other() -> None:
    """An image of a line, then one of a column, then one of a single row."""
    found = coordinates((sequence([1, 0, 0, 1], [(1, 3), (2, 1), (1, 1)], TRAITS), 0, 8))
    assert found is not None
    assert found[:, 0].tolist() == [0, 1, 1, 1, 4, 4, 6, 7]
    assert found[:, 1].tolist() == [0, 1, 1, 1, 4, 5, 6, 7]
    assert found[:, 2].tolist() == [0, 1, 2, 3, 4, 4, 6, 7]


@pytest.mark.parametrize(
    ("grids", "traits"), [([], TRAITS), ([(2, 3)], PLAIN)], ids=["text", "no grid"]
)
def test_without_grids_rows_are_rotated_by_their_positions(
    grids: list[tuple[int, int]], traits: ImageTraits
) -> None:
    assert coordinates((sequence([2] * (len(grids) + 1), grids, traits), 0, 4)) is None
