"""Images in prompts: how a model takes them, and their rows among a prompt's tokens."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from unmask.errors import InvalidRequest
from unmask.image_fits import Cells, Size, Tiles


@dataclass(frozen=True, slots=True)
class ImageTraits:
    """The way a model takes images.

    In a chat template an image is one `token_id`, which becomes all of its rows, between `before`
    and `behind`.
    """

    token_id: int
    before: tuple[int, ...]
    behind: tuple[int, ...]
    fit: Cells | Tiles
    sees_itself: bool  # each row sees all rows of its image; else those before it


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Pixels:
    """An image as a model takes it: RGB of 8 bits, row after row.

    Tiles are below each other, the small copy first. The `digest` tells apart all images that have
    other rows in a prompt.
    """

    data: bytes = field(repr=False)
    height: int
    width: int
    digest: bytes  # of 16 bytes
    num_rows: int  # that it takes in a prompt
    source: Size  # before it was scaled, in pixels


@dataclass(frozen=True, slots=True)
class ImageRows:
    """Rows [start, end) of a prompt that are an image."""

    start: int
    end: int
    pixels: Pixels
    sees_itself: bool


def place_images(
    token_ids: Sequence[int], images: Sequence[Pixels], traits: ImageTraits
) -> tuple[tuple[int, ...], tuple[ImageRows, ...]]:
    """Token ids in which each image has its rows, and where they are.

    Raises `InvalidRequest` unless the ids have one `traits.token_id` for each image.
    """
    ids, placed = list[int](), list[ImageRows]()
    for token_id in token_ids:
        if token_id != traits.token_id:
            ids.append(token_id)
            continue
        if len(placed) == len(images):
            break
        pixels = images[len(placed)]
        ids += traits.before
        start = len(ids)
        ids += [token_id] * pixels.num_rows
        placed.append(ImageRows(start, len(ids), pixels, traits.sees_itself))
        ids += traits.behind
    found = sum(token_id == traits.token_id for token_id in token_ids)
    if found != len(images):
        raise InvalidRequest(
            f"the chat template has a place for {found} images, {len(images)} were sent",
            field="messages",
        )
    return tuple(ids), tuple(placed)
