"""Images in prompts: how a model takes them, and their rows among a prompt's tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from unmask.errors import InvalidRequest
from unmask.image_fits import Fit, Size, Units


@dataclass(frozen=True, slots=True)
class SizeTokens:
    """Tokens that tell a model the height and width of an image, then one that ends them."""

    by_number: Mapping[int, int]  # of patches
    patch: int  # pixels, height and width
    end: int

    def of(self, height: int, width: int) -> tuple[int, ...]:
        """Token ids for a size in pixels; raises `InvalidRequest` if there are none."""
        sides = [length // self.patch for length in (height, width)]
        if not all(side in self.by_number for side in sides):
            raise InvalidRequest(
                f"the image is too long: scaled, it has {sides[0]} x {sides[1]} patches, and the "
                f"model counts to {max(self.by_number)}"
            )
        return (*(self.by_number[side] for side in sides), self.end)


@dataclass(frozen=True, slots=True)
class ImageTraits:
    """The way a model takes images.

    In a chat template an image is one `token_id`, which becomes all of its rows, between `before`
    and `behind`. With `size_tokens`, these are between `before` and the rows. An image that
    `has_grid` is of whole units, each of which is a row.
    """

    token_id: int
    before: tuple[int, ...]
    behind: tuple[int, ...]
    fit: Fit
    sees_itself: bool  # each row sees all rows of its image; else those that text would see
    size_tokens: SizeTokens | None = None
    fit_of_several: Fit | None = None  # of a request with several images
    part_type: str = "image"  # of an image among the parts of a message, in the chat template
    has_grid: bool = False  # rows are turned by where they are in their image (M-RoPE)

    def of_number(self, num_images: int) -> "ImageTraits":
        """The traits for each of that many images in a request."""
        if num_images <= 1 or self.fit_of_several is None:
            return self
        return replace(self, fit=self.fit_of_several)

    @property
    def control_ids(self) -> frozenset[int]:
        """Ids of all tokens that an image has in a prompt."""
        sizes = self.size_tokens
        of_sizes = () if sizes is None else (*sizes.by_number.values(), sizes.end)
        return frozenset((self.token_id, *self.before, *of_sizes, *self.behind))

    def within(self, min_pixels: int | None, max_pixels: int | None) -> "ImageTraits":
        """The traits for an image whose request limits its pixels; None is the model's limit.

        Raises `InvalidRequest` for limits that are not possible, and for any in a model that has
        none.
        """
        if min_pixels is None and max_pixels is None:
            return self
        if not isinstance(self.fit, Units):
            raise InvalidRequest(
                "min_pixels and max_pixels are not for this model, which scales images by a rule "
                "of its own"
            )
        return replace(self, fit=self.fit.within(min_pixels, max_pixels))

    def columns(self, pixels: "Pixels") -> int | None:
        """Rows in a line of an image, if rows are turned by where they are in it."""
        if not self.has_grid:
            return None
        assert isinstance(self.fit, Units), "a grid is of units"
        return pixels.width // self.fit.size

    def lead(self, height: int, width: int) -> tuple[int, ...]:
        """Token ids before the rows of an image that was scaled to a size in pixels.

        Raises `InvalidRequest` for one that is too long.
        """
        sizes = () if self.size_tokens is None else self.size_tokens.of(height, width)
        return (*self.before, *sizes)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Pixels:
    """An image as a model takes it: RGB of 8 bits, row after row.

    Tiles are below each other, the small copy first; below pixels that have fractions of levels are
    these, see `image_cubic`. The `digest` tells apart all images that have other rows in a prompt.
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
    columns: int | None = None  # rows in a line of it; None: they are turned one after the other


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
        ids += traits.lead(pixels.height, pixels.width)
        start = len(ids)
        ids += [token_id] * pixels.num_rows
        columns = traits.columns(pixels)
        placed.append(ImageRows(start, len(ids), pixels, traits.sees_itself, columns))
        ids += traits.behind
    found = sum(token_id == traits.token_id for token_id in token_ids)
    if found != len(images):
        raise InvalidRequest(
            f"the chat template has a place for {found} images, {len(images)} were sent",
            field="messages",
        )
    return tuple(ids), tuple(placed)
