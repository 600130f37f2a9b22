"""Quotas of the steps of a block equal those of the reference implementations."""

from itertools import accumulate

import numpy as np
import pytest
import torch

from unmask.engine.schedule.quotas import (
    chance_quotas,
    even_quotas,
    noise_bounds,
    part_quotas,
    timed_quotas,
    window_quotas,
)


@pytest.mark.parametrize(("block_len", "steps"), [(32, 32), (32, 5), (7, 3), (1, 1)])
def test_even_quotas_fill_a_block(block_len: int, steps: int) -> None:
    quotas = even_quotas(block_len, steps)
    assert sum(quotas) == block_len
    assert max(quotas) - min(quotas) <= 1


@pytest.mark.parametrize("num_masked", [1, 7, 64, 256, 1000])
@pytest.mark.parametrize("steps", [1, 3, 16, 64, 100, 2048])
@pytest.mark.parametrize("eps", [1e-3, 0.0, 0.3])
def test_timed_quotas_round_as_torch_does(num_masked: int, steps: int, eps: float) -> None:
    times = torch.linspace(1, eps, steps + 1)
    left, expected = num_masked, []
    for i in range(steps):
        share = torch.tensor(float(left)) * (1 - times[i + 1] / times[i])
        expected.append(left if i == steps - 1 else int(share))
        left -= expected[-1]
    assert timed_quotas(num_masked, steps, 0, eps) == tuple(n for n in expected if n)
    assert sum(timed_quotas(num_masked, steps, 0, eps)) == num_masked


@pytest.mark.parametrize("steps", [1, 3, 4, 8, 31, 32, 50])
@pytest.mark.parametrize("lengths", [(32,), (8, 8, 8, 8), (7, 8, 8, 8), (12, 12, 8), (1,)])
def test_each_part_of_a_block_is_filled_by_whole_steps(
    lengths: tuple[int, ...], steps: int
) -> None:
    quotas = part_quotas(lengths, steps)
    assert min(quotas) >= 1
    assert len(quotas) <= max(steps, len(lengths))
    assert {*accumulate(lengths)} <= {*accumulate(quotas)}


@pytest.mark.parametrize("steps", [1, 3, 4, 5, 16, 50])
@pytest.mark.parametrize("window_len", [1, 4, 16, 17])
def test_a_window_takes_the_same_share_in_every_step(window_len: int, steps: int) -> None:
    quotas = window_quotas(window_len, steps)
    assert len({*quotas}) == 1
    assert len(quotas) <= steps
    assert sum(quotas) >= window_len


@pytest.mark.parametrize("steps", [1, 2, 7, 64])
@pytest.mark.parametrize("eps", [0.0, 1e-3, 0.3])
def test_gumbel_noise_reaches_its_bound_as_often_as_the_time_falls(steps: int, eps: float) -> None:
    times = torch.linspace(1, eps, steps + 1).double()
    chances = 1 - times[1:] / times[:-1]
    chances[-1] = 1  # MDLM fills what is left at the end
    number = np.arange(steps + 1)  # one more, which was launched before the last result
    bounds = noise_bounds(number, np.full(steps + 1, steps), np.full(steps + 1, eps, np.float32))
    reached = 1 - np.exp(-np.exp(-bounds.astype(np.float64)))
    assert np.abs(reached[:-1] - chances.numpy()).max() < 1e-6
    assert reached[-1] == 1
    assert chance_quotas(8, steps) == (0,) * (steps - 1) + (8,)
