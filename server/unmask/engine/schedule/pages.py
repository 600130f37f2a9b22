"""The pool of KV pages: reference counts, the prefix index, and eviction of what nobody holds."""

import hashlib
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from unmask.config import EngineConfig

PageHash = bytes
# Prompts that begin alike share whole pages, so small ones are better; a GPU's copy engine takes
# as many keys at a time as a tile of attention has.
PAGE_SIZE, GPU_PAGE_SIZE = 32, 64


def page_size_of(config: EngineConfig, device_type: str) -> int:
    """Tokens of a page: as configured, or what suits the device."""
    usual = GPU_PAGE_SIZE if device_type == "cuda" else PAGE_SIZE
    return usual if config.page_size is None else config.page_size


def root_hash(block_len: int, origin: int = 0) -> PageHash:
    """First hash of a chain: of the length of blocks and their origin, which keys depend on."""
    places = block_len.to_bytes(4, "little") + origin.to_bytes(4, "little")
    return hashlib.blake2b(places, digest_size=16).digest()


def hash_page(
    previous: PageHash, token_ids: npt.NDArray[np.int64], images: Iterable[bytes] = ()
) -> PageHash:
    """Hash of a page: of the hash before it and of all that its contents depend on.

    That are tokens, and the digests of `images` among them.
    """
    content = b"".join((token_ids.tobytes(), *images))
    return hashlib.blake2b(content, digest_size=16, key=previous).digest()


class PagePool:
    """Pages 0 .. num_pages - 1; each is free, held by sequences, or idle in the prefix index."""

    def __init__(self, num_pages: int, page_size: int) -> None:
        self.num_pages = num_pages
        self.page_size = page_size
        self._free = deque(range(num_pages))
        self._holders = [0] * num_pages
        self._hash_of: dict[int, PageHash] = {}
        self._page_of: dict[PageHash, int] = {}
        self._idle: OrderedDict[int, None] = OrderedDict()  # least recently used first

    @property
    def num_available(self) -> int:
        """Pages that `allocate` could give now."""
        return len(self._free) + len(self._idle)

    @property
    def num_held(self) -> int:
        """Pages that sequences hold."""
        return self.num_pages - self.num_available

    def allocate(self, count: int) -> list[int] | None:
        """Take `count` pages, evicting idle ones if it must; None when there are too few."""
        if count > self.num_available:
            return None
        taken = []
        for _ in range(count):
            if self._free:
                page = self._free.popleft()
            else:
                page, _ = self._idle.popitem(last=False)
                del self._page_of[self._hash_of.pop(page)]
            self._holders[page] = 1
            taken.append(page)
        return taken

    def release(self, pages: Iterable[int]) -> None:
        """Give up one hold on each page; the last pages of a chain are the first to be evicted."""
        for page in reversed(list(pages)):
            assert self._holders[page] > 0
            self._holders[page] -= 1
            if self._holders[page]:
                continue
            if page in self._hash_of:
                self._idle[page] = None
            else:
                self._free.appendleft(page)

    def num_released(self, pages: Iterable[int], holds: Mapping[int, int]) -> int:
        """Number of these pages that nobody else holds; `holds` has the holds of each."""
        return sum(self._holders[page] == holds[page] for page in pages)

    def acquire(self, page_hash: PageHash) -> int | None:
        """Hold the page that is offered under a hash, if there is one."""
        page = self._page_of.get(page_hash)
        if page is None:
            return None
        self._idle.pop(page, None)
        self._holders[page] += 1
        return page

    def publish(self, page: int, page_hash: PageHash) -> None:
        """Offer a held page under its hash; the first page of a hash stays on offer."""
        assert self._holders[page] > 0
        if page_hash in self._page_of or page in self._hash_of:
            return
        self._page_of[page_hash] = page
        self._hash_of[page] = page_hash

    def check_integrity(self, held: Iterable[Iterable[int]]) -> None:
        """Assert that pages held by the given sequences, idle and free are all pages, once."""
        holders = [0] * self.num_pages
        for pages in held:
            for page in pages:
                holders[page] += 1
        assert holders == self._holders, "holders differ from the sequences' pages"
        free, idle = set(self._free), set(self._idle)
        in_use = {page for page, count in enumerate(holders) if count}
        assert len(free) == len(self._free), "a page is free twice"
        assert free.isdisjoint(idle), "a free page is in the prefix index"
        assert in_use.isdisjoint(free | idle), "a held page is given away"
        assert len(free) + len(idle) + len(in_use) == self.num_pages, "a page is lost"
        assert all(page in self._hash_of for page in idle), "an idle page has no hash"
        assert {value: page for page, value in self._hash_of.items()} == self._page_of
