"""Schedules of checkpoints that denoise blocks of uniform noise, which have no mask token."""

from dataclasses import dataclass

from unmask_kernels.policies.table import PolicyName


@dataclass(frozen=True, slots=True)
class CanvasSchedule:
    """Defaults of a checkpoint that accepts certain positions and renoises the rest.

    Temperatures fall from `t_max` towards `t_min` over at most `steps` steps, which end early once
    the draft was the same for `stability` steps and its mean entropy is below `confidence` (nats).
    """

    steps: int = 48
    entropy_bound: float = 0.1
    t_max: float = 0.8
    t_min: float = 0.4
    stability: int = 1
    confidence: float = 0.005

    @property
    def policy(self) -> PolicyName:
        """The only policy that requests may ask for."""
        return "entropy_bound"


@dataclass(frozen=True, slots=True)
class PosteriorSchedule:
    """Defaults of a checkpoint whose steps follow the posterior of uniform-state diffusion (DUO).

    The share of signal at time t is 1 - (1 - `eps`) t. Times fall from 1 to `eps` along a straight
    line to the power of `rho`, and temperatures from `t_max` to `t_min`. The last of all `steps`
    reads the answer out, at a noise level -log(share) of at least `sigma_floor`. Blocks of up to
    `few_steps` have numbers of their own. Values are those of Liquid AI's decode_configs.
    """

    steps: int = 8
    t_max: float = 0.8
    t_min: float = 0.4
    rho: float = 0.3
    eps: float = 1e-3
    sigma_floor: float = 0.7
    few_steps: int = 4
    few_t_min: float = 0.5
    few_rho: float = 0.2

    @property
    def policy(self) -> PolicyName:
        """The only policy that requests may ask for."""
        return "ancestral"


NoiseSchedule = CanvasSchedule | PosteriorSchedule
