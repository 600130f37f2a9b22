"""Admission refuses requests before they are queued, and fills in defaults."""

import gc
import math
import weakref
from dataclasses import replace
from typing import Any

import pytest

from tests.support.facts import FACTS
from unmask.engine.schedule.admission import resolve
from unmask.engine.schedule.limits import EngineLimits
from unmask.engine.schedule.quotas import LAST_TIME, timed_quotas
from unmask.engine.schedule.sequence import Decoding
from unmask.errors import InvalidRequest
from unmask.images import ImageRows, Pixels
from unmask.types import AttentionPattern, ModelInfo, PolicyName, Request, SamplingParams

MODEL = replace(
    FACTS, default_sampling=SamplingParams(temperature=0.0, policy="threshold", threshold=0.8)
)
LIMITS = EngineLimits(max_batch_tokens=64, num_pages=6, page_size=16)


def resolved(
    prompt: tuple[int, ...] = (1, 2), limits: EngineLimits = LIMITS, **params: object
) -> Decoding:
    return resolve(Request("r", prompt, SamplingParams(**params)), MODEL, limits)


FULL = replace(MODEL, attention="full", schedule="timed")


@pytest.mark.parametrize(
    ("attention", "params", "max_tokens"),
    [
        ("block_causal", {}, 94),  # whole blocks of 32 from the prompt on
        ("block_causal", {"block_length": "auto"}, 94),
        ("prompt_block", {}, 64),  # the same, behind the prompt
        ("causal_prefix", {}, 64),
        ("causal_window", {"policy": "entropy"}, 63),
        ("full", {}, 62),  # all that a step holds
        ("full", {"cfg_scale": 0.5}, 30),
    ],
)
def test_an_answer_without_a_limit_is_as_long_as_the_pages_allow(
    attention: AttentionPattern, params: dict[str, Any], max_tokens: int
) -> None:
    """The context of 100 tokens is longer than all 6 pages of 16, and than a step of 64."""
    model = replace(MODEL, attention=attention)

    def asking(**limit: int) -> Decoding:
        return resolve(Request("r", (1, 2), SamplingParams(**params, **limit)), model, LIMITS)

    decoding = asking()
    assert {d.max_tokens for d in (decoding, *decoding.others)} == {max_tokens}
    assert asking(max_tokens=max_tokens).max_tokens == max_tokens
    with pytest.raises(InvalidRequest):
        asking(max_tokens=max_tokens + 1)


def test_auto_has_every_default_filled_in_for_each_length() -> None:
    params = {"max_tokens": 20, "steps": 8}
    usual = resolved(block_length="auto", **params)
    assert [d.block_len for d in (usual, *usual.others)] == [32, 16, 8, 4]
    for decoding in (usual, *usual.others):
        named = resolved(block_length=decoding.block_len, **params)
        assert replace(decoding, others=()) == named


@pytest.mark.parametrize("attention", ["full", "canvas"])
def test_auto_is_refused_where_blocks_do_not_only_see_those_before(attention: str) -> None:
    request = Request("r", (1, 2), SamplingParams(max_tokens=10, block_length="auto"))
    with pytest.raises(InvalidRequest, match="block_length auto is for models whose") as refused:
        resolve(request, replace(MODEL, attention=attention), LIMITS)
    assert refused.value.field == "block_length"


def test_a_server_s_auto_leaves_lengths_that_requests_name_alone() -> None:
    adapts = replace(MODEL, adapts_blocks=True)
    request = Request("r", (1, 2), SamplingParams(max_tokens=10))
    assert resolve(request, adapts, LIMITS).others
    named = replace(request, sampling=replace(request.sampling, block_length=8))
    assert resolve(named, adapts, LIMITS) == resolve(named, MODEL, LIMITS)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"cache": "dual"}, "cache"),
        ({"cache": "prefix"}, "cache"),
        ({"cfg_scale": 1.0}, "cfg_scale"),
        ({"editing_threshold": 0.9}, "editing_threshold"),
    ],
)
def test_what_the_model_cannot_do_is_refused_by_name(params: dict, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        resolved(max_tokens=10, **params)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"max_tokens": 63}, "max_tokens"),  # one token more than a step holds
        ({"max_tokens": 31, "cfg_scale": 0.5}, "cfg_scale"),  # two canvases of 33
    ],
)
def test_a_step_must_hold_every_position_of_full_attention(params: dict, field: str) -> None:
    request = Request("r", (1, 2), SamplingParams(**params))
    with pytest.raises(InvalidRequest) as refused:
        resolve(request, FULL, LIMITS)
    assert refused.value.field == field
    fits = replace(request, sampling=replace(request.sampling, max_tokens=30))
    assert resolve(fits, FULL, LIMITS).max_tokens == 30


