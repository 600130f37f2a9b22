"""Captured steps over canvases on Triton's kernels give the tokens of torch."""

import logging
from dataclasses import replace

import pytest
import torch

from benchmarks.device import engine as device_engine
from benchmarks.device.families import TINY
from tests.support.engines import make_engine, run_all
from tests.support.graphs import Recordings
from unmask.models.registry import LoadedModel
from unmask.types import Request, SamplingParams
from unmask_kernels import dispatch

WIDTH = 8
ANY = SamplingParams(
    max_tokens=2 * WIDTH, steps=2, policy="entropy_bound", entropy_bound=8.0, temperature=1.0
)
REQUESTS = [
    Request("alone at first", tuple(range(3, 12)), replace(ANY, seed=1)),
    Request("joins", tuple(range(40, 60)), replace(ANY, seed=2, steps=3, max_tokens=WIDTH)),
]


def load() -> LoadedModel:
    """A model of seeded random weights."""
    torch.manual_seed(0)
    return device_engine.load(TINY["tiny DiffusionGemma"], torch.device("cpu"), 64)


@pytest.mark.exhaustive
@pytest.mark.skipif(torch.cuda.is_available(), reason="the model is on the CPU")
def test_answers_of_captured_steps_on_kernels_are_those_of_torch(
    caplog: pytest.LogCaptureFixture, triton_kernels: None
) -> None:
    recordings = Recordings()
    limits = {"max_batch_tokens": 3 * WIDTH, "max_num_seqs": 2, "num_pages": 12}
    with caplog.at_level(logging.WARNING):
        engine = make_engine(load(), graphs=True, overlap=True, recorder=recordings, **limits)
    assert engine.runner.graphs is not None, caplog.text
    assert caplog.text == "", "no bit depends on company"
    recordings.num_replays = 0
    answers = run_all(engine, REQUESTS)
    assert recordings.num_replays >= 4
    with dispatch.backend("torch"):
        expected = run_all(make_engine(load(), **limits), REQUESTS)
    for name, answer in answers.items():
        assert answer.token_ids == expected[name].token_ids
