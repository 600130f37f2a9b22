"""OpenCV's bicubic scaling (`INTER_CUBIC`), whose results are no whole levels of a colour.

Unlike Pillow's it reads four lines and columns for a pixel however small the image becomes, and
overshoots more. Levels are kept in 16 bits: an image of their upper halves, and below it one of
their lower halves.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image

SHARPNESS = -0.75  # of the cubic, OpenCV's
TAPS = 4  # lines and columns that a pixel is made of
# A level is a whole number of steps above `LOWEST`; those that occur are from -114 to 369.
LOWEST, STEPS = -128, 128
UPPER = 256  # steps of the upper half

Places = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


def cubic_levels(image: Image.Image, height: int, width: int) -> Image.Image:
    """Levels [2 * height, width, 3] of an image in RGB that is scaled to this size, in halves.

    Needs memory for a few lines beside its result.
    """
    lines, of_lines = _taps(image.height, height)
    columns, of_columns = _taps(image.width, width)
    halves = np.empty((2, height, width, 3), np.uint8)
    for y in range(height):
        top, bottom = int(lines[y, 0]), int(lines[y, -1]) + 1
        some = np.asarray(image.crop((0, top, image.width, bottom)))[lines[y] - top]
        of_line = np.tensordot(of_lines[y], some.astype(np.float32), 1)  # [W', 3]
        levels = (of_line[columns] * of_columns[..., None]).sum(1)
        steps = np.rint((levels - LOWEST) * STEPS).astype(np.uint16)
        halves[:, y] = steps // UPPER, steps % UPPER
    return Image.fromarray(halves.reshape(2 * height, width, 3))


def _taps(length: int, scaled: int) -> tuple[Places, Floats]:
    """Places [N, 4] in a length for each of `scaled` ones, and their weights.

    Centres are aligned, and places beyond an edge are those at the edge.
    """
    centres = (np.arange(scaled) + 0.5) * (length / scaled) - 0.5
    first = np.floor(centres).astype(np.int64)
    places = (first[:, None] + np.arange(TAPS) - 1).clip(0, length - 1)
    after = centres - first
    near, far = _near(after), _far(after + 1)
    next_near = _near(1 - after)
    weights = np.stack((far, near, next_near, 1 - far - near - next_near), 1)
    return places, weights.astype(np.float32)


def _near(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Weight of a place less than one away."""
    return ((SHARPNESS + 2) * distance - (SHARPNESS + 3)) * distance**2 + 1


def _far(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Weight of a place one to two away."""
    return SHARPNESS * (((distance - 5) * distance + 8) * distance - 4)
