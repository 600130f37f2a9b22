"""The table of sampling parameters, and agreement of settings, flags and policies with it."""

import math

import numpy as np
import pytest

from unmask.cli.flags import SAMPLING
from unmask.config import DecodingConfig
from unmask.errors import InvalidConfig, InvalidRequest
from unmask.options import OPTIONS
from unmask.parameter import Parameter
from unmask.sampling_params import MAX_SEED, PARAMETERS, SETTINGS, SamplingParams
from unmask_kernels.policies.table import POLICIES

NUMBERS = [row for row in PARAMETERS.values() if row.low is not None]
ROWS = list(PARAMETERS.values())


def name(row: Parameter) -> str:
    return row.name


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_a_row_has_a_meaning_and_values_that_it_allows(row):
    assert row.meaning.endswith(".")
    assert (row.low is not None) == (row.type.base in (int, float) and not row.type.many)
    row.check(row.neutral)
    assert getattr(SamplingParams(), row.name) == row.default


@pytest.mark.parametrize("row", NUMBERS, ids=name)
def test_numbers_at_the_bounds_are_taken_and_those_beyond_are_refused_by_name(row):
    kind = row.type.base
    least = math.nextafter(row.low, math.inf) if row.open_low else kind(row.low)
    if row.name != "seed":  # of which those below zero are told as others
        assert getattr(SamplingParams(**{row.name: least}), row.name) == least
    below = kind(row.low) if row.open_low else min((kind(row.low), *row.aliases)) - 1
    beyond = [below, 2**63] if row.high is None else [below, kind(row.high) + 1]
    if kind is float:
        beyond += [math.nan, math.inf]
    for value in beyond:
        with pytest.raises(InvalidRequest, match=f"^{row.name} must be ") as caught:
            SamplingParams(**{row.name: value})
        assert caught.value.field == row.name
    if row.high is not None:
        SamplingParams(**{row.name: kind(row.high)})


def test_seeds_below_zero_are_seeds_but_for_one_that_is_random():
    """OpenAI's have 64 bits with a sign; choices of a request count on from theirs."""
    assert SamplingParams(seed=-1).seed is None
    seeds = [SamplingParams(seed=seed).seed for seed in (-2, -3, -42, -(2**62) + 1)]
    assert len(set(seeds)) == len(seeds)
    assert all(seed is not None and 0 < seed < MAX_SEED - 1000 for seed in seeds)
    assert SamplingParams(seed=-(2**63)).seed == 0


@pytest.mark.parametrize("field", ["temperature", "alg_temp"])
def test_a_temperature_of_nearly_nothing_is_none(field):
    assert getattr(SamplingParams(**{field: 1e-30}), field) == 0.0
    assert getattr(SamplingParams(**{field: 1e-6}), field) == 1e-6


def test_top_k_of_minus_one_takes_all():
    assert SamplingParams(top_k=-1).top_k == 0


@pytest.mark.parametrize(
    ("field", "given", "taken"),
    [
        ("stop", "end", ("end",)),
        ("stop", ["a", "b"], ("a", "b")),
        ("stop", None, ()),
        ("bad_words", "bad", ("bad",)),
        ("stop_token_ids", [3, np.int64(4)], (3, 4)),
        ("allowed_token_ids", np.array([3, 4]), (3, 4)),
        ("logit_bias", {3: 1.5, np.int64(4): -1}, ((3, 1.5), (4, -1))),
        ("logit_bias", [[3, np.float32(1.5)]], ((3, 1.5),)),
        ("logit_bias", None, ()),
        ("ignore_eos", None, False),
        ("max_tokens", np.int32(5), 5),
        ("seed", np.int64(-1), None),
        ("temperature", np.float32(0.5), 0.5),
        ("temperature", 1, 1),
        ("block_length", np.int64(8), 8),
    ],
)
def test_values_of_other_types_are_taken_where_their_meaning_is_clear(field, given, taken):
    value = getattr(SamplingParams(**{field: given}), field)
    assert value == taken
    assert type(value) is type(taken)
    if isinstance(value, tuple):
        assert list(map(type, value)) == list(map(type, taken))


