"""Summaries of records."""

import pytest

from unmask.bench.exchange import Record
from unmask.bench.load import Run
from unmask.bench.summary import Distribution, Slo, percentile, summarise


def test_percentiles_are_interpolated():
    values = [10.0, 20.0, 30.0, 40.0, 50.0]
    assert [percentile(values, p) for p in (0, 25, 50, 90, 100)] == [10, 20, 30, 46, 50]
    assert percentile([7.0], 99) == 7


def test_a_distribution_of_nothing_is_none():
    assert Distribution.from_seconds([]) is None
    assert Distribution.from_seconds([0.5]) == Distribution(500, 500, 500, 500, 500, 500)


def test_goodput_counts_requests_that_keep_every_limit():
    records = (
        Record(1.0, first_text_s=0.1, num_tokens=10, num_denoising_steps=5, num_prompt_tokens=3),
        Record(3.0, first_text_s=0.1, num_tokens=10, num_denoising_steps=5, num_prompt_tokens=3),
        Record(1.0, first_text_s=0.9, num_tokens=10, num_denoising_steps=2, num_prompt_tokens=3),
        Record(0.1, error="timeout"),
    )
    summary = summarise(Run(records, 2.0), Slo(ttft_ms=500, e2e_ms=2000))
    assert summary.goodput_per_s == 0.5
    assert summary.share_within_slo == 0.25
    assert summary.output_tokens_per_s == 15
    assert summary.requests_per_s == 1.5
    assert summary.tokens_per_forward == pytest.approx(30 / 12)
    assert summary.prompt_tokens == 9


def test_requests_are_counted_by_the_block_length_that_the_server_tells():
    lengths = (16, 8, None, 8)
    records = tuple(Record(1.0, first_text_s=0.1, block_length=length) for length in lengths)
    summary = summarise(Run(records, 2.0), Slo())
    assert list(summary.block_lengths.items()) == [(8, 2), (16, 1)]


def test_a_run_in_which_everything_failed_has_a_summary():
    summary = summarise(Run((Record(0.1, error="connect"),), 0.2), Slo())
    assert (summary.num_completed, summary.errors) == (0, {"connect": 1})
    assert summary.ttft_ms is None
    assert summary.tokens_per_forward is None
