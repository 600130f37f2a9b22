"""The script that times speculative states on a device."""

import torch

from benchmarks.device import speculation
from benchmarks.device.engine import load
from benchmarks.device.families import TINY
from unmask.types import SamplingParams


def test_counts_are_of_one_run_and_answers_the_same() -> None:
    loaded = load(TINY["tiny SDAR"], torch.device("cpu"), 256, block_length=8)
    params = SamplingParams(max_tokens=24, block_length=8, policy="sequential", ignore_eos=True)
    results, answers = {}, {}
    for rows in (0, 64):
        engine = speculation.start(loaded, rows, page_size=16)
        speculation.run(engine, 2, params, context=32)
        results[rows], answers[rows] = speculation.run(engine, 1, params, context=32)
    assert answers[0] == answers[64]
    assert results[0]["speculative_states"] == 0
    assert results[0]["denoising_steps"] == results[64]["denoising_steps"] == 24
    assert results[0]["forward_passes"] == 24
    assert results[64]["speculative_states"] > 0
    saved = results[64]["accepted_states"]
    assert results[64]["forward_passes"] == 24 - saved
    assert results[64]["rows_a_pass"] > results[0]["rows_a_pass"]
