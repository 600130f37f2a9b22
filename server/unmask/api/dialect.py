"""Endpoints that generate: a `Dialect` for each kind of body, and `prepare` for all of them."""

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from unmask.api.backend import ITEM, Backend
from unmask.api.gate import Visit
from unmask.api.job import Job
from unmask.api.logprobs import TokenTexts
from unmask.api.prompts import check_model
from unmask.api.random_ids import RANDOM_IDS
from unmask.api.requests import MAX_CHOICES, Generation
from unmask.api.sampling import (
    check_body,
    for_choice,
    refinement_options,
    renamed,
    sampling_of,
    with_default_length,
)
from unmask.api.streams import Merger
from unmask.api.structured import Structured
from unmask.client import EngineClient
from unmask.errors import InvalidRequest, TooSlow
from unmask.likelihood import likelihood_request
from unmask.tokenizer import Tokenizer
from unmask.types import Delta, Request, SamplingParams, Template

MAX_IDS = 2**18  # token ids in the options of all choices together
SEARCH_S = 2.0  # of a thread, for the part of a grammar that is wrong

BodyT = TypeVar("BodyT", bound=Generation)


@dataclass(frozen=True, slots=True)
class EncodedPrompts:
    """Token ids of prompts and their common suffix; `echoes` are texts to prepend to answers."""

    token_ids: tuple[tuple[int, ...], ...]
    echoes: tuple[str, ...]
    suffix: tuple[int, ...] = ()
    template: Template | None = None
    behind: str = ""  # text behind a template's last hole
    compiled: tuple[object, ...] = ()  # grammars of its holes


class AnswerWriter(Protocol):
    """Writes the answers of one job, whole or as a stream."""

    def whole(self, answers: Sequence[Delta]) -> Mapping[str, object]:
        """The JSON object of all choices, from one delta of each of `Job.submitted`."""
        ...

    def frames(self, merger: Merger, ping_s: float) -> AsyncGenerator[bytes, None]:
        """Server-sent events; a failure in mid-stream is an event too."""
        ...


class Dialect(Protocol[BodyT]):
    """Everything in which one endpoint that generates differs from the others.

    To add an endpoint: an object with these members, a body model, an entry in `routes.DIALECTS`.
    """

    path: str
    name: str  # of the operation in /openapi.json
    description: str
    id_prefix: str  # of jobs and of the engine's requests
    default_max_tokens: int | None  # None: as many as the context holds
    body: type[BodyT]
    answer: type | None  # a whole answer's type; None leaves the endpoint out of /openapi.json

    def check(self, body: BodyT) -> None:
        """Raise `InvalidRequest` for fields that are contradictory or not implemented."""
        ...

    def field_names(self, body: BodyT) -> Mapping[str, str]:
        """Names in errors: from fields of `Request` and `SamplingParams` to fields of the body."""
        ...

    def num_prompts(self, body: BodyT) -> int:
        """Prompts of the body, each with `n` choices."""
        ...

    def max_tokens(self, body: BodyT) -> int | None:
        """The limit of tokens of each choice; None for the default."""
        ...

    def structure(
        self, body: BodyT, prompts: EncodedPrompts, tokenizer: Tokenizer
    ) -> Structured | None:
        """The structure that the body asks for, behind its prompt; raises `InvalidRequest`."""
        ...

    def num_logprobs(self, body: BodyT) -> int | None:
        """Top log-probabilities of each token; None for no log-probabilities at all."""
        ...

    def num_prompt_logprobs(self, body: BodyT) -> int | None:
        """The same of each token of the prompt."""
        ...

    async def encode(self, body: BodyT, backend: Backend) -> EncodedPrompts:
        """Tokenize prompts or messages; raises `InvalidRequest`."""
        ...

    def writer(
        self, job: Job, body: BodyT, tokenizer: Tokenizer, texts: TokenTexts
    ) -> AnswerWriter: ...


