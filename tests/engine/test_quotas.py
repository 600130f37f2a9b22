"""Quotas of the steps of a block equal those of the reference implementations."""

from itertools import accumulate

import pytest
import torch

from unmask.engine.schedule.quotas import even_quotas, part_quotas, timed_quotas, window_quotas


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
