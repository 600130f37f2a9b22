"""Steps fill a block, as many positions each as the reference implementations fill."""

import pytest
import torch

from unmask.engine.quotas import even_quotas, timed_quotas


@pytest.mark.parametrize(("block_len", "steps"), [(32, 32), (32, 5), (7, 3), (1, 1)])
def test_even_quotas_fill_a_block(block_len: int, steps: int) -> None:
    quotas = even_quotas(block_len, steps)
    assert sum(quotas) == block_len
    assert max(quotas) - min(quotas) <= 1


@pytest.mark.parametrize("num_masked", [1, 7, 64, 256, 1000])
@pytest.mark.parametrize("steps", [1, 3, 16, 64, 100])
def test_timed_quotas_round_as_torch_does(num_masked: int, steps: int) -> None:
    times = torch.linspace(1, 1e-3, steps + 1)
    left, expected = num_masked, []
    for i in range(steps):
        share = torch.tensor(float(left)) * (1 - times[i + 1] / times[i])
        expected.append(left if i == steps - 1 else int(share))
        left -= expected[-1]
    assert timed_quotas(num_masked, steps) == tuple(n for n in expected if n)
    assert sum(timed_quotas(num_masked, steps)) == num_masked
