"""Choice of an engine for a request: by the prefixes that engines have read, then by their load."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence

from unmask.images import ImageRows

SLACK = 4  # requests that an engine may have more than the least loaded one, for a known prefix
MAX_PREFIXES = 16_384
MAX_PAGES = 32  # of a prefix; a longer one is known by these


def choose(rows: Sequence[int | None], pages: Sequence[int]) -> int | None:
    """Number of the engine for a request; None if none takes any.

    `rows` are the requests of each engine, None if it takes none, and `pages` those of the prompt
    that it has read before. The most pages decide among engines that are not much fuller than the
    least loaded one, then the fewest rows.
    """
    open_rows = {i: count for i, count in enumerate(rows) if count is not None}
    if not open_rows:
        return None
    limit = min(open_rows.values()) + SLACK
    near = [i for i, count in open_rows.items() if count <= limit]
    return max(near, key=lambda i: (pages[i], -open_rows[i]))


class PrefixTable:
    """Prefixes of prompts, of one page and two, four and so on, and the engines that read them.

    Those with other images are others. The least recently read are forgotten. Two prefixes with one
    hash cost a worse choice at most.
    """

    def __init__(self, num_engines: int, page_size: int, capacity: int = MAX_PREFIXES) -> None:
        self._num_engines, self._page_size, self._capacity = num_engines, page_size, capacity
        self._engines: OrderedDict[int, int] = OrderedDict()  # hash -> bits of engines

    def pages(self, prompt: Sequence[int], images: Sequence[ImageRows] = ()) -> list[int]:
        """Pages of a prompt's longest known prefix, by engine."""
        found = [0] * self._num_engines
        for num_pages, key in self._prefixes(prompt, images):
            bits = self._engines.get(key, 0)
            if not bits:
                break
            for i in range(self._num_engines):
                if bits >> i & 1:
                    found[i] = num_pages
        return found

    def note(self, prompt: Sequence[int], engine: int, images: Sequence[ImageRows] = ()) -> None:
        """Note that an engine reads a prompt."""
        for _, key in self._prefixes(prompt, images):
            self._engines[key] = self._engines.pop(key, 0) | 1 << engine
        while len(self._engines) > self._capacity:
            self._engines.popitem(last=False)

    def forget(self, engine: int) -> None:
        """Forget everything of an engine that begins anew."""
        for key, bits in list(self._engines.items()):
            if left := bits & ~(1 << engine):
                self._engines[key] = left
            else:
                del self._engines[key]

    def _prefixes(
        self, prompt: Sequence[int], images: Sequence[ImageRows]
    ) -> Iterator[tuple[int, int]]:
        num_pages = 1
        while num_pages <= MAX_PAGES and num_pages * self._page_size <= len(prompt):
            end = num_pages * self._page_size
            digests = tuple(image.pixels.digest for image in images if image.start < end)
            yield num_pages, hash((tuple(prompt[:end]), digests))
            num_pages *= 2
