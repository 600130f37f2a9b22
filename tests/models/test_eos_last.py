"""Answers with ends filled last, against LLaDA's `generate.py` with `confidence_eos_eot_inf`.

Its two end tokens are replaced by those of the tiny tokenizer. All answers differ without the
option, and none had only end tokens to choose from.
"""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.support.engines import make_engine, run_all, run_alone
from tests.support.golden import company
from tests.support.tiny import GOLDEN
from unmask.models.registry import LoadedModel
from unmask.types import Request, SamplingParams

Load = Callable[[str], LoadedModel]
GROUPS = json.loads((GOLDEN / "llada" / "eos_last.json").read_text())
every_group = pytest.mark.parametrize("group", GROUPS, ids=lambda g: str(g["eos_token_ids"]))


def load(golden_model: Load, group: dict) -> LoadedModel:
    loaded = golden_model("llada")
    return replace(loaded, info=replace(loaded.info, eos_token_ids=tuple(group["eos_token_ids"])))


def request(case: dict, **changes: object) -> Request:
    settings = case["settings"]
    params = SamplingParams(
        max_tokens=settings["gen_length"],
        block_length=settings["block_length"],
        steps=settings["steps"],
        cfg_scale=settings["cfg_scale"],
        policy="low_confidence",
        ignore_eos=True,
        eos_last=True,
    )
    return Request(case["name"], tuple(case["prompt"]), replace(params, **changes))


@pytest.mark.usual_cases(2)
@every_group
def test_answers_are_those_of_the_reference_alone_and_together(
    golden_model: Load, group: dict
) -> None:
    loaded, cases = load(golden_model, group), group["cases"]
    expected = {case["name"]: case["tokens"] for case in cases}
    assert run_alone(loaded, request(cases[-1])).token_ids == cases[-1]["tokens"]
    others = company(loaded, len(cases), seed=5)
    engine = make_engine(loaded, overlap=True, steps_ahead=2, max_num_seqs=7)
    answers = run_all(engine, [*map(request, cases), *others])
    assert {name: answers[name].token_ids for name in expected} == expected


@every_group
def test_without_it_answers_are_other_ones(golden_model: Load, group: dict) -> None:
    engine = make_engine(load(golden_model, group))
    answers = run_all(engine, [request(case, eos_last=False) for case in group["cases"]])
    for case in group["cases"]:
        assert answers[case["name"]].token_ids != case["tokens"]


def test_an_end_is_told_with_its_own_probability(golden_model: Load) -> None:
    """An end ranks last, but keeps its probability."""
    group = GROUPS[-1]
    case = group["cases"][-1]
    answer = run_alone(load(golden_model, group), request(case, logprobs=0))
    assert answer.token_ids == case["tokens"]
    assert not set(group["eos_token_ids"]).isdisjoint(answer.token_ids)
    assert min(item.logprob for item in answer.logprobs) > -20
