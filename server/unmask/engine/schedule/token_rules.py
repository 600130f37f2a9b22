"""Tokens that a request can generate, and the rules by which its blocks are edited."""

from unmask.decoding.checks import WAY_OUT, check_edits
from unmask.decoding.levenshtein import NUM_CANDIDATES, STEPS, EditRules
from unmask.errors import InvalidRequest
from unmask.grammar import goes_on
from unmask.types import ModelInfo, PolicyName, Request, SamplingParams, Template
from unmask_kernels.scoring.request_constraint import NEVER, Constraint, pack_constraint

WITHOUT_MEANING = (
    *("stop", "stop_token_ids", "bad_words", "ignore_eos", "min_tokens", "max_thinking_tokens"),
    "grammar",  # each hole has its own
)
"""Parameters that templates cannot have."""
# Attention with which a masked position sees text behind it.
SEES_AHEAD = ("full", "block_causal", "causal_prefix", "prompt_block")


def edit_rules(
    sampling: SamplingParams,
    policy: PolicyName,
    threshold: float,
    editing_threshold: float | None,
    model: ModelInfo,
) -> EditRules | None:
    """Rules of a request that deletes and inserts tokens, None for one that does not.

    `sampling` has every default filled in. Raises `InvalidRequest`.
    """
    if model.edit_commands is None or editing_threshold is None:
        return None
    check_edits(sampling, policy)
    assert model.mask_token_id is not None, "masked positions hold a mask token"
    return EditRules(
        model.mask_token_id,
        *model.edit_commands,
        threshold=threshold,
        editing_threshold=editing_threshold,
        steps=sampling.steps or STEPS,
        max_post_steps=model.max_post_steps,
    )


def editing_threshold_of(params: SamplingParams, model: ModelInfo) -> float | None:
    """The confidence that replaces a token; None where none is replaced."""
    if not model.can_edit and params.editing_threshold is not None:
        raise InvalidRequest(
            "editing_threshold is for models that were trained to replace tokens, as LLaDA2.1",
            field="editing_threshold",
        )
    if params.editing_threshold is not None:
        return params.editing_threshold
    return model.default_sampling.editing_threshold if model.can_edit else None


def check_thinking(
    params: SamplingParams, model: ModelInfo, editing_threshold: float | None
) -> None:
    """Raise `InvalidRequest` for a budget that this model cannot keep."""
    if params.max_thinking_tokens is None:
        return
    reason = None
    if model.end_think_token_id is None:
        reason = "is for models with a token </think>"
    elif model.canvas is not None:
        reason = "is for models that fill mask tokens"
    elif editing_threshold is not None:
        reason = "needs final tokens, but with an editing_threshold they may be replaced"
    elif (
        model.end_think_token_id in params.stop_token_ids
        and (params.min_tokens or 0) > params.max_thinking_tokens + 1
    ):
        reason = "puts a token of stop_token_ids where min_tokens allows no end"
    if reason is not None:
        raise InvalidRequest(f"max_thinking_tokens {reason}", field="max_thinking_tokens")


def num_top(params: SamplingParams, rules: EditRules | None) -> int:
    """Likeliest tokens that a request needs of each position."""
    asked = params.logprobs or 0
    return asked if rules is None else max(NUM_CANDIDATES, asked + len(rules.command_ids))


def check_holes(template: Template) -> None:
    """Raise `InvalidRequest` for a template without tokens, and for a hole without room."""
    empty = next((i for i, hole in enumerate(template.holes) if hole.end <= hole.start), None)
    if empty is not None or not template.token_ids:
        subject = "a template" if empty is None else f"hole {empty}"
        raise InvalidRequest(f"{subject} must have room for a token", field="template")


def check_given(request: Request, model: ModelInfo, editing_threshold: float | None) -> None:
    """Raise `InvalidRequest` where an answer has no holes, or sees nothing of what follows it."""
    if request.template is not None:
        for name in WITHOUT_MEANING:
            if getattr(request.sampling, name):
                raise InvalidRequest(f"{name} has no meaning for a template", field=name)
    if model.attention == "full":
        return
    field = "template" if request.template is not None else "suffix"
    reason = None
    if model.canvas is not None or (field == "suffix" and model.attention not in SEES_AHEAD):
        reason = "is for models that fill mask tokens and see text behind them"
    elif editing_threshold is not None:
        reason = "is given, but with an editing_threshold all of a block may be replaced"
    if reason is not None and (request.template is not None or request.suffix_token_ids):
        raise InvalidRequest(f"{field} {reason}", field=field)


