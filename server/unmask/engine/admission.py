"""What is refused at the door, and the filling in of defaults; no queue, no torch."""

import os
from dataclasses import dataclass

from unmask.engine.sequence import Decoding
from unmask.errors import InvalidRequest
from unmask.types import ModelInfo, PolicyName, Request, SamplingParams

DEFAULT_LIMITS: dict[PolicyName, float] = {
    "low_confidence": 0.0,
    "threshold": 0.9,
    "factor": 1.0,
    "entropy_bound": 0.1,
}
OWNED_LIMITS: tuple[PolicyName, ...] = ("threshold", "factor", "entropy_bound")


@dataclass(frozen=True, slots=True)
class Limits:
    """What the engine can hold: query tokens of a step, and pages."""

    max_batch_tokens: int
    num_pages: int
    page_size: int


def resolve(request: Request, model: ModelInfo, limits: Limits) -> Decoding:
    """Fill in every default of a request; raises `InvalidRequest` if it can never be served."""
    params, default = request.sampling, model.default_sampling
    num_prompt = len(request.prompt_token_ids)
    _check_prompt(request, model)
    room = model.max_model_len - num_prompt
    max_tokens = params.max_tokens or default.max_tokens or room
    if max_tokens > room:
        raise InvalidRequest(
            f"max_tokens is {max_tokens}, but the prompt has {num_prompt} tokens and the model's "
            f"context {model.max_model_len}; at most {room} are left",
            field="max_tokens",
            code="context_length_exceeded",
        )
    policy = _policy(params, default)
    block_len = params.block_length or default.block_length or 32
    if block_len > limits.max_batch_tokens:
        raise InvalidRequest(
            f"block_length is {block_len}, but a step holds {limits.max_batch_tokens} tokens",
            field="block_length",
        )
    needed = -(-(-(-(num_prompt + max_tokens) // block_len) * block_len) // limits.page_size)
    if needed > limits.num_pages:
        raise InvalidRequest(
            f"prompt and max_tokens need {needed} KV pages of {limits.page_size} tokens, "
            f"there are {limits.num_pages}",
            field="max_tokens",
        )
    temperature = params.temperature if params.temperature is not None else default.temperature
    eos = () if params.ignore_eos else model.eos_token_ids
    seed = params.seed if params.seed is not None else int.from_bytes(os.urandom(7), "little")
    return Decoding(
        policy=policy,
        limit=_limit(policy, params, default),
        steps=min(params.steps or default.steps or block_len, block_len),
        block_len=block_len,
        max_tokens=max_tokens,
        temperature=temperature or 0.0,
        top_p=params.top_p,
        top_k=min(params.top_k or model.vocab_size, model.vocab_size),
        seed=seed,
        num_logprobs=params.logprobs,
        stop_ids=frozenset((*eos, *params.stop_token_ids)),
    )


def _check_prompt(request: Request, model: ModelInfo) -> None:
    ids = request.prompt_token_ids
    if not ids:
        raise InvalidRequest("the prompt must have at least one token", field="prompt")
    if min(ids) < 0 or max(ids) >= model.vocab_size:
        wrong = next(i for i in ids if not 0 <= i < model.vocab_size)
        raise InvalidRequest(
            f"token id {wrong} is outside the vocabulary of {model.vocab_size}", field="prompt"
        )
    if len(ids) >= model.max_model_len:
        raise InvalidRequest(
            f"the prompt has {len(ids)} tokens, the model's context is {model.max_model_len} "
            "and at least one token must be left for the answer",
            field="prompt",
            code="context_length_exceeded",
        )


def _policy(params: SamplingParams, default: SamplingParams) -> PolicyName:
    """The policy asked for, or the one that a limit or a number of steps implies."""
    given = [name for name in OWNED_LIMITS if getattr(params, name) is not None]
    if params.policy is None:
        if len(given) > 1:
            raise InvalidRequest(
                f"{' and '.join(given)} belong to different policies; choose one", field=given[1]
            )
        if given:
            return given[0]
        return "low_confidence" if params.steps else default.policy or "threshold"
    for name in given:
        if name != params.policy:
            raise InvalidRequest(
                f"{name} has no meaning for the policy {params.policy}", field=name
            )
    return params.policy


def _limit(policy: PolicyName, params: SamplingParams, default: SamplingParams) -> float:
    if policy == "low_confidence":
        return DEFAULT_LIMITS[policy]
    for source in (params, default):
        value: float | None = getattr(source, policy)
        if value is not None:
            return value
    return DEFAULT_LIMITS[policy]
