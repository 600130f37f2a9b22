"""Penalties of tokens that are there already, and answers that may not end too early."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.engines import make_engine, run_all, run_alone
from tests.support.golden import load_golden
from tests.support.tiny import EOS_ID
from unmask.engine.schedule.admission import resolve
from unmask.engine.schedule.penalties import Penalties
from unmask.errors import InvalidRequest
from unmask.models.registry import LoadedModel
from unmask.types import CanvasSchedule, FinishReason, Request, SamplingParams
from unmask_kernels.scoring.request_constraint import NEVER, Constraint, pack_constraint

FAMILIES = ("sdar", "llada", "dream", "fast_dllm", "nemotron", "idlm", "wedlm", "llada21")
PROMPT = (3, 40, 41, 40, 60)


@pytest.fixture(scope="module", params=FAMILIES)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    loaded = load_golden(request.param, Path(tmp_path_factory.mktemp(request.param)))
    return replace(loaded, info=replace(loaded.info, eos_token_ids=(EOS_ID,)))


def asking(name: str, **params: Any) -> Request:
    return Request(name, PROMPT, SamplingParams(**{"max_tokens": 24, "seed": 3, **params}))


def test_each_token_is_chosen_after_the_penalties_of_those_before_it(tiny: LoadedModel) -> None:
    asked = {"max_tokens": 1, "ignore_eos": True, "block_length": 1}
    penalties = {"presence_penalty": 0.7, "frequency_penalty": 1.1}
    answer = run_alone(tiny, asking("a", **asked | penalties | {"max_tokens": 12})).token_ids
    plain = run_alone(tiny, asking("a", **asked | {"max_tokens": 12})).token_ids
    assert answer != plain
    for i, token_id in enumerate(answer):
        counts = Counter(answer[:i])
        bias = tuple((t, -(0.7 + 1.1 * count)) for t, count in counts.items() if t != EOS_ID)
        request = asking("b", **asked, logit_bias=bias)
        request = replace(request, prompt_token_ids=(*PROMPT, *answer[:i]))
        assert run_alone(tiny, request).token_ids == [token_id]


@pytest.mark.usual_cases(1)
def test_company_pages_chunks_and_overlap_change_nothing(loaded: LoadedModel) -> None:
    kinds = (
        {"frequency_penalty": 1.5},
        {"repetition_penalty": 1.8, "temperature": 0.8},
        {"presence_penalty": -1.0, "min_tokens": 9},
        {"min_tokens": 20, "logit_bias": ((EOS_ID, 60.0),)},
        {},
    )
    requests = [
        replace(asking(f"{i}", block_length=(4, 8)[i % 2], **kinds[i % 5]), prompt_token_ids=ids)
        for i in range(10)
        for ids in [tuple(range(3, 5 + 5 * i))]
    ]
    alone = {r.request_id: run_alone(loaded, r).essence for r in requests}
    for options in (
        {"overlap": True, "num_pages": 40, "page_size": 8},
        {"overlap": True, "speculation_rows": 256},
    ):
        answers = run_all(make_engine(loaded, **options), requests)
        assert {name: answer.essence for name, answer in answers.items()} == alone


@pytest.mark.parametrize("params", [{"presence_penalty": 2.0}, {"repetition_penalty": 1.5}])
def test_a_token_that_may_be_revised_has_no_penalty_for_itself(
    tmp_path: Path, params: dict[str, float]
) -> None:
    loaded = load_golden("llada21", tmp_path)
    settings = {"max_tokens": 1, "block_length": 1, "ignore_eos": True, "editing_threshold": 0.0}
    requests = [
        replace(asking("a", **settings, **kind), prompt_token_ids=tuple(range(3, 9)))
        for kind in ({}, params)
    ]
    plain, penalized = (run_alone(loaded, request) for request in requests)
    assert penalized.token_ids == plain.token_ids
    assert penalized.finish is not None
    assert plain.finish is not None
    assert penalized.finish.usage == plain.finish.usage


@pytest.mark.parametrize("suffix", [(), (50,) * 7])
def test_tokens_behind_an_answer_are_not_counted(
    tiny: LoadedModel, suffix: tuple[int, ...]
) -> None:
    asked = {"max_tokens": 1, "block_length": 8, "ignore_eos": True, "policy": "margin"}
    penalties = {"presence_penalty": -2.0, "frequency_penalty": -2.0}
    answers = [
        run_alone(
            tiny,
            replace(
                asking("a", **asked, **kind),
                prompt_token_ids=tuple(range(3, 11)),
                suffix_token_ids=suffix,
            ),
        )
        for kind in ({}, penalties)
    ]
    assert answers[0].token_ids == answers[1].token_ids


@pytest.mark.usual_cases(10)
@pytest.mark.parametrize("min_tokens", [0, 1, 7, 8, 24])
def test_an_answer_ends_no_earlier_than_it_may(loaded: LoadedModel, min_tokens: int) -> None:
    request = asking("a", min_tokens=min_tokens, logit_bias=((EOS_ID, 100.0),), block_length=8)
    answer = run_alone(loaded, request)
    assert answer.token_ids.index(EOS_ID) == min_tokens if min_tokens < 24 else True
    assert len(answer.token_ids) == min(24, min_tokens + 1)
    assert answer.finish is not None
    is_cut = answer.finish.reason is FinishReason.LENGTH
    assert is_cut == (min_tokens == 24)


def test_stop_strings_and_tokens_count_after_the_fewest_tokens(tiny: LoadedModel) -> None:
    whole = run_alone(tiny, asking("a", ignore_eos=True))
    text, first = whole.text[:2], whole.token_ids[0]
    early = run_alone(tiny, asking("a", stop=(text,), ignore_eos=True))
    assert len(early.token_ids) < 5
    later = run_alone(tiny, asking("a", stop=(text,), ignore_eos=True, min_tokens=12))
    assert len(later.token_ids) > 12
    stopped = run_alone(tiny, asking("a", stop_token_ids=(first,), min_tokens=3))
    assert first not in stopped.token_ids[:3]


def test_modes_write_the_same(tmp_path: Path) -> None:
    loaded = load_golden("nemotron", tmp_path)
    answers = [
        run_alone(loaded, asking("a", mode=mode, frequency_penalty=1.2, temperature=0.6))
        for mode in ("ar", "self_speculation", "auto")
    ]
    assert answers[0].token_ids == answers[1].token_ids == answers[2].token_ids


def penalties(tiny: LoadedModel, **params: Any) -> Penalties:
    made = Penalties.of_request(asking("a", **params), tiny.info, frozenset((EOS_ID,)), 24)
    assert made is not None
    return made


def test_a_constraint_adds_penalties_to_biases(tiny: LoadedModel) -> None:
    base = pack_constraint({7: 2.0, 41: -1.0}, [7, 41, 50], tiny.info.vocab_size)
    own = penalties(tiny, presence_penalty=0.5, frequency_penalty=0.25, repetition_penalty=2.0)
    committed = np.array([50, 41, 50, EOS_ID])
    made = own.constraint(base, committed, may_end=True)
    by_token = dict(zip(made.bias_tokens.tolist(), made.bias_values.tolist(), strict=True))
    assert by_token == {3: 0.0, 7: 2.0, 40: 0.0, 41: -1.75, 50: -1.0, 60: 0.0}
    assert made.bias_factors is not None
    factors = dict(zip(made.bias_tokens.tolist(), made.bias_factors.tolist(), strict=True))
    assert factors == {3: 2.0, 7: 1.0, 40: 2.0, 41: 2.0, 50: 2.0, 60: 2.0}
    assert isinstance(base, Constraint)
    assert made.allowed is base.allowed
    ends = own.constraint(None, committed[:0], may_end=False)
    assert ends.bias_values[ends.bias_tokens.tolist().index(EOS_ID)] == np.float32(NEVER)


@pytest.mark.parametrize(
    ("params", "field"),
    [({"min_tokens": 25}, "min_tokens"), ({"repetition_penalty": 0}, "repetition_penalty")],
)
def test_wrong_penalties_are_refused(tiny: LoadedModel, params: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        make_engine(tiny).check(asking("a", **params))
    assert error.value.field == field


@pytest.mark.parametrize(
    "params",
    [
        {"allowed_token_ids": (EOS_ID,)},
        {"allowed_token_ids": (70, EOS_ID, 71), "stop_token_ids": (70, 71)},
        {"allowed_token_ids": (64, 65, EOS_ID), "bad_words": ("ab", "aa")},
    ],
)
def test_a_fewest_of_tokens_that_all_end_the_answer_is_refused(
    tiny: LoadedModel, params: dict[str, Any]
) -> None:
    loaded = replace(tiny, info=replace(tiny.info, eos_token_ids=(EOS_ID,)))
    engine = make_engine(loaded)
    engine.check(asking("a", **params))
    with pytest.raises(InvalidRequest, match="end the answer") as error:
        engine.check(asking("a", min_tokens=2, **params))
    assert error.value.field == "min_tokens"


@pytest.mark.parametrize("name", ["presence_penalty", "repetition_penalty", "min_tokens"])
def test_canvases_of_noise_have_none(tiny: LoadedModel, name: str) -> None:
    canvas = replace(
        tiny.info,
        attention="canvas",
        canvas=CanvasSchedule(),
        default_sampling=SamplingParams(block_length=8),
    )
    request = asking("a", policy="entropy_bound", block_length=8, **{name: 2})
    with pytest.raises(InvalidRequest, match="fill mask tokens") as error:
        resolve(request, canvas, make_engine(tiny).limits)
    assert error.value.field == name
