"""Gumbel noise of the C kernels is that of torch, but for last bits."""

import pytest
import torch
from torch import Tensor

from unmask_kernels import dispatch
from unmask_kernels.philox import gumbel_at, gumbel_noise

pytestmark = pytest.mark.skipif(
    not dispatch.has_native(torch.device("cpu"), torch.float32), reason="there are no C kernels"
)


def keys(num_rows: int) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(num_rows)
    limits = 2**63 - 1, 2**20, 2**10
    seeds, positions, steps = (torch.randint(0, n, (num_rows,), generator=random) for n in limits)
    return seeds, positions, steps


@pytest.mark.parametrize("num_rows", [0, 1, 3])
@pytest.mark.parametrize(("count", "first"), [(1, 0), (64, 0), (65, 4), (8193, 16), (20_000, 8192)])
def test_noise_is_that_of_torch(num_rows: int, count: int, first: int) -> None:
    given = keys(num_rows)
    with dispatch.backend("torch"):
        expected = gumbel_noise(*given, count, first=first)
    torch.testing.assert_close(
        gumbel_noise(*given, count, first=first), expected, rtol=2e-6, atol=2e-6
    )


def test_extreme_words_give_finite_noise() -> None:
    """The highest of sixteen million entries, whose logarithms are near their ends."""
    noise = gumbel_noise(*keys(1), 2**24)
    assert torch.isfinite(noise).all()
    assert noise.max() > 12
    assert noise.min() < -2.5
    assert noise.mean() == pytest.approx(0.5772, abs=2e-3)


def test_a_row_does_not_depend_on_others_or_on_threads() -> None:
    given = keys(5)
    together = gumbel_noise(*given, 9000)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert torch.equal(gumbel_noise(*given, 9000), together)
    finally:
        torch.set_num_threads(before)
    for i in range(5):
        assert torch.equal(gumbel_noise(*(key[i : i + 1] for key in given), 9000)[0], together[i])


def test_keys_may_share_memory_and_entries_may_be_alone() -> None:
    seeds, positions, steps = keys(1)
    shared = seeds.expand(4), positions.expand(4), steps.expand(4)
    noise = gumbel_noise(*shared, 100)
    assert torch.equal(noise[0], noise[3])
    entries = torch.tensor([0, 7, 50, 99])
    assert torch.equal(gumbel_at(*shared, entries), noise[0, entries])


def test_entries_may_lie_apart_in_memory_but_not_be_of_another_type() -> None:
    """A copy that was freed too early would be read as another tensor's memory."""
    entries = torch.arange(2_000_000).view(-1, 2)[:, 0] % 100
    apart = torch.stack((entries, entries), 1)[:, 0]
    key = torch.ones(1, dtype=torch.int64).expand(len(entries))
    assert torch.equal(gumbel_at(key, key, key, apart), gumbel_at(key, key, key, entries))
    with pytest.raises(AssertionError, match="int64"):
        gumbel_at(key, key, key, entries.int())
