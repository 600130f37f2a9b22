"""Reuse of the pages that prompts begin with (automatic prefix caching)."""

from unmask.config import EngineConfig
from unmask.engine.schedule.pages import PageHash, PagePool, hash_page, root_hash
from unmask.engine.schedule.sequence import Sequence
from unmask.engine.schedule.units import end_of_unit, first_unit, unit_len
from unmask.types import ModelInfo


def shares_prefixes(config: EngineConfig, model: ModelInfo) -> bool:
    """True if prompts are looked up: with full attention, their keys depend on what follows."""
    return config.prefix_cache and model.attention != "full"


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
            page_hash = hash_of_page(sequence, index, size)
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
        while end_of_unit(sequence, (index + 1) * size) <= sequence.num_computed:
            page_hash = hash_of_page(sequence, index, size)
            if page_hash is None:
                return
            self._pool.publish(sequence.pages[index], page_hash)
            index += 1
            sequence.num_published = index


def hash_of_page(sequence: Sequence, index: int, page_size: int) -> PageHash | None:
    """Hash of page `index`, None while a token that it depends on is not final."""
    known = sequence.page_hashes
    while len(known) <= index:
        i = len(known)
        end = end_of_unit(sequence, (i + 1) * page_size)
        if end > sequence.block_start:
            return None
        root = root_hash(unit_len(sequence), first_unit(sequence))
        previous = known[-1] if known else root
        tokens = sequence.tokens[i * page_size : end]
        known.append(hash_page(previous, tokens, _digests(sequence, i * page_size, end)))
    return known[index]


def _digests(sequence: Sequence, start: int, end: int) -> list[bytes]:
    """Digests of the images in positions [start, end), whose tokens are all alike."""
    images = sequence.request.images
    return [image.pixels.digest for image in images if image.start < end and start < image.end]
