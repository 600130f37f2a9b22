"""Parameters of a request with every default filled in, checked together; no torch."""

import math
import os
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from unmask.decoding.checks import check_whole_blocks
from unmask.engine.schedule.block_lengths import block_lengths
from unmask.engine.schedule.decoding import Decoding
from unmask.engine.schedule.fits import given_text
from unmask.engine.schedule.growing import one_growing_block, with_lengths
from unmask.engine.schedule.limits import EngineLimits
from unmask.engine.schedule.modes import modes_of
from unmask.engine.schedule.open_blocks import cache_beside, num_open_blocks
from unmask.engine.schedule.penalties import Penalties
from unmask.engine.schedule.policy_choice import (
    ANY_CONFIDENCE,
    WITH_THRESHOLD,
    alg_temp_of,
    check_chance,
    check_distance,
    check_mixing,
    check_order,
    check_remasking,
    check_trace,
    choose_policy,
    fills_eos_last,
    last_time_of,
    numbers_of,
)
from unmask.engine.schedule.quotas import (
    SHARES,
    chance_quotas,
    part_quotas,
    timed_quotas,
    window_quotas,
)
from unmask.engine.schedule.request_blocks import (
    BLOCK_LENGTH,
    blocks_of,
    check_positions,
    fills_in_parts,
    longest_answer,
)
from unmask.engine.schedule.token_rules import (
    check_answer,
    check_given,
    check_holes,
    check_structure,
    check_thinking,
    constraint_of,
    edit_rules,
    editing_threshold_of,
    num_top,
)
from unmask.errors import InvalidRequest, context_exceeded
from unmask.types import (
    AUTO,
    CacheName,
    ModelInfo,
    ModeName,
    PolicyName,
    Request,
    SamplingParams,
    shown,
)
from unmask_kernels.policies.table import BY_NAME

FULL_MAX_TOKENS = 1024  # with full attention, where nothing says
EXACT = "none", "delayed"  # caches of which a pass computes all of a block that is not full


def resolve_with_defaults(request: Request, model: ModelInfo, limits: EngineLimits) -> Decoding:
    """Fill in the defaults of a model; raises `InvalidRequest` for what cannot go together.

    For a given answer the field is the prompt, of which it is the rest.
    """
    if request.sampling.prompt_logprobs is not None:
        raise InvalidRequest(
            "prompt_logprobs has a request of its own, see unmask.likelihood",
            field="prompt_logprobs",
        )
    if (growing := one_growing_block(request, model)) is not None:
        block_length = growing.sampling.block_length
        assert block_length != AUTO, "a block length that is given was refused"
        decoding = _resolve(growing, model, limits, block_length, "diffusion")
        return with_lengths(decoding, growing, model)
    if not request.given_answer:
        return _resolve_modes(request, model, limits)
    try:
        check_answer(request, model)
        return _resolve_modes(request, model, limits)
    except InvalidRequest as error:
        message = f"log-probabilities of the prompt: {error.message}"
        raise InvalidRequest(message, field="prompt", code=error.code) from error


def _resolve_modes(request: Request, model: ModelInfo, limits: EngineLimits) -> Decoding:
    """Parameters with which the request begins, and those that a load may choose instead."""
    asked = request.sampling.block_length
    if asked is None and model.adapts_blocks:
        asked = AUTO
    if model.routing_block_length is not None:
        check_whole_blocks(asked, request.sampling.cache, model.routing_block_length)
    if asked != AUTO:
        modes = modes_of(request, model)
        usual, *others = (_resolve(request, model, limits, asked, mode) for mode in modes)
        return replace(usual, others=tuple(others)) if others else usual
    if not model.has_blocks:
        raise InvalidRequest(
            "block_length auto is for models whose blocks see only those before them",
            field="block_length",
        )
    usual, *others = (
        _resolve(request, model, limits, length, "diffusion")
        for length in block_lengths(model.block_length or BLOCK_LENGTH)
    )
    return replace(usual, others=tuple(others))


class Rule(NamedTuple):
    """Policy of a request, and the confidence that replaces a token, if any does."""

    policy: PolicyName
    editing_threshold: float | None
    default: SamplingParams  # defaults that hold beside it


