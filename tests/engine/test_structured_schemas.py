"""Answers of random schemas are valid, in every family and however they are decoded."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.support.engines import make_engine, run_all, run_alone
from tests.support.golden import load_golden
from tests.support.json_schema import is_valid
from tests.support.random_schemas import whole_schema
from tests.support.tiny import EOS_ID
from unmask.engine.engine import Engine
from unmask.errors import InvalidRequest
from unmask.grammar import json_schema_of
from unmask.models.registry import LoadedModel
from unmask.types import RefinementOptions, Request, SamplingParams

# Families, and what their requests have besides.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "sdar": ("sdar", {}),
    "sdar, kept keys": ("sdar", {"cache": "block"}),
    "llada": ("llada", {}),
    "llada, dual": ("llada", {"cache": "dual"}),
    "dream": ("dream", {}),
    "llada2": ("llada2", {}),
    "llada2.1": ("llada21", {}),
    "fast-dllm": ("fast_dllm", {}),
    "nemotron": ("nemotron", {}),
    "idlm": ("idlm", {}),
    "wedlm": ("wedlm", {}),
    "dgemma": ("dgemma", {"policy": None, "threshold": None, "block_length": None, "steps": 5}),
}
THRESHOLDS = (0.3, 0.5, 0.7, 0.9, 1.0)
TEMPERATURES = (0.0, 0.3, 0.7, 1.0, 1.5)
MORE_TOKENS = (0, 1, 3, 9, 40)  # than the shortest answer has
MAX_SHORTEST = 100


def load(kind: str, folder: Path) -> tuple[LoadedModel, dict[str, Any]]:
    name, extra = KINDS[kind]
    loaded = load_golden(name, folder)
    return replace(loaded, info=replace(loaded.info, eos_token_ids=(EOS_ID,))), extra


def schemas_with_answers(engine: Engine) -> Iterator[tuple[Any, int]]:
    """Random schemas, and the tokens of their shortest answers."""
    seed = 0
    while True:
        seed += 1
        schema = whole_schema(Random(seed), 3)
        try:
            made = engine.compile(SamplingParams(grammar=json_schema_of(schema)))
        except InvalidRequest:
            continue
        assert made is not None
        if made.shortest <= MAX_SHORTEST:
            yield schema, made.shortest


def requests_of(
    engine: Engine, num_schemas: int, num_prompts: int, extra: dict[str, Any]
) -> dict[str, tuple[Request, Any]]:
    """Requests and their schemas, with all thresholds, temperatures and limits in turn."""
    made = {}
    for i, (schema, shortest) in enumerate(islice(schemas_with_answers(engine), num_schemas)):
        for j in range(num_prompts):
            usual = {
                "policy": "threshold",
                "threshold": THRESHOLDS[j % 5],
                "block_length": (4, 8, 16, 32)[(i + j) % 4],
            }
            sampling = SamplingParams(
                grammar=json_schema_of(schema),
                temperature=TEMPERATURES[(j // 5 + i) % 5],
                max_tokens=shortest + MORE_TOKENS[(j + j // 5 + i) % 5],
                seed=j,
                **usual | extra,
            )
            prompt = tuple(Random(j).randrange(3, 60) for _ in range(1 + 3 * j % 40))
            made[f"{i}-{j}"] = Request(f"{i}-{j}", prompt, sampling), schema
    return made


def check_answers(kind: str, folder: Path, num_schemas: int, num_prompts: int) -> None:
    loaded, extra = load(kind, folder)
    engine = make_engine(loaded, num_pages=6000, max_batch_tokens=4096, max_num_seqs=128)
    asked = requests_of(engine, num_schemas, num_prompts, extra)
    answers = run_all(engine, [request for request, _ in asked.values()])
    for name, (request, schema) in asked.items():
        assert is_valid(json.loads(answers[name].text), schema), (schema, answers[name].text)
        assert len(answers[name].token_ids) <= (request.sampling.max_tokens or 0)


@pytest.mark.usual_cases(2)
@pytest.mark.parametrize("kind", KINDS)
def test_answers_of_random_schemas_are_valid(kind: str, tmp_path: Path) -> None:
    check_answers(kind, tmp_path, 5, 5)


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", KINDS)
def test_answers_of_many_random_schemas_are_valid(kind: str, tmp_path: Path) -> None:
    check_answers(kind, tmp_path, 20, 25)


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_the_same_alone_and_among_63_others(kind: str, tmp_path: Path) -> None:
    check_company(kind, tmp_path, 64, 12)


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("kind", ["sdar", "llada", "dgemma"])
def test_answers_are_the_same_alone_and_among_others(kind: str, tmp_path: Path) -> None:
    check_company(kind, tmp_path, 20, 3)


def check_company(kind: str, folder: Path, num_requests: int, num_alone: int) -> None:
    """Requests with a grammar and without one, of which few fit the pages at a time.

    Every third shows its drafts, which it does not alone.
    """
    loaded, extra = load(kind, folder)
    asked = requests_of(make_engine(loaded), 8, -(-num_requests // 8), extra)
    requests = [request for request, _ in asked.values()][:num_requests]
    for i in range(0, num_requests, 4):
        sampling = replace(requests[i].sampling, grammar=None, max_tokens=60)
        requests[i] = replace(requests[i], sampling=sampling)
    lengths = [len(r.prompt_token_ids) + (r.sampling.max_tokens or 0) for r in requests]
    pages = {"num_pages": max(lengths) // 4 + 20, "page_size": 4}
    engine = make_engine(loaded, **pages, overlap=True, max_num_seqs=64)
    told = [
        replace(request, refinements=None if i % 3 else RefinementOptions())
        for i, request in enumerate(requests)
    ]
    answers = run_all(engine, told)
    assert answers[requests[0].request_id].refinements
    assert loaded.info.attention == "full" or engine.scheduler.num_preempted, "too many pages"
    for request in Random(0).sample(requests, num_alone):
        assert answers[request.request_id].essence == run_alone(loaded, request).essence
