"""LLaDA2.0 and 2.1 through the engine against tokens of their published code."""

import json

import pytest

from tests.support.checkpoints import load_golden
from tests.support.engines import make_engine, run_all
from tests.support.tiny import GOLDEN
from unmask.models.registry import LoadedModel
from unmask.types import Request, SamplingParams

CASES = {
    name: json.loads((GOLDEN / name / "golden.json").read_text())["cases"]
    for name in ("llada2", "llada21")
}


@pytest.fixture(scope="module", params=CASES)
def golden(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[LoadedModel, list[dict]]:
    return load_golden(request.param, tmp_path_factory.mktemp("golden")), CASES[request.param]


def request_of(case: dict) -> Request:
    settings = case["settings"]
    sampling = SamplingParams(
        max_tokens=settings["gen_length"],
        ignore_eos=True,
        policy="threshold",
        threshold=settings["threshold"],
        editing_threshold=settings.get("editing_threshold"),
        steps=settings.get("steps"),
        block_length=settings["block_length"],
    )
    return Request(case["name"], tuple(case["prompt"]), sampling)


def test_a_request_alone_gets_the_tokens_of_the_reference(
    golden: tuple[LoadedModel, list[dict]],
) -> None:
    loaded, cases = golden
    for case in cases:
        answer = run_all(make_engine(loaded), [request_of(case)])[case["name"]]
        assert answer.token_ids == case["tokens"], case["name"]
        assert answer.finish is not None
        assert answer.finish.usage.denoising_steps <= case["forwards"]


@pytest.mark.usual_cases(2)
@pytest.mark.parametrize("max_batch_tokens", [64, 2048])
def test_all_requests_together_get_the_tokens_of_the_reference(
    golden: tuple[LoadedModel, list[dict]], max_batch_tokens: int
) -> None:
    loaded, cases = golden
    engine = make_engine(loaded, max_batch_tokens=max_batch_tokens)
    answers = run_all(engine, [request_of(case) for case in cases])
    assert {n: a.token_ids for n, a in answers.items()} == {c["name"]: c["tokens"] for c in cases}
