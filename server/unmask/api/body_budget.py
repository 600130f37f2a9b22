"""Memory that bodies being read, and images of open requests, may take together."""

import weakref
from typing import Self

from unmask.errors import QueueFull
from unmask.images import Pixels

MAX_IMAGE_BYTES = 2 * 2**30  # of a process; a request of SDAR-VL may have a quarter of them
FREE = 64 * 2**10  # bytes of each body that do not count: small requests never wait for large ones


class BodyBudget:
    """Bytes of bodies, counted as they arrive, from their first to the end of their request."""

    def __init__(self, max_bytes: int) -> None:
        self._num_left = max_bytes

    def body(self) -> "HeldBody":
        """Hold a body's bytes while the context is open."""
        return HeldBody(self)

    def give_back(self, num_bytes: int) -> None:
        """Make room for others."""
        self._num_left += num_bytes

    def take(self, num_bytes: int) -> None:
        """Raise `QueueFull` if there is no room for so many bytes more."""
        if num_bytes > self._num_left:
            raise QueueFull("too many bytes of request bodies are being read", retry_after_s=1)
        self._num_left -= num_bytes


class HeldBody:
    """The part of one body that was read."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._num_taken = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.give_back(self._num_taken)

    def grow(self, length: int) -> None:
        """Count the body with its present length; raises `QueueFull`."""
        missing = length - FREE - self._num_taken
        if missing > 0:
            self._budget.take(missing)
            self._num_taken += missing


class ImageBudget:
    """Bytes of decoded images, each of which counts until nothing has it any more."""

    def __init__(self, max_bytes: int = MAX_IMAGE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._sizes: dict[int, int] = {}  # by the id of each; images end on any thread

    @property
    def num_bytes(self) -> int:
        """Bytes of all images."""
        return sum(list(self._sizes.values()))

    def count(self, pixels: Pixels) -> None:
        """Count an image; raises `QueueFull`."""
        size = len(pixels.data)
        if self.num_bytes + size > self._max_bytes:
            raise QueueFull("open requests have too many images already", retry_after_s=1)
        self._sizes[id(pixels)] = size
        weakref.finalize(pixels, self._sizes.pop, id(pixels), None).atexit = False
