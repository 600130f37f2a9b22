"""Ways to fit an image to a vision tower: to cells, lines, patches, tiles, units, or a square."""

import math
from dataclasses import dataclass, replace

from unmask.errors import InvalidRequest

Size = tuple[int, int]
"""Height and width."""
SHRINKS_ABOVE = 1.1  # a map's length, as a multiple of the most tiles'
DIGITS = 7  # of a length in patches, before it is cut to a whole number
MAX_RATIO = 200  # of an image's sides, in Qwen2-VL's processor
MOST_PIXELS = 12_845_056  # that a request may ask for; Qwen2-VL's processor has no more


@dataclass(frozen=True, slots=True)
class Cells:
    """An image is scaled to whole cells, each of which is a row of a prompt (Gemma 4)."""

    size: int  # pixels, height and width
    max_rows: int

    def scaled(self, height: int, width: int) -> Size:
        """Height and width in pixels of an image that is scaled to the most cells that fit.

        Its shape is kept to a cell, as Gemma 4's processor does (transformers).
        """
        cell, most = self.size, self.max_rows
        factor = math.sqrt(most * cell**2 / (height * width))
        rows, columns = int(factor * height / cell), int(factor * width / cell)
        if rows == 0:
            rows, columns = 1, min(width // height, most)
        elif columns == 0:
            rows, columns = min(height // width, most), 1
        return rows * cell, columns * cell

    def num_rows(self, height: int, width: int) -> int:
        """Rows of a prompt for an image of this size."""
        scaled_height, scaled_width = self.scaled(height, width)
        return (scaled_height // self.size) * (scaled_width // self.size)


@dataclass(frozen=True, slots=True)
class Patches:
    """An image is scaled to cover whole units, and its middle is cut out (LLaDA2.0-Uni).

    Each patch is a row of a prompt. The size to cover is that of the authors'
    `smart_resize_images`, which differs from Qwen2-VL's of `Units` in thin images and by rounding.
    """

    size: int  # pixels of a patch, height and width
    unit: int  # pixels; heights and widths are multiples of it
    min_pixels: int
    max_pixels: int

    def scaled(self, height: int, width: int) -> Size:
        """Height and width in pixels of an image that covers its size, in its own shape."""
        rows, columns = self._covered(height, width)
        scale = max(rows / height, columns / width)
        return round(height * scale), round(width * scale)

    def cut(self, height: int, width: int) -> Size:
        """Height and width in pixels of the middle that is cut out of the scaled image."""
        covered, scaled = self._covered(height, width), self.scaled(height, width)
        rows, columns = (
            max(length // self.unit * self.unit, least)
            for length, least in zip(scaled, covered, strict=True)
        )
        return rows, columns

    def num_rows(self, height: int, width: int) -> int:
        """Rows of a prompt for an image of this size."""
        rows, columns = self.cut(height, width)
        return (rows // self.size) * (columns // self.size)

    def _covered(self, height: int, width: int) -> Size:
        """Whole units near an image's size, of as many pixels as are allowed."""
        unit, num_pixels = self.unit, height * width
        rows, columns = (max(round(length / unit), 1) for length in (height, width))
        if rows * columns * unit**2 > self.max_pixels:
            scale = math.sqrt(self.max_pixels / num_pixels)
            rows, columns = (max(int(length * scale / unit), 1) for length in (height, width))
        elif rows * columns * unit**2 < self.min_pixels:
            scale = math.sqrt(self.min_pixels / num_pixels)
            rows, columns = (math.ceil(length * scale / unit) for length in (height, width))
        return rows * unit, columns * unit


@dataclass(frozen=True, slots=True)
class Units:
    """An image is stretched to whole units, each of which is a row of a prompt (Qwen2-VL)."""

    size: int  # pixels, height and width
    min_pixels: int
    max_pixels: int

    def scaled(self, height: int, width: int) -> Size:
        """Height and width in pixels of an image that is stretched to as many units as may be.

        They are those of Qwen2-VL's `smart_resize` (transformers 5.23), which takes no image of a
        side more than 200 times the other: raises `InvalidRequest`.
        """
        unit, ratio = self.size, max(height, width) / min(height, width)
        if ratio > MAX_RATIO:
            raise InvalidRequest(
                f"the image has {width} x {height} pixels: a side may be at most {MAX_RATIO} "
                "times the other"
            )
        rows, columns = (round(length / unit) for length in (height, width))
        if rows * columns * unit**2 > self.max_pixels:
            shrink = math.sqrt(height * width / self.max_pixels)
            rows, columns = (max(int(length / shrink / unit), 1) for length in (height, width))
        elif rows * columns * unit**2 < self.min_pixels:
            grow = math.sqrt(self.min_pixels / (height * width))
            rows, columns = (math.ceil(length * grow / unit) for length in (height, width))
        return rows * unit, columns * unit

    def within(self, min_pixels: int | None, max_pixels: int | None) -> "Units":
        """The fit with the limits of a request, None for those that are the model's.

        Raises `InvalidRequest` unless the first is at least 1 and no more than the second.
        """
        least = self.min_pixels if min_pixels is None else min_pixels
        most = self.max_pixels if max_pixels is None else max_pixels
        highest = max(self.max_pixels, MOST_PIXELS)
        if not 1 <= least <= most <= highest:
            raise InvalidRequest(
                f"min_pixels, {least!s:.20}, and max_pixels, {most!s:.20}, must be from 1 "
                f"to {highest}, and the first no more than the second"
            )
        return replace(self, min_pixels=least, max_pixels=most)

    def num_rows(self, height: int, width: int) -> int:
        """Rows of a prompt for an image of this size."""
        scaled_height, scaled_width = self.scaled(height, width)
        return (scaled_height // self.size) * (scaled_width // self.size)


@dataclass(frozen=True, slots=True)
class Lines:
    """An image is stretched to lines of whole units, with a row between two lines (Pixtral)."""

    size: int  # pixels of a unit, height and width
    max_side: int  # pixels, before the size is rounded up to whole units

    def scaled(self, height: int, width: int) -> Size:
        """Height and width in pixels of an image that is stretched to the units it has a part of.

        They are those of `image_processing.py` beside Nemotron-Labs-Diffusion-VLM, as of
        mistral-common: of an image that is too long, first its own shape is kept.
        """
        ratio = max(height, width) / self.max_side
        if ratio > 1:
            height, width = (max(round(length / ratio), 1) for length in (height, width))
        rows, columns = (math.ceil(length / self.size) for length in (height, width))
        return rows * self.size, columns * self.size

    def num_rows(self, height: int, width: int) -> int:
        """Rows of a prompt for an image of this size: its units', and those between lines."""
        rows, columns = (length // self.size for length in self.scaled(height, width))
        return rows * (columns + 1) - 1


@dataclass(frozen=True, slots=True)
class TileMap:
    """The patches of an image's tiles as one map.

    Padding of `cut` rows and columns is cut off at either side. A map that is still too large is
    shrunk to the size `shrunk`.
    """

    tiles: Size
    cut: Size
    shrunk: Size | None
    size: Size  # patches that are left


@dataclass(frozen=True, slots=True)
class Tiles:
    """An image is a small copy of itself and the tiles that it is cut into (LLaVA's anyres).

    The copy is squeezed to one tile. For the tiles, the image is scaled to one of `shapes` with its
    own shape, and padded.
    """

    size: int  # pixels of a tile, height and width
    side: int  # patches of a tile, height and width
    shapes: tuple[Size, ...]  # in pixels; whole tiles
    max_tiles: int  # patches of more are shrunk to as many
    is_rounded: bool = True  # lengths in patches, before they are cut to whole numbers

    def shape_of(self, height: int, width: int) -> Size:
        """The shape that keeps most pixels of an image, and wastes least of its own."""
        best, most, least = self.shapes[0], 0, math.inf
        for shape in self.shapes:
            scale = min(shape[1] / width, shape[0] / height)
            scaled = int(width * scale) * int(height * scale)
            kept = min(scaled, height * width)
            wasted = shape[0] * shape[1] - kept
            if kept > most or (kept == most and wasted < least):
                best, most, least = shape, kept, wasted
        return best

    def scaled(self, height: int, width: int) -> Size:
        """Height and width in pixels of an image that is scaled to fit its shape."""
        shape = self.shape_of(height, width)
        across, down = shape[1] / width, shape[0] / height
        if across < down:
            return min(math.ceil(height * across), shape[0]), shape[1]
        return shape[0], min(math.ceil(width * down), shape[1])

    def map_of(self, height: int, width: int) -> TileMap:
        """The map of an image of this size."""
        shape = self.shape_of(height, width)
        tiles = shape[0] // self.size, shape[1] // self.size
        rows, columns = tiles[0] * self.side, tiles[1] * self.side
        if width / height > columns / rows:
            cut = (rows - self._whole(height * (columns / width))) // 2, 0
        else:
            cut = 0, (columns - self._whole(width * (rows / height))) // 2
        rows, columns = rows - 2 * cut[0], columns - 2 * cut[1]
        ratio = math.sqrt(rows * columns / (self.max_tiles * self.side**2))
        if ratio <= SHRINKS_ABOVE:
            return TileMap(tiles, cut, None, (rows, columns))
        shrunk = max(1, int(rows // ratio)), max(1, int(columns // ratio))
        return TileMap(tiles, cut, shrunk, shrunk)

    def num_rows(self, height: int, width: int) -> int:
        """Rows of a prompt for an image of this size: its copy's, then lines that each end."""
        rows, columns = self.map_of(height, width).size
        return self.side**2 + rows * (columns + 1)

    def _whole(self, length: float) -> int:
        return int(round(length, DIGITS) if self.is_rounded else length)


@dataclass(frozen=True, slots=True)
class Square:
    """An image is padded to a square of `colour`, and scaled to one tile (LLaVA's pad)."""

    size: int  # pixels, height and width
    side: int  # patches, height and width
    colour: tuple[int, int, int]

    def num_rows(self, _height: int, _width: int) -> int:
        """Rows of a prompt for an image of any size: its patches', and one that ends it."""
        return self.side**2 + 1


Fit = Cells | Lines | Patches | Square | Tiles | Units
