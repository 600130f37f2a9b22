"""`SamplingParams` from the fields that all bodies share, one for each choice."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from types import TracebackType
from typing import Any

from unmask.api.errors import unknown_field
from unmask.api.requests import MAX_N, Generation
from unmask.api.sampling_fields import sampling_values
from unmask.errors import InvalidRequest
from unmask.parameter import shown
from unmask.sampling_params import MAX_SEED, PARAMETERS, SamplingParams
from unmask.types import RefinementOptions

LISTS = frozenset(name for name, row in PARAMETERS.items() if row.type.many) | {"logit_bias"}


class renamed:  # noqa: N801, as it reads in a `with` statement
    """Renames the field of an `InvalidRequest`: `names` maps names of the engine to the body's."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not isinstance(error, InvalidRequest):
            return
        field = self._names.get(error.field or "")
        if field is None:
            return
        message = error.message
        if message.startswith(f"{error.field} "):
            message = field + message.removeprefix(error.field or "")
        raise type(error)(message, field=field, code=error.code) from None


def check_body(body: Generation) -> tuple[int, int]:
    """Choices per prompt, and candidates for them; raises `InvalidRequest` for contradictions."""
    num_kept = count_choices(body)
    n = count_candidates(body, num_kept)
    if body.stream and body.prompt_logprobs is not None:
        raise InvalidRequest("prompt_logprobs cannot be streamed", field="prompt_logprobs")
    if not body.stream:
        for name in ("stream_options", "stream_refinements", "diffusing"):
            if getattr(body, name):
                raise InvalidRequest(f"{name} needs stream to be true", field=name)
    if body.seed is not None and body.seed + n - 1 > MAX_SEED:
        name = "n" if body.best_of is None else "best_of"
        raise InvalidRequest(
            f"seed must be at most {MAX_SEED} less {name} - 1, as choice i uses seed + i; "
            f"got {shown(body.seed)} for {name} = {n}",
            field="seed",
        )
    return num_kept, n


def count_choices(body: Generation) -> int:
    """Choices per prompt; raises `InvalidRequest`."""
    n = 1 if body.n is None else body.n
    if not 1 <= n <= MAX_N:
        raise InvalidRequest(f"n must be at least 1 and at most {MAX_N}, got {shown(n)}", field="n")
    return n


def count_candidates(body: Generation, n: int) -> int:
    """Choices per prompt of which the best `n` are returned; raises `InvalidRequest`."""
    best_of = n if body.best_of is None else body.best_of
    if not n <= best_of <= MAX_N:
        raise InvalidRequest(
            f"best_of must be at least n, which is {n}, and at most {MAX_N}, got {shown(best_of)}",
            field="best_of",
        )
    if best_of > n and body.stream:
        raise InvalidRequest("best_of above n cannot be streamed", field="best_of")
    return best_of


def refuse_fields(body: Generation) -> None:
    """Raise `InvalidRequest` for inherited fields that are unknown to an endpoint.

    Empty ones are none, and neither is one choice.
    """
    for name in body.absent:
        value = getattr(body, name)
        if name in ("n", "best_of") and value == 1:
            continue
        if value or (value == 0 and value is not False):
            raise unknown_field(name, name, body.known())


def sampling_of(
    body: Generation,
    *,
    max_tokens: int | None,
    num_logprobs: int | None,
    names: Mapping[str, str],
) -> SamplingParams:
    """Parameters of the first choice; raises `InvalidRequest`, renamed as by `names`."""
    values = sampling_values(body)
    values["max_tokens"] = max_tokens
    values["logprobs"] = num_logprobs
    if body.logit_bias:
        values["logit_bias"] = tuple((int(name), bias) for name, bias in body.logit_bias.items())
    given = {name: value for name, value in values.items() if value is not None}
    is_small = LISTS.isdisjoint(given)
    with renamed(names):
        return _of_numbers(**given) if is_small else SamplingParams(**given)


@lru_cache(maxsize=1024, typed=True)
def _of_numbers(**values: Any) -> SamplingParams:
    """Parameters of a few numbers and words, which most requests of a client have in common."""
    return SamplingParams(**values)


def with_default_length(
    sampling: SamplingParams, default: int | None, remaining: int
) -> SamplingParams:
    """The parameters with `max_tokens` set to the default, or to the remaining context if less."""
    if sampling.max_tokens is not None or default is None:
        return sampling
    return replace(sampling, max_tokens=max(1, min(default, remaining)))


def for_choice(sampling: SamplingParams, index: int) -> SamplingParams:
    """The parameters of choice `index` of n: its seed is `seed + index`."""
    if sampling.seed is None or not index:
        return sampling
    return replace(sampling, seed=sampling.seed + index)


def refinement_options(body: Generation) -> RefinementOptions | None:
    """Options of a stream's refinements, None for a stream without; raises `InvalidRequest`."""
    options = body.stream_refinements
    if options is None:
        return RefinementOptions() if body.diffusing else None
    return RefinementOptions(options.every, options.max_fps, options.tokens)
