"""A body made ready to be submitted: one engine request per choice."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from unmask.api.backend import ITEM, Backend
from unmask.api.prompts import check_model, decode, encode_chat, encode_prompts, template_options
from unmask.api.requests import MAX_CHOICES, ChatBody, CompletionBody
from unmask.api.sampling import (
    check_body,
    count_choices,
    for_choice,
    refinements_of,
    sampling_of,
    with_room,
)
from unmask.errors import InvalidRequest
from unmask.types import Request, SamplingParams

MAX_IDS = 2**18  # of all choices together


@dataclass(frozen=True, slots=True)
class Job:
    """The choices of one HTTP request, in order: the first `n` belong to the first prompt.

    `echoes` is the text that each choice begins with.
    """

    job_id: str
    created_s: int
    model_name: str
    requests: tuple[Request, ...]
    n: int
    echoes: tuple[str, ...]
    return_token_ids: bool = False
    include_usage: bool = False
    continuous_usage: bool = False

    @property
    def num_prompt_tokens(self) -> int:
        """Prompt and suffix tokens, each counted once however many choices a prompt has."""
        return sum(request.num_given for request in self.requests[:: self.n])


async def prepare(body: CompletionBody | ChatBody, backend: Backend, prefix: str) -> Job:
    """Check and tokenize a body; raises `InvalidRequest` and `ModelNotFound`."""
    client = backend.client
    check_model(body.model, client)
    check_body(body)
    n = count_choices(body)
    num_prompts = 1 if isinstance(body, ChatBody) else len(body.prompt)
    num_ids = sum(map(len, (body.logit_bias or (), body.allowed_token_ids or ())))
    num_ids += len(body.stop_token_ids or ())
    _check_number(num_prompts, n, num_ids)
    refinements = refinements_of(body)

    def check_sampling() -> SamplingParams:
        sampling = sampling_of(body)
        client.model.check_ids(sampling.stop_token_ids, "stop_token_ids")
        client.model.check_ids(sampling.allowed_token_ids or (), "allowed_token_ids")
        client.model.check_ids([token_id for token_id, _ in sampling.logit_bias], "logit_bias")
        return sampling

    sampling = await backend.workers.run(check_sampling, num_ids)
    prompts = await _encode(body, backend)
    suffix = await _encode_suffix(body, backend)
    job_id = f"{prefix}-{uuid.uuid4().hex}"

    def make_requests() -> list[Request]:
        requests: list[Request] = []
        for ids in prompts:
            fitted = sampling
            if isinstance(body, CompletionBody):
                room = client.model.max_model_len - len(ids) - len(suffix)
                fitted = with_room(sampling, room)
            for i in range(n):
                name = f"{job_id}-{len(requests)}"
                requests.append(Request(name, ids, for_choice(fitted, i), refinements, suffix))
        return requests

    requests = await backend.workers.run(make_requests, num_prompts * n * (ITEM + num_ids))
    options = body.stream_options
    return Job(
        job_id=job_id,
        created_s=int(time.time()),
        model_name=client.model.name,
        requests=tuple(requests),
        n=n,
        echoes=await _echoes(body, prompts, n, backend),
        return_token_ids=bool(body.return_token_ids),
        include_usage=options is not None and bool(options.include_usage),
        continuous_usage=options is not None and bool(options.continuous_usage_stats),
    )


def _check_number(num_prompts: int, n: int, num_ids: int) -> None:
    """Raise `InvalidRequest` for more choices, or more ids in all of them, than are prepared."""
    if num_prompts * n > MAX_CHOICES:
        raise InvalidRequest(
            f"prompts times n must be at most {MAX_CHOICES}, got {num_prompts} times {n}",
            field="n" if n > 1 else "prompt",
        )
    if num_prompts * n > 1 and num_prompts * n * num_ids > MAX_IDS:
        raise InvalidRequest(
            f"prompts times n times ids in logit_bias, allowed_token_ids and stop_token_ids must "
            f"be at most {MAX_IDS}, got {num_prompts} times {n} times {num_ids}",
            field="n" if n > 1 else "prompt",
        )


async def _encode(body: CompletionBody | ChatBody, backend: Backend) -> list[tuple[int, ...]]:
    if isinstance(body, ChatBody):
        return [await encode_chat(backend, body.messages, template_options(body))]
    # As in vLLM: a tokenizer that begins every text with a token does so here as well.
    return await encode_prompts(
        backend, body.prompt, add_special_tokens=body.add_special_tokens is not False
    )


async def _encode_suffix(body: CompletionBody | ChatBody, backend: Backend) -> tuple[int, ...]:
    if isinstance(body, ChatBody) or not body.suffix:
        return ()
    (ids,) = await encode_prompts(backend, [body.suffix], add_special_tokens=False, field="suffix")
    return ids


async def _echoes(
    body: CompletionBody | ChatBody,
    prompts: Sequence[tuple[int, ...]],
    n: int,
    backend: Backend,
) -> tuple[str, ...]:
    if isinstance(body, ChatBody) or not body.echo:
        return ("",) * (len(prompts) * n)
    echoes: list[str] = []
    for given, ids in zip(body.prompt, prompts, strict=True):
        text = given if isinstance(given, str) else await decode(backend, ids)
        echoes += [text] * n
    return tuple(echoes)
