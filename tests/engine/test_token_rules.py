"""Requests to a model that deletes and inserts tokens, and chooses experts by block (LLaDA2.2)."""

from dataclasses import replace

import pytest

from tests.support.facts import FACTS, MASK
from unmask.decoding.levenshtein import EditRules
from unmask.engine.schedule.admission import resolve
from unmask.engine.schedule.decoding import Decoding
from unmask.engine.schedule.limits import EngineLimits
from unmask.errors import InvalidRequest
from unmask.types import EditCommands, ModelInfo, Request, SamplingParams

DELETE, SPLIT = 47, 46
MODEL = replace(
    FACTS,
    max_model_len=400,
    default_sampling=SamplingParams(
        temperature=0.0, threshold=0.5, editing_threshold=0.0, block_length=32
    ),
    can_edit=True,
    caps_steps=True,
    edit_commands=EditCommands(DELETE, SPLIT),
    routing_block_length=32,
)
WITHOUT = replace(
    MODEL, default_sampling=replace(MODEL.default_sampling, editing_threshold=None)
)  # requests edit only if they say so
ROUTED = replace(WITHOUT, edit_commands=None)
LIMITS = EngineLimits(max_batch_tokens=128, num_pages=20, page_size=32)


def resolved(
    model: ModelInfo = MODEL, prompt: tuple[int, ...] = (1, 2), **params: object
) -> Decoding:
    return resolve(Request("r", prompt, SamplingParams(max_tokens=20, **params)), model, LIMITS)


def test_rules_have_the_authors_defaults() -> None:
    assert resolved().edit_rules == EditRules(MASK, DELETE, SPLIT, 0.5, 0.0, 32, 16, 1000)


def test_rules_have_what_a_request_says() -> None:
    rules = resolved(threshold=0.7, editing_threshold=0.2, steps=8).edit_rules
    assert rules == EditRules(MASK, DELETE, SPLIT, 0.7, 0.2, steps=8)


def test_a_number_of_steps_leaves_the_policy_alone_where_tokens_are_edited() -> None:
    assert resolved(steps=8).policy == "threshold"
    assert resolved(WITHOUT, steps=8).policy == "low_confidence"


def test_steps_are_not_capped_by_a_short_answer_where_tokens_are_edited() -> None:
    decoding = resolve(Request("r", (1,), SamplingParams(max_tokens=3)), MODEL, LIMITS)
    assert decoding.edit_rules is not None
    assert decoding.edit_rules.steps == 32


@pytest.mark.parametrize("model", [WITHOUT, ROUTED], ids=["commands", "router alone"])
def test_a_request_without_an_editing_threshold_has_no_rules(model: ModelInfo) -> None:
    decoding = resolved(model, temperature=0.7, policy="margin", logprobs=2, eos_last=False)
    assert decoding.edit_rules is None
    assert decoding.editing_threshold is None


def test_a_router_by_block_alone_replaces_tokens_and_does_no_more() -> None:
    decoding = resolved(ROUTED, editing_threshold=0.5, temperature=0.7)
    assert decoding.editing_threshold == 0.5
    assert decoding.edit_rules is None
    assert decoding.constraint is None


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"temperature": 0.1}, "temperature"),
        ({"policy": "low_confidence"}, "policy"),
        ({"policy": "factor", "factor": 1.0}, "policy"),
        ({"factor": 1.0}, "factor"),
        ({"entropy_bound": 1.0}, "entropy_bound"),
        ({"sub_block_length": 8}, "sub_block_length"),
        ({"eos_last": True}, "eos_last"),
        ({"logit_bias": ((3, 1.0),)}, "logit_bias"),
        ({"allowed_token_ids": (3, 4)}, "allowed_token_ids"),
    ],
)
def test_parameters_without_a_meaning_beside_edits_are_refused_by_name(
    params: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidRequest, match="where tokens are deleted and inserted") as refused:
        resolved(**params)
    assert refused.value.field == field
    assert resolved(WITHOUT, **params).edit_rules is None


@pytest.mark.parametrize("model", [MODEL, WITHOUT, ROUTED], ids=["edits", "commands", "router"])
@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"block_length": 16}, "block_length"),
        ({"block_length": 48}, "block_length"),
        ({"block_length": "auto"}, "block_length"),
        ({"cache": "block"}, "cache"),
    ],
)
def test_steps_without_whole_routing_blocks_are_refused(
    model: ModelInfo, params: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        resolved(model, **params)
    assert refused.value.field == field


@pytest.mark.parametrize("block_length", [None, 32, 64])
def test_blocks_of_whole_routing_blocks_are_taken(block_length: int | None) -> None:
    decoding = resolved(block_length=block_length, prompt=tuple(range(40)))
    assert decoding.block_len == (block_length or 32)


@pytest.mark.parametrize("model", [MODEL, WITHOUT])
@pytest.mark.parametrize("command", [DELETE, SPLIT])
def test_a_command_in_a_prompt_is_refused(model: ModelInfo, command: int) -> None:
    with pytest.raises(InvalidRequest, match=f"token id {command}") as refused:
        resolved(model, (1, command, 2))
    assert refused.value.field == "prompt"


@pytest.mark.parametrize(("logprobs", "expected"), [(None, 3), (0, 3), (1, 3), (2, 4), (20, 22)])
def test_alternatives_are_enough_without_the_commands_among_them(
    logprobs: int | None, expected: int
) -> None:
    assert resolved(logprobs=logprobs).num_top == expected
    assert resolved(WITHOUT, logprobs=logprobs).num_top == (logprobs or 0)


def test_commands_alone_cannot_be_allowed() -> None:
    with pytest.raises(InvalidRequest, match="mask token and commands only") as refused:
        resolved(WITHOUT, allowed_token_ids=(MASK, DELETE))
    assert refused.value.field == "allowed_token_ids"


@pytest.mark.parametrize("bias", [(), ((DELETE, 100.0), (3, 2.0))])
def test_a_request_that_does_not_edit_cannot_generate_commands(
    bias: tuple[tuple[int, float], ...],
) -> None:
    constraint = resolved(WITHOUT, logit_bias=bias).constraint
    assert constraint is not None
    by_token = dict(zip(constraint.bias_tokens, constraint.bias_values, strict=True))
    assert by_token[DELETE] < -1e29
    assert by_token[SPLIT] < -1e29
    assert len(by_token) == 2 + sum(token == 3 for token, _ in bias)
