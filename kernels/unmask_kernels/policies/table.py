"""The table of decoding policies: which masked positions a denoising step fills.

A new policy is a row of `POLICIES` and its name in `PolicyName`, a reference in `ops.py` and its
branch of the kernel in `gpu.py`. Names and aliases of the API, settings, defaults, checks and the
playground follow from the row. A policy with a threshold also has a field of its own name in
`unmask.sampling_params.SamplingParams`. Loads no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

PolicyName = Literal[
    "low_confidence",
    "threshold",
    "factor",
    "entropy_bound",
    "entropy",
    "margin",
    "sequential",
    "entropy_threshold",
]
Statistic = Literal["confidence", "entropy", "margin", "position"]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A policy's own number, given by requests: in [low, high], or above `low` if `open_low`."""

    meaning: str
    default: float
    low: float = 0
    high: float | None = None
    open_low: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """One row; `code` is its index in `POLICIES`, by which arrays and kernels know it.

    `ranks_by` is the statistic that orders the masked positions of a block, and the only one that
    is computed for it. A policy without a threshold fills the quota of each step; one with a
    threshold fills at least that.
    """

    name: PolicyName
    code: int
    ranks_by: Statistic
    meaning: str
    paper: str
    aliases: tuple[str, ...] = ()  # of other projects
    threshold: Threshold | None = None

    @property
    def default_threshold(self) -> float:
        """Threshold where neither request nor checkpoint gives one; 0 for policies without."""
        return 0.0 if self.threshold is None else self.threshold.default


POLICIES: tuple[Policy, ...] = (
    Policy(
        name="low_confidence",
        code=0,
        ranks_by="confidence",
        meaning="The most confident positions.",
        paper="LLaDA (Nie et al., 2025), after MaskGIT (Chang et al., 2022)",
        aliases=("maskgit_plus", "low_confidence_static"),
    ),
    Policy(
        name="threshold",
        code=1,
        ranks_by="confidence",
        meaning="Every position that is confident enough.",
        paper="Fast-dLLM (Wu et al., 2025)",
        aliases=("low_confidence_dynamic", "joint_threshold"),
        threshold=Threshold(
            "Confidence that the policy 'threshold' asks of a token.", default=0.9, high=1
        ),
    ),
    Policy(
        name="factor",
        code=2,
        ranks_by="confidence",
        meaning="The n most confident positions while (n + 1)(1 - confidence) is below a factor.",
        paper="Fast-dLLM (Wu et al., 2025)",
        threshold=Threshold(
            "Factor of the policy 'factor'; larger fills more positions per step.",
            default=1.0,
            open_low=True,
        ),
    ),
    Policy(
        name="entropy_bound",
        code=3,
        ranks_by="entropy",
        meaning="The least uncertain positions while their entropies sum to at most a bound.",
        paper="EB-Sampler (Ben-Hamu et al., 2025)",
        threshold=Threshold(
            "Entropy in nats that the policy 'entropy_bound' spends in a step.", default=0.1
        ),
    ),
    Policy(
        name="entropy",
        code=4,
        ranks_by="entropy",
        meaning="The positions of least entropy.",
        paper="Dream (Ye et al., 2025)",
    ),
    Policy(
        name="margin",
        code=5,
        ranks_by="margin",
        meaning="The positions whose likeliest token is furthest ahead of the second.",
        paper="Dream (Ye et al., 2025)",
        aliases=("topk_margin",),
    ),
    Policy(
        name="sequential",
        code=6,
        ranks_by="position",
        meaning="The first positions, from left to right.",
        paper="SDAR (Cheng et al., 2025)",
    ),
    Policy(
        name="entropy_threshold",
        code=7,
        ranks_by="entropy",
        meaning="Every position whose entropy is low enough.",
        paper="WeDLM (Liu et al., 2025)",
        threshold=Threshold(
            "Entropy in nats below which the policy 'entropy_threshold' fills a position.",
            default=0.4,
        ),
    ),
)
BY_NAME: Mapping[str, Policy] = {policy.name: policy for policy in POLICIES}
CODES: Mapping[str, int] = {policy.name: policy.code for policy in POLICIES}
ALIASES: Mapping[str, PolicyName] = {a: policy.name for policy in POLICIES for a in policy.aliases}
