"""Admission of answers that grow and shrink: defaults, limits and refusals."""

from dataclasses import replace
from typing import Any

import pytest

from tests.support.facts import EOS, FACTS, MASK
from unmask.engine.schedule.admission import resolve
from unmask.engine.schedule.decoding import Decoding
from unmask.engine.schedule.limits import EngineLimits
from unmask.errors import InvalidRequest
from unmask.grammar import Regex
from unmask.types import Hole, LengthCommands, ModelInfo, Request, SamplingParams, Template

EXPAND, OWN_DELETE = 46, 47
MODEL = replace(
    FACTS,
    max_model_len=3000,
    eos_token_ids=(45, EOS),
    default_sampling=SamplingParams(temperature=0.2, top_p=0.9),
    attention="full",
    shift=True,
    schedule="timed",
    length_commands=LengthCommands(EXPAND, (EOS, OWN_DELETE)),
)
FIXED = replace(MODEL, length_commands=None)
LIMITS = EngineLimits(max_batch_tokens=2048, num_pages=200, page_size=16)
TEMPLATE = Template((None, None, 5, None), (Hole(0, 2), Hole(3, 4)))


def request(suffix: tuple[int, ...] = (7, 8, 9), **params: Any) -> Request:
    return Request("r", (1, 2), SamplingParams(**params), suffix_token_ids=suffix)


def resolved(model: ModelInfo = MODEL, suffix: tuple[int, ...] = (7, 8, 9), **p: Any) -> Decoding:
    return resolve(request(suffix, **p), model, LIMITS)


def test_a_suffix_has_an_answer_of_four_masks_that_grows_to_its_limit() -> None:
    decoding = resolved(max_tokens=20)
    rules = decoding.length_rules
    assert rules is not None
    assert (rules.first_len, rules.max_len, decoding.first_len) == (4, 20, 4)
    assert (decoding.max_tokens, decoding.block_len, decoding.policy) == (20, 20, "entropy")
    assert rules.most_expansions == 2 * (20 + 3)
    assert decoding.quotas == (1,) * (4 + 2 * rules.most_expansions)
    assert decoding.sampling.temperature == 0.2
    assert decoding.has_constraint
    assert decoding.waits


def test_ends_that_delete_do_not_end_the_answer() -> None:
    assert resolved(max_tokens=20).stop_ids == {45}
    assert resolved(max_tokens=20, stop_token_ids=(3,)).stop_ids == {3, 45}
    assert resolved(max_tokens=20, stop_token_ids=(3,), ignore_eos=True).stop_ids == {3}
    assert resolved(max_tokens=20, number_of_mask=0).stop_ids == {45, EOS}


@pytest.mark.parametrize(("max_tokens", "first_len"), [(3, 3), (1, 1), (1024, 4), (None, 4)])
def test_no_more_masks_than_tokens_begin_it(max_tokens: int | None, first_len: int) -> None:
    decoding = resolved(max_tokens=max_tokens)
    assert decoding.first_len == first_len
    assert decoding.max_tokens == (max_tokens or 1024)


def test_masks_alone_and_both_grow_and_neither_does_not() -> None:
    assert resolved(suffix=(), max_tokens=9, number_of_mask=9).first_len == 9
    assert resolved(max_tokens=9, number_of_mask=7).first_len == 7
    for params in ({"suffix": ()}, {"number_of_mask": 0}, {"suffix": (), "number_of_mask": 0}):
        assert resolved(max_tokens=9, **params).length_rules is None
    template = replace(request(()), template=TEMPLATE)
    assert resolve(template, MODEL, LIMITS).length_rules is None
    assert resolved(FIXED, max_tokens=9, number_of_mask=0).length_rules is None


def test_commands_are_forbidden_where_an_answer_keeps_its_length() -> None:
    constraint = resolved(max_tokens=9, number_of_mask=0).constraint
    assert constraint is not None
    assert constraint.bias_tokens.tolist() == [EXPAND, OWN_DELETE], "an end ends the answer"
    assert resolved(FIXED, max_tokens=9).constraint is None


def test_only_expansions_are_forbidden_where_an_answer_may_not_grow() -> None:
    decoding = resolved(max_tokens=9, logit_bias=((EXPAND, 3.0), (5, 1.0)))
    rules = decoding.length_rules
    assert rules is not None
    assert decoding.constraint is not None
    assert decoding.constraint.bias_values.tolist() == [1.0, 3.0]
    assert rules.when_full.bias_tokens.tolist() == [5, EXPAND]
    assert rules.when_full.bias_values[1] < -1e20
    assert resolved(max_tokens=9).constraint is None


@pytest.mark.parametrize("policy", ["low_confidence", "entropy", "margin", "sequential", "random"])
def test_policies_that_rank_are_taken_of_requests_and_of_servers(policy: Any) -> None:
    assert resolved(max_tokens=9, policy=policy).policy == policy
    served = replace(MODEL, default_sampling=SamplingParams(policy=policy))
    assert resolved(served, max_tokens=9).policy == policy


