"""Blocks of a request: their length, and whether the model has such blocks and they fit."""

from bisect import bisect_right
from typing import NamedTuple

from unmask.engine.schedule.fits import (
    check_fits,
    check_images,
    check_prompt_block,
    check_step,
    most_positions,
)
from unmask.engine.schedule.limits import EngineLimits
from unmask.engine.schedule.modes import window_rows
from unmask.engine.schedule.penalties import PENALTIES
from unmask.engine.schedule.policy_choice import names_policy
from unmask.errors import InvalidRequest
from unmask.types import (
    AUTO,
    MAX_BLOCK_LENGTH,
    ModelInfo,
    ModeName,
    PolicyName,
    Request,
    SamplingParams,
)

BLOCK_LENGTH = 32  # where attention is block-causal and nothing says


class Blocks(NamedTuple):
    """Blocks of a request in one mode."""

    length: int
    drafts: bool  # a block is a draft, and then verified
    drafts_by_policy: bool  # in as many passes as the policy takes


def blocks_of(
    request: Request,
    model: ModelInfo,
    max_tokens: int,
    block_length: int | None,
    mode: ModeName,
) -> Blocks:
    """Blocks as they are asked for, else usual ones of the model."""
    is_full, is_given = model.attention == "full", bool(request.given_answer)
    usual_len = min(max_tokens, MAX_BLOCK_LENGTH) if is_full else BLOCK_LENGTH
    usual_len = model.block_length or usual_len
    length = 1 if mode == "ar" else block_length or usual_len
    # Causal models can do nothing but verify their guesses.
    drafts = mode == "self_speculation" or (model.attention == "causal" and length > 1)
    by_policy = model.attention == "causal_prefix" and names_policy(request.sampling)
    by_policy |= is_given  # the draft is there, so it is verified at once
    if model.has_blocks:
        # A block that ends far behind the answer would only cost rows.
        num_positions = request.num_given + max_tokens
        length = min(length, -(-num_positions // usual_len) * usual_len)
    return Blocks(length, drafts, drafts and by_policy)


def fills_in_parts(model: ModelInfo, blocks: Blocks) -> bool:
    """True if parts of a block may be filled one after the other."""
    is_open = model.attention == "causal_prefix" and not blocks.drafts and blocks.length > 1
    return model.has_blocks or is_open


def longest_answer(request: Request, model: ModelInfo, limits: EngineLimits) -> int:
    """Tokens of the longest answer that fits, in blocks of the usual length."""
    asked, is_full = request.sampling.block_length, model.attention == "full"
    named = None if asked == AUTO else asked
    block_len = named or model.block_length or BLOCK_LENGTH
    most = most_positions(limits, request.sampling, is_full=is_full)

    def positions(max_tokens: int) -> int:
        return num_positions(request, model, max_tokens, block_len)

    return bisect_right(range(1, most + 1), most, key=positions)


def num_positions(request: Request, model: ModelInfo, max_tokens: int, block_len: int) -> int:
    """Positions that a request takes, its last block or window being whole."""
    end = request.num_given + max_tokens
    match model.attention:
        case "full":
            return end
        case "block_causal":
            return -(-end // block_len) * block_len
        case "causal_window":
            return end + block_len - 1
    return request.num_given + -(-max_tokens // block_len) * block_len


def check_positions(
    request: Request,
    model: ModelInfo,
    limits: EngineLimits,
    policy: PolicyName,
    max_tokens: int,
    blocks: Blocks,
) -> None:
    """Raise `InvalidRequest` for blocks that the model does not have, or that never fit."""
    params, block_len = request.sampling, blocks.length
    needed, num_rows = num_positions(request, model, max_tokens, block_len), block_len
    check_images(request, model, limits)
    if model.canvas is not None:
        _check_canvas(params, policy, block_len, model)
    elif "ar" in model.modes:
        _check_block_causal(params)
        if not fills_in_parts(model, blocks):
            _check_full(params)
        if blocks.drafts and model.attention == "causal" and not request.given_answer:
            num_rows = window_rows(block_len)
    elif model.attention == "full":
        _check_full(params)
        check_step(needed, limits, params)
    else:
        _check_block_causal(params)
        if model.attention == "prompt_block":
            check_prompt_block(request, limits)
            num_rows += model.shift
    check_fits(needed, block_len, num_rows, limits, params)


def _check_canvas(
    params: SamplingParams, policy: PolicyName, block_len: int, model: ModelInfo
) -> None:
    """Raise `InvalidRequest` for what a model that denoises canvases of noise cannot do."""
    _check_block_causal(params)
    _check_full(params)
    own = policy if model.canvas is None else model.canvas.policy
    if policy != own:
        raise InvalidRequest(
            f"this model is denoised by the policy {own} only, not {policy}", field="policy"
        )
    for name in ("logit_bias", "allowed_token_ids", "eos_last", *PENALTIES):
        if params.asks_for(name):
            raise InvalidRequest(f"{name} is for models that fill mask tokens", field=name)
    if block_len != model.block_length:
        raise InvalidRequest(
            f"block_length must be that of this model's canvas, {model.block_length}, "
            f"got {block_len}",
            field="block_length",
        )


def _check_full(params: SamplingParams) -> None:
    """Raise `InvalidRequest` for what has no meaning where attention spans everything."""
    if params.sub_block_length is not None:
        raise InvalidRequest(
            "sub_block_length is for models whose blocks see only those before them",
            field="sub_block_length",
        )


def _check_block_causal(params: SamplingParams) -> None:
    """Raise `InvalidRequest` for what has no meaning where blocks see only those before them."""
    if params.cfg_scale:
        raise InvalidRequest(
            "cfg_scale is for models whose attention spans the whole sequence", field="cfg_scale"
        )