def test_llada2_takes_no_more_steps_than_an_answer_has_tokens() -> None:
    capped, params = replace(MODEL, caps_steps=True), {"max_tokens": 6, "block_length": 8}
    for steps, taken in ((None, 6), (8, 6), (3, 3)):
        request = Request("r", (1, 2), SamplingParams(**params, steps=steps))
        assert len(resolve(request, capped, LIMITS).quotas) == taken
        assert len(resolve(request, MODEL, LIMITS).quotas) == (steps or 8)
    editing = Request("r", (1, 2), SamplingParams(**params, editing_threshold=0.9))
    assert len(resolve(editing, replace(capped, can_edit=True), LIMITS).quotas) == 8


def test_without_blocks_the_whole_answer_is_one() -> None:
    request = Request("r", (1, 2), SamplingParams(max_tokens=50, policy="entropy", steps=50))
    decoding = resolve(request, FULL, LIMITS)
    assert decoding.block_len == 50
    assert sum(decoding.quotas) == 50
    assert decoding.steps < 50, "steps that fill nothing are left out"


def test_a_first_position_that_is_filled_alone_counts_as_a_step() -> None:
    def quotas(model: ModelInfo, **params: object) -> tuple[int, ...]:
        request = Request("r", (1, 2), SamplingParams(max_tokens=16, block_length=16, **params))
        return resolve(request, model, LIMITS).quotas

    shifted = replace(FULL, shift=True)
    assert quotas(shifted, policy="threshold", steps=4) == (4, 4, 4, 4)
    assert quotas(shifted, policy="threshold", steps=4, cache="dual") == (1, 5, 5, 5)
    assert quotas(FULL, policy="threshold", steps=4, cache="dual") == (4, 4, 4, 4)
    assert quotas(shifted, policy="entropy", steps=4) == (3, 4, 4, 5)
    assert quotas(shifted, policy="entropy", steps=4, cache="prefix") == (1, 4, 5, 6)
    assert quotas(shifted, policy="entropy", steps=1, cache="prefix") == (1, 15)
    parts = {"steps": 4, "sub_block_length": 8}
    assert quotas(replace(MODEL, shift=True), **parts) == (1, 4, 3, 8)
    assert quotas(MODEL, **parts) == (4, 4, 4, 4)
    single = Request("r", (1, 2), SamplingParams(max_tokens=3, block_length=1, cache="dual"))
    assert resolve(single, shifted, LIMITS).quotas == (1,)


@pytest.mark.parametrize(("part", "expected"), [(4, 4), (7, 7), (8, None), (32, None)])
def test_a_part_as_long_as_the_block_is_the_block(part: int, expected: int | None) -> None:
    sampling = SamplingParams(max_tokens=16, block_length=8, sub_block_length=part)
    decoding = resolve(Request("r", (1, 2), sampling), MODEL, LIMITS)
    assert decoding.sub_block_length == expected
    assert decoding.waits == (expected is not None)


def test_a_block_behind_a_causal_prefix_is_filled_in_parts_unless_it_is_a_draft() -> None:
    parted = SamplingParams(sub_block_length=4)
    causal = replace(MODEL, attention="causal_prefix", default_sampling=parted)
    sizes = {"max_tokens": 16, "block_length": 16}

    def part(**params: Any) -> int | None:
        sampling = SamplingParams(**{name: v for name, v in params.items() if v is not None})
        return resolve(Request("r", (1, 2), sampling), causal, LIMITS).sub_block_length

    assert part(**sizes) == 4
    assert part(**sizes, sub_block_length=8) == 8
    assert part(**sizes, mode="self_speculation") is None
    assert part(max_tokens=16, mode="ar") is None
    for asked in (sizes | {"mode": "self_speculation"}, {"max_tokens": 16, "mode": "ar"}):
        with pytest.raises(InvalidRequest, match="sub_block_length is for models") as caught:
            part(**asked, sub_block_length=8)
        assert caught.value.field == "sub_block_length"