async def prepare(dialect: Dialect[BodyT], body: BodyT, backend: Backend, visit: Visit) -> Job:
    """Check and tokenize a body, once there is room for all of its choices.

    Raises `InvalidRequest`, `ModelNotFound`, `QueueFull` and `RateLimited`.
    """
    client = backend.client
    check_model(body.model, client)
    dialect.check(body)
    names = dialect.field_names(body)
    with renamed(names):
        num_kept, n = check_body(body)
    num_prompts = dialect.num_prompts(body)
    num_ids = sum(map(len, (body.logit_bias or (), body.allowed_token_ids or ())))
    num_ids += len(body.stop_token_ids or ())
    _check_number(num_prompts, n, num_ids, "n" if body.best_of is None else "best_of")
    refinements = refinement_options(body)
    max_tokens, num_read = dialect.max_tokens(body), dialect.num_prompt_logprobs(body)
    generates = max_tokens != 0 or num_read is None
    num_logprobs = dialect.num_logprobs(body)
    num_read_prompts = 0 if num_read is None else num_prompts
    num_all = num_prompts * n * generates + num_read_prompts
    visit.reserve(num_all, "n" if n > 1 else "prompt")
    if num_logprobs is None and n > num_kept:
        num_logprobs = 0  # they rank the candidates

    def check_sampling() -> SamplingParams:
        sampling = sampling_of(
            body,
            max_tokens=max_tokens if generates else None,
            num_logprobs=num_logprobs,
            names=names,
        )
        client.model.check_ids(sampling.stop_token_ids, "stop_token_ids")
        client.model.check_ids(sampling.allowed_token_ids or (), "allowed_token_ids")
        client.model.check_ids([token_id for token_id, _ in sampling.logit_bias], "logit_bias")
        if sampling.prompt_logprobs is None:
            return sampling
        return replace(sampling, prompt_logprobs=None)

    sampling = await backend.workers.run(check_sampling, num_ids)
    prompts = await dialect.encode(body, backend)
    structured = dialect.structure(body, prompts, client.tokenizer)
    default_max_tokens = None if prompts.template else dialect.default_max_tokens
    compiled: object = prompts.compiled
    if structured is not None:
        _check_alone(sampling, structured, generates=generates)
        sampling = replace(sampling, grammar=structured.grammar)
        default_max_tokens = None  # an answer that ends by itself needs none
    if structured is not None or sampling.bad_words:
        if client.has_compiled(sampling):  # it need not wait for other grammars
            compiled = _compile(client, sampling, structured, None)
        else:
            compiled = await backend.workers.compile(
                lambda seconds: _compile(client, sampling, structured, seconds)
            )
    of_client: dict[str, Any] = {
        "client": visit.client.name,
        "priority": body.priority or 0,
        "deadline_s": visit.deadline.at_s,
        "streams": bool(body.stream),
    }
    job_id = f"{dialect.id_prefix}-{RANDOM_IDS.draw()}"

    def make_requests() -> list[Request]:
        requests: list[Request] = []
        for ids in prompts.token_ids:
            remaining = client.model.max_model_len - len(ids) - len(prompts.suffix)
            params = with_default_length(sampling, default_max_tokens, remaining)
            for i in range(n):
                name = f"{job_id}-{len(requests)}"
                choice = for_choice(params, i)
                requests.append(
                    Request(
                        *(name, ids, choice, refinements, prompts.suffix, prompts.template),
                        compiled=compiled,
                        **of_client,
                    )
                )
        return requests

    def make_readings() -> list[Request | None]:
        if num_read is None:
            return []
        with renamed(names):
            return [
                reading and replace(reading, **of_client)
                for i, ids in enumerate(prompts.token_ids)
                for reading in [likelihood_request(f"{job_id}-p{i}", ids, num_read, client.model)]
            ]

    requests = await backend.workers.run(make_requests, num_prompts * n * (ITEM + num_ids))
    readings = await backend.workers.run(make_readings, num_prompts * ITEM)
    options = body.stream_options
    return Job(
        job_id=job_id,
        created_s=int(time.time()),
        model_name=client.model.name,
        requests=tuple(requests),
        n=n,
        num_kept=num_kept,
        readings=tuple(readings),
        generates=generates,
        echoes=tuple(echo for echo in prompts.echoes for _ in range(n)),
        behind=prompts.behind,
        eos_ids=client.model.eos_token_ids,
        return_token_ids=bool(body.return_token_ids),
        include_usage=options is not None and bool(options.include_usage),
        continuous_usage=options is not None and bool(options.continuous_usage_stats),
        field_names=names if structured is None else {**names, "grammar": structured.field},
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
