"""Policy of a request, with its own number and what else only some policies have; no torch."""

from unmask.errors import InvalidRequest
from unmask.types import ModelInfo, PolicyName, SamplingParams
from unmask_kernels.policies.table import BY_NAME, POLICIES

WITH_THRESHOLD = tuple(policy.name for policy in POLICIES if policy.threshold is not None)


def choose_policy(params: SamplingParams, model: ModelInfo, *, has_commands: bool) -> PolicyName:
    """The policy asked for, or the one that a limit or a number of steps implies."""
    named = [name for name in WITH_THRESHOLD if getattr(params, name) is not None]
    if params.policy is None:
        if len(named) > 1:
            raise InvalidRequest(
                f"{' and '.join(named)} belong to different policies; choose one", field=named[1]
            )
        if named:
            return named[0]
        if params.steps and model.canvas is None and not has_commands:
            return "low_confidence"
        return model.default_sampling.policy or "threshold"
    for name in named:
        if name != params.policy:
            raise InvalidRequest(
                f"{name} has no meaning for the policy {params.policy}", field=name
            )
    return params.policy


def names_policy(params: SamplingParams) -> bool:
    """True if a request says by what rule, or in how many steps, its blocks are filled."""
    named = ("policy", "steps", *WITH_THRESHOLD)
    return any(getattr(params, name) is not None for name in named)


def threshold_of(policy: PolicyName, params: SamplingParams, default: SamplingParams) -> float:
    """The policy's own number: of the request, the server or the checkpoint, else its default."""
    if policy not in WITH_THRESHOLD:
        return BY_NAME[policy].default_threshold
    for source in (params, default):
        value: float | None = getattr(source, policy)
        if value is not None:
            return value
    return BY_NAME[policy].default_threshold


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
