"""Coordinates by which rows are rotated in prompts with images (M-RoPE of Qwen2-VL).

A token of text has one number for time, height and width, which is its position if no image is
before it. Rows of an image share their number for time; their lines and columns are counted from it
for height and width. Text behind goes on after the largest number of the image, so that an image
takes fewer numbers than it has rows (`get_rope_index` of transformers' Qwen2.5-VL). All else of a
row, such as its slot and its random numbers, is of its position in the sequence.
"""

from collections.abc import Sequence

import numpy as np

from unmask.engine.schedule.query_range import IntArray
from unmask.engine.schedule.span import Span
from unmask.images import ImageRows

NUM_COORDINATES = 3  # time, height and width


def rotary_coordinates(
    spans: Sequence[Span], positions: IntArray, query_starts: IntArray
) -> IntArray | None:
    """Coordinates [T, 3] of rows at `positions` [T], the last dimension being time, height, width.

    Rows of S spans begin at `query_starts` [S + 1]. None if no span is of a request with grids.
    """
    coordinates: IntArray | None = None
    for i, span in enumerate(spans):
        images = [image for image in span.sequence.request.images if image.columns is not None]
        if not images:
            continue
        if coordinates is None:
            coordinates = positions[:, None].repeat(NUM_COORDINATES, 1)
        rows = slice(query_starts[i], query_starts[i + 1])
        coordinates[rows] = _of_sequence(positions[rows], images)
    return coordinates


def _of_sequence(positions: IntArray, images: Sequence[ImageRows]) -> IntArray:
    """Coordinates [N, 3] of `positions` [N] in a sequence with images that have grids."""
    coordinates = positions[:, None].repeat(NUM_COORDINATES, 1)
    for image in images:
        assert image.columns is not None, "the image has a grid"
        num_rows = image.end - image.start
        largest = max(num_rows // image.columns, image.columns)
        coordinates[positions >= image.end] -= num_rows - largest
        within = ((positions >= image.start) & (positions < image.end)).nonzero()[0]
        index = positions[within] - image.start
        places = np.divmod(index, image.columns)
        coordinates[within] -= index[:, None]
        coordinates[within, 1:] += np.stack(places, 1)
    return coordinates
