"""8-bit weights: small errors, right products, and batch-invariant ones."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.dispatch import Backend
from unmask_kernels.linear.ops import make_gated_linear, make_linear
from unmask_kernels.quantization import types as formats
from unmask_kernels.quantization.ops import (
    dequantize,
    dequantize_rows,
    join,
    quantize,
    quantize_rows,
    widen,
)
from unmask_kernels.quantization.types import QuantizedWeight

SHAPES = [(256, 768), (768, 256), (40, 96), (5000, 64), (64, 1000)]
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
# Relative to the largest entry, as of products with whole weights.
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 4e-3}
# Half the distance between neighbours, relative to the largest weight or to the weight itself.
STEP = {"int8": 0.5 / 127, "fp8": 2**-4}


def inputs(
    shape: tuple[int, int], kind: str, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, QuantizedWeight]:
    torch.manual_seed(0)
    rows = torch.randn(70, shape[0]).to(device, dtype)
    return rows, quantize((torch.randn(shape[1], shape[0]) / 8).to(device), kind)


@pytest.mark.parametrize("kind", formats.DTYPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_weight_is_rounded_to_the_nearest_of_its_output(kind: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    weight = (torch.randn(4100, 80) * torch.logspace(-6, 2, 4100)[:, None]).to(dtype)
    result = quantize(weight, kind)
    error = (dequantize(result, torch.float64) - weight.double()).abs()
    top = weight.double().abs().amax(1, keepdim=True)
    relative_to = top if kind == "int8" else torch.maximum(weight.double().abs(), top / 2**14)
    assert (error <= STEP[kind] * relative_to * 1.001).all()
    assert result.scales.dtype == torch.float32
    assert result.values.element_size() == 1


@pytest.mark.parametrize("kind", formats.DTYPES)
def test_a_weight_of_zeros_stays_one(kind: str) -> None:
    assert not dequantize(quantize(torch.zeros(3, 5), kind), torch.float32).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_number_of_8_bits_is_widened_to_itself(dtype: torch.dtype) -> None:
    every = torch.arange(256, dtype=torch.uint8)
    for kind in formats.DTYPES.values():
        values = every.view(kind)
        numbers = ~values.float().isnan()
        assert torch.equal(widen(values, dtype)[numbers], values.to(dtype)[numbers])


@pytest.mark.usual_cases(2)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", formats.DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_products_agree_with_float64(
    shape: tuple[int, int],
    kind: str,
    dtype: torch.dtype,
    device: torch.device,
    backend: Backend,
) -> None:
    if backend == "triton" and device.type == "cpu" and shape[0] * shape[1] > 200_000:
        pytest.skip("too large for the interpreter")
    x, weight = inputs(shape, kind, dtype, device)
    bias = torch.randn(shape[1]).to(device, dtype)
    other = torch.randn(70, shape[1]).to(device, dtype)
    linear = make_linear(weight, bias)
    seen = x.double()
    if linear.takes_quantized_rows:
        seen = dequantize_rows(quantize_rows(x), torch.float64)
    exact = seen @ dequantize(weight, torch.float64).T + bias.double()
    for got, expected in (
        (linear(x), exact),
        (linear.add(x, other.clone()), exact + other.double()),
    ):
        assert got.dtype == dtype
        on_units = device.type == "cuda" and linear.takes_quantized_rows
        tolerance = max(TOLERANCE[dtype], 2e-3 if on_units else 0)  # which keep 14 bits of sums
        assert (got.double() - expected).abs().max() < tolerance * expected.abs().max()


@pytest.mark.parametrize("kind", formats.DTYPES)
def test_two_joined_weights_give_what_each_gives(kind: str) -> None:
    torch.manual_seed(0)
    gate, up = (quantize(torch.randn(48, 80) / 8, kind) for _ in range(2))
    x = torch.randn(20, 80)
    both = make_linear(join((gate, up)))(x)
    assert torch.equal(both, torch.cat((make_linear(gate)(x), make_linear(up)(x)), 1))
    gated = make_gated_linear(gate, up)(x)
    torch.testing.assert_close(gated, F.silu(both[:, :48]) * both[:, 48:])


@pytest.mark.usual_cases(8)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", formats.DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_is_the_same_in_any_company(
    shape: tuple[int, int], kind: str, dtype: torch.dtype
) -> None:
    _, weight = inputs(shape, kind, dtype, torch.device("cpu"))
    x, other = torch.randn(600, shape[0]).to(dtype), torch.randn(600, shape[1]).to(dtype)
    linear = make_linear(weight)
    whole = linear(x), linear.add(x, other.clone())
    for start, end in [(0, 1), (0, 2), (3, 10), (0, 16), (5, 38), (7, 100), (1, 270), (9, 599)]:
        a, b = x[start:end], other[start:end].clone()
        for part, full in zip((linear(a), linear.add(a, b)), whole, strict=True):
            assert torch.equal(part, full[start:end]), (start, end)


@pytest.mark.parametrize("kind", formats.DTYPES)
@pytest.mark.usefixtures("triton_kernels")
def test_a_kernel_s_row_is_the_same_in_any_company(kind: str, device: torch.device) -> None:
    x, weight = inputs((96, 40), kind, torch.bfloat16, device)
    linear = make_linear(weight)
    whole = linear(x)
    for start, end in [(0, 1), (3, 10), (5, 38), (60, 70)]:
        assert torch.equal(linear(x[start:end]), whole[start:end]), (start, end)