def test_other_defaults_of_a_server_are_for_other_requests() -> None:
    default = SamplingParams(
        policy="threshold", threshold=0.5, steps=3, block_length=4, cache="dual", eos_last=True
    )
    served = replace(MODEL, default_sampling=default)
    decoding = resolved(served, max_tokens=9, temperature=0.0)
    assert (decoding.policy, decoding.cache, decoding.eos_last) == ("entropy", "none", False)
    assert decoding.block_len == 9
    assert decoding.quotas == (1,) * (4 + 4 * 12)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"steps": 4}, "steps"),
        ({"block_length": 8}, "block_length"),
        ({"block_length": "auto"}, "block_length"),
        ({"cache": "prefix"}, "cache"),
        ({"cfg_scale": 1.0}, "cfg_scale"),
        ({"eps": 0.1}, "eps"),
        ({"eos_last": True}, "eos_last"),
        ({"min_tokens": 2}, "min_tokens"),
        ({"bad_words": ("a",)}, "bad_words"),
        ({"max_thinking_tokens": 2}, "max_thinking_tokens"),
        ({"mode": "ar"}, "mode"),
        ({"threshold": 0.5}, "threshold"),
        ({"policy": "threshold"}, "policy"),
        ({"policy": "klass"}, "policy"),
        ({"policy": "ancestral"}, "policy"),
        ({"policy": "remdm_cap"}, "policy"),
        ({"entropy_bound": 0.5}, "entropy_bound"),
        ({"grammar": Regex("a")}, "grammar"),
        ({"sub_block_length": 2}, "sub_block_length"),
        ({"editing_threshold": 0.2}, "editing_threshold"),
        ({"distance_penalty": 0.2}, "distance_penalty"),
        ({"number_of_mask": 10}, "number_of_mask"),
        ({"max_tokens": 1025}, "max_tokens"),
        ({"max_tokens": 2048}, "max_tokens"),
        ({"allowed_token_ids": (MASK,)}, "allowed_token_ids"),
        ({"allowed_token_ids": (MASK, EXPAND)}, "allowed_token_ids"),
    ],
)
def test_what_does_not_combine_is_refused_by_name(params: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        resolved(**({"max_tokens": 9} | params))
    assert refused.value.field == field


@pytest.mark.parametrize(
    "params", [{"cache": "none"}, {"cfg_scale": 0.0}, {"eos_last": False}, {"min_tokens": 0}]
)
def test_neutral_values_are_none(params: dict[str, Any]) -> None:
    assert resolved(max_tokens=9, seed=1, **params).length_rules is not None


def test_masks_are_for_models_with_commands_and_not_for_templates() -> None:
    asked, pads = request((), number_of_mask=3), request(pad_delete_to_right=True)
    template = replace(asked, template=TEMPLATE)
    whole = request((), pad_delete_to_right=True)
    for model, refused, field in (
        (FIXED, asked, "number_of_mask"),
        (FIXED, pads, "pad_delete_to_right"),
        (MODEL, template, "number_of_mask"),
        (MODEL, whole, "pad_delete_to_right"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            resolve(refused, model, LIMITS)
        assert caught.value.field == field


def test_all_masks_behind_a_deleted_one_go_where_the_request_or_the_server_says() -> None:
    served = replace(MODEL, default_sampling=SamplingParams(pad_delete_to_right=True))
    for model, asked, expected in (
        (MODEL, None, False),
        (MODEL, True, True),
        (served, None, True),
        (served, False, False),
    ):
        rules = resolved(model, max_tokens=9, pad_delete_to_right=asked).length_rules
        assert rules is not None
        assert rules.pad_delete_to_right == expected
    assert resolved(served, (), max_tokens=9).length_rules is None


@pytest.mark.parametrize("token", [EXPAND, OWN_DELETE])
def test_commands_are_in_no_text_around_an_answer(token: int) -> None:
    prompt = replace(request(), prompt_token_ids=(1, token))
    for asked, field in ((prompt, "prompt"), (request((token, 3)), "suffix")):
        with pytest.raises(InvalidRequest, match=str(token)) as refused:
            resolve(asked, MODEL, LIMITS)
        assert refused.value.field == field
    assert resolved(suffix=(5, EOS), max_tokens=9).length_rules is not None


def test_a_longest_answer_must_fit_a_step_and_the_pages() -> None:
    resolve(request(max_tokens=59), MODEL, replace(LIMITS, max_batch_tokens=64))
    for limits in (replace(LIMITS, max_batch_tokens=64), replace(LIMITS, num_pages=4)):
        with pytest.raises(InvalidRequest) as refused:
            resolve(request(max_tokens=60), MODEL, limits)
        assert refused.value.field == "max_tokens"
