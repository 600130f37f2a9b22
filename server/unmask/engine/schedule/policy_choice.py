"""Policy of a request, with its own numbers and what else only some policies have; no torch."""

from unmask.engine.schedule.chances import LOOP_SHARE, MOST_OF_LOOP
from unmask.engine.schedule.quotas import LAST_TIME
from unmask.errors import InvalidRequest
from unmask.types import ModelInfo, PolicyName, Request, SamplingParams
from unmask_kernels.policies.table import BY_NAME, MAX_NUMBERS, NUMBERS, POLICIES

WITH_THRESHOLD = tuple(policy.name for policy in POLICIES if policy.numbers)

DRAWN_BY = ("confidence", "entropy", "margin")
ANY_CONFIDENCE = -1.0  # an editing threshold that every token is above
BESIDE_MIXING: PolicyName = "threshold"  # for what one that mixes embeddings does not have


def choose_policy(params: SamplingParams, model: ModelInfo, *, has_commands: bool) -> PolicyName:
    """The policy asked for, or the one that its numbers or a number of steps imply.

    Numbers imply the usual policy if that has them all, else the first one that has. Steps imply
    `low_confidence` where the usual policy has a limit; others count by them.
    """
    named = [name for name in NUMBERS if getattr(params, name) is not None]
    usual = model.default_sampling.policy or "threshold"
    if params.policy is None:
        if named:
            for policy in (BY_NAME[usual], *POLICIES):
                if all(policy.takes(name) for name in named):
                    return policy.name
            raise InvalidRequest(
                f"{' and '.join(named)} belong to different policies; choose one", field=named[1]
            )
        policy = BY_NAME[usual]
        has_limit = bool(policy.numbers) and not (policy.by_chance or policy.mixes)
        if params.steps and model.canvas is None and has_limit and not has_commands:
            return "low_confidence"
        return usual
    for name in named:
        if not BY_NAME[params.policy].takes(name):
            raise InvalidRequest(
                f"{name} has no meaning for the policy {params.policy}", field=name
            )
    return params.policy


def names_policy(params: SamplingParams) -> bool:
    """True if a request says by what rule, or in how many steps, its blocks are filled."""
    named = ("policy", "steps", *NUMBERS)
    return any(getattr(params, name) is not None for name in named)


def numbers_of(
    policy: PolicyName, params: SamplingParams, default: SamplingParams
) -> tuple[float, ...]:
    """The policy's numbers: of the request, the server or the checkpoint, else their defaults.

    Zeros for those that it does not have. Numbers of a policy that mixes embeddings mean something
    else to others, which do not take them.
    """
    numbers = [0.0] * MAX_NUMBERS
    if default.policy not in (None, policy) and BY_NAME[default.policy].mixes:
        default = SamplingParams()
    for i, number in enumerate(BY_NAME[policy].numbers):
        given = [getattr(source, number.name) for source in (params, default)]
        numbers[i] = next((float(value) for value in given if value is not None), number.default)
    return tuple(numbers)


def check_order(params: SamplingParams, policy: PolicyName, model: ModelInfo) -> None:
    """Raise `InvalidRequest` for parameters of Dream's loop where they have no meaning."""
    if params.alg_temp and not _draws_positions(policy):
        raise InvalidRequest(
            "alg_temp is for policies that rank by confidence, entropy or margin and have no "
            f"threshold, not for {policy}",
            field="alg_temp",
        )
    if params.eps is not None and (model.schedule != "timed" or policy in WITH_THRESHOLD):
        raise InvalidRequest(
            "eps is for models with Dream's schedule, and policies without a threshold", field="eps"
        )


def last_time_of(eps: float | None, model: ModelInfo) -> float:
    """Time at the end of a block's schedule: zero, or Dream's."""
    if model.schedule != "timed":
        return 0.0
    eps = model.default_sampling.eps if eps is None else eps
    return LAST_TIME if eps is None else eps


def check_trace(
    policy: PolicyName, sampling: SamplingParams, model: ModelInfo, *, drafts: bool
) -> None:
    """Raise `InvalidRequest` where a policy that depends on earlier steps has no meaning.

    `sampling` has every default filled in.
    """
    if not BY_NAME[policy].keeps_trace:
        return
    if drafts or model.attention == "causal_window":
        raise InvalidRequest(
            f"the policy {policy} is for blocks that are denoised in place, not for drafts and "
            "windows",
            field="policy",
        )
    if sampling.cfg_scale:
        raise InvalidRequest(f"cfg_scale is not for the policy {policy}", field="cfg_scale")
    if policy == "credit" and sampling.temperature:
        raise InvalidRequest(
            "the policy credit takes the likeliest tokens, so temperature must be 0, got "
            f"{sampling.temperature}",
            field="temperature",
        )


