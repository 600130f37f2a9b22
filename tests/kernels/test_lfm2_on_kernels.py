"""LFM2's blocks of noise on Triton's kernels, in captured steps too, have the tokens of torch."""

import logging
from pathlib import Path

import pytest
import torch

from tests.support.engines import make_engine, run_all
from tests.support.graphs import Recordings
from tests.support.lfm2 import CONV, FULL, Reference, load_lfm2
from unmask.types import Request, SamplingParams
from unmask_kernels import dispatch

LIMITS = {"max_batch_tokens": 48, "max_num_seqs": 2, "num_pages": 12}


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="the model is on the CPU")
def test_answers_of_captured_steps_on_kernels_are_those_of_torch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = Reference.random(layer_types=[CONV, FULL], num_hidden_layers=2).write(tmp_path)
    requests = [
        Request(f"r{i}", tuple(range(3, 12 + 9 * i)), SamplingParams(max_tokens=m, steps=s, seed=i))
        for i, (m, s) in enumerate([(16, 2), (8, 3)])
    ]
    with dispatch.backend("torch"):
        expected = run_all(make_engine(load_lfm2(folder), **LIMITS), requests)
    recordings = Recordings()
    with dispatch.backend("triton"), caplog.at_level(logging.WARNING):
        loaded = load_lfm2(folder)
        engine = make_engine(loaded, graphs=True, overlap=True, recorder=recordings, **LIMITS)
        assert engine.runner.graphs is not None, caplog.text
        assert caplog.text == "", "no bit depends on company"
        recordings.num_replays = 0
        answers = run_all(engine, requests)
    assert recordings.num_replays >= 3
    for name, answer in answers.items():
        assert answer.token_ids == expected[name].token_ids
