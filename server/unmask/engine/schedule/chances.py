"""Chances by which policies of chance fill masked positions, and mask committed ones again."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from unmask.types import PolicyName

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# ReMDM's loop (Wang et al., 2025): times between which tokens are masked again, and the share of
# tokens meanwhile. kuleshov-group/remdm, scripts/remdm-loop.sh.
LOOP_ON, LOOP_OFF, LOOP_SHARE = 0.55, 0.05, 0.9
MOST_OF_LOOP = (1 - LOOP_SHARE) / LOOP_SHARE  # that keeps the share


@dataclass(frozen=True, slots=True)
class MaskShares:
    """Chances [B] that a position has a mask after a step."""

    masked: FloatArray  # of one that had a mask before it
    committed: FloatArray  # of one that had a token


def mask_shares(
    policy: PolicyName, steps: IntArray, num_steps: IntArray, last_time: FloatArray, eta: FloatArray
) -> MaskShares:
    """Chances in steps [B] of `num_steps`, over which times fall from 1 to `last_time`.

    The last step leaves no mask, nor does one more that was launched before its result. ReMDM is
    `_ddpm_caching_update` of kuleshov-group/remdm (diffusion.py).
    """
    number = np.minimum(steps, num_steps - 1)
    slope = (1.0 - last_time) / num_steps
    time, after = 1.0 - slope * number, 1.0 - slope * (number + 1)
    again = np.zeros_like(time)
    if policy == "remdm_loop":
        stay, again = _loop(time, after, eta)
    elif policy == "remdm_conf":  # tokens share the chance, by their confidence
        stay, again = after / time, _most(time, after)
    elif policy in SHARES:
        again = SHARES[policy](_most(time, after), eta)
        stay = np.maximum(0.0, after - again * (1.0 - time)) / time  # but for rounding
    else:
        stay = after / time
    is_last = number == num_steps - 1
    return MaskShares(np.where(is_last, 0.0, stay), np.where(is_last, 0.0, again))


SHARES: dict[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "remdm_cap": np.minimum,
    "remdm_rescale": np.multiply,
}


def _most(time: FloatArray, after: FloatArray) -> FloatArray:
    """The largest chance that the schedule allows."""
    with np.errstate(divide="ignore", invalid="ignore"):
        # Infinite in the first step, and no number if that is the last one, which has no use of it.
        return np.minimum(1.0, after / (1.0 - time))


def _loop(time: FloatArray, after: FloatArray, eta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Plain steps down to a share of masks, steps that keep it, and plain steps to the end."""
    left = 1.0 - LOOP_SHARE

    def masks(now: FloatArray) -> FloatArray:
        before = 1.0 - (1.0 - now) * LOOP_SHARE / (1.0 - LOOP_ON)
        return np.where(time > LOOP_ON, before, now * left / LOOP_OFF)

    is_plain = (time > LOOP_ON) | (time <= LOOP_OFF)
    stay = np.where(is_plain, masks(after) / masks(time), 1.0 - eta * LOOP_SHARE / left)
    return stay, np.where(is_plain, 0.0, eta)


def noise_bound(share: FloatArray) -> npt.NDArray[np.float32]:
    """Gumbel noise [B] that stays below it with the chance `share` [B]."""
    with np.errstate(divide="ignore"):
        bound: npt.NDArray[np.float32] = (-np.log(-np.log(share))).astype(np.float32)
    return bound
