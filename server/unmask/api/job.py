"""A body made ready to be submitted: one engine request per choice."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from unmask.api.prompts import check_model, decode, encode_chat, encode_prompts
from unmask.api.sampling import (
    check_body,
    count_choices,
    for_choice,
    refinements_of,
    sampling_of,
    with_room,
)
from unmask.api.schemas import ChatBody, CompletionBody
from unmask.client import EngineClient
from unmask.errors import InvalidRequest
from unmask.types import Request

MAX_CHOICES = 1024


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


async def prepare(body: CompletionBody | ChatBody, client: EngineClient, prefix: str) -> Job:
    """Check and tokenize a body; raises `InvalidRequest` and `ModelNotFound`."""
    check_model(body.model, client)
    check_body(body)
    n = count_choices(body)
    sampling, refinements = sampling_of(body), refinements_of(body)
    client.model.check_ids(sampling.stop_token_ids, "stop_token_ids")
    client.model.check_ids(sampling.allowed_token_ids or (), "allowed_token_ids")
    client.model.check_ids([token_id for token_id, _ in sampling.logit_bias], "logit_bias")
    prompts = await _encode(body, client)
    if len(prompts) * n > MAX_CHOICES:
        raise InvalidRequest(
            f"prompts times n must be at most {MAX_CHOICES}, got {len(prompts)} times {n}",
            field="n" if n > 1 else "prompt",
        )
    suffix = await _encode_suffix(body, client)
    job_id = f"{prefix}-{uuid.uuid4().hex}"
    requests: list[Request] = []
    for ids in prompts:
        fitted = sampling
        if isinstance(body, CompletionBody):
            room = client.model.max_model_len - len(ids) - len(suffix)
            fitted = with_room(sampling, room)
        for i in range(n):
            name = f"{job_id}-{len(requests)}"
            requests.append(Request(name, ids, for_choice(fitted, i), refinements, suffix))
    options = body.stream_options
    return Job(
        job_id=job_id,
        created_s=int(time.time()),
        model_name=client.model.name,
        requests=tuple(requests),
        n=n,
        echoes=await _echoes(body, prompts, n, client),
        return_token_ids=bool(body.return_token_ids),
        include_usage=options is not None and bool(options.include_usage),
        continuous_usage=options is not None and bool(options.continuous_usage_stats),
    )


async def _encode(body: CompletionBody | ChatBody, client: EngineClient) -> list[tuple[int, ...]]:
    if isinstance(body, ChatBody):
        return [await encode_chat(client.tokenizer, body.messages)]
    prompts = body.prompt
    ids = await encode_prompts(
        client.tokenizer, prompts, add_special_tokens=bool(body.add_special_tokens)
    )
    for given, encoded in zip(prompts, ids, strict=True):
        if not isinstance(given, str):
            client.model.check_ids(encoded, "prompt")
    return ids


async def _encode_suffix(body: CompletionBody | ChatBody, client: EngineClient) -> tuple[int, ...]:
    if isinstance(body, ChatBody) or not body.suffix:
        return ()
    (ids,) = await encode_prompts(
        client.tokenizer, [body.suffix], add_special_tokens=False, field="suffix"
    )
    return ids


async def _echoes(
    body: CompletionBody | ChatBody,
    prompts: Sequence[tuple[int, ...]],
    n: int,
    client: EngineClient,
) -> tuple[str, ...]:
    if isinstance(body, ChatBody) or not body.echo:
        return ("",) * (len(prompts) * n)
    echoes: list[str] = []
    for given, ids in zip(body.prompt, prompts, strict=True):
        text = given if isinstance(given, str) else await decode(client.tokenizer, ids)
        echoes += [text] * n
    return tuple(echoes)