@pytest.mark.parametrize(
    ("params", "quotas"),
    [
        ({}, (1,) * 16),
        ({"steps": 4}, (4, 4, 4, 4)),
        ({"steps": 2}, (8, 8)),
        ({"steps": 2, "sub_block_length": 4}, (4, 4, 4, 4)),
    ],
)
def test_default_parts_take_no_more_steps_than_a_request_allows(
    params: dict[str, Any], quotas: tuple[int, ...]
) -> None:
    """A request that asks for parts as well has a step for each."""
    parted = replace(MODEL, default_sampling=SamplingParams(sub_block_length=4))
    sampling = SamplingParams(max_tokens=16, block_length=16, **params)
    assert resolve(Request("r", (1, 2), sampling), parted, LIMITS).quotas == quotas


@pytest.mark.parametrize(
    ("prompt", "params", "field"),
    [
        ((), {}, "prompt"),
        ((50,), {}, "prompt"),
        ((-1,), {}, "prompt"),
        ((1,) * 100, {}, "prompt"),
        ((1,) * 60, {"max_tokens": 41}, "max_tokens"),
        ((1,), {"block_length": 65}, "block_length"),
        ((1,), {"max_tokens": 98}, "max_tokens"),  # fits the context, never the pages
        ((1,), {"policy": "low_confidence", "threshold": 0.5}, "threshold"),
        ((1,), {"policy": "factor", "entropy_bound": 0.5}, "entropy_bound"),
        ((1,), {"threshold": 0.5, "factor": 1.0}, "factor"),
        ((1,), {"factor": 1.0, "radius": 2}, "radius"),
        ((1,), {"low_threshold": 0.5, "relaxed_threshold": 0.5}, "relaxed_threshold"),
        ((1,), {"policy": "threshold", "low_threshold": 0.5}, "low_threshold"),
        ((1,), {"policy": "hierarchical", "radius": 2}, "radius"),
        ((1,), {"policy": "random", "threshold": 0.5}, "threshold"),
        ((1,), {"max_tokens": 8, "policy": "threshold", "alg_temp": 0.2}, "alg_temp"),
        ((1,), {"max_tokens": 8, "policy": "random", "alg_temp": 0.2}, "alg_temp"),
        ((1,), {"max_tokens": 8, "policy": "sequential", "alg_temp": 0.2}, "alg_temp"),
        ((1,), {"max_tokens": 8, "policy": "entropy", "eps": 0.2}, "eps"),
        ((1,), {"max_tokens": 8, "policy": "random", "eos_last": True}, "eos_last"),
        ((1,), {"max_tokens": 8, "policy": "entropy", "eos_last": True}, "eos_last"),
        ((1,), {"max_tokens": 8, "policy": "sequential", "eos_last": True}, "eos_last"),
        ((1,), {"max_tokens": 8, "policy": "ancestral", "eps": 0.2}, "eps"),
        ((1,), {"max_tokens": 8, "policy": "ancestral", "cache": "block"}, "cache"),
        ((1,), {"max_tokens": 8, "policy": "remdm_cap"}, "policy"),
        ((1,), {"max_tokens": 8, "eta": 0.1}, "eta"),  # which chooses that policy
        ((1,), {"max_tokens": 8, "threshold": 0.8, "eta": 0.1}, "eta"),
        ((1,), {"max_tokens": 8, "policy": "ancestral", "eta": 0.1}, "eta"),
        (
            (1,),
            {"max_tokens": 8, "policy": "ancestral", "sub_block_length": 4},
            "sub_block_length",
        ),
    ],
)
def test_what_can_never_be_served_is_refused_by_name(
    prompt: tuple[int, ...], params: dict, field: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        resolved(prompt, **params)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"top_k": -2}, "top_k"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"threshold": 1.5}, "threshold"),
        ({"low_threshold": 1.5}, "low_threshold"),
        ({"relaxed_threshold": -0.1}, "relaxed_threshold"),
        ({"radius": -1}, "radius"),
        ({"radius": 1025}, "radius"),
        ({"alg_temp": -0.1}, "alg_temp"),
        ({"eps": 1.1}, "eps"),
        ({"steps": 0}, "steps"),
        ({"steps": 8193}, "steps"),
        ({"block_length": 0}, "block_length"),
        ({"policy": "best"}, "policy"),
        ({"stop": ("",)}, "stop"),
        ({"logprobs": 21}, "logprobs"),
        ({"seed": -(2**63) - 1}, "seed"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(params: dict, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        SamplingParams(**params)
    assert refused.value.field == field


def test_the_policy_follows_from_the_number_that_is_given() -> None:
    small = {"max_tokens": 8}
    assert resolved(**small).policy == "threshold"
    assert resolved(**small).threshold == 0.8
    assert resolved(steps=4, **small).policy == "low_confidence"
    assert resolved(factor=2.0, **small).policy == "factor"
    assert resolved(factor=2.0, **small).threshold == 2.0
    assert resolved(entropy_bound=0.3, **small).policy == "entropy_bound"
    assert resolved(policy="threshold", steps=4, **small).steps == 4


@pytest.mark.parametrize("policy", ["entropy", "margin", "sequential", "random", "ancestral"])
def test_steps_keep_a_usual_policy_that_counts_by_them(policy: PolicyName) -> None:
    model = replace(MODEL, default_sampling=SamplingParams(policy=policy))
    request = Request("r", (1, 2), SamplingParams(max_tokens=8, steps=4))
    assert resolve(request, model, LIMITS).policy == policy


def test_numbers_of_several_policies_choose_the_one_that_has_them_all() -> None:
    def chosen(model: ModelInfo = MODEL, **params: object) -> tuple[str, float, tuple[float, ...]]:
        request = Request("r", (1, 2), SamplingParams(max_tokens=8, **params))
        decoding = resolve(request, model, LIMITS)
        return decoding.policy, decoding.threshold, decoding.other_numbers

    assert chosen(threshold=0.6) == ("threshold", 0.6, (0.0, 0.0))
    assert chosen(low_threshold=0.3) == ("hierarchical", 0.8, (0.3, 0.0))
    assert chosen(threshold=0.6, low_threshold=0.3) == ("hierarchical", 0.6, (0.3, 0.0))
    assert chosen(radius=2) == ("local_leap", 0.8, (0.75, 2.0))
    assert chosen(policy="local_leap") == ("local_leap", 0.8, (0.75, 4.0))
    sampling = SamplingParams(policy="hierarchical", low_threshold=0.2)
    usual = replace(MODEL, default_sampling=sampling)
    assert chosen(usual, threshold=0.6) == ("hierarchical", 0.6, (0.2, 0.0))
    assert chosen(usual) == ("hierarchical", 0.9, (0.2, 0.0))
    assert chosen(usual, factor=2.0) == ("factor", 2.0, (0.0, 0.0))


def test_dreams_parameters_hold_where_its_loop_has_them() -> None:
    def decoding(**params: object) -> Decoding:
        default = SamplingParams(alg_temp=0.5, eps=0.25)
        model = replace(FULL, schedule="timed", default_sampling=default)
        return resolve(Request("r", (1, 2), SamplingParams(max_tokens=16, **params)), model, LIMITS)

    usual = decoding(policy="entropy", steps=4)
    assert usual.alg_temp == 0.5
    assert usual.quotas == timed_quotas(16, 4, 0, 0.25)
    asked = decoding(policy="entropy", steps=4, alg_temp=0.0, eps=0.001)
    assert asked.alg_temp == 0.0
    assert asked.quotas == timed_quotas(16, 4)
    assert decoding(policy="threshold").alg_temp == 0.0
    assert decoding(policy="random").alg_temp == 0.0


def test_a_policy_of_chance_fills_nothing_for_certain_before_its_last_step() -> None:
    assert resolved(policy="ancestral", steps=3, max_tokens=8, block_length=4).quotas == (0, 0, 4)
    assert resolved(policy="origin", max_tokens=8, block_length=4).quotas == (0, 0, 0, 4)
    shifted = replace(FULL, shift=True, schedule="timed")
    request = Request("r", (1, 2), SamplingParams(max_tokens=16, policy="ancestral"))
    assert resolve(request, shifted, LIMITS).last_time == LAST_TIME
    cached = replace(request, sampling=replace(request.sampling, cache="dual"))
    with pytest.raises(InvalidRequest, match="first token") as refused:
        resolve(cached, shifted, LIMITS)
    assert refused.value.field == "policy"


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"cache": "dual"}, "cache"),
        ({"cfg_scale": 0.5}, "cfg_scale"),
        ({"max_thinking_tokens": 4}, "max_thinking_tokens"),
        ({"bad_words": ("no",)}, "bad_words"),
        ({"eos_last": True}, "eos_last"),
        ({"alg_temp": 0.5}, "alg_temp"),
        ({"policy": "remdm_loop", "eta": 0.2}, "eta"),
    ],
)
def test_what_needs_tokens_to_stay_is_refused_where_they_are_masked_again(
    params: dict, field: str
) -> None:
    asked = {"max_tokens": 8, "policy": "remdm_cap"} | params
    with pytest.raises(InvalidRequest) as refused:
        resolve(Request("r", (1, 2), SamplingParams(**asked)), FULL, LIMITS)
    assert refused.value.field == field


