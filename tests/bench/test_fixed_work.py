"""Rates depend on arrivals alone, so that all engines are measured alike."""

import pytest

from benchmarks.device.fixed_work import Arrival, Work, summarise

WORK = Work(concurrency=2, num_requests=3, context=4, num_tokens=8, block=4, steps=2)
# Two requests, then a third beside the second.
ARRIVALS = [
    Arrival(1.0, 0, 4),
    Arrival(2.0, 1, 4),
    Arrival(3.0, 0, 4, final=True),
    Arrival(4.0, 2, 4),
    Arrival(5.0, 1, 4, final=True),
    Arrival(6.0, 2, 4, final=True),
]


def test_all_tokens_count_from_the_first_request_to_the_last_token() -> None:
    summary = summarise(WORK, [0.0, 0.0, 3.0], ARRIVALS)
    assert summary["wall_s"] == 6.0
    assert summary["overall_tokens_per_s"] == 24 / 6


def test_the_rate_has_only_the_time_in_which_all_slots_decode() -> None:
    summary = summarise(WORK, [0.0, 0.0, 3.0], ARRIVALS)
    assert summary["decoding_s"] == (3.0 - 2.0) + (5.0 - 4.0)
    assert summary["tokens_per_s"] == 8 / 2.0


def test_tokens_that_come_with_the_last_slot_s_first_ones_are_before_it() -> None:
    work = Work(concurrency=2, num_requests=2, context=4, num_tokens=8, block=4, steps=2)
    steps = [Arrival(at_s, i, 4, final=at_s == 3.0) for at_s in (1.0, 3.0) for i in (0, 1)]
    summary = summarise(work, [0.0, 0.0], steps)
    assert (summary["decoding_s"], summary["tokens_per_s"]) == (2.0, 4.0)


def test_there_is_no_rate_where_slots_are_never_all_decoding() -> None:
    one_by_one = [Arrival(float(i + 1), i, 8, final=True) for i in range(3)]
    assert summarise(WORK, [0.0, 1.0, 2.0], one_by_one)["tokens_per_s"] is None


def test_waits_are_from_each_request_s_own_start() -> None:
    ttft_ms = summarise(WORK, [0.0, 0.0, 3.0], ARRIVALS)["ttft_ms"]
    assert ttft_ms["max"] == 2000.0
    assert ttft_ms["p50"] == 1000.0


def test_tokens_that_are_missing_are_no_result() -> None:
    with pytest.raises(RuntimeError, match="24 tokens were asked for, 20 came"):
        summarise(WORK, [0.0, 0.0, 3.0], ARRIVALS[:-1])


def test_prompts_are_the_same_for_the_same_seed_and_differ_otherwise() -> None:
    prompts = WORK.prompts(100)
    assert prompts == WORK.prompts(100)
    assert len({*prompts, *WORK.prompts(100, seed=1)}) == 6
    assert all(len(ids) == 4 and max(ids) < 100 for ids in prompts)
