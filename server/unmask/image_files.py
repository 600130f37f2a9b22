"""Files of images: decoded by Pillow, and scaled to what a model takes."""

import base64
import hashlib
import io
import struct
import warnings
import zlib

from PIL import Image, ImageOps, UnidentifiedImageError

from unmask.errors import InvalidRequest
from unmask.image_cubic import cubic_levels
from unmask.image_fits import Cells, Lines, Patches, Square, Tiles, Units
from unmask.images import ImageTraits, Pixels

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
MEDIA_TYPES = (*(f"image/{name.lower()}" for name in FORMATS), "image/jpg")
MAX_PIXELS = 64_000_000  # before scaling; a camera has up to 60 million
GREYS = 257  # of 16 bits to one of 8
MAX_SIDE = 2**15  # pixels; scaling costs far more where one side is of millions
LINES_AT_ONCE = 256  # of a square; the longest take 25 MB
MAX_HEAD = 100  # characters of a data: URL before its data
MAX_SHOWN = 80  # characters of a URL in a message
SPACE = b" \t\n\r\f\v"  # of MIME's lines in base64
WHITE = (255, 255, 255, 255)
BROKEN = (
    *(Image.DecompressionBombError, OSError, ValueError, SyntaxError, EOFError, TypeError),
    *(LookupError, ArithmeticError, struct.error, zlib.error),
)
"""Errors of Pillow for files that are broken."""


def bytes_of_url(url: str) -> bytes:
    """The file in a data: URL; raises `InvalidRequest` for other URLs, as nothing is fetched."""
    head, comma, _ = url[:MAX_HEAD].partition(",")
    if head[:5].lower() != "data:":
        raise InvalidRequest(
            f"an image must be a data: URL, as nothing is fetched; got {url[:MAX_SHOWN]}"
        )
    media_type, *rest = head[5:].lower().split(";")
    if not comma or not rest or rest[-1] != "base64":
        raise InvalidRequest("a data: URL must begin with data:image/TYPE;base64 and a comma")
    return bytes_of_base64(url[len(head) + 1 :], media_type)


def bytes_of_base64(text: str, media_type: str) -> bytes:
    """The file of a media type in base64, in which ASCII white space may stand.

    Raises `InvalidRequest`.
    """
    if media_type.lower() not in MEDIA_TYPES:
        raise InvalidRequest(
            f"an image must be of the type {', '.join(MEDIA_TYPES[:-2])} or {MEDIA_TYPES[-2]}, "
            f"got {media_type[:MAX_HEAD] or 'none'}"
        )
    try:
        return base64.b64decode(text.encode("ascii").translate(None, SPACE), validate=True)
    except ValueError:
        raise InvalidRequest("the data of the image is not base64") from None


def read_image(data: bytes, traits: ImageTraits) -> Pixels:
    """The image in a file, the first of an animation; raises `InvalidRequest`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata
            with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
                return scaled(opened, traits)
    except UnidentifiedImageError:
        raise InvalidRequest(
            f"the image is none of {', '.join(FORMATS[:-1])} and {FORMATS[-1]}"
        ) from None
    except BROKEN as error:
        raise InvalidRequest(f"the image cannot be read: {error}") from error


def scaled(image: Image.Image, traits: ImageTraits) -> Pixels:
    """An image as a model takes it, turned as its EXIF data says.

    What is transparent becomes white. Raises `InvalidRequest` for one that is too large.
    """
    _check_size(image.size)
    image = _as_rgb(ImageOps.exif_transpose(image))
    source, fit = (image.height, image.width), traits.fit
    told = b""
    match fit:
        case Cells() | Units():
            image = _resized(image, *fit.scaled(*source))
        case Lines():
            image = cubic_levels(image, *fit.scaled(*source))
        case Patches():
            traits.lead(*fit.cut(*source))  # before work on an image that is too long
            image = _cut(_resized(image, *fit.scaled(*source)), *fit.cut(*source))
        case Tiles():
            image, told = _tiled(image, fit), f" of {source[0]}x{source[1]}".encode()
        case Square():
            image = _squared(image, fit)
    raw = image.tobytes()
    key = f"{image.height}x{image.width}".encode() + told
    digest = hashlib.blake2b(raw, digest_size=16, key=key).digest()
    return Pixels(raw, image.height, image.width, digest, fit.num_rows(*source), source)


def _resized(image: Image.Image, height: int, width: int) -> Image.Image:
    if (width, height) == image.size:
        return image
    return image.resize((width, height), Image.Resampling.BICUBIC)


def _cut(image: Image.Image, height: int, width: int) -> Image.Image:
    """The middle of an image."""
    top, left = (image.height - height) // 2, (image.width - width) // 2
    return image.crop((left, top, left + width, top + height))


def _tiled(image: Image.Image, fit: Tiles) -> Image.Image:
    """The tiles of an image below each other, its small copy first."""
    shape = fit.shape_of(image.height, image.width)
    height, width = fit.scaled(image.height, image.width)
    padded = Image.new("RGB", (shape[1], shape[0]))
    left, top = (shape[1] - width) // 2, (shape[0] - height) // 2
    padded.paste(_resized(image, height, width), (left, top))
    size, across = fit.size, shape[1] // fit.size
    num_tiles = across * (shape[0] // fit.size)
    column = Image.new("RGB", (size, size * (1 + num_tiles)))
    column.paste(_resized(image, size, size))
    for i in range(num_tiles):
        x, y = size * (i % across), size * (i // across)
        column.paste(padded.crop((x, y, x + size, y + size)), (0, size * (1 + i)))
    return column


def _squared(image: Image.Image, fit: Square) -> Image.Image:
    """An image in the middle of a square, scaled to one tile.

    The square of a narrow image could take gigabytes. Pillow scales lines before columns, so a few
    lines at a time have the same pixels.
    """
    side, size = max(image.size), fit.size
    left, top = (side - image.width) // 2, (side - image.height) // 2
    lines = Image.new("RGB", (size, side), fit.colour)
    for y in range(0, image.height, LINES_AT_ONCE):
        some = image.crop((0, y, image.width, min(y + LINES_AT_ONCE, image.height)))
        padded = Image.new("RGB", (side, some.height), fit.colour)
        padded.paste(some, (left, 0))
        lines.paste(_resized(padded, some.height, size), (0, top + y))
    return _resized(lines, size, size)


def _check_size(size: tuple[int, int]) -> None:
    width, height = size
    if not width or not height:
        raise InvalidRequest("the image has no pixels")
    if width * height > MAX_PIXELS or max(size) > MAX_SIDE:
        raise InvalidRequest(
            f"the image has {width} x {height} pixels; at most {MAX_PIXELS:,} are read, and "
            f"{MAX_SIDE:,} a side"
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