def test_a_policy_that_masks_again_is_final_after_its_last_step_only() -> None:
    asked = SamplingParams(max_tokens=8, block_length=4, policy="remdm_rescale", steps=9)
    decoding = resolve(Request("r", (1, 2), asked), FULL, LIMITS)
    assert decoding.quotas == (0,) * 8 + (4,)
    assert decoding.threshold == 0.015
    assert decoding.remasks
    assert decoding.editing_threshold == math.inf  # nothing is final before the end of its block


def test_steps_leave_a_policy_of_random_order_as_it_is() -> None:
    usual = replace(MODEL, default_sampling=SamplingParams(policy="random"))
    request = Request("r", (1, 2), SamplingParams(max_tokens=8, steps=4))
    assert resolve(request, usual, LIMITS).policy == "random"


def test_only_requests_that_draw_get_a_seed_of_their_own() -> None:
    drawing = (
        {"policy": "random"},
        {"policy": "ancestral"},
        {"alg_temp": 0.1, "steps": 8},
        {"temperature": 0.5},
    )
    for params in drawing:
        seeds = {resolved(max_tokens=8, **params).seed for _ in range(3)}
        assert len(seeds) == 3
        assert resolved(max_tokens=8, seed=5, **params).seed == 5
    assert resolved(max_tokens=8, policy="hierarchical").seed == 0


