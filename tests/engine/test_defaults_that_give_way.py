"""No request is refused for a default that it did not ask for."""

import logging
from dataclasses import replace
from typing import Any

import pytest

from tests.support.facts import FACTS, MASK
from unmask.engine.schedule.admission import check_defaults, resolve
from unmask.engine.schedule.decoding import Decoding
from unmask.engine.schedule.limits import EngineLimits
from unmask.errors import InvalidConfig, InvalidRequest
from unmask.grammar import Regex
from unmask.types import (
    CanvasSchedule,
    EditCommands,
    Hole,
    ModelInfo,
    Request,
    SamplingParams,
    Template,
)

PLAIN = SamplingParams(temperature=0.0, threshold=0.95)
MODEL = replace(FACTS, max_model_len=200, default_sampling=PLAIN, end_think_token_id=47)
EDITS = replace(
    MODEL,
    can_edit=True,
    default_sampling=SamplingParams(temperature=0.0, threshold=0.5, editing_threshold=0.0),
    plain_sampling=PLAIN,
)
MOVES = replace(EDITS, edit_commands=EditCommands(45, 46))
MIXES = replace(
    MODEL,
    can_mix=True,
    default_sampling=SamplingParams(temperature=0.0, policy="dmax", threshold=0.5),
    plain_sampling=PLAIN,
)
LIMITS = EngineLimits(max_batch_tokens=256, num_pages=40, page_size=16)
TEMPLATE = Template((5, MASK, MASK), (Hole(1, 3),))


def resolved(model: ModelInfo, request: dict[str, Any] | None = None, **params: Any) -> Decoding:
    sampling = SamplingParams(**{"max_tokens": 20} | params)
    return resolve(Request("r", (1, 2), sampling, **request or {}), model, LIMITS)


ASKED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "suffix": ({"suffix_token_ids": (3, 4)}, {}),
    "template": ({"template": TEMPLATE}, {"max_tokens": None}),
    "max_thinking_tokens": ({}, {"max_thinking_tokens": 4}),
}
OF_MOVING: dict[str, tuple[dict[str, Any], dict[str, Any]]] = ASKED | {
    "temperature": ({}, {"temperature": 0.7}),
    "policy": ({}, {"policy": "low_confidence"}),
    "logit_bias": ({}, {"logit_bias": ((3, 1.0),)}),
    "grammar": ({}, {"grammar": Regex("[a-z]+")}),
    "open_blocks": ({}, {"open_blocks": 2}),
}


@pytest.mark.parametrize(
    ("model", "name"),
    [
        *((EDITS, name) for name in ASKED),
        *((MOVES, name) for name in OF_MOVING),
        *((MIXES, name) for name in ("suffix", "template", "max_thinking_tokens", "grammar")),
    ],
)
def test_revised_tokens_give_way_with_the_numbers_published_for_them(
    model: ModelInfo, name: str
) -> None:
    request, params = OF_MOVING[name]
    usual = resolved(model)
    assert usual.editing_threshold is not None
    assert usual.threshold == 0.5
    decoding = resolved(model, request, **params)
    assert decoding.editing_threshold is None
    assert decoding.edit_rules is None
    if decoding.policy == "threshold":
        assert decoding.threshold == 0.95


@pytest.mark.parametrize(
    ("model", "name", "explicit"),
    [
        (EDITS, "suffix", {"editing_threshold": 0.5}),
        (EDITS, "template", {"editing_threshold": 0.5}),
        (MOVES, "temperature", {"editing_threshold": 0.5}),
        (MOVES, "grammar", {"editing_threshold": 0.5}),
        (MIXES, "suffix", {"policy": "dmax"}),
        (MIXES, "grammar", {"policy": "dmax"}),
    ],
)
def test_what_a_request_asks_for_on_both_sides_is_refused(
    model: ModelInfo, name: str, explicit: dict[str, Any]
) -> None:
    request, params = OF_MOVING[name]
    with pytest.raises(InvalidRequest) as refused:
        resolved(model, request, **params, **explicit)
    assert refused.value.field == name


@pytest.mark.parametrize(
    ("default", "params", "field", "left"),
    [
        ({"cache": "block"}, {"policy": "ancestral"}, "cache", "none"),
        ({"sub_block_length": 8}, {"policy": "ancestral"}, "sub_block_length", None),
        ({"sub_block_length": 8}, {"open_blocks": 2}, "sub_block_length", None),
        ({"cache": "block", "sub_block_length": 8}, {"open_blocks": 2}, "cache", "none"),
    ],
)
def test_a_default_of_the_server_gives_way(
    default: dict[str, Any], params: dict[str, Any], field: str, left: object
) -> None:
    model = replace(MODEL, default_sampling=replace(PLAIN, **default))
    assert getattr(resolved(model), field) == default[field]
    assert getattr(resolved(model, **params), field) == left
    with pytest.raises(InvalidRequest) as refused:
        resolved(model, **params, **default)
    assert refused.value.field in (*default, *params)


def test_a_default_temperature_gives_way_to_a_greedy_policy() -> None:
    model = replace(MODEL, default_sampling=replace(PLAIN, temperature=0.7))
    assert resolved(model).sampling.temperature == 0.7
    assert resolved(model, policy="credit").sampling.temperature == 0.0


