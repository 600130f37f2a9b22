"""Page pool: sharing, eviction, and no lost pages."""

import numpy as np
import pytest

from unmask.config import EngineConfig
from unmask.engine.schedule.pages import PagePool, hash_page, page_size_of, root_hash


def key(*tokens: int, previous: bytes | None = None) -> bytes:
    return hash_page(previous or root_hash(4), np.array(tokens, np.int64))


def test_a_page_has_as_many_tokens_as_suit_the_device_unless_it_is_told() -> None:
    assert page_size_of(EngineConfig(), "cpu") == 32
    assert page_size_of(EngineConfig(), "cuda") == 64
    assert page_size_of(EngineConfig(page_size=8), "cuda") == 8


def test_pages_run_out_and_come_back() -> None:
    pool = PagePool(3, 4)
    taken = pool.allocate(3)
    assert taken is not None
    assert sorted(taken) == [0, 1, 2]
    assert pool.allocate(1) is None
    pool.release(taken[:1])
    assert pool.allocate(1) == taken[:1]
    pool.check_integrity([taken])


def test_a_published_page_is_found_again_after_its_release() -> None:
    pool = PagePool(2, 4)
    (page,) = pool.allocate(1) or []
    pool.publish(page, key(1, 2))
    pool.release([page])
    assert pool.num_held == 0
    assert pool.acquire(key(1, 2)) == page
    assert pool.acquire(key(1, 3)) is None
    pool.check_integrity([[page]])


def test_a_shared_page_is_kept_until_its_last_holder_leaves() -> None:
    pool = PagePool(2, 4)
    (page,) = pool.allocate(1) or []
    pool.publish(page, key(1))
    assert pool.acquire(key(1)) == page
    pool.release([page])
    assert pool.num_held == 1
    pool.check_integrity([[page]])
    pool.release([page])
    assert pool.num_held == 0


def test_the_least_recently_used_page_is_evicted_first() -> None:
    pool = PagePool(3, 4)
    pages = pool.allocate(3) or []
    for i, page in enumerate(pages):
        pool.publish(page, key(i))
        pool.release([page])
    again = pool.acquire(key(0))
    assert again is not None
    pool.release([again])
    pool.allocate(1)
    assert pool.acquire(key(1)) is None, "page 1 was the oldest"
    assert pool.acquire(key(0)) == pages[0]


def test_the_end_of_a_chain_is_evicted_before_its_beginning() -> None:
    pool = PagePool(2, 4)
    first, second = pool.allocate(2) or []
    pool.publish(first, key(1))
    pool.publish(second, key(2, previous=key(1)))
    pool.release([first, second])
    pool.allocate(1)
    assert pool.acquire(key(1)) == first


def test_a_key_depends_on_everything_before_it_and_on_the_block_length() -> None:
    assert key(1, 2) != key(1, 3)
    assert key(2, previous=key(1)) != key(2, previous=key(3))
    assert root_hash(4) != root_hash(8)
    assert root_hash(4) != root_hash(4, origin=1)


def test_a_page_is_offered_under_one_hash_and_a_hash_offers_one_page() -> None:
    pool = PagePool(2, 4)
    first, second = pool.allocate(2) or []
    pool.publish(first, key(1))
    pool.publish(first, key(2))
    pool.publish(second, key(1))
    assert [pool.acquire(key(i)) for i in (1, 2)] == [first, None]
    pool.check_integrity([[first, second], [first]])


def test_a_lost_page_is_noticed() -> None:
    pool = PagePool(2, 4)
    pool.allocate(1)
    with pytest.raises(AssertionError):
        pool.check_integrity([])