def check_answer(request: Request, model: ModelInfo) -> None:
    """Raise `InvalidRequest` for a given answer with tokens that are in no text."""
    assert request.sampling.max_tokens == len(request.given_answer), "all of it is read"
    model.check_ids(request.given_answer, "prompt")
    never = {model.mask_token_id, *model.command_ids} - {None}
    found = next((token_id for token_id in request.given_answer if token_id in never), None)
    if found is not None:
        raise InvalidRequest(f"token id {found} is never generated", field="prompt")


def check_structure(params: SamplingParams, model: ModelInfo, rules: EditRules | None) -> None:
    """Raise `InvalidRequest` where answers cannot have a grammar, or bad words."""
    if params.bad_words:
        _check_bad_words(params, model, rules)
    if params.grammar is None:
        return
    reason, field = None, "grammar"
    late_end = next((name for name in ("ignore_eos", "min_tokens") if params.asks_for(name)), None)
    if rules is not None:
        reason = f"structured output is not for answers whose tokens are moved; {WAY_OUT}"
    elif late_end is not None and not goes_on(params.grammar):
        reason, field = f"structured output ends by itself, so {late_end} has no meaning", late_end
    elif late_end is not None and model.canvas is not None:
        reason, field = f"{late_end} with tools is for models that fill mask tokens", late_end
    elif params.max_thinking_tokens is not None:
        reason = "structured output has no budget for thoughts"
    if reason is not None:
        raise InvalidRequest(reason, field=field)


def _check_bad_words(params: SamplingParams, model: ModelInfo, rules: EditRules | None) -> None:
    reason = None
    if model.canvas is not None:
        reason = "are for models that fill mask tokens"
    elif rules is not None:
        reason = f"have no meaning where tokens are deleted and inserted; {WAY_OUT}"
    elif params.max_thinking_tokens is not None:
        reason = "cannot be combined with max_thinking_tokens"
    if reason is not None:
        raise InvalidRequest(f"bad_words {reason}", field="bad_words")


def constraint_of(
    request: Request,
    model: ModelInfo,
    rules: EditRules | None,
    never: tuple[int, ...] | None = None,
) -> Constraint | None:
    """Logit biases and allowed tokens; raises `InvalidRequest` if no token is left.

    A request that does not edit cannot generate commands, but where `never` says what it cannot.
    Where one edits, probabilities are those without the mask token, as in LLaDA2.2's loop. An
    answer with a grammar, or a hole, may end where it says, or nothing could fill the positions
    behind it; with `ignore_eos` it goes on as text.
    """
    params = request.sampling
    allowed, commands = params.allowed_token_ids, model.command_ids if never is None else never
    ends = set[int]()
    if params.grammar is not None and params.ignore_eos:
        ends = set(model.eos_token_ids) - set(params.stop_token_ids)
    model.check_ids(params.stop_token_ids, "stop_token_ids")
    model.check_ids([token_id for token_id, _ in params.logit_bias], "logit_bias")
    model.check_ids(allowed or (), "allowed_token_ids")
    banned = () if request.given_answer else model.banned_ids  # a given one is of prompts too
    if allowed is not None and set(allowed) <= {model.mask_token_id, *commands, *banned, *ends}:
        groups = {"commands": commands, "tokens of prompts": banned, "ends": ends}
        named = ["the mask token", *(name for name, ids in groups.items() if ids)]
        raise InvalidRequest(
            f"allowed_token_ids has {' and '.join(named)} only, which "
            f"{'are' if len(named) > 1 else 'is'} never generated",
            field="allowed_token_ids",
        )
    if allowed is not None and (params.grammar is not None or request.template is not None):
        allowed = (*allowed, *model.eos_token_ids)
    forbidden = commands if rules is None else (rules.mask_token_id,)
    biases = dict(params.logit_bias) | dict.fromkeys((*forbidden, *banned, *ends), NEVER)
    return pack_constraint(biases, allowed, model.vocab_size)
