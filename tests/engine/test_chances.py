"""Chances of policies that fill positions, and mask them again, by chance."""

import numpy as np
import pytest
import torch

from unmask.engine.schedule.chances import MOST_OF_LOOP, mask_shares, noise_bound
from unmask.engine.schedule.quotas import chance_quotas
from unmask.types import PolicyName

REMDM: tuple[PolicyName, ...] = ("remdm_cap", "remdm_rescale", "remdm_loop")


def shares_of(policy: PolicyName, steps: int, eps: float, eta: float) -> tuple[np.ndarray, ...]:
    """Chances of every step, and of one more that was launched before the last result."""
    number = np.arange(steps + 1)
    last_time, eta_of_each = np.full(steps + 1, eps), np.full(steps + 1, eta)
    shares = mask_shares(policy, number, np.full(steps + 1, steps), last_time, eta_of_each)
    return shares.masked, shares.committed


@pytest.mark.parametrize("steps", [1, 2, 7, 64])
@pytest.mark.parametrize("eps", [0.0, 1e-3, 0.3])
def test_positions_are_filled_as_often_as_the_time_falls(steps: int, eps: float) -> None:
    times = torch.linspace(1, eps, steps + 1).double()
    chances = 1 - times[1:] / times[:-1]
    chances[-1] = 1  # the last step fills what is left
    masked, committed = shares_of("ancestral", steps, eps, 0.0)
    assert np.abs(1 - masked[:-1] - chances.numpy()).max() < 1e-6
    assert masked[-1] == 0
    assert not committed.any()
    assert chance_quotas(8, steps) == (0,) * (steps - 1) + (8,)


@pytest.mark.parametrize("share", [0.0, 1e-6, 0.2, 0.5, 0.999, 1.0])
def test_gumbel_noise_stays_below_its_bound_by_the_chance(share: float) -> None:
    bound = float(noise_bound(np.array([share]))[0])
    assert abs(np.exp(-np.exp(-bound)) - share) < 1e-6


@pytest.mark.parametrize("policy", REMDM)
@pytest.mark.parametrize("eta", [0.0, 0.02, MOST_OF_LOOP])
@pytest.mark.parametrize("steps", [2, 40, 1000])
def test_as_many_positions_are_masked_as_the_schedule_says(
    policy: PolicyName, eta: float, steps: int
) -> None:
    """The share of masks after each step is that of plain steps, or of the loop's own schedule."""
    masked, committed = shares_of(policy, steps, 0.0, eta)
    assert ((masked >= -1e-12) & (masked <= 1)).all()
    assert ((committed >= 0) & (committed <= 1)).all()
    left = 1.0
    for i in range(steps):
        left = left * masked[i] + (1 - left) * committed[i]
        after = 1 - (i + 1) / steps
        if i == steps - 1:
            assert left == 0
        elif policy != "remdm_loop":
            assert abs(left - after) < 1e-9
        elif 0.05 < after < 0.55 - 1 / steps:
            # Between the plain steps the share stays what they have left, a tenth or so.
            assert abs(left - 0.1) < 1.2 / steps / 0.45
    assert masked[-1] == committed[-1] == 0


def test_tokens_share_the_chance_to_be_masked_again_and_masks_are_filled_as_by_ancestral() -> None:
    plain, _ = shares_of("ancestral", 30, 0.0, 0.0)
    masked, committed = shares_of("remdm_conf", 30, 0.0, 0.0)
    assert (masked == plain).all()
    assert committed[:15] == pytest.approx(1.0), "more are masked than not"
    assert committed[-1] == 0


def test_without_eta_tokens_stay() -> None:
    plain, _ = shares_of("ancestral", 30, 0.0, 0.0)
    for policy in ("remdm_cap", "remdm_rescale"):
        masked, committed = shares_of(policy, 30, 0.0, 0.0)
        assert np.abs(masked - plain).max() < 1e-12
        assert not committed.any()


@pytest.mark.parametrize("policy", ["remdm_cap", "remdm_rescale", "remdm_loop", "remdm_conf"])
def test_an_only_step_fills_everything(policy: PolicyName) -> None:
    masked, again = shares_of(policy, 1, 0.0, 0.05)
    assert not masked.any()
    assert not again.any()