@pytest.mark.parametrize(
    ("field", "given", "words"),
    [
        ("max_tokens", "5", "an integer, got '5'"),
        ("max_tokens", 5.0, "an integer"),
        ("max_tokens", True, "an integer"),
        ("steps", 2.5, "an integer"),
        ("block_length", 8.5, "an integer or auto"),
        ("temperature", "0.7", "a number"),
        ("temperature", [0.7], "a number"),
        ("ignore_eos", "no", "true or false"),
        ("policy", ["threshold"], "text"),
        ("stop", 5, "texts"),
        ("stop", (5,), "texts"),
        ("stop_token_ids", 5, "integers"),
        ("stop_token_ids", (1.5,), "integers"),
        ("allowed_token_ids", "12", "integers"),
        ("logit_bias", (5, 1.0), "pairs of token ids and numbers"),
        ("logit_bias", {"5": 1.0}, "pairs of token ids and numbers"),
        ("grammar", "[a-z]+", "one of unmask.grammar"),
    ],
)
def test_values_of_other_types_are_refused_by_name(field, given, words):
    with pytest.raises(InvalidRequest, match=f"^{field} must be {words}") as caught:
        SamplingParams(**{field: given})
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("field", "given"),
    [("allowed_token_ids", (1, 2)), ("logit_bias", ((1, 2.0), (3, -1.0))), ("stop", ("a", "b"))],
)
def test_tuples_of_the_very_type_are_kept_as_they_are(field, given):
    """Thousands of ids would take milliseconds one by one."""
    assert getattr(SamplingParams(**{field: given}), field) is given


@pytest.mark.parametrize("row", [row for row in ROWS if row.type.choices], ids=name)
def test_choices_and_their_aliases_are_taken_and_others_refused_by_name(row):
    for choice in row.type.choices:
        assert getattr(SamplingParams(**{row.name: choice}), row.name) == choice
    for alias, choice in row.aliases.items():
        assert getattr(SamplingParams(**{row.name: alias}), row.name) == choice
    with pytest.raises(InvalidRequest, match=f"{row.name} must be one of") as caught:
        SamplingParams(**{row.name: "another"})
    assert caught.value.field == row.name


def test_settings_are_the_rows_that_may_have_a_default():
    options = {option.key: option for option in OPTIONS if option.section == "decoding"}
    assert set(options) == {"preset", *(row.name for row in SETTINGS)}
    for row in SETTINGS:
        option = options[row.name]
        assert (option.base, option.choices, option.words) == (
            row.type.base,
            row.type.choices,
            row.type.words,
        )
        assert option.meaning == row.meaning
        assert option.default is row.default is None
        if row.low is not None:
            assert option.bounds == row.interval


def test_what_only_a_request_may_give_is_no_setting():
    for row in (row for row in ROWS if not row.is_setting):
        values = {
            "stop": ("x",),
            "bad_words": ("x",),
            "logit_bias": ((1, 1.0),),
            "ignore_eos": True,
            "include_stop_str_in_output": True,
        }
        value = values.get(row.name, (1,) if row.type.many else 1)
        with pytest.raises(InvalidConfig, match=row.name):
            DecodingConfig(**{row.name: value})


def test_flags_are_the_rows_that_say_so():
    assert {row.name for row in SAMPLING} == {row.name for row in ROWS if row.has_flag}
    assert {row.name for row in SETTINGS} <= {row.name for row in SAMPLING}


def test_a_number_of_a_policy_has_a_parameter_of_its_name():
    for policy in POLICIES:
        for number in policy.numbers:
            row = PARAMETERS[number.name]
            assert (row.low, row.high) == (number.low, number.high)
            assert row.open_low == number.open_low
            SamplingParams(**{number.name: number.default})
