"""Refuses requests that can never be served, and lets defaults give way; no queue, no torch."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from unmask.engine.schedule.decoding import Decoding
from unmask.engine.schedule.limits import EngineLimits
from unmask.engine.schedule.resolution import resolve_with_defaults
from unmask.errors import InvalidRequest
from unmask.types import ModelInfo, Request, SamplingParams
from unmask_kernels.policies.table import NUMBERS

GIVE_WAY = ("cache", "sub_block_length", "temperature", "eos_last", "mode", "policy")
"""Defaults that a request may do without, each without harm to the answer."""


def resolve(request: Request, model: ModelInfo, limits: EngineLimits) -> Decoding:
    """Fill in every default of a request; raises `InvalidRequest` if it can never be served.

    No request is refused for a default that it did not ask for. If it cannot have all of them,
    those give way that have tokens revised, which few requests can have; then others.
    """
    try:
        return resolve_with_defaults(request, model, limits)
    except InvalidRequest as error:
        refusal = error
    if model.plain_sampling is not None:
        model = replace(model, default_sampling=model.plain_sampling)
        try:
            return resolve_with_defaults(request, model, limits)
        except InvalidRequest as error:
            refusal = error
    for fewer in _fewer_defaults(request.sampling, model.default_sampling):
        with suppress(InvalidRequest):
            return resolve_with_defaults(request, replace(model, default_sampling=fewer), limits)
    raise refusal


def _fewer_defaults(params: SamplingParams, default: SamplingParams) -> Iterator[SamplingParams]:
    """The defaults without each one that may give way to a request, and without all of them."""
    soft = [name for name in GIVE_WAY if default.asks_for(name) and getattr(params, name) is None]
    for names in [[name] for name in soft] + ([soft] if len(soft) > 1 else []):
        # A policy's numbers mean something else to another one.
        left_out = (*names, *NUMBERS) if "policy" in names else names
        unset: dict[str, Any] = dict.fromkeys(left_out)
        yield replace(default, **unset)
