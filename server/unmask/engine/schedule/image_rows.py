"""Images among the rows of a step: where their vectors go, and the keys that their rows see."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from unmask.engine.schedule.query_range import BoolArray, IntArray
from unmask.engine.schedule.span import Span
from unmask.images import ImageRows


class ImageSpan(NamedTuple):
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

    parts: tuple[ImageSpan, ...]
    first_keys: IntArray  # [T] the last key that a row's window may begin with

    @classmethod
    def of_spans(cls, spans: Sequence[Span], query_starts: IntArray) -> Self | None:
        """The images of S spans, whose rows begin at `query_starts` [S + 1]; None for none."""
        parts = tuple(_parts(spans, query_starts))
        if not parts:
            return None
        first_keys = np.full(query_starts[-1], np.iinfo(np.int64).max)
        for image, start, end, _ in parts:
            if image.sees_itself:
                first_keys[start:end] = image.start
        return cls(parts, first_keys)

    def horizons(self, causal: IntArray) -> IntArray:
        """Ends [T] of the keys that rows see, of those that they see beside images."""
        horizons = causal.copy()
        for image, start, end, _ in self.parts:
            if image.sees_itself:
                horizons[start:end] = image.end
        return horizons

    @property
    def rows(self) -> IntArray:
        """Rows of the step that are of images, in the order of the parts."""
        return np.concatenate([np.arange(part.start, part.end) for part in self.parts])

    def of_rows(self, kept: BoolArray) -> Self | None:
        """The images of a step that has only the rows `kept` [T]; None if there is none."""
        before = np.concatenate(([0], kept.cumsum()))
        parts = list[ImageSpan]()
        for image, start, end, first in self.parts:
            rows = start + kept[start:end].nonzero()[0]
            for run in np.split(rows, (np.diff(rows) > 1).nonzero()[0] + 1):
                if len(run):
                    here = int(before[run[0]])
                    of_image = first + int(run[0]) - start
                    parts.append(ImageSpan(image, here, here + len(run), of_image))
        return type(self)(tuple(parts), self.first_keys[kept]) if parts else None


def _parts(spans: Sequence[Span], query_starts: IntArray) -> Sequence[ImageSpan]:
    parts = list[ImageSpan]()
    for i, span in enumerate(spans):
        if span.without_prompt:  # all of its prompt is masked
            continue
        for image in span.sequence.request.images:
            start, end = max(image.start, span.query.start), min(image.end, span.query.end)
            if start < end:
                row = int(query_starts[i]) - span.query.start  # of the first position
                parts.append(ImageSpan(image, row + start, row + end, start - image.start))
    return parts
