"""Vectors for rows of images, which a vision tower makes before a step's forward pass."""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unmask.engine.run.staging import Staging
from unmask.engine.schedule.image_rows import StepImages
from unmask.engine.schedule.rotary import NUM_COORDINATES
from unmask.images import Pixels
from unmask.models.inputs import ForwardInputs, Vision

MAX_KEPT_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class ImageEncoder:
    """Encodes each image alone, and keeps the vectors of the latest ones.

    An image may have its rows in several steps. The vectors that are kept are the same as new ones.
    """

    vision: Vision | None
    staging: Staging
    max_kept_bytes: int = MAX_KEPT_BYTES
    kept: dict[bytes, Tensor] = field(default_factory=dict)  # by digest, the latest last

    def with_images(
        self,
        inputs: ForwardInputs,
        images: StepImages | None,
        rotary: npt.NDArray[np.int64] | None = None,
    ) -> ForwardInputs:
        """The inputs with vectors for the rows of images, if a step has any.

        Then rows are rotated by `rotary` [T, 3], if it is not None. Without rows of images the
        numbers of a row are all one, which is its position in the inputs.
        """
        if images is None:
            return inputs
        vectors = torch.cat(
            [
                self._vectors(image.pixels)[first : first + end - start]
                for image, start, end, first in images.parts
            ]
        )
        arrays = [images.rows] if rotary is None else [images.rows, rotary.reshape(-1)]
        rows, *numbers = self.staging.to_device(arrays)
        coordinates = numbers[0].view(-1, NUM_COORDINATES) if numbers else None
        return replace(inputs, image_rows=rows, image_vectors=vectors, coordinates=coordinates)

    def _vectors(self, pixels: Pixels) -> Tensor:
        vectors = self.kept.pop(pixels.digest, None)
        if vectors is None:
            vectors = self._encode(pixels)
            num_bytes = vectors.nbytes + sum(other.nbytes for other in self.kept.values())
            while self.kept and num_bytes > self.max_kept_bytes:
                num_bytes -= self.kept.pop(next(iter(self.kept))).nbytes
        self.kept[pixels.digest] = vectors
        return vectors

    def _encode(self, pixels: Pixels) -> Tensor:
        assert self.vision is not None, "a model without a vision tower takes no images"
        array = np.frombuffer(pixels.data, np.uint8).reshape(pixels.height, pixels.width, 3)
        on_device = torch.from_numpy(array.copy()).to(self.staging.device)
        vectors = self.vision(on_device, pixels.source)
        assert len(vectors) == pixels.num_rows, "a row of the prompt for each vector"
        return vectors
