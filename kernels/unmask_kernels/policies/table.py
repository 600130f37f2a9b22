"""The table of decoding policies: which masked positions a denoising step fills.

A new policy is a row of `POLICIES` and its name in `PolicyName`, a reference in `ops.py` and its
branch of the kernel in `gpu.py`. Names and aliases of the API, settings, defaults, checks and the
playground follow from the row. Each of a policy's numbers has a field of its name in
`unmask.sampling_params.SamplingParams`; policies may share one. Loads no torch.
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
    "random",
    "hierarchical",
    "local_leap",
    "klass",
    "credit",
    "ancestral",
    "remdm_cap",
    "remdm_rescale",
    "remdm_loop",
    "remdm_conf",
    "dmax",
]
Statistic = Literal["confidence", "entropy", "margin", "position", "noise", "stability", "credit"]
MAX_NUMBERS = 3


@dataclass(frozen=True, slots=True)
class Number:
    """A number of a policy, given by requests: in [low, high], or above `low` if `open_low`."""

    name: str
    meaning: str
    default: float
    low: float = 0
    high: float | None = None
    open_low: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """One row; `code` is its index in `POLICIES`, by which arrays and kernels know it.

    `ranks_by` is the statistic that orders the masked positions of a block, and the only one that
    is computed for it. A policy without numbers fills the quota of each step; one with some fills
    at least that, and so do those of chance. The first number is the policy's threshold.
    """

    name: PolicyName
    code: int
    ranks_by: Statistic
    meaning: str
    paper: str
    aliases: tuple[str, ...] = ()  # of other projects
    numbers: tuple[Number, ...] = ()
    is_rare: bool = False  # True if no CUDA graph has it
    keeps_trace: bool = False  # True if a step depends on those of the block before it
    by_chance: bool = False  # True if a step may fill any number of positions, or none
    remasks: bool = False  # True if a step masks committed tokens again
    mixes: bool = False  # True if committed tokens are predicted anew, and mixed with the mask
    may_wait: bool = True  # True if a block without a quota may be left as it is

    def takes(self, name: str) -> bool:
        """True if the policy has a number of this name."""
        return any(number.name == name for number in self.numbers)


THRESHOLD = Number(
    "threshold", "Confidence that policies with a threshold ask of a token.", default=0.9, high=1
)


def _eta(default: float) -> tuple[Number]:
    meaning = "Chance that ReMDM's policies mask a committed token again in a step."
    return (Number("eta", meaning, default=default, high=1),)


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
        aliases=("low_confidence_dynamic", "joint_threshold", "confidence_threshold"),
        numbers=(THRESHOLD,),
    ),
    Policy(
        name="factor",
        code=2,
        ranks_by="confidence",
        meaning="The n most confident positions while (n + 1)(1 - confidence) is below a factor.",
        paper="Fast-dLLM (Wu et al., 2025)",
        numbers=(
            Number(
                "factor",
                "Factor of the policy 'factor'; larger fills more positions per step.",
                default=1.0,
                open_low=True,
            ),
        ),
    ),
    Policy(
        name="entropy_bound",
        code=3,
        ranks_by="entropy",
        meaning="The least uncertain positions while their entropies sum to at most a bound.",
        paper="EB-Sampler (Ben-Hamu et al., 2025)",
        numbers=(
            Number(
                "entropy_bound",
                "Entropy in nats that the policy 'entropy_bound' spends in a step.",
                default=0.1,
            ),
        ),
        may_wait=False,
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
        numbers=(
            Number(
                "entropy_threshold",
                "Entropy in nats below which the policy 'entropy_threshold' fills a position.",
                default=0.4,
            ),
        ),
    ),
    Policy(
        name="random",
        code=8,
        ranks_by="noise",
        meaning="Positions chosen at random, by the request's seed.",
        paper="LLaDA (Nie et al., 2025)",
        is_rare=True,
    ),
    Policy(
        name="hierarchical",
        code=9,
        ranks_by="confidence",
        meaning="The most confident position of each run of masked ones, and all confident enough.",
        paper="dInfer (Ma et al., 2025)",
        aliases=("hierarchy",),
        numbers=(
            THRESHOLD,
            Number(
                "low_threshold",
                "Confidence above which 'hierarchical' fills the best position of a run.",
                default=0.4,
                high=1,
            ),
        ),
    ),
    Policy(
        name="local_leap",
        code=10,
        ranks_by="confidence",
        meaning="Positions that are confident enough; near one of these, less is asked.",
        paper="LocalLeap (Kong et al., 2025)",
        aliases=("localleap",),
        numbers=(
            THRESHOLD,
            Number(
                "relaxed_threshold",
                "Confidence that 'local_leap' asks of a token near one that reaches the threshold.",
                default=0.75,
                high=1,
            ),
            Number(
                "radius",
                "Positions on either side of a confident one that 'local_leap' counts as near.",
                default=4,
                high=1024,
            ),
        ),
    ),
    Policy(
        name="klass",
        code=11,
        ranks_by="stability",
        meaning="Positions that are confident enough, and whose probabilities have settled.",
        paper="KLASS (Kim et al., 2025)",
        numbers=(
            THRESHOLD,
            Number(
                "kl_threshold",
                "Divergence in nats from the last step below which 'klass' calls a token stable.",
                default=0.01,
            ),
        ),
        is_rare=True,
        keeps_trace=True,
        may_wait=False,
    ),
    Policy(
        name="credit",
        code=12,
        ranks_by="credit",
        meaning="Positions confident enough, counting how long their token has been the likeliest.",
        paper="dInfer (Ma et al., 2025)",
        numbers=(THRESHOLD,),
        is_rare=True,
        keeps_trace=True,
        may_wait=False,
    ),
    Policy(
        name="ancestral",
        code=13,
        ranks_by="noise",
        meaning="Each position by chance, at the rate at which the step's time falls.",
        paper="MDLM (Sahoo et al., 2024)",
        aliases=("origin", "ddpm"),
        is_rare=True,
        by_chance=True,
        may_wait=False,
    ),
    Policy(
        name="remdm_cap",
        code=14,
        ranks_by="noise",
        meaning="By chance; committed tokens are masked again by a chance of at most eta.",
        paper="ReMDM (Wang et al., 2025)",
        numbers=_eta(0.008),
        is_rare=True,
        by_chance=True,
        remasks=True,
        may_wait=False,
    ),
    Policy(
        name="remdm_rescale",
        code=15,
        ranks_by="noise",
        meaning="By chance; committed tokens are masked again by eta times the largest chance.",
        paper="ReMDM (Wang et al., 2025)",
        numbers=_eta(0.015),
        is_rare=True,
        by_chance=True,
        remasks=True,
        may_wait=False,
    ),
    Policy(
        name="remdm_loop",
        code=16,
        ranks_by="noise",
        meaning="By chance; committed tokens are masked again in a middle part of the steps.",
        paper="ReMDM (Wang et al., 2025)",
        numbers=_eta(0.02),
        is_rare=True,
        by_chance=True,
        remasks=True,
        may_wait=False,
    ),
    Policy(
        name="remdm_conf",
        code=17,
        ranks_by="noise",
        meaning="By chance; tokens that were committed with less confidence are masked more often.",
        paper="ReMDM (Wang et al., 2025)",
        is_rare=True,
        keeps_trace=True,
        by_chance=True,
        remasks=True,
        may_wait=False,
    ),
    Policy(
        name="dmax",
        code=18,
        ranks_by="position",
        meaning="The first positions while they are confident enough; all tokens may be revised.",
        paper="DMax (Chen et al., 2026)",
        aliases=("spd",),
        numbers=(THRESHOLD,),
        mixes=True,
        may_wait=False,
    ),
)
NUMBERS: Mapping[str, Number] = {n.name: n for policy in POLICIES for n in policy.numbers}
BY_NAME: Mapping[str, Policy] = {policy.name: policy for policy in POLICIES}
CODES: Mapping[str, int] = {policy.name: policy.code for policy in POLICIES}
# Policies that fill the best positions by a statistic and no others.
RANKING: Mapping[str, PolicyName] = {
    policy.ranks_by: policy.name
    for policy in reversed(POLICIES)
    if not (policy.numbers or policy.by_chance)
}
ALIASES: Mapping[str, PolicyName] = {a: policy.name for policy in POLICIES for a in policy.aliases}
