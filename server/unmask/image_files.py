"""Files of images: decoded by Pillow, and scaled to what a model takes."""

import hashlib
import io
import math
import warnings

from PIL import Image, ImageOps, UnidentifiedImageError

from unmask.errors import InvalidRequest
from unmask.images import ImageTraits, Pixels

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
MAX_PIXELS = 64_000_000  # before scaling; a camera has up to 60 million
GREYS = 257  # of 16 bits to one of 8
WHITE = (255, 255, 255, 255)


def read_image(data: bytes, traits: ImageTraits) -> Pixels:
    """The image in a file, the first of an animation, turned as its EXIF data says.

    What is transparent becomes white. Raises `InvalidRequest`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata
            with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
                _check_size(opened.size)
                image = _as_rgb(ImageOps.exif_transpose(opened))
    except UnidentifiedImageError:
        raise InvalidRequest(
            f"the image is none of {', '.join(FORMATS[:-1])} and {FORMATS[-1]}"
        ) from None
    except (OSError, ValueError, SyntaxError, EOFError) as error:  # of a file that is broken
        raise InvalidRequest(f"the image cannot be read: {error}") from error
    height, width = fitted_size(image.height, image.width, traits)
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    raw = image.tobytes()
    shape = f"{height}x{width}".encode()
    return Pixels(raw, height, width, hashlib.blake2b(raw, digest_size=16, key=shape).digest())


def fitted_size(height: int, width: int, traits: ImageTraits) -> tuple[int, int]:
    """Height and width in pixels of an image that is scaled to the most cells that fit.

    Its shape is kept to a cell, as Gemma 4's processor does (transformers).
    """
    cell, most = traits.cell, traits.max_rows
    factor = math.sqrt(most * cell**2 / (height * width))
    rows, columns = int(factor * height / cell), int(factor * width / cell)
    if rows == 0:
        rows, columns = 1, min(width // height, most)
    elif columns == 0:
        rows, columns = min(height // width, most), 1
    return rows * cell, columns * cell


def _check_size(size: tuple[int, int]) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise InvalidRequest(
            f"the image has {width} x {height} pixels, at most {MAX_PIXELS:,} are read"
        )


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # grey of 16 bits, which Pillow would clip
        wide = image.convert("I")
        image = wide.point(lambda value: value * (1 / GREYS) + 0.5).convert("L")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        below = Image.new("RGBA", image.size, WHITE)
        return Image.alpha_composite(below, image).convert("RGB")
    return image.convert("RGB")