def _resolve(
    request: Request,
    model: ModelInfo,
    limits: EngineLimits,
    block_length: int | None,
    mode: ModeName,
) -> Decoding:
    params, is_full = request.sampling, model.attention == "full"
    _check_prompt(request, model)
    max_tokens = _max_tokens(request, model, limits)
    policy, editing_threshold, default = _rule(request, model)
    blocks = blocks_of(request, model, max_tokens, block_length, mode)
    block_len, drafts = blocks.length, blocks.drafts
    check_positions(request, model, limits, policy, max_tokens, blocks)
    check_thinking(params, model, editing_threshold)
    steps = params.steps or default.steps
    if model.caps_steps and editing_threshold is None:
        steps = min(steps or block_len, max_tokens)
    # The ends of holes end no answer.
    eos = () if params.ignore_eos or request.template else model.eos_token_ids
    stop_ids = frozenset((*eos, *params.stop_token_ids))
    cache = _cache(params, model, editing_threshold)
    sub_block_length = None
    if fills_in_parts(model, blocks):
        sub_block_length = _sub_block_length(params, default, block_len, steps)
    is_exact, revises = cache in EXACT and sub_block_length is None, editing_threshold is not None
    is_exact &= not revises or not (is_full or model.edit_commands)
    open_blocks = num_open_blocks(
        *(request, model, policy, block_len, limits), is_exact=is_exact, revises=revises
    )
    sampling = params.resolved(default, block_len)
    check_trace(policy, sampling, model, drafts=drafts)
    check_chance(policy, sampling, model, drafts=drafts)
    threshold, *other_numbers = numbers_of(policy, params, default)
    alg_temp = alg_temp_of(policy, params, default)
    orders = model.canvas is None and (alg_temp > 0 or BY_NAME[policy].ranks_by == "noise")
    rules = edit_rules(sampling, policy, threshold, editing_threshold, model)
    check_given(request, model, editing_threshold)
    check_structure(params, model, rules)
    quotas: tuple[int, ...] = (
        1,
        block_len,
        block_len,
    )  # a seed, a draft of all others, and its verification
    if not drafts or blocks.drafts_by_policy:
        quotas = _quotas(policy, steps, block_len, sub_block_length, cache, model, params.eps)
    return Decoding(
        sampling=sampling,
        policy=policy,
        threshold=threshold,
        other_numbers=tuple(other_numbers),
        quotas=quotas,
        block_len=block_len,
        max_tokens=max_tokens,
        mode=mode,
        drafts=drafts,
        drafts_by_policy=blocks.drafts_by_policy,
        stop_ids=stop_ids,
        seed=_seed(params.seed, draws=bool(sampling.temperature) or orders),
        alg_temp=alg_temp,
        last_time=last_time_of(params.eps, model),
        top_k=min(sampling.top_k or model.vocab_size, model.vocab_size),
        logprobs=params.logprobs,
        num_top=num_top(params, rules),
        cache=cache_beside(cache, open_blocks, params, model),
        cfg_scale=params.cfg_scale or 0.0,
        editing_threshold=editing_threshold,
        max_post_steps=model.max_post_steps,
        edit_rules=rules,
        constraint=constraint_of(request, model, rules),
        penalties=Penalties.of_request(request, model, stop_ids, max_tokens),
        is_structured=request.is_structured,
        is_given=bool(request.given_answer),
        sub_block_length=sub_block_length,
        eos_last=fills_eos_last(policy, params, model),
        open_blocks=open_blocks,
        fills_best=open_blocks > 1 and is_full and model.fills_best,
        stops_at_end=_stops_at_end(request, model, policy, stop_ids, open_blocks),
    )


def _stops_at_end(
    request: Request,
    model: ModelInfo,
    policy: PolicyName,
    stop_ids: frozenset[int],
    open_blocks: int,
) -> bool:
    """True if nothing behind an end is filled.

    Several open blocks and grammars fill it at once, and an end that may be masked again is none.
    """
    is_plain = open_blocks == 1 and not request.is_structured and not request.given_answer
    return model.stops_at_end and bool(stop_ids) and is_plain and not BY_NAME[policy].remasks


def _max_tokens(request: Request, model: ModelInfo, limits: EngineLimits) -> int:
    """Longest answer; raises `InvalidRequest` for one that the context does not hold.

    Without a limit it is as long as the context and the engine's sizes allow.
    """
    params, remaining = request.sampling, model.max_model_len - request.num_given
    max_tokens = params.max_tokens or model.default_sampling.max_tokens
    if max_tokens is None:
        # One canvas of all of a long context would take its every step.
        usual = min(remaining, FULL_MAX_TOKENS) if model.attention == "full" else remaining
        max_tokens = max(1, min(usual, longest_answer(request, model, limits)))
    if request.template is not None:
        check_holes(request.template)
        max_tokens = len(request.template.token_ids)
    if max_tokens > remaining:
        raise InvalidRequest(
            f"max_tokens is {shown(max_tokens)}, but {given_text(request)}; at most {remaining} "
            f"are left. This model's maximum context length is {model.max_model_len} tokens.",
            field="max_tokens",
            code="context_length_exceeded",
        )
    return max_tokens


