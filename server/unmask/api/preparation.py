"""From a request's body to a `Job`: everything is counted, checked, tokenized and compiled."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from unmask.api.backend import ITEM, Backend
from unmask.api.dialect import BodyT, Dialect, EncodedPrompts
from unmask.api.gate import Visit
from unmask.api.job import Job
from unmask.api.prompts import check_model
from unmask.api.random_ids import RANDOM_IDS
from unmask.api.requests import MAX_CHOICES
from unmask.api.sampling import (
    check_body,
    for_choice,
    refinement_options,
    renamed,
    sampling_of,
    with_default_length,
)
from unmask.api.structured import Structured
from unmask.client import EngineClient
from unmask.errors import InvalidRequest, TooSlow, context_exceeded
from unmask.likelihood import likelihood_request
from unmask.types import ModelInfo, Request, SamplingParams

MAX_IDS = 2**18  # token ids in the options of all choices together
SEARCH_S = 2.0  # of a thread, for the part of a grammar that is wrong


class Numbers(NamedTuple):
    """Numbers of prompts, choices and ids that a body asks for."""

    num_prompts: int
    n: int  # choices of each prompt
    num_kept: int  # of them, the best
    num_ids: int  # token ids in the options of a choice
    num_read: int | None  # top log-probabilities of a prompt's tokens
    generates: bool  # more than the reading of prompts, and their echo

    @property
    def num_requests(self) -> int:
        """Requests to the engine."""
        num_readings = 0 if self.num_read is None else self.num_prompts
        return self.num_prompts * self.n * self.generates + num_readings


async def prepare(dialect: Dialect[BodyT], body: BodyT, backend: Backend, visit: Visit) -> Job:
    """Check and tokenize a body, once there is room for all of its choices.

    Raises `InvalidRequest`, `ModelNotFound`, `QueueFull` and `RateLimited`.
    """
    client, run = backend.client, backend.workers.run
    check_model(body.model, client)
    dialect.check(body)
    names = dialect.field_names(body)
    numbers = _count(dialect, body, names)
    refinements = refinement_options(body)
    if numbers.num_requests:
        visit.reserve(numbers.num_requests, "n" if numbers.n > 1 else "prompt")
    sampling = await run(
        lambda: _check_sampling(dialect, body, numbers, names, client.model), numbers.num_ids
    )
    prompts = await dialect.encode(body, backend)
    structured = dialect.structure(body, prompts, client.tokenizer)
    default_max_tokens = None if prompts.template else dialect.default_max_tokens
    if structured is not None:
        _check_alone(sampling, structured, generates=numbers.generates)
        sampling = replace(sampling, grammar=structured.grammar)
        default_max_tokens = None  # an answer that ends by itself needs none
        names = {**names, "grammar": structured.field}
    compiled: object = prompts.compiled
    if structured is not None or sampling.bad_words:
        compiled = await _compiled(backend, sampling, structured)
    job_id = f"{dialect.id_prefix}-{RANDOM_IDS.draw()}"
    of_client: dict[str, Any] = {
        "client": visit.client.name,
        "priority": body.priority or 0,
        "deadline_s": visit.deadline.at_s,
        # All tokens are known at once where they count, though the client may leave.
        "streams": bool(body.stream) or visit.client.limits.tokens_per_minute is not None,
    }

    def make_requests() -> list[Request]:
        requests: list[Request] = []
        images_of_all = prompts.images or ((),) * len(prompts.token_ids)
        for ids, images in zip(prompts.token_ids, images_of_all, strict=True):
            remaining = client.model.max_model_len - len(ids) - len(prompts.suffix)
            params = with_default_length(sampling, default_max_tokens, remaining)
            for i in range(numbers.n):
                name, choice = f"{job_id}-{len(requests)}", for_choice(params, i)
                requests.append(
                    Request(
                        *(name, ids, choice, refinements, prompts.suffix, prompts.template),
                        compiled=compiled,
                        images=images,
                        **of_client,
                    )
                )
        return requests

    def make_readings() -> list[Request | None]:
        with renamed(names):
            if not numbers.generates:
                _check_prompts(prompts, client.model)
            if numbers.num_read is None:
                return [] if numbers.generates else [None] * numbers.num_prompts
            read = _readings(job_id, prompts, numbers.num_read, client.model)
        return [reading and replace(reading, **of_client) for reading in read]

    cost = numbers.num_prompts * numbers.n * (ITEM + numbers.num_ids)
    requests = await run(make_requests, cost)
    readings = await run(make_readings, numbers.num_prompts * ITEM)
    options = body.stream_options
    return Job(
        job_id=job_id,
        created_s=int(time.time()),
        model_name=client.model.name,
        requests=tuple(requests),
        n=numbers.n,
        num_kept=numbers.num_kept,
        readings=tuple(readings),
        generates=numbers.generates,
        echoes=tuple(echo for echo in prompts.echoes for _ in range(numbers.n)),
        behind=prompts.behind,
        eos_ids=client.model.eos_token_ids,
        return_token_ids=bool(body.return_token_ids),
        include_usage=options is not None and bool(options.include_usage),
        continuous_usage=options is not None and bool(options.continuous_usage_stats),
        field_names=names,
    )


def _count(dialect: Dialect[BodyT], body: BodyT, names: Mapping[str, str]) -> Numbers:
    """Count what a body asks for; raises `InvalidRequest` for too much."""
    with renamed(names):
        num_kept, n = check_body(body)
    num_prompts = dialect.num_prompts(body)
    num_ids = sum(map(len, (body.logit_bias or (), body.allowed_token_ids or ())))
    num_ids += len(body.stop_token_ids or ())
    _check_number(num_prompts, n, num_ids, "n" if body.best_of is None else "best_of")
    num_read = dialect.num_prompt_logprobs(body)
    generates = dialect.max_tokens(body) != 0 or (num_read is None and not dialect.echoes(body))
    return Numbers(num_prompts, n, num_kept, num_ids, num_read, generates)


def _check_sampling(
    dialect: Dialect[BodyT],
    body: BodyT,
    numbers: Numbers,
    names: Mapping[str, str],
    model: ModelInfo,
) -> SamplingParams:
    """Parameters of choices; raises `InvalidRequest`."""
    num_logprobs = dialect.num_logprobs(body)
    if num_logprobs is None and numbers.n > numbers.num_kept:
        num_logprobs = 0  # they rank the candidates
    sampling = sampling_of(
        body,
        max_tokens=dialect.max_tokens(body) if numbers.generates else None,
        num_logprobs=num_logprobs,
        names=names,
    )
    model.check_ids(sampling.stop_token_ids, "stop_token_ids")
    model.check_ids(sampling.allowed_token_ids or (), "allowed_token_ids")
    model.check_ids([token_id for token_id, _ in sampling.logit_bias], "logit_bias")
    if sampling.prompt_logprobs is None:
        return sampling
    return replace(sampling, prompt_logprobs=None)  # a request of its own reads them


def _readings(
    job_id: str, prompts: EncodedPrompts, num_top: int, model: ModelInfo
) -> list[Request | None]:
    """Requests for log-probabilities of prompts; None for a prompt of one token."""
    return [
        likelihood_request(f"{job_id}-p{i}", ids, num_top, model)
        for i, ids in enumerate(prompts.token_ids)
    ]


def _check_prompts(prompts: EncodedPrompts, model: ModelInfo) -> None:
    """Raise `InvalidRequest` for prompts that the engine, which sees none, would refuse."""
    lengths = [len(ids) for ids in prompts.token_ids]
    if 0 in lengths:
        raise InvalidRequest("the prompt must have at least one token", field="prompt")
    if max(lengths) >= model.max_model_len:
        raise context_exceeded(model.max_model_len, f"a prompt has {max(lengths)} tokens", "prompt")


async def _compiled(
    backend: Backend, sampling: SamplingParams, structured: Structured | None
) -> object:
    """The compiled grammar of `sampling`, or its bad words; raises `InvalidRequest`."""
    client = backend.client
    if client.has_compiled(sampling):  # it need not wait for other grammars
        return _compile(client, sampling, structured, None)
    return await backend.workers.compile(
        lambda seconds: _compile(client, sampling, structured, seconds)
    )


def _check_alone(sampling: SamplingParams, structured: Structured, *, generates: bool) -> None:
    """Raise `InvalidRequest` for bad words beside a structure, or no answer to have it."""
    if not generates:
        raise InvalidRequest(
            f"max_tokens is 0, but {structured.field} asks for an answer", field="max_tokens"
        )
    if sampling.bad_words:
        raise InvalidRequest(
            f"bad_words and {structured.field} both say which text may be written; send one",
            field="bad_words",
        )


def _compile(
    client: EngineClient,
    sampling: SamplingParams,
    structured: Structured | None,
    seconds: float | None,
) -> object:
    """Compile a grammar, or bad words.

    An error names the field that asks for the grammar, of several the wrong one.
    """
    if structured is None:
        return client.compile(sampling, seconds)
    with renamed({"grammar": structured.field}):
        try:
            return client.compile(sampling, seconds)
        except InvalidRequest as error:
            if isinstance(error, TooSlow) and seconds is not None:
                raise
            deadline_s = time.thread_time() + SEARCH_S
            for part in structured.parts:
                if time.thread_time() < deadline_s:
                    _compile(client, replace(sampling, grammar=part.grammar), part, seconds)
            raise


def _check_number(num_prompts: int, n: int, num_ids: int, name: str) -> None:
    """Raise `InvalidRequest` for too many choices, or too many token ids in all of them."""
    if num_prompts * n > MAX_CHOICES:
        raise InvalidRequest(
            f"prompts times {name} must be at most {MAX_CHOICES}, got {num_prompts} times {n}",
            field=name if n > 1 else "prompt",
        )
    if num_prompts * n > 1 and num_prompts * n * num_ids > MAX_IDS:
        raise InvalidRequest(
            f"prompts times {name} times ids in logit_bias, allowed_token_ids and stop_token_ids "
            f"must be at most {MAX_IDS}, got {num_prompts} times {n} times {num_ids}",
            field=name if n > 1 else "prompt",
        )
