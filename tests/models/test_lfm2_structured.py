"""Answers of LFM2's blocks of noise with a grammar or in captured steps."""

import json
import logging
from dataclasses import replace

import pytest

from tests.support.engines import make_engine, run_all, run_alone
from tests.support.graphs import Recordings
from tests.support.json_schema import is_valid
from tests.support.lfm2 import Reference, load_lfm2
from tests.support.tiny import EOS_ID
from unmask.grammar import json_schema_of
from unmask.models.registry import LoadedModel
from unmask.types import RefinementOptions, Request, SamplingParams

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 9}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    made = load_lfm2(Reference.random(peak=2.0).write(tmp_path_factory.mktemp("lfm2")))
    return replace(made, info=replace(made.info, eos_token_ids=(EOS_ID,)))


def structured() -> list[Request]:
    sampling = SamplingParams(grammar=json_schema_of(SCHEMA), max_tokens=60, logprobs=1)
    kinds = [{"temperature": 0.0}, {"seed": 3}, {"seed": 4, "steps": 1}, {"seed": 5, "top_k": 3}]
    return [
        Request(f"{i}", tuple(range(40, 45 + 7 * i)), replace(sampling, **kind))
        for i, kind in enumerate(kinds)
    ]


def free() -> list[Request]:
    kinds = [{}, {"temperature": 0.0}, {"steps": 3}, {"temperature": 0.5, "steps": 1}]
    return [
        Request(
            f"free {i}",
            tuple(range(30, 33 + 12 * i)),
            SamplingParams(max_tokens=20, seed=i, ignore_eos=True, **kind),
            RefinementOptions(tokens=True),
        )
        for i, kind in enumerate(kinds)
    ]


def test_every_answer_matches_its_schema(loaded: LoadedModel) -> None:
    answers = run_all(make_engine(loaded), structured())
    for request in structured():
        answer = answers[request.request_id]
        assert is_valid(json.loads(answer.text), SCHEMA), answer.text
        assert all(item.logprob <= 1e-6 for item in answer.logprobs)


def test_company_overlap_and_graphs_change_nothing(
    loaded: LoadedModel, caplog: pytest.LogCaptureFixture
) -> None:
    asked, recordings = [*structured()[:2], *free()], Recordings()
    alone = {r.request_id: run_alone(loaded, r).essence for r in asked}
    with caplog.at_level(logging.WARNING):
        engine = make_engine(
            loaded, graphs=True, overlap=True, recorder=recordings, max_num_seqs=8, num_pages=60
        )
    assert engine.runner.graphs is not None, caplog.text
    recordings.num_replays = 0
    answers = run_all(engine, asked)
    assert recordings.num_replays > 10
    assert {name: answer.essence for name, answer in answers.items()} == alone
