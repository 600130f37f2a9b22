"""Fields of request bodies that follow from the table of sampling parameters, and their values."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import StrictInt, create_model

from unmask.api.fields import (
    MAX_ID,
    Body,
    Bool,
    Float,
    Int,
    IntOrAuto,
    Strings,
    bounded,
    items,
    one_of,
)
from unmask.bad_words import MAX_LENGTH, MAX_WORDS
from unmask.parameter import MAX_INT, Parameter
from unmask.sampling_params import MAX_STOP_STRINGS, PARAMETERS

DECLARED = frozenset({"logprobs", "logit_bias"})  # bodies spell them in another type
SHARED = frozenset(PARAMETERS) - DECLARED
IDS: Mapping[str, Any] = {"type": "integer", "minimum": 0, "maximum": MAX_ID}
LISTS: Mapping[str, Any] = {
    "stop": items(0, MAX_STOP_STRINGS, type="string", minLength=1),
    "bad_words": items(0, MAX_WORDS, type="string", minLength=1, maxLength=MAX_LENGTH),
    "stop_token_ids": items(**IDS),
    "allowed_token_ids": items(1, **IDS),
}
"""Lengths and items of lists, for the schema."""
TYPES: Mapping[type, Any] = {bool: Bool, int: Int, float: Float, str: str}
B = TypeVar("B", bound=Body)


def with_sampling_fields(body: type[B]) -> type[B]:
    """Class decorator: add a field for each sampling parameter but those that bodies declare."""
    definitions: dict[str, Any] = {
        row.name: (Annotated[_type(row) | None, _schema(row)], None)
        for row in PARAMETERS.values()
        if row.name not in DECLARED
    }
    return create_model(
        body.__name__,
        __base__=body,
        __module__=body.__module__,
        __doc__=body.__doc__,
        **definitions,
    )


def sampling_values(body: Body) -> dict[str, Any]:
    """The values of these fields that are given, by the names of `SamplingParams`."""
    return {name: getattr(body, name) for name in SHARED & body.model_fields_set}


def _type(row: Parameter) -> Any:
    if row.type.many:
        return Strings if row.type.base is str else tuple[StrictInt, ...]
    return IntOrAuto if row.type.words else TYPES[row.type.base]


def highest(row: Parameter) -> float | None:
    """Largest number that is allowed; integers fit 64 bits."""
    is_int = row.type.base is int and row.low is not None
    return MAX_INT if row.high is None and is_int else row.high


def _schema(row: Parameter) -> Any:
    """Bounds and choices for the schema; `SamplingParams` checks them, in words of its own."""
    if row.type.choices:
        return one_of((*row.type.choices, *row.aliases))
    if row.name in LISTS:
        return LISTS[row.name]
    low = row.low if row.low is None else min((row.low, *row.aliases))
    return bounded(low, highest(row), above=row.open_low)
