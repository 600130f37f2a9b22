"""LFM2's two diffusion models on Triton's kernels, in captured steps, have the tokens of torch."""

import logging
from pathlib import Path

import pytest
import torch

from tests.support import lfm2_encoder as encoder
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


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="the model is on the CPU")
def test_answers_of_the_encoder_on_kernels_are_those_of_torch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = encoder.Reference.random(layer_types=[CONV, FULL], num_hidden_layers=2)
    folder, limits = made.write(tmp_path), {"num_pages": 12, "max_num_seqs": 2}
    requests = [
        Request(f"r{i}", tuple(range(3, 9 + 5 * i)), SamplingParams(max_tokens=m, steps=2, seed=i))
        for i, m in enumerate((8, 5))
    ]
    with dispatch.backend("torch"):
        expected = run_all(make_engine(encoder.load_encoder(folder), **limits), requests)
    recordings = Recordings()
    with dispatch.backend("triton"):
        loaded = encoder.load_encoder(folder, max_model_len=32)
        options = {"graphs": True, "recorder": recordings, "max_batch_tokens": 64}
        engine = make_engine(loaded, **options, **limits)
        assert engine.runner.forward_graphs is not None, caplog.text
        recordings.num_replays = 0
        answers = run_all(engine, requests)
    assert recordings.num_replays > 0
    for name, answer in answers.items():
        assert answer.token_ids == expected[name].token_ids
