"""From the fields of a body to `SamplingParams`, one per choice, errors under the body's names."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

from unmask.api.prompts import check_messages
from unmask.api.requests import MAX_N, ChatBody, CompletionBody, Generation
from unmask.errors import InvalidRequest
from unmask.types import (
    MAX_SEED,
    CacheName,
    PolicyName,
    RefinementOptions,
    SamplingParams,
    shown,
)

COMPLETION_MAX_TOKENS = 16  # OpenAI's default
ANY_SEED = -1  # as llama.cpp and vLLM's clients spell it
TOP_K_OFF = (0, -1)  # vLLM's ways to say that top_k is not used


@contextmanager
def renamed(names: dict[str, str]) -> Iterator[None]:
    """Tell errors under the names that the caller used, `names` being ours to theirs."""
    try:
        yield
    except InvalidRequest as error:
        field = names.get(error.field or "")
        if field is None:
            raise
        message = error.message
        if message.startswith(f"{error.field} "):
            message = field + message.removeprefix(error.field or "")
        raise InvalidRequest(message, field=field, code=error.code) from None


def field_names(body: Generation) -> dict[str, str]:
    """Fields of a `Request` that `body` calls something else."""
    if not isinstance(body, ChatBody):
        return {}
    names = {"prompt": "messages", "logprobs": "top_logprobs"}
    if body.max_completion_tokens is not None:
        names["max_tokens"] = "max_completion_tokens"
    return names


def check_body(body: Generation) -> None:
    """Raise `InvalidRequest` for fields that contradict each other."""
    n = count_choices(body)
    if body.best_of is not None and body.best_of != n:
        raise InvalidRequest(f"best_of must equal n, which is {n}", field="best_of")
    if not body.stream:
        for name in ("stream_options", "stream_refinements", "diffusing"):
            if getattr(body, name):
                raise InvalidRequest(f"{name} needs stream to be true", field=name)
    if body.seed is not None and body.seed + n - 1 > MAX_SEED:
        raise InvalidRequest(
            f"seed must be at most {MAX_SEED} less n - 1, as choice i uses seed + i; "
            f"got {shown(body.seed)} for n = {n}",
            field="seed",
        )
    if isinstance(body, CompletionBody) and body.echo and body.logprobs is not None:
        raise InvalidRequest(
            "echo cannot be combined with logprobs: denoising gives the prompt's tokens no "
            "log-probabilities",
            field="echo",
        )
    if isinstance(body, CompletionBody) and body.echo and body.suffix:
        raise InvalidRequest("echo cannot be combined with suffix", field="echo")
    if isinstance(body, ChatBody):
        _check_chat(body)


def _check_chat(body: ChatBody) -> None:
    if not body.messages:
        raise InvalidRequest("messages must not be empty", field="messages")
    check_messages(body.messages)
    if body.add_special_tokens:
        raise InvalidRequest(
            "add_special_tokens is for prompts of completions: a chat template has its own",
            field="add_special_tokens",
        )
    if body.top_logprobs is not None and not body.logprobs:
        raise InvalidRequest("top_logprobs needs logprobs to be true", field="top_logprobs")
    limits = {body.max_tokens, body.max_completion_tokens} - {None}
    if len(limits) > 1:
        raise InvalidRequest(
            "max_tokens and max_completion_tokens differ; send one of them", field="max_tokens"
        )


def count_choices(body: Generation) -> int:
    """The number of choices per prompt."""
    n = 1 if body.n is None else body.n
    if not 1 <= n <= MAX_N:
        raise InvalidRequest(f"n must be at least 1 and at most {MAX_N}, got {shown(n)}", field="n")
    return n


def count_logprobs(body: CompletionBody | ChatBody) -> int | None:
    """How many alternatives are told for each token; None for no log-probabilities at all."""
    if isinstance(body, CompletionBody):
        return body.logprobs
    return (body.top_logprobs or 0) if body.logprobs else None


def sampling_of(body: CompletionBody | ChatBody) -> SamplingParams:
    """The parameters of the first choice; raises `InvalidRequest`."""
    max_tokens = body.max_tokens
    if isinstance(body, ChatBody) and body.max_completion_tokens is not None:
        max_tokens = body.max_completion_tokens
    with renamed(field_names(body)):
        return SamplingParams(
            max_tokens=max_tokens,
            temperature=body.temperature,
            top_p=body.top_p,
            top_k=0 if body.top_k in TOP_K_OFF else body.top_k,
            seed=None if body.seed == ANY_SEED else body.seed,
            stop=body.stop or (),
            stop_token_ids=body.stop_token_ids or (),
            ignore_eos=bool(body.ignore_eos),
            logprobs=count_logprobs(body),
            policy=cast(PolicyName | None, body.policy),
            threshold=body.threshold,
            factor=body.factor,
            entropy_bound=body.entropy_bound,
            steps=body.steps,
            block_length=body.block_length,
            cache=cast(CacheName | None, body.cache),
            cfg_scale=body.cfg_scale,
            editing_threshold=body.editing_threshold,
            sub_block_length=body.sub_block_length,
            eos_last=body.eos_last,
            logit_bias=tuple((int(name), bias) for name, bias in (body.logit_bias or {}).items()),
            allowed_token_ids=body.allowed_token_ids,
        )


def with_room(sampling: SamplingParams, room: int) -> SamplingParams:
    """A completion's default length, or the `room` that the prompt leaves if that is less."""
    if sampling.max_tokens is not None:
        return sampling
    return replace(sampling, max_tokens=max(1, min(COMPLETION_MAX_TOKENS, room)))


def for_choice(sampling: SamplingParams, index: int) -> SamplingParams:
    """The parameters of choice `index` of n: the next seed, if there is one."""
    return sampling if sampling.seed is None else replace(sampling, seed=sampling.seed + index)


def refinements_of(body: Generation) -> RefinementOptions | None:
    """The refinements a stream carries; raises `InvalidRequest`."""
    if not _refines(body):
        return None
    options = body.stream_refinements
    if options is None:
        return RefinementOptions()
    if options.every < 1:
        raise InvalidRequest(
            f"stream_refinements.every must be at least 1, got {shown(options.every)}",
            field="stream_refinements.every",
        )
    if options.max_fps is not None and options.max_fps <= 0:
        raise InvalidRequest(
            f"stream_refinements.max_fps must be greater than 0, got {options.max_fps}",
            field="stream_refinements.max_fps",
        )
    return RefinementOptions(options.every, options.max_fps, options.tokens)


def _refines(body: Generation) -> bool:
    return body.stream_refinements is not None or bool(body.diffusing)