def check_chance(
    policy: PolicyName, sampling: SamplingParams, model: ModelInfo, *, drafts: bool
) -> None:
    """Raise `InvalidRequest` where a step that may fill nothing has no meaning.

    `sampling` has every default filled in.
    """
    if policy != "ancestral" or model.canvas is not None:
        return
    is_full = model.attention == "full"
    is_exact = is_full and sampling.cache in ("none", "delayed")
    if drafts or not (is_full or model.has_blocks) or (model.has_seed and not is_exact):
        raise InvalidRequest(
            "the policy ancestral is for blocks all of whose positions are filled in place, not "
            "for drafts, windows and a block's first token by a pass of its own",
            field="policy",
        )
    for name, value in (("cache", "block"), ("sub_block_length", sampling.sub_block_length)):
        if value and getattr(sampling, name) == value:
            raise InvalidRequest(f"{name} is not for the policy ancestral", field=name)


def check_remasking(policy: PolicyName, request: Request, model: ModelInfo) -> None:
    """Raise `InvalidRequest` where committed tokens cannot be masked again (ReMDM)."""
    params = request.sampling
    if model.attention != "full":
        raise InvalidRequest(
            f"the policy {policy} is for models whose attention spans the whole sequence",
            field="policy",
        )
    asked = {
        "cache": (params.cache or model.default_sampling.cache or "none") != "none",
        "cfg_scale": bool(params.cfg_scale),
        "template": request.template is not None,
        "grammar": params.grammar is not None,
        "bad_words": bool(params.bad_words),
        "max_thinking_tokens": params.max_thinking_tokens is not None,
        "editing_threshold": params.editing_threshold is not None,
    }
    for name, is_asked in asked.items():
        if is_asked:
            raise InvalidRequest(f"{name} is not for the policy {policy}", field=name)
    eta = model.default_sampling.eta if params.eta is None else params.eta
    if policy == "remdm_loop" and eta is not None and eta > MOST_OF_LOOP:
        raise InvalidRequest(
            f"eta must be at most {MOST_OF_LOOP:.3f} for remdm_loop, which keeps a share of "
            f"{LOOP_SHARE} of tokens, got {eta}",
            field="eta",
        )


def check_mixing(policy: PolicyName, request: Request, model: ModelInfo) -> None:
    """Raise `InvalidRequest` where embeddings cannot be mixed (DMax)."""
    params = request.sampling
    if not model.can_mix:
        raise InvalidRequest(
            f"the policy {policy} is for models that were trained on embeddings mixed with the "
            "mask token's, as DMax",
            field="policy",
        )
    asked = {
        "editing_threshold": params.editing_threshold is not None,
        "sub_block_length": params.sub_block_length is not None,
        "cache": (params.cache or model.default_sampling.cache or "none") != "none",
        "eos_last": bool(params.eos_last),
        "template": request.template is not None,
        "suffix": bool(request.suffix_token_ids),
        "grammar": params.grammar is not None,
        "bad_words": bool(params.bad_words),
        "max_thinking_tokens": params.max_thinking_tokens is not None,
    }
    for name, is_asked in asked.items():
        if is_asked:
            raise InvalidRequest(
                f"{name} is not for the policy {policy}, but for {BESIDE_MIXING}", field=name
            )


def alg_temp_of(policy: PolicyName, params: SamplingParams, default: SamplingParams) -> float:
    """Temperature at which positions are drawn; a default holds where it applies."""
    if not _draws_positions(policy):
        return 0.0
    asked = default.alg_temp if params.alg_temp is None else params.alg_temp
    return asked or 0.0


def _draws_positions(policy: PolicyName) -> bool:
    """True if Dream's loop has the policy, which it may take positions of by chance."""
    return policy not in WITH_THRESHOLD and BY_NAME[policy].ranks_by in DRAWN_BY


def check_distance(params: SamplingParams, policy: PolicyName, model: ModelInfo) -> None:
    """Raise `InvalidRequest` for a penalty of distances where nothing has one."""
    if not params.distance_penalty:
        return
    if model.attention != "causal_window":
        raise InvalidRequest(
            "distance_penalty is for models with a window, as WeDLM", field="distance_penalty"
        )
    if BY_NAME[policy].ranks_by != "entropy":
        raise InvalidRequest(
            f"distance_penalty is for policies that rank by entropy, not for {policy}",
            field="distance_penalty",
        )


def fills_eos_last(policy: PolicyName, params: SamplingParams, model: ModelInfo) -> bool:
    """True if tokens that end the answer are filled last; a default holds where it applies."""
    if BY_NAME[policy].ranks_by != "confidence":
        if params.eos_last:
            raise InvalidRequest(
                f"eos_last is for policies that rank by confidence, not for {policy}",
                field="eos_last",
            )
        return False
    default = bool(model.default_sampling.eos_last)
    wanted = default if params.eos_last is None else params.eos_last
    return wanted and bool(model.eos_token_ids)
