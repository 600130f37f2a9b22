"""Logit biases and allowed tokens hold in every step of their request."""

from dataclasses import replace

import pytest

from tests.support.engines import make_engine, run_all
from unmask.errors import InvalidRequest
from unmask.models.registry import LoadedModel
from unmask.types import Request, SamplingParams

PLAIN = SamplingParams(max_tokens=40, ignore_eos=True)
HOT = replace(PLAIN, temperature=1.5, seed=3)


def answers(loaded: LoadedModel, *params: SamplingParams) -> list[list[int]]:
    batch = [Request(str(i), (5, 9, 12), own) for i, own in enumerate(params)]
    found = run_all(make_engine(loaded), batch)
    return [found[request.request_id].token_ids for request in batch]


@pytest.mark.parametrize("params", [PLAIN, HOT, replace(HOT, top_k=9), replace(HOT, top_p=0.5)])
def test_only_allowed_tokens_are_generated(tiny: LoadedModel, params: SamplingParams) -> None:
    allowed = (3, 31, 32, 400)
    own, other = answers(tiny, replace(params, allowed_token_ids=allowed), params)
    assert len(own) == 40
    assert set(own) <= set(allowed)
    assert not set(other) <= set(allowed), "nobody else's answer is bound"


@pytest.mark.parametrize("params", [PLAIN, HOT])
def test_a_bias_makes_a_token_certain_or_impossible(
    tiny: LoadedModel, params: SamplingParams
) -> None:
    [plain] = answers(tiny, params)
    banned = max(set(plain), key=plain.count)
    forced, without = answers(
        tiny,
        replace(params, logit_bias=((77, 100.0),)),
        replace(params, logit_bias=((banned, -100.0),)),
    )
    assert set(forced) == {77}
    assert banned not in without


def test_the_confidence_is_that_of_what_is_allowed(tiny: LoadedModel) -> None:
    [request] = [Request("a", (5, 9), replace(PLAIN, allowed_token_ids=(8,), logprobs=2))]
    answer = run_all(make_engine(tiny), [request])["a"]
    assert {entry.logprob for entry in answer.logprobs} == {0.0}


@pytest.mark.parametrize("changes", [{"logit_bias": ((600, 1.0),)}, {"allowed_token_ids": (-1,)}])
def test_a_token_outside_the_vocabulary_is_refused(
    tiny: LoadedModel, changes: dict[str, object]
) -> None:
    with pytest.raises(InvalidRequest, match="outside the vocabulary") as raised:
        make_engine(tiny).check(Request("a", (5,), replace(PLAIN, **changes)))
    assert raised.value.field == next(iter(changes))


def test_the_mask_token_alone_is_refused(tiny: LoadedModel) -> None:
    params = replace(PLAIN, allowed_token_ids=(tiny.info.mask_token_id or 0,))
    with pytest.raises(InvalidRequest, match="never generated"):
        make_engine(tiny).check(Request("a", (5,), params))
