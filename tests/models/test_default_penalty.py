"""A checkpoint's repetition penalty holds for requests that name none."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.support.engines import make_engine, run_alone
from unmask.engine.schedule.admission import resolve
from unmask.likelihood import likelihood_request
from unmask.models.registry import LoadedModel
from unmask.types import Request, SamplingParams

Load = Callable[[str], LoadedModel]
PLAIN = SamplingParams(max_tokens=24, temperature=0.0, ignore_eos=True)
PENALTY = 1.8


def penalising(loaded: LoadedModel) -> LoadedModel:
    default = replace(loaded.info.default_sampling, repetition_penalty=PENALTY)
    return replace(loaded, info=replace(loaded.info, default_sampling=default))


@pytest.mark.parametrize("name", ["sdar", "nemotron"])
def test_it_is_as_if_each_request_asked_for_it(golden_model: Load, name: str) -> None:
    plain, loaded = golden_model(name), penalising(golden_model(name))
    request = Request("a", tuple(range(5, 40)), PLAIN)

    def written(model: LoadedModel, penalty: float | None) -> tuple[int, ...]:
        sampling = replace(PLAIN, repetition_penalty=penalty)
        return tuple(run_alone(model, replace(request, sampling=sampling)).token_ids)

    assert written(loaded, None) == written(plain, PENALTY) != written(plain, None)
    assert written(loaded, 1.0) == written(plain, None)


def test_drafts_are_written_token_by_token_as_with_one_that_is_asked_for(
    golden_model: Load,
) -> None:
    loaded = penalising(golden_model("nemotron"))
    request = Request("a", (5, 6), replace(PLAIN, mode="self_speculation"))
    limits = make_engine(loaded).limits
    assert resolve(request, loaded.info, limits).mode == "ar"


def test_it_changes_no_log_probabilities_of_a_prompt(golden_model: Load) -> None:
    for name in ("sdar", "nemotron"):
        plain, loaded = golden_model(name), penalising(golden_model(name))
        request = likelihood_request("a", tuple(range(5, 30)), 1, plain.info)
        assert request is not None
        assert run_alone(loaded, request).logprobs == run_alone(plain, request).logprobs


def test_it_gives_way_where_tokens_are_deleted_and_inserted(golden_model: Load) -> None:
    loaded = penalising(golden_model("llada22"))
    request = Request("a", (5, 6), SamplingParams(max_tokens=32, editing_threshold=0.5))
    decoding = resolve(request, loaded.info, make_engine(loaded, page_size=32).limits)
    assert decoding.edit_rules is not None
    assert decoding.penalties is None
