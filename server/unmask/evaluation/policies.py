"""Every decoding policy at a few settings, and which of them no other setting beats."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from unmask.evaluation.runner import Setting, SettingResult
from unmask.types import AUTO, ModelInfo, PolicyName, SamplingParams
from unmask_kernels.policies.table import BY_NAME, POLICIES

DEFAULT_THRESHOLDS = (0.95, 0.9, 0.7, 0.5)
PROBLEMS_PER_TASK = 20  # if nothing says how many
SHARES = (1, 2, 4, 8)  # positions a step, of policies without numbers
BLOCK_LENGTH = 32  # where neither request nor model has one
# Settings of policies with numbers, from careful to fast.
NUMBERS: Mapping[PolicyName, tuple[dict[str, float], ...]] = {
    "threshold": tuple({"threshold": value} for value in (0.95, 0.9, 0.7, 0.5)),
    "factor": tuple({"factor": value} for value in (0.25, 0.5, 1.0, 2.0)),
    "entropy_bound": tuple({"entropy_bound": value} for value in (0.05, 0.1, 0.5, 1.0)),
    "entropy_threshold": tuple({"entropy_threshold": value} for value in (0.1, 0.4, 0.8, 1.2)),
    "klass": (
        {"threshold": 0.95, "kl_threshold": 0.005},
        {"threshold": 0.9, "kl_threshold": 0.01},
        {"threshold": 0.7, "kl_threshold": 0.01},
        {"threshold": 0.5, "kl_threshold": 0.05},
    ),
    "credit": tuple({"threshold": value} for value in (0.95, 0.9, 0.7, 0.5)),
    "hierarchical": (
        {"threshold": 0.95, "low_threshold": 0.8},
        {"threshold": 0.9, "low_threshold": 0.6},
        {"threshold": 0.9, "low_threshold": 0.4},
        {"threshold": 0.7, "low_threshold": 0.3},
    ),
    "local_leap": (
        {"threshold": 0.95, "relaxed_threshold": 0.85},
        {"threshold": 0.9, "relaxed_threshold": 0.75},
        {"threshold": 0.8, "relaxed_threshold": 0.6},
        {"threshold": 0.7, "relaxed_threshold": 0.5},
    ),
    "dmax": tuple({"threshold": value} for value in (0.9, 0.65, 0.5, 0.0)),
    "remdm_cap": tuple({"eta": value} for value in (0.004, 0.008, 0.02, 0.05)),
    "remdm_rescale": tuple({"eta": value} for value in (0.008, 0.015, 0.03, 0.06)),
    "remdm_loop": tuple({"eta": value} for value in (0.01, 0.02, 0.05, 0.1)),
}


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """Result of a policy with the parameters that `given` names."""

    policy: PolicyName
    given: dict[str, Any]
    result: SettingResult
    is_best: bool  # True if no setting is more accurate and has more tokens per forward

    @property
    def label(self) -> str:
        """The parameters as text."""
        return " ".join(f"{name}={value}" for name, value in self.given.items())


def default_settings(base: SamplingParams, model: ModelInfo) -> list[Setting]:
    """Greedy settings of the quality gate: one token per step, the model's own, each threshold.

    Those of policies that the model does not have are left out.
    """
    base = replace(base, temperature=0.0)
    settings = [
        Setting("1 token per step", replace(base, policy="low_confidence")),
        Setting("the model's own", base),
        *(
            Setting(f"threshold {value}", replace(base, policy="threshold", threshold=value))
            for value in DEFAULT_THRESHOLDS
        ),
    ]
    names = (None, *_names(model))
    return [setting for setting in settings if setting.sampling.policy in names]


def policy_settings(
    base: SamplingParams, model: ModelInfo, *, are_held: bool = False
) -> list[Setting]:
    """Settings of the policies that a model has; `base` has everything else, with a seed.

    Where answers `are_held` to schemas or templates, policies that remask or mix are left out.
    """
    base = replace(base, seed=0 if base.seed is None else base.seed)
    if base.temperature is None:
        base = replace(base, temperature=0.0)
    is_loose = {policy.name: policy.remasks or policy.mixes for policy in POLICIES}
    names = [name for name in _names(model) if not (are_held and is_loose[name])]
    given = [(name, fields) for name in names for fields in _fields(name, base, model)]
    return [
        Setting(f"{name} {fields}", replace(base, policy=name, **fields)) for name, fields in given
    ]


def policy_results(
    settings: Sequence[Setting], results: Sequence[SettingResult]
) -> list[PolicyResult]:
    """The results of `policy_settings`, with the best ones marked."""
    found = []
    for setting, result in zip(settings, results, strict=True):
        policy = setting.sampling.policy
        assert policy is not None, "each setting names its policy"
        names = [number.name for number in BY_NAME[policy].numbers] or ["steps"]
        given = {name: getattr(setting.sampling, name) for name in names}
        given = {name: value for name, value in given.items() if value is not None}
        found.append(PolicyResult(policy, given, result, _is_best(result, results)))
    return found


def _names(model: ModelInfo) -> list[PolicyName]:
    """Policies that requests to a model may have."""
    if model.canvas is not None:
        return [model.canvas.policy]
    if model.edit_commands is not None and model.default_sampling.editing_threshold is not None:
        return ["threshold"]
    is_full = model.attention == "full"
    fills_in_place = is_full or (model.has_blocks and not model.has_seed)
    return [
        policy.name
        for policy in POLICIES
        if (is_full or not policy.remasks)
        and (model.can_mix or not policy.mixes)
        and (fills_in_place or not policy.by_chance)
    ]


def _fields(name: PolicyName, base: SamplingParams, model: ModelInfo) -> tuple[dict[str, Any], ...]:
    if name in NUMBERS:
        return NUMBERS[name]
    asked = None if base.block_length == AUTO else base.block_length
    usual = model.block_length or (base.max_tokens if model.attention == "full" else None)
    block_len = asked or usual or BLOCK_LENGTH
    return tuple({"steps": max(1, block_len // share)} for share in SHARES)


def _is_best(result: SettingResult, results: Sequence[SettingResult]) -> bool:
    """True if no other result is at least as good in both and better in one."""
    own = result.accuracy, result.tokens_per_forward
    others = [(other.accuracy, other.tokens_per_forward) for other in results]
    return not any(a >= own[0] and t >= own[1] and (a, t) != own for a, t in others)
