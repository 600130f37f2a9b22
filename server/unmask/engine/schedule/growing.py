"""Admission of answers that grow and shrink (DreamOn): defaults, limits and refusals; no torch."""

from dataclasses import replace

from unmask.decoding.variable_length import NUMBER_OF_MASK, LengthRules
from unmask.engine.schedule.decoding import Decoding
from unmask.engine.schedule.token_rules import constraint_of
from unmask.errors import InvalidRequest
from unmask.types import MAX_BLOCK_LENGTH, ModelInfo, PolicyName, Request, shown
from unmask_kernels.policies.table import BY_NAME, NUMBERS

# Parameters of blocks that keep their length, or of answers whose positions are known.
WITHOUT_MEANING = (
    *("steps", "block_length", "cache", "cfg_scale", "eps", "eos_last", "min_tokens"),
    *("bad_words", "max_thinking_tokens", "mode", "open_blocks"),
)


def one_growing_block(request: Request, model: ModelInfo) -> Request | None:
    """The request as one whose answer is a block of its own, None if its length is fixed.

    An answer before a suffix grows unless the request says otherwise. A server's defaults for
    blocks do not apply. Raises `InvalidRequest`.
    """
    params, default = request.sampling, model.default_sampling
    asked = params.number_of_mask
    if model.length_commands is None:
        for name in ("number_of_mask", "pad_delete_to_right"):
            if getattr(params, name):
                raise InvalidRequest(
                    f"{name} is for models that grow and shrink an answer, as DreamOn", field=name
                )
        return None
    grows = asked != 0 and not request.given_answer and bool(asked or request.suffix_token_ids)
    if not grows or request.template is not None:
        for name in ("number_of_mask", "pad_delete_to_right"):
            if getattr(params, name):
                reason = "an answer that keeps its length, as holes of a template do"
                raise InvalidRequest(f"{name} has no meaning for {reason}", field=name)
        return None
    for name in WITHOUT_MEANING:
        if params.asks_for(name):
            raise _refused(name)
    if params.grammar is not None:
        raise _refused("grammar")
    longest = params.max_tokens or default.max_tokens
    if longest is not None and longest > MAX_BLOCK_LENGTH:
        raise InvalidRequest(
            f"max_tokens is {shown(longest)}, but an answer that grows has at most "
            f"{MAX_BLOCK_LENGTH} tokens",
            field="max_tokens",
        )
    block = replace(
        params,
        policy=_policy(request, model),
        cache="none",
        eos_last=False,
        block_length=longest,
        open_blocks=1,
    )
    return replace(request, sampling=block)


def with_lengths(decoding: Decoding, request: Request, model: ModelInfo) -> Decoding:
    """Decoding that carries commands out; `request` is what `one_growing_block` returned."""
    commands, max_len = model.length_commands, decoding.max_tokens
    assert commands is not None, "the model has commands"
    asked = request.sampling.number_of_mask
    first_len = min(NUMBER_OF_MASK, max_len) if asked is None else asked
    if first_len > max_len:
        raise InvalidRequest(
            f"number_of_mask is {first_len}, which is more than max_tokens, {max_len}",
            field="number_of_mask",
        )
    expand = commands.expand_token_id
    when_full = constraint_of(request, model, None, never=(expand,))
    assert when_full is not None, "one token is forbidden"
    rules = LengthRules(
        expand,
        commands.delete_token_ids,
        first_len,
        max_len,
        # The authors' budget.
        most_expansions=2 * (max_len + len(request.suffix_token_ids)),
        when_full=when_full,
        pad_delete_to_right=bool(decoding.sampling.pad_delete_to_right),
    )
    num_listed = request.sampling.logprobs or 0
    return replace(
        decoding,
        block_len=max_len,
        quotas=(1,) * rules.most_steps,
        stop_ids=decoding.stop_ids - set(commands.delete_token_ids),
        num_top=num_listed + len(rules.command_ids) if num_listed else 0,
        constraint=constraint_of(request, model, None, never=()),
        length_rules=rules,
    )


def _refused(name: str) -> InvalidRequest:
    return InvalidRequest(
        f"{name} cannot be combined with an answer that grows and shrinks; number_of_mask 0 keeps "
        "its length",
        field=name,
    )


def _policy(request: Request, model: ModelInfo) -> PolicyName:
    """The policy asked for, else the server's if it only ranks, else that of the authors."""
    params = request.sampling
    for name in NUMBERS:
        if getattr(params, name) is not None:
            raise _refused(name)
    if params.policy is not None:
        if not _only_ranks(params.policy):
            raise InvalidRequest(
                "policy must only rank where an answer grows and shrinks, a mask a step, as "
                f"entropy does; got {params.policy}",
                field="policy",
            )
        return params.policy
    usual = model.default_sampling.policy
    return usual if usual is not None and _only_ranks(usual) else "entropy"


def _only_ranks(policy: PolicyName) -> bool:
    """True if a step fills as many positions as its quota says."""
    return not BY_NAME[policy].numbers and not BY_NAME[policy].by_chance
