"""Tensors of a vision tower that fit its configuration; without them, text alone is served."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from unmask.models.adapted import AdaptedTensor
from unmask.models.copies import Stored
from unmask.models.layers import BiasedLinear, LayerNorm
from unmask.models.shards import StoredTensor
from unmask.models.weights import UNUSED, Weights

MATRIX_NDIM = 2
Shapes = Mapping[str, tuple[int, ...]]
"""Shapes of all tensors by name."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fitted:
    """Tensors of a vision tower that fit, each of which is taken once, by its name."""

    shapes: Shapes
    weights: Weights

    def take(self, name: str) -> Tensor:
        """A tensor, in the dtype of the weights."""
        return self.weights.take(name, self.shapes[name])

    def linear(self, *joined: str) -> BiasedLinear:
        """Layers side by side as one, each of a matrix or a convolution's kernels [N, ...]."""
        weights = [self.take(f"{name}.weight").flatten(1) for name in joined]
        biases = [self.take(f"{name}.bias") for name in joined]
        return BiasedLinear(torch.cat(weights), torch.cat(biases))

    def norm(self, name: str, eps: float) -> LayerNorm:
        """A norm with a bias."""
        return LayerNorm(self.take(f"{name}.weight"), self.take(f"{name}.bias"), eps)


def fitted(shapes: Shapes, weights: Weights, prefixes: tuple[str, ...]) -> Fitted | None:
    """Tensors of these shapes; None, with a logged reason, if one is not there.

    No other tensor may have a name that begins with one of the `prefixes`.
    """
    problem = next(_problems(shapes, weights, prefixes), None)
    if problem is None:
        return Fitted(shapes, weights)
    logger.warning("images are not taken, as the vision tower is not read: %s", problem)
    return None


def leave_out(weights: Weights, prefixes: tuple[str, ...]) -> None:
    """Drop all tensors whose names begin with one of the `prefixes`."""
    for prefix in prefixes:
        weights.drop_prefix(prefix)


def _problems(shapes: Shapes, weights: Weights, prefixes: tuple[str, ...]) -> Iterator[str]:
    for name, shape in shapes.items():
        if (stored := weights.stored(name)) is None:
            yield f"there is no {name}"
        elif tuple(stored.shape) != shape:
            yield f"{name} is {tuple(stored.shape)}, expected {shape}"
        elif not _is_readable(stored):
            yield f"{name} is in a format that is not supported for it"
    for name in weights.names:
        if name.startswith(prefixes) and name not in shapes and not UNUSED.search(name):
            yield f"unexpected {name}"


def _is_readable(stored: Stored) -> bool:
    """True for floats, and for matrices that are dequantized."""
    tensor = stored.base if isinstance(stored, AdaptedTensor) else stored
    if isinstance(tensor, Tensor | StoredTensor):
        return tensor.dtype.is_floating_point
    return len(tensor.shape) == MATRIX_NDIM
