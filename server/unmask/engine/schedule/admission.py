"""Refuses requests that can never be served, and lets defaults give way; no queue, no torch."""

import logging
from collections import ChainMap
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

from unmask.engine.schedule.decoding import Decoding
from unmask.engine.schedule.limits import EngineLimits
from unmask.engine.schedule.resolution import resolve_with_defaults
from unmask.errors import InvalidConfig, InvalidRequest
from unmask.sampling_params import PARAMETERS
from unmask.types import ModelInfo, Request, SamplingParams
from unmask_kernels.policies.table import NUMBERS

logger = logging.getLogger(__name__)

GIVE_WAY = ("cache", "sub_block_length", "temperature", "eos_last", "mode", "eta", "policy")
"""Defaults that a request may do without, each without harm to the answer."""


def resolve(request: Request, model: ModelInfo, limits: EngineLimits) -> Decoding:
    """Fill in every default of a request; raises `InvalidRequest` if it can never be served.

    No request is refused for a default that it did not ask for. If it cannot have all of them,
    those give way that have tokens revised, which few requests can have; then others, and only then
    both. A server's default gives way to the model's own, if the request can have that. The error
    is that of the fewest defaults that names something of the request.
    """
    try:
        return resolve_with_defaults(request, model, limits)
    except InvalidRequest as error:
        refusal = error
    try:
        for fewer in _fewer_defaults(request.sampling, model):
            try:
                defaults = replace(model, default_sampling=fewer)
                return resolve_with_defaults(request, defaults, limits)
            except InvalidRequest as error:
                if _names_given(error, request.sampling):
                    refusal = error
        raise _naming_number(refusal, request.sampling)
    finally:
        del refusal  # its traceback has this frame, and those of callers with all their images


def check_defaults(model: ModelInfo, limits: EngineLimits) -> None:
    """Raise `InvalidConfig` for a default mode or policy that this model does not have.

    Defaults that no request could have together, so that some always give way, are logged.
    """
    default = model.default_sampling
    for name in ("mode", "policy"):
        if getattr(default, name) is None:
            continue
        asked: dict[str, Any] = {"max_tokens": 1, name: getattr(default, name)}
        try:
            resolve(Request("defaults", (0,), SamplingParams(**asked)), model, limits)
        except InvalidRequest as error:
            if error.field == name:
                raise InvalidConfig(f"decoding.{name}: {error.message}") from error
    plain = Request("defaults", (0,), SamplingParams(max_tokens=1))
    try:
        resolve_with_defaults(plain, model, limits)
    except InvalidRequest as error:
        logger.warning(
            "decoding defaults: no request can have all of them, so some give way (%s): %s",
            error.field,
            error.message,
        )


def _fewer_defaults(params: SamplingParams, model: ModelInfo) -> Iterator[SamplingParams]:
    """Defaults to try in turn: without revised tokens, without others, and without both."""
    default, plain, own = model.default_sampling, model.plain_sampling, model.own_sampling
    if plain is None:
        yield from _without_some(params, default, own)
        return
    yield plain
    # The numbers published for mixed embeddings go with them, as they do in `plain`.
    kept = ("policy",) if default.mixes else ()
    yield from _without_some(params, default, own, kept)
    yield from _without_some(params, plain, own)


def _without_some(
    params: SamplingParams,
    default: SamplingParams,
    own: SamplingParams | None,
    kept: tuple[str, ...] = (),
) -> Iterator[SamplingParams]:
    """The defaults without each one that may give way to a request, and without all of them.

    In place of a server's default there is first the model's `own`, and only then none.
    """
    may = [name for name in GIVE_WAY if name not in kept]
    soft = [name for name in may if default.asks_for(name) and getattr(params, name) is None]
    ways = {name: _instead(name, default, own or default) for name in soft}
    for names in [[name] for name in soft] + ([soft] if len(soft) > 1 else []):
        for chosen in product(*(ways[name] for name in names)):
            yield replace(default, **dict(ChainMap(*chosen)))


def _instead(name: str, default: SamplingParams, own: SamplingParams) -> list[dict[str, Any]]:
    """Values in place of a default: the model's own, unless it is that default, then none.

    A policy's numbers go with it, as they mean something else to another one.
    """
    names = (name, *NUMBERS) if name == "policy" else (name,)
    of_model = {each: getattr(own, each) for each in names}
    none = dict.fromkeys(names)
    if of_model[name] == getattr(default, name):
        return [none]
    return [of_model] if of_model[name] is None else [of_model, none]


def _naming_number(error: InvalidRequest, params: SamplingParams) -> InvalidRequest:
    """The error, about the number that chose a policy if the request names no policy itself."""
    chosen_by = [name for name in NUMBERS if getattr(params, name) is not None]
    if error.field != "policy" or params.policy is not None or not chosen_by:
        return error
    # The usual policy's is no reason for another one.
    chosen = next((name for name in chosen_by if name != "threshold"), chosen_by[0])
    message = f"{chosen} chooses a policy: {error.message}"
    return InvalidRequest(message, field=chosen, code=error.code)


def _names_given(error: InvalidRequest, params: SamplingParams) -> bool:
    """True if the field of an error is something that the request has."""
    row = PARAMETERS.get(error.field or "")
    return row is None or getattr(params, row.name) not in (None, row.default)
