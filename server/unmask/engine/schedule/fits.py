"""Refuses requests that no step, or not all pages together, could hold."""

from unmask.engine.schedule.limits import EngineLimits
from unmask.errors import InvalidRequest
from unmask.types import ModelInfo, Request, SamplingParams


def check_prompt_block(request: Request, limits: EngineLimits) -> None:
    """Raise `InvalidRequest` where a step cannot hold a prompt that sees all of itself."""
    if len(request.prompt_token_ids) > limits.max_batch_tokens:
        raise InvalidRequest(
            f"{given_text(request)}, but a step, which must hold the whole prompt, holds "
            f"{limits.max_batch_tokens}",
            field="prompt",
        )


def check_images(request: Request, model: ModelInfo, limits: EngineLimits) -> None:
    """Raise `InvalidRequest` for images that a model does not take, or that no step could hold."""
    if not request.images:
        return
    if model.images is None:
        raise InvalidRequest(f"{model.name} takes no images", field="messages")
    if request.given_answer:
        raise InvalidRequest("a prompt with images cannot be read", field="messages")
    seen_whole = [image for image in request.images if image.sees_itself]
    largest = max((image.end - image.start for image in seen_whole), default=0)
    if largest > limits.max_batch_tokens:
        raise InvalidRequest(
            f"an image takes {largest} tokens, but a step, which must hold all of it, holds "
            f"{limits.max_batch_tokens}",
            field="messages",
        )


def check_fits(
    num_positions: int, block_len: int, num_rows: int, limits: EngineLimits, params: SamplingParams
) -> None:
    """Raise `InvalidRequest` for what no step or not all pages together could hold."""
    if num_rows > limits.max_batch_tokens:
        taken = f", which takes {num_rows} tokens a pass" if num_rows > block_len else ""
        room = f"but a step holds {limits.max_batch_tokens} tokens"
        raise InvalidRequest(f"block_length is {block_len}{taken}, {room}", field="block_length")
    canvases, field = (2, "cfg_scale") if params.cfg_scale else (1, "max_tokens")
    needed = canvases * -(-num_positions // limits.page_size)
    if needed > limits.num_pages:
        raise InvalidRequest(
            f"prompt and max_tokens need {needed} KV pages of {limits.page_size} tokens, "
            f"there are {limits.num_pages}",
            field=field,
        )


def most_positions(limits: EngineLimits, params: SamplingParams, *, is_full: bool) -> int:
    """Positions that all pages hold for one request, and a step where attention is full."""
    canvases = 2 if params.cfg_scale else 1
    most = limits.num_pages // canvases * limits.page_size
    return min(most, limits.max_batch_tokens // canvases) if is_full else most


def check_step(num_positions: int, limits: EngineLimits, params: SamplingParams) -> None:
    """Raise `InvalidRequest` where a step cannot hold every position of a request."""
    canvases, field = (2, "cfg_scale") if params.cfg_scale else (1, "max_tokens")
    if canvases * num_positions > limits.max_batch_tokens:
        raise InvalidRequest(
            f"prompt and max_tokens are {canvases * num_positions} tokens, but a step, which must "
            f"hold them all, holds {limits.max_batch_tokens}",
            field=field,
        )


def given_text(request: Request) -> str:
    """The tokens that a request comes with, in words."""
    num_suffix = len(request.suffix_token_ids)
    after = f" and the suffix {num_suffix}" if num_suffix else ""
    return f"the prompt has {len(request.prompt_token_ids)} tokens{after}"