def test_without_max_tokens_the_rest_of_the_context_is_used() -> None:
    roomy = replace(LIMITS, num_pages=100)
    assert resolved((1,) * 40, limits=roomy).max_tokens == 60


def test_a_block_never_takes_more_steps_than_it_has_positions() -> None:
    assert resolved(steps=50, block_length=8, max_tokens=8).steps == 8


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("maskgit_plus", "low_confidence"),
        ("topk_margin", "margin"),
        ("joint_threshold", "threshold"),
    ],
)
def test_a_policy_may_be_called_what_its_authors_call_it(name: str, policy: str) -> None:
    assert resolved(max_tokens=10, policy=name).policy == policy


def test_ends_come_last_where_the_request_or_the_server_says_so() -> None:
    def is_last(model: ModelInfo, **params: object) -> bool:
        request = Request("r", (1, 2), SamplingParams(max_tokens=8, **params))
        return resolve(request, model, LIMITS).eos_last

    default = replace(MODEL, default_sampling=replace(MODEL.default_sampling, eos_last=True))
    assert not is_last(MODEL)
    assert is_last(MODEL, eos_last=True)
    assert is_last(default)
    assert not is_last(default, eos_last=False)
    assert not is_last(default, policy="margin"), "a default is for whom it has a meaning"
    assert not is_last(replace(MODEL, eos_token_ids=()), eos_last=True)


def test_a_request_that_is_refused_is_gone_with_its_images() -> None:
    """Without a collection of garbage, which comes late."""
    pixels = Pixels(b"abc", 1, 1, b"d", 1, (1, 1))
    images = (ImageRows(0, 1, pixels, True),)
    request = Request("r", (1, 2), SamplingParams(max_tokens=1000), images=images)
    alive, messages = weakref.ref(pixels), list[str]()
    gc.disable()
    try:
        try:
            resolve(request, MODEL, LIMITS)
        except InvalidRequest as error:
            messages.append(error.message)
        del request, images, pixels
        assert alive() is None
    finally:
        gc.enable()
    assert messages