@pytest.mark.parametrize("model", [EDITS, MOVES, MIXES])
def test_a_wrong_request_is_refused_for_what_is_wrong(model: ModelInfo) -> None:
    with pytest.raises(InvalidRequest) as refused:
        resolved(model, {"suffix_token_ids": (3, 4)}, max_tokens=1000)
    assert refused.value.field == "max_tokens"


@pytest.mark.parametrize(
    ("default", "params"),
    [
        ({"sub_block_length": 8}, {"policy": "ancestral"}),
        ({"temperature": 0.7}, {"policy": "credit"}),
    ],
)
def test_revised_tokens_stay_where_another_default_is_in_the_way(
    default: dict[str, Any], params: dict[str, Any]
) -> None:
    model = replace(
        EDITS,
        default_sampling=replace(EDITS.default_sampling, **default),
        plain_sampling=replace(PLAIN, **default),
    )
    decoding = resolved(model, **params)
    assert decoding.editing_threshold == 0.0
    (name,) = default
    assert not getattr(decoding.sampling, name)


@pytest.mark.parametrize(
    ("default", "params", "field"),
    [
        ({"cache": "prefix"}, {"eta": 0.05, "eos_last": True}, "eos_last"),
        ({"temperature": 0.7}, {"policy": "credit", "cache_delay_iter": 1}, "cache_delay_iter"),
    ],
)
def test_an_error_names_the_request_and_not_a_default(
    default: dict[str, Any], params: dict[str, Any], field: str
) -> None:
    sampling = replace(PLAIN, threshold=None, **default)
    model = replace(MODEL, attention="full", default_sampling=sampling)
    with pytest.raises(InvalidRequest) as refused:
        resolved(model, **params)
    assert refused.value.field == field


CANVAS = {"attention": "canvas", "canvas": CanvasSchedule(8, 0.1, 0.9)}


@pytest.mark.parametrize(
    ("changes", "params", "field"),
    [
        ({"attention": "causal_window"}, {"kl_threshold": 0.1, "threshold": 0.9}, "kl_threshold"),
        (CANVAS, {"threshold": 0.9, "low_threshold": 0.4}, "low_threshold"),
        (CANVAS, {"threshold": 0.9}, "threshold"),
    ],
)
def test_a_policy_that_a_model_does_not_have_is_told_by_the_number_that_chose_it(
    changes: dict[str, Any], params: dict[str, Any], field: str
) -> None:
    model = replace(MODEL, default_sampling=SamplingParams(), **changes)
    with pytest.raises(InvalidRequest, match=f"{field} chooses a policy: ") as refused:
        resolved(model, max_tokens=8, **params)
    assert refused.value.field == field


def test_plain_defaults_give_way_too_where_mixed_ones_do() -> None:
    default = replace(MIXES.default_sampling, sub_block_length=8)
    plain = replace(PLAIN, sub_block_length=8)
    model = replace(MIXES, default_sampling=default, plain_sampling=plain)
    decoding = resolved(model, {"suffix_token_ids": (3, 4)}, open_blocks=2)
    assert (decoding.policy, decoding.threshold) == ("threshold", 0.95)


@pytest.mark.parametrize(("own", "used"), [(None, 0.02), (0.4, 0.02), (0.01, 0.01)])
def test_a_default_gives_way_to_the_model_s_own_if_that_does_not_have_to(
    own: float | None, used: float
) -> None:
    sampling = SamplingParams(temperature=0.0, eta=0.5)
    model = replace(MODEL, attention="full", default_sampling=sampling)
    model = replace(model, own_sampling=None if own is None else replace(sampling, eta=own))
    assert resolved(model, policy="remdm_loop").threshold == used


def test_a_default_chance_of_masking_again_gives_way_to_a_policy_with_a_lower_one() -> None:
    sampling = SamplingParams(temperature=0.0, eta=0.5)
    model = replace(MODEL, attention="full", default_sampling=sampling)
    assert resolved(model, policy="remdm_cap").threshold == 0.5
    assert resolved(model, policy="remdm_loop").threshold < 0.5
    with pytest.raises(InvalidRequest) as refused:
        resolved(model, policy="remdm_loop", eta=0.5)
    assert refused.value.field == "eta"


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        ({}, "mode", "ar"),
        ({"attention": "full"}, "mode", "self_speculation"),
        ({}, "policy", "remdm_cap"),
        ({"attention": "causal_window"}, "policy", "credit"),
    ],
)
def test_a_default_that_the_model_does_not_have_is_no_default(
    changes: dict[str, Any], name: str, value: str
) -> None:
    default: dict[str, Any] = {name: value}
    model = replace(MODEL, default_sampling=replace(PLAIN, **default), **changes)
    with pytest.raises(InvalidConfig, match=f"decoding.{name}: "):
        check_defaults(model, LIMITS)


def test_defaults_that_no_request_has_together_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "unmask")
    check_defaults(MODEL, LIMITS)
    assert not caplog.records
    sampling = SamplingParams(temperature=0.7, policy="credit")
    check_defaults(replace(MODEL, default_sampling=sampling), LIMITS)
    (record,) = caplog.records
    assert "temperature must be 0, got 0.7" in record.getMessage()
