"""Activations in e4m3: small errors, and fused kernels like unfused ones."""

import pytest
import torch
from torch import Tensor

from unmask_kernels.dispatch import Backend, backend
from unmask_kernels.layers.ops import (
    Activation,
    gated,
    gated_quantized,
    rms_norm,
    rms_norm_quantized,
)
from unmask_kernels.quantization.ops import dequantize_rows, quantize_rows
from unmask_kernels.quantization.types import QuantizedRows

DTYPES = [torch.float32, torch.bfloat16]
SHAPES = [(5, 256), (3, 96), (1, 1000), (0, 64)]
HALF_STEP = 2**-4  # half the distance between neighbours of e4m3, relative to a number
SMALLEST = 2**-10 / 448  # half of e4m3's smallest number, relative to a row's largest


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def assert_same(result: QuantizedRows, expected: QuantizedRows) -> None:
    assert result.values.dtype == torch.float8_e4m3fn
    assert result.scales.dtype == torch.float32
    assert torch.equal(result.values.view(torch.uint8), expected.values.view(torch.uint8))
    assert torch.equal(result.scales, expected.scales)


def top_of_groups(x: Tensor) -> Tensor:
    """The largest of every 128 numbers of a row, for each of them."""
    parts = [
        part.amax(1, keepdim=True).expand(part.shape) for part in x.double().abs().split(128, 1)
    ]
    return torch.cat(parts, 1)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_is_rounded_to_the_nearest_of_its_scale(
    shape: tuple[int, int],
    dtype: torch.dtype,
    grouped: bool,
    device: torch.device,
    backend: Backend,
) -> None:
    x = (torch.randn(shape) * torch.logspace(-6, 6, len(torch.ones(shape)))[:, None]).to(dtype)
    result = quantize_rows(x.to(device), grouped=grouped)
    error = (dequantize_rows(result, torch.float64).cpu() - x.double()).abs()
    top = top_of_groups(x) if grouped else x.double().abs().amax(1, keepdim=True)
    assert (error <= 1.001 * torch.maximum(x.double().abs() * HALF_STEP, top * SMALLEST)).all()
    assert len(result) == len(x)
    assert result.scales.shape == ((len(x), -(-shape[1] // 128)) if grouped else (len(x),))
    if len(x):
        assert (result.values.float().abs().amax(1) == 448).all()


def test_rows_of_zeros_have_a_scale_of_one(device: torch.device, backend: Backend) -> None:
    result = quantize_rows(torch.zeros(3, 48).to(device))
    assert torch.equal(result.scales.cpu(), torch.ones(3))
    assert not result.values.float().any()


def test_rows_too_small_for_a_scale_become_zero(device: torch.device, backend: Backend) -> None:
    result = quantize_rows(torch.tensor([[1e-44, 3e-45], [2**-117, 0.0]]).to(device))
    assert result.values.float().tolist() == [[0, 0], [448, 0]]
    assert result.scales[0] == 1


def test_rows_may_have_a_stride(device: torch.device, backend: Backend) -> None:
    x = torch.randn(6, 128).to(device)
    assert_same(quantize_rows(x[:, :64]), quantize_rows(x[:, :64].contiguous()))
    assert_same(quantize_rows(x.T), quantize_rows(x.T.contiguous()))
    weight = torch.ones(6, device=device)
    for rows in (x[:, :5].T, x[:, 3:9]):
        whole = rows.contiguous()
        assert_same(rms_norm_quantized(rows, weight, 1e-6), rms_norm_quantized(whole, weight, 1e-6))
        assert_same(gated_quantized(rows, "silu"), gated_quantized(whole, "silu"))


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_kernels_quantize_as_torch_does(
    dtype: torch.dtype, grouped: bool, device: torch.device
) -> None:
    x = torch.randn(9, 200).to(device, dtype)
    x[4] = 0
    with backend("triton"):
        result = quantize_rows(x, grouped=grouped)
    with backend("torch"):
        assert_same(result, quantize_rows(x, grouped=grouped))


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_norm_quantizes_as_both_do_apart(
    shape: tuple[int, int],
    dtype: torch.dtype,
    grouped: bool,
    device: torch.device,
    backend: Backend,
) -> None:
    x, weight = torch.randn(shape).to(device, dtype), torch.randn(shape[1]).to(device, dtype)
    result = rms_norm_quantized(x, weight, 1e-6, grouped=grouped)
    apart = quantize_rows(rms_norm(x, weight, 1e-6), grouped=grouped)
    if device.type == "cuda":  # which sums squares in another order
        both = (dequantize_rows(one, torch.float64) for one in (result, apart))
        torch.testing.assert_close(*both, rtol=2 * HALF_STEP, atol=1e-2)
    else:
        assert_same(result, apart)


@pytest.mark.usual_cases(5)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ["silu", "gelu_tanh"])
@pytest.mark.parametrize("columns", [96, 1000, 16_400])
@pytest.mark.parametrize("grouped", [False, True])
def test_a_gate_quantizes_as_both_do_apart(
    columns: int,
    activation: Activation,
    dtype: torch.dtype,
    grouped: bool,
    device: torch.device,
    backend: Backend,
) -> None:
    both = torch.randn(3, 2 * columns).to(device, dtype)
    both[1] = 0
    result = gated_quantized(both, activation, grouped=grouped)
    assert_same(result, quantize_rows(gated(both, activation), grouped=grouped))


def test_a_row_is_quantized_alike_in_any_company(device: torch.device, backend: Backend) -> None:
    x, weight = torch.randn(40, 96).to(device), torch.randn(96).to(device)

    def every(rows: Tensor) -> list[QuantizedRows]:
        return [quantize_rows(rows), rms_norm_quantized(rows, weight, 1e-6)]

    for part, whole in zip(every(x[7:12]), every(x), strict=True):
        assert_same(part, whole[7:12])
