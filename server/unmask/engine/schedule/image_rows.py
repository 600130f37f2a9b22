"""Images among the rows of a step: where their vectors go, and the keys that their rows see."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from unmask.engine.schedule.query_range import IntArray
from unmask.engine.schedule.span import Span
from unmask.images import ImageRows


class ImagePart(NamedTuple):
    """Rows [start, end) of a step that are those of an image from its row `first` on."""

    image: ImageRows
    start: int
    end: int
    first: int


@dataclass(frozen=True, slots=True)
class StepImages:
    """Images of a step, each of which may see all of itself.

    Windows of layers begin no later than such an image (transformers' `blockwise_overlay`).
    """

    parts: tuple[ImagePart, ...]
    first_keys: IntArray  # [T] the last key that a row's window may begin with

    @classmethod
    def of_spans(
        cls, spans: Sequence[Span], query_starts: IntArray, horizons: IntArray
    ) -> Self | None:
        """The images of S spans, whose rows begin at `query_starts` [S + 1]; None if there is none.

        The `horizons` [T] of their rows are set.
        """
        parts = tuple(_parts(spans, query_starts))
        if not parts:
            return None
        first_keys = np.full(len(horizons), np.iinfo(np.int64).max)
        for image, start, end, _ in parts:
            if image.sees_itself:
                horizons[start:end] = image.end
                first_keys[start:end] = image.start
        return cls(parts, first_keys)


def _parts(spans: Sequence[Span], query_starts: IntArray) -> Sequence[ImagePart]:
    parts = list[ImagePart]()
    for i, span in enumerate(spans):
        for image in span.sequence.request.images:
            start, end = max(image.start, span.query.start), min(image.end, span.query.end)
            if start < end:
                row = int(query_starts[i]) - span.query.start  # of the first position
                parts.append(ImagePart(image, row + start, row + end, start - image.start))
    return parts
