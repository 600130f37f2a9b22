"""Gemma's fused norms and sums give the bits of the unfused ones."""

import pytest
import torch
from torch import Tensor

from unmask_kernels import dispatch
from unmask_kernels.layers.ops import rms_norm
from unmask_kernels.layers.sandwich import add_attention, add_feed_forward
from unmask_kernels.quantization.ops import quantize_rows
from unmask_kernels.quantization.types import QuantizedRows

EPS = 1e-6


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def rows(count: int, columns: int, dtype: torch.dtype) -> Tensor:
    return (3 * torch.randn(count, columns)).to(dtype)


# A norm that falls between two numbers is rounded by the order in which squares are summed.
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


def assert_close(one: Tensor | None, other: Tensor | None) -> None:
    if one is None or other is None:
        assert one is other
        return
    tolerance = TOLERANCES[other.dtype]
    torch.testing.assert_close(one.cpu(), other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("count", "columns"), [(3, 64), (2, 100), (0, 64)])
def test_rows_after_attention(
    count: int, columns: int, dtype: torch.dtype, device: torch.device
) -> None:
    x, mixed, weights = (rows(n, columns, dtype) for n in (count, count, 4))
    with dispatch.backend("torch"):
        expected, under = add_attention(x, mixed, weights[0], weights[1:], EPS)
    with dispatch.backend("triton"):
        result, normed = add_attention(
            x.to(device), mixed.to(device), weights[0].to(device), weights[1:].to(device), EPS
        )
    assert_close(result, expected)
    assert len(normed) == 3
    for one, other in zip(normed, under, strict=True):
        assert_close(one, other)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("has_next", [True, False])
@pytest.mark.parametrize("num_factors", [1, 3])
def test_rows_after_their_feed_forward_parts(
    num_factors: int, has_next: bool, dtype: torch.dtype, device: torch.device
) -> None:
    x, dense, mixed, weights = (rows(n, 100, dtype) for n in (3, 3, 3, 4))
    factors = torch.rand(num_factors, 1).to(dtype)
    given = [x, dense, mixed, weights[:3], factors, weights[3] if has_next else None]
    with dispatch.backend("torch"):
        expected = add_feed_forward(*given, EPS)
    with dispatch.backend("triton"):
        result = add_feed_forward(*(None if t is None else t.to(device) for t in given), EPS)
    for one, other in zip(result, expected, strict=True):
        assert_close(one, other)


@pytest.mark.usefixtures("triton_kernels")
def test_kernels_give_the_bits_of_the_kernels_that_they_stand_for(device: torch.device) -> None:
    """In 16 bits, where every intermediate number is rounded."""
    x, dense, mixed, weights = (rows(n, 100, torch.bfloat16).to(device) for n in (5, 5, 5, 5))
    factors = torch.rand(5, 1).to(device, torch.bfloat16)
    out, normed = add_attention(x, mixed, weights[0], weights[1:4], EPS)
    expected = x + rms_norm(mixed, weights[0], EPS)
    assert torch.equal(out, expected)
    for one, weight in zip(normed, weights[1:4], strict=True):
        assert torch.equal(one, rms_norm(expected, weight, EPS))
    out, after = add_feed_forward(x, dense, mixed, weights[:3], factors, weights[3], EPS)
    both = rms_norm(dense, weights[0], EPS) + rms_norm(mixed, weights[1], EPS)
    expected = (x + rms_norm(both, weights[2], EPS)) * factors
    assert torch.equal(out, expected)
    assert after is not None
    assert torch.equal(after, rms_norm(expected, weights[3], EPS))


@pytest.mark.usefixtures("triton_kernels")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_in_e4m3_are_those_that_are_quantized_after_the_norm(
    dtype: torch.dtype, device: torch.device
) -> None:
    x, dense, mixed, weights = (rows(n, 100, dtype).to(device) for n in (5, 5, 5, 5))
    plain = add_attention(x, mixed, weights[0], weights[1:4], EPS)
    out, normed = add_attention(x, mixed, weights[0], weights[1:4], EPS, (True, False, True))
    assert torch.equal(out, plain[0])
    factors = torch.rand(5, 1).to(device, dtype)
    two = (x, dense, mixed, weights[:3], factors, weights[3], EPS)
    last = add_feed_forward(*two)
    result = add_feed_forward(*two, quantized=True)
    assert torch.equal(result[0], last[0])
    pairs = [*zip(normed, plain[1], strict=True), (result[1], last[1])]
    assert [isinstance(own, QuantizedRows) for own, _ in pairs] == [True, False, True, True]
    for own, wide in pairs:
        assert isinstance(wide, Tensor)
        if isinstance(own, QuantizedRows):
            expected = quantize_rows(wide)
            assert own.dtype == expected.dtype == dtype
            assert torch.equal(own.scales, expected.scales)
            assert torch.equal(own.values.view(torch.uint8), expected.values.view(torch.uint8))
        else:
            assert torch.equal(own, wide)


def test_what_does_not_fit_is_refused() -> None:
    x, weights = torch.zeros(4, 8), torch.ones(3, 8)
    with pytest.raises(ValueError, match="do not fit rows"):
        add_attention(x, x[:2], weights[0], weights, EPS)
    with pytest.raises(ValueError, match="a norm"):
        add_attention(x, x, weights[0, :4], weights, EPS)
    with pytest.raises(ValueError, match="2 factors for 4 rows"):
        add_feed_forward(x, x, x, weights, torch.ones(2, 1), None, EPS)
