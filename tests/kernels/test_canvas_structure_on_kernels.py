"""Canvases with a grammar have the tokens of torch on Triton's kernels, free ones in company."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.support.engines import make_engine, run_all
from tests.support.golden import load_golden
from tests.support.tiny import EOS_ID
from unmask.grammar import Regex
from unmask.types import Request, SamplingParams
from unmask_kernels import dispatch

PATTERN = "(ab|[0-9]{2},)*c"
GIVEN = SamplingParams(grammar=Regex(PATTERN), max_tokens=9, steps=2, seed=5, temperature=1.0)
REQUESTS = [
    Request("drawn", (40, 41, 42), replace(GIVEN, top_k=40)),
    Request("greedy", (50, 51), replace(GIVEN, temperature=0.0)),
    Request("free", (60,), replace(GIVEN, grammar=None)),
]


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="the model is on the CPU")
def test_answers_with_a_grammar_on_kernels_are_those_of_torch(
    tmp_path: Path, triton_kernels: None
) -> None:
    loaded = load_golden("dgemma", tmp_path)
    loaded = replace(loaded, info=replace(loaded.info, eos_token_ids=(EOS_ID,)))
    answers = run_all(make_engine(loaded), REQUESTS)
    with dispatch.backend("torch"):
        expected = run_all(make_engine(loaded), REQUESTS)
    for name in ("drawn", "greedy", "free"):
        assert answers[name].token_ids == expected[name].token_ids
    for name in ("drawn", "greedy"):
        assert re.fullmatch(PATTERN, answers[name].text)
