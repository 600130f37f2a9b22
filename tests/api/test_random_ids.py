"""Ids of requests and answers."""

from concurrent.futures import ThreadPoolExecutor

from unmask.api.random_ids import DRAWN, RandomIds


def test_no_two_ids_are_the_same_whichever_thread_draws_them() -> None:
    ids = RandomIds()
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(lambda _: ids.draw(), range(8 * DRAWN)))
    assert len(set(drawn)) == len(drawn)
    assert all(len(bytes.fromhex(name)) == 16 for name in drawn)
