"""Random requests of every kind, in every family: they end, hold what was asked, are never lost."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.support.engines import Answer, collect, make_engine
from tests.support.golden import FOLDERS, load_golden
from tests.support.mixtures import check_answer, random_requests
from tests.support.tiny import EOS_ID
from unmask.engine.engine import Engine
from unmask.models.registry import LoadedModel
from unmask.types import Delta, FinishReason, Request

Load = Callable[[str], LoadedModel]
# Steps after which some answer must have gone on, whatever its blocks, prompt and company are.
PATIENCE = 1500
ENGINES: tuple[Mapping[str, Any], ...] = (
    {"overlap": True, "num_pages": 400, "page_size": 8},
    {"overlap": True, "num_pages": 40, "page_size": 8, "max_batch_tokens": 300, "max_num_seqs": 4},
    {"num_pages": 24, "page_size": 8},
    {"num_pages": 26, "page_size": 8, "overlap": True},
    {"num_pages": 50, "page_size": 4, "overlap": True, "max_batch_tokens": 150, "max_num_seqs": 5},
    {"num_pages": 16, "page_size": 16, "overlap": True, "steps_ahead": 2},
    {"num_pages": 30, "page_size": 8, "overlap": True, "max_batch_tokens": 64, "max_num_seqs": 3},
    {"num_pages": 70, "page_size": 4, "overlap": True, "steps_ahead": 3, "overlap_rows": 1000},
    {"num_pages": 400, "page_size": 16, "speculation_rows": 256},
)
WHOLE_BLOCKS = ("llada22",)  # whose pages are of 32 tokens


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    @cache
    def get(folder: str) -> LoadedModel:
        loaded = load_golden(folder, Path(tmp_path_factory.mktemp(folder)))
        return replace(loaded, info=replace(loaded.info, eos_token_ids=(EOS_ID,)))

    return get


def answers_of(
    engine: Engine, requests: Iterable[Request], aborts: Random | None = None
) -> dict[str, Answer]:
    """Run requests until all have ended, some of them by `aborts`; no step may be in vain."""
    answers: dict[str, Answer] = {}
    for request in requests:
        engine.add(request)
    quiet = 0
    while engine.has_work:
        events = engine.step()
        collect(answers, events)
        engine.check_integrity()
        quiet = 0 if any(isinstance(event, Delta) for event in events) else quiet + 1
        assert quiet < PATIENCE, "no answer goes on"
        left = [r.request_id for r in requests if r.request_id not in ended(answers)]
        if left and aborts is not None and aborts.random() < 0.05:
            collect(answers, engine.abort(aborts.choice(left)))
    status = engine.status()
    assert (status.num_running, status.num_waiting, status.num_pages_used) == (0, 0, 0)
    return answers


def ended(answers: Mapping[str, Answer]) -> set[str]:
    return {name for name, answer in answers.items() if answer.finish is not None}


def check(loaded: LoadedModel, folder: str, seed: int, num_requests: int) -> None:
    """Compare answers alone with those in company, twice, and check what was asked of them."""
    random = Random(seed)
    options, alone_options = dict(ENGINES[seed % len(ENGINES)]), {}
    if folder in WHOLE_BLOCKS:
        num_tokens = options["num_pages"] * options["page_size"]
        options |= {"num_pages": max(6, num_tokens // 32), "page_size": 32}
        alone_options = {"page_size": 32}
    engine = make_engine(loaded, prefix_cache=seed % 5 > 0, **options)
    requests = list(islice(random_requests(engine, seed), num_requests))
    alone = {}
    for request in requests:
        by_itself = make_engine(loaded, prefix_cache=False, **alone_options)
        own = answers_of(by_itself, [replace(request, refinements=None)])
        alone[request.request_id] = answer = own[request.request_id]
        check_answer(request, answer, loaded.info)
    together = answers_of(engine, requests)
    for name, answer in alone.items():
        assert together[name].essence == answer.essence
        told = [item.token_id for item in together[name].logprobs]
        assert told == [item.token_id for item in answer.logprobs]
    for name, answer in answers_of(engine, requests, random).items():
        assert answer.finish is not None
        if answer.finish.reason is not FinishReason.ABORT:
            assert answer.essence == alone[name].essence


@pytest.mark.usual_cases(2)
@pytest.mark.parametrize(
    ("folder", "seed"), [("sdar", 5), ("llada", 7), ("nemotron", 2), ("wedlm", 3)]
)
def test_a_few_requests_of_every_kind(load: Load, folder: str, seed: int) -> None:
    check(load(folder), folder, seed, 3)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("folder", [*FOLDERS, *WHOLE_BLOCKS, "dgemma"])
def test_many_requests_of_every_kind(load: Load, folder: str, seed: int) -> None:
    check(load(folder), folder, 100 + seed, 9)