def _rule(request: Request, model: ModelInfo) -> Rule:
    """Policy and edits of a request; raises `InvalidRequest` for what they do not have."""
    params, default = request.sampling, model.default_sampling
    editing_threshold = None if request.given_answer else editing_threshold_of(params, model)
    has_commands = model.edit_commands is not None and editing_threshold is not None
    policy = choose_policy(params, model, has_commands=has_commands)
    if BY_NAME[policy].mixes:
        check_mixing(policy, request, model)
    check_distance(params, policy, model)
    check_order(params, policy, model)
    if BY_NAME[policy].remasks:
        check_remasking(policy, request, model)
        editing_threshold = math.inf  # no token is replaced, but none is final before its block
    if BY_NAME[policy].mixes:
        editing_threshold = ANY_CONFIDENCE
        default = replace(default, sub_block_length=None)
    return Rule(policy, editing_threshold, default)


def _seed(seed: int | None, *, draws: bool) -> int:
    """The seed asked for, else any; greedy answers repeat, though a canvas begins as noise."""
    if seed is not None:
        return seed
    return int.from_bytes(os.urandom(7), "little") if draws else 0


def _cache(params: SamplingParams, model: ModelInfo, editing_threshold: float | None) -> CacheName:
    """The cache asked for, or the server's; raises `InvalidRequest` if the model has no such."""
    cache = params.cache or model.default_sampling.cache or "none"
    if cache not in model.caches:
        known = " or ".join(model.caches)
        raise InvalidRequest(f"cache of this model must be {known}, got {cache}", field="cache")
    if cache == "block" and editing_threshold is not None:
        raise InvalidRequest(
            "cache block keeps the keys of committed tokens, which this model may replace",
            field="cache",
        )
    return cache


def _sub_block_length(
    params: SamplingParams, default: SamplingParams, block_len: int, steps: int | None
) -> int | None:
    """Positions of a part; None for whole blocks, as where a default has more parts than steps."""
    length = params.sub_block_length or default.sub_block_length
    if length is None or length >= block_len:
        return None
    is_asked = params.sub_block_length is not None
    return length if is_asked or steps is None or steps * length >= block_len else None


def _quotas(
    policy: PolicyName,
    steps: int | None,
    block_len: int,
    sub_block_len: int | None,
    cache: CacheName,
    model: ModelInfo,
    eps: float | None,
) -> tuple[int, ...]:
    """The fewest positions that each step fills; policies that only rank follow the family.

    Where the logits of a block's first position are in the row before the block, a pass of its own,
    which has that row, fills it, unless every pass has all rows.
    """
    if model.canvas is not None:
        return (1,) * (steps or model.canvas.steps)
    if model.attention == "causal_window":  # as many steps fill a window, wherever it is
        return window_quotas(block_len, steps or block_len)
    is_exact = model.attention == "full" and cache in EXACT
    alone = 1 if model.has_seed and not is_exact and block_len > 1 else 0
    steps = steps or block_len
    if BY_NAME[policy].by_chance:
        return chance_quotas(block_len, steps)
    if model.schedule == "timed" and policy not in WITH_THRESHOLD:
        last = last_time_of(eps, model)
        return (1,) * alone + timed_quotas(block_len - alone, steps, alone, last)
    if model.schedule in SHARES and policy not in WITH_THRESHOLD and not sub_block_len:
        return (1,) * alone + SHARES[model.schedule](block_len - alone, max(1, steps - alone))
    part_len = sub_block_len or block_len
    ends = [*range(part_len, block_len, part_len), block_len]
    parts = [end - start for start, end in pairwise([alone, *ends]) if end > start]
    return (1,) * alone + part_quotas(parts, max(1, steps - alone))


def _check_prompt(request: Request, model: ModelInfo) -> None:
    ids = request.prompt_token_ids
    if not ids:
        raise InvalidRequest("the prompt must have at least one token", field="prompt")
    if min(ids) < 0 or max(ids) >= model.vocab_size:
        wrong = next(i for i in ids if not 0 <= i < model.vocab_size)
        raise InvalidRequest(
            f"token id {shown(wrong)} is outside the vocabulary of {model.vocab_size}",
            field="prompt",
        )
    model.check_ids(request.suffix_token_ids, "suffix")
    commands = set(model.command_ids)
    for field, given in (("prompt", ids), ("suffix", request.suffix_token_ids)) if commands else ():
        if not commands.isdisjoint(given):
            found = next(i for i in given if i in commands)
            raise InvalidRequest(
                f"token id {found} deletes or inserts tokens and is none of a text", field=field
            )
    if request.num_given >= model.max_model_len:
        raise context_exceeded(
            model.max_model_len,
            f"{given_text(request)} and at least one must be left for the answer",
            "prompt" if len(ids) >= model.max_model_len else "suffix",
        )
