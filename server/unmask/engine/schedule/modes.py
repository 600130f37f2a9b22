"""Modes of models that are causal too: those a request may ask for, and the one for a load."""

from unmask.errors import InvalidRequest
from unmask.types import (
    MAX_BLOCK_LENGTH,
    ModelInfo,
    ModeName,
    Request,
)

# Parameters by which a token's logits depend on all tokens before it, with their neutral values.
COUNTING = (("presence_penalty", 0), ("frequency_penalty", 0), ("repetition_penalty", 1))

# Largest load, in multiples of the saturation rows, at which drafts are verified. Two passes over a
# block then take twice their time on an idle device, and write four tokens or more; beyond, rows
# that were drafted in vain cost more than they save.
DRAFTING_LOAD = 2.0


def modes_of(request: Request, model: ModelInfo) -> tuple[ModeName, ...]:
    """The mode asked for, or the server's; of `auto` the modes that a load may choose from.

    They write the same tokens. Answers with a grammar, bad words, holes or penalties are not
    drafted. Raises `InvalidRequest` if the model has no such mode.
    """
    params = request.sampling
    mode = params.mode or model.default_sampling.mode or "diffusion"
    counts = any(getattr(params, name) not in (None, neutral) for name, neutral in COUNTING)
    is_drafted = model.attention == "causal" or mode in ("self_speculation", "auto")
    is_guided = request.is_structured
    if mode not in model.modes:
        kind = "are causal too" if mode == "ar" else "verify drafts"
        raise InvalidRequest(
            f"mode {mode} is for models that {kind}, as Nemotron-Labs-Diffusion and I-DLM",
            field="mode",
        )
    if mode == "ar" and params.block_length not in (None, 1):
        raise InvalidRequest("block_length has no meaning in mode ar", field="block_length")
    if is_drafted and (is_guided or counts):
        return ("ar",)  # as a verified draft would be, token for token
    return ("self_speculation", "ar") if mode == "auto" else (mode,)


def window_rows(block_len: int) -> int:
    """Query tokens of a pass that verifies guesses and makes new ones; raises `InvalidRequest`.

    Its rows and the token after them have slots of their own among the device's open tokens.
    """
    if 2 * block_len > MAX_BLOCK_LENGTH:
        raise InvalidRequest(
            f"block_length of this model is at most {MAX_BLOCK_LENGTH // 2}, got {block_len}",
            field="block_length",
        )
    return 2 * block_len - 1
