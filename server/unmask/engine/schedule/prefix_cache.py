"""Reuse of the pages that prompts begin with (automatic prefix caching)."""

from unmask.engine.schedule.pages import PagePool
from unmask.engine.schedule.sequence import Sequence


class PrefixCache:
    """Offers the final pages of sequences to others, and takes pages that are offered."""

    def __init__(self, pool: PagePool, *, is_enabled: bool) -> None:
        self._pool = pool
        self._is_enabled = is_enabled

    def take(self, sequence: Sequence) -> None:
        """Give a sequence without pages those of its prompt that are in the pool already."""
        if not self._is_enabled:
            return
        size = self._pool.page_size
        while True:
            index = len(sequence.pages)
            page_hash = sequence.hash_of_page(index, size)
            page = None if page_hash is None else self._pool.acquire(page_hash)
            if page is None:
                break
            sequence.pages.append(page)
        sequence.num_computed = len(sequence.pages) * size
        sequence.num_published = len(sequence.pages)

    def publish(self, sequence: Sequence) -> None:
        """Offer the pages of a sequence whose keys are final since the last call."""
        size, index = self._pool.page_size, sequence.num_published
        if not self._is_enabled or (index + 1) * size > sequence.num_computed:
            return
        unit = sequence.hash_unit
        while -(-(index + 1) * size // unit) * unit <= sequence.num_computed:
            page_hash = sequence.hash_of_page(index, size)
            if page_hash is None:
                return
            self._pool.publish(sequence.pages[index], page_hash)
            index += 1
            sequence.num_published = index
