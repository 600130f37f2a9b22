"""Tensors of a vision tower that fit its configuration; without them, text alone is served."""

import logging
from collections.abc import Iterator, Mapping

from torch import Tensor

from unmask.models.adapted import AdaptedTensor
from unmask.models.copies import Stored
from unmask.models.shards import StoredTensor
from unmask.models.weights import UNUSED, Weights

MATRIX_NDIM = 2
Shapes = Mapping[str, tuple[int, ...]]
"""Shapes of all tensors by name."""
logger = logging.getLogger(__name__)


def fits(shapes: Shapes, weights: Weights, prefixes: tuple[str, ...]) -> bool:
    """True if all tensors are there; else a reason is logged.

    No other tensor may have a name that begins with one of the `prefixes`.
    """
    problem = next(_problems(shapes, weights, prefixes), None)
    if problem is not None:
        logger.warning("images are not taken, as the vision tower is not read: %s", problem)
    return problem is None


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
