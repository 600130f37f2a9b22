"""Images of a request, found by their paths and decoded on a thread of their own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from unmask.api.backend import Backend
from unmask.api.message_parts import ImageBody, ImagePart
from unmask.api.requests import ChatMessage
from unmask.errors import InvalidRequest, context_exceeded
from unmask.image_files import read_image
from unmask.images import ImageTraits, Pixels

MAX_IMAGES = 32  # of a request
Images = Mapping[ImageBody, Pixels]


@dataclass(frozen=True, slots=True)
class SentImage:
    """An image of a body, and its path there."""

    image: ImageBody
    field: str


def images_of(messages: Iterable[ChatMessage]) -> Iterator[SentImage]:
    """Images of a chat in their order."""
    for i, message in enumerate(messages):
        for j, part in enumerate(message.content or ()):
            if isinstance(part, ImagePart):
                yield SentImage(part.image, f"messages[{i}].content[{j}].image_url")


async def read_images(backend: Backend, sent: Iterable[SentImage]) -> Images:
    """Decode images, each for as many as are equal.

    Raises `InvalidRequest` with their paths, also for the first whose rows the context has no room
    for, and `QueueFull`.
    """
    found = list(sent)
    if not found:
        return {}
    traits = _check(found, backend.client.model.images)
    read, num_rows = dict[ImageBody, Pixels](), 0
    most = backend.client.model.max_model_len
    with backend.sent_images.body() as held:
        held.grow(sum(len(one.image.sent) for one in found))
        for one in found:  # one by one, so that requests take turns
            if one.image not in read:
                pixels = await backend.workers.read_image(partial(_read, one, traits))
                backend.images.count(pixels)
                read[one.image] = pixels
            num_rows += read[one.image].num_rows
            if num_rows > most:  # before the next ones take memory
                reason = f"the images up to {one.field} have {num_rows} tokens"
                raise context_exceeded(most, reason, one.field)
    return read


def _check(found: Sequence[SentImage], traits: ImageTraits | None) -> ImageTraits:
    """The way that the model takes each; raises `InvalidRequest` if it does not, or not so many."""
    if traits is None:
        raise InvalidRequest(f"{found[0].field}: this model takes no images", field=found[0].field)
    if len(found) > MAX_IMAGES:
        field = found[MAX_IMAGES].field
        raise InvalidRequest(
            f"{field}: a request may have at most {MAX_IMAGES} images, got {len(found)}",
            field=field,
        )
    return traits.of_number(len(found))


def _read(sent: SentImage, traits: ImageTraits) -> Pixels:
    """Decode an image."""
    try:
        return read_image(sent.image.file(), traits.within(*sent.image.num_pixels))
    except InvalidRequest as error:
        raise InvalidRequest(f"{sent.field}: {error.message}", field=sent.field) from error
