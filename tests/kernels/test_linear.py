"""Matrix products: right, and batch-invariant."""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F

from unmask_kernels.dispatch import backend
from unmask_kernels.linear.ops import GatedLinear, make_gated_linear, make_linear
from unmask_kernels.linear.padding import FEWEST_ROWS, pad_to_bucket

SHAPES = [(256, 768), (768, 256), (256, 2048), (704, 256), (96, 40), (1000, 64)]
DTYPES = [torch.float32, torch.bfloat16]
# Relative to the largest entry: the rounding of the dtype, a few times over for cut inputs.
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


@pytest.fixture(autouse=True, params=["auto", "torch"])
def _way(request: pytest.FixtureRequest) -> Iterator[None]:
    """C kernels if there is a compiler, and the other backends."""
    with backend(request.param):
        yield


def gelu(x: torch.Tensor) -> torch.Tensor:
    return F.gelu(x, approximate="tanh")


def inputs(shape: tuple[int, int], dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(300, shape[0]).to(dtype), (torch.randn(shape[1], shape[0]) / 8).to(dtype)


@pytest.mark.usual_cases(8)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_products_agree_with_float64(shape: tuple[int, int], dtype: torch.dtype) -> None:
    x, weight = inputs(shape, dtype)
    other = torch.randn(300, shape[1]).to(dtype)
    linear = make_linear(weight)
    exact = x.double() @ weight.double().T
    for got, expected in (
        (linear(x), exact),
        (linear.add(x, other.clone()), exact + other.double()),
        (GatedLinear(linear, linear)(x), F.silu(exact) * exact),
        (GatedLinear(linear, linear, "gelu_tanh")(x), gelu(exact) * exact),
    ):
        assert (got.double() - expected).abs().max() < TOLERANCE[dtype] * expected.abs().max()


@pytest.mark.usual_cases(8)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_bias_is_added_once(shape: tuple[int, int], dtype: torch.dtype) -> None:
    x, weight = inputs(shape, dtype)
    bias, other = torch.randn(shape[1]).to(dtype), torch.randn(300, shape[1]).to(dtype)
    linear = make_linear(weight, bias)
    exact = x.double() @ weight.double().T + bias.double()
    for got, expected in (
        (linear(x), exact),
        (linear.add(x, other.clone()), exact + other.double()),
        (GatedLinear(linear, linear)(x), F.silu(exact) * exact),
        (GatedLinear(linear, linear, "gelu_tanh")(x), gelu(exact) * exact),
    ):
        assert (got.double() - expected).abs().max() < TOLERANCE[dtype] * expected.abs().max()


@pytest.mark.usual_cases(8)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_is_the_same_in_any_company(shape: tuple[int, int], dtype: torch.dtype) -> None:
    x, weight = inputs(shape, dtype)
    other = torch.randn(300, shape[1]).to(dtype)
    linear = make_linear(weight)

    def every(rows: slice) -> list[torch.Tensor]:
        a, b = x[rows], other[rows]
        added = linear.add(a, b.clone())  # which may be overwritten
        return [
            linear(a),
            added,
            GatedLinear(linear, linear)(a),
            GatedLinear(linear, linear, "gelu_tanh")(a),
        ]

    whole = every(slice(0, 300))
    for start, end in [
        (0, 1),
        (0, 2),
        (6, 10),
        (1, 9),
        (2, 6),
        (3, 10),
        (0, 16),
        (5, 38),
        (0, 64),
        (7, 100),
        (1, 270),
    ]:
        for part, full in zip(every(slice(start, end)), whole, strict=True):
            assert torch.equal(part, full[start:end]), (start, end)


@pytest.mark.parametrize("name", ["torch", "triton"])
@pytest.mark.parametrize("activation", ["silu", "gelu_tanh"])
def test_a_product_gates_another(name: str, activation: str, device: torch.device) -> None:
    torch.manual_seed(0)
    x, gate, up = torch.randn(20, 64), torch.randn(48, 64) / 8, torch.randn(48, 64) / 8
    opened = x.double() @ gate.double().T
    opened = F.silu(opened) if activation == "silu" else gelu(opened)
    with backend(name):
        product = make_gated_linear(gate.to(device), up.to(device), activation)
        result = product(x.to(device))
    expected = opened * (x.double() @ up.double().T)
    torch.testing.assert_close(result.cpu().double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["auto", "torch", "triton"])
@pytest.mark.parametrize("activation", ["silu", "gelu_tanh"])
def test_a_product_is_activated(name: str, activation: str, device: torch.device) -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(20, 64), torch.randn(48, 64) / 8, torch.randn(48)
    exact = x.double() @ weight.double().T + bias.double()
    expected = F.silu(exact) if activation == "silu" else gelu(exact)
    with backend(name):
        result = make_linear(weight.to(device), bias.to(device)).activate(x.to(device), activation)
    torch.testing.assert_close(result.cpu().double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["auto", "torch"])
def test_an_activated_row_is_the_same_in_any_company(name: str) -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(33, 64), torch.randn(48, 64) / 8, torch.randn(48)
    with backend(name):
        linear = make_linear(weight, bias)
        whole = linear.activate(x, "gelu_tanh")
        for start, end in ((0, 1), (3, 20), (32, 33)):
            assert torch.equal(linear.activate(x[start:end], "gelu_tanh"), whole[start:end])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_is_the_same_among_few_and_among_thousands(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(2000, 256).to(dtype), torch.randn(768, 256).to(dtype)
    linear = make_linear(weight)
    whole = linear(x)
    for start, end in [(0, 20), (900, 1411), (17, 1700), (1, 1026)]:
        assert torch.equal(linear(x[start:end]), whole[start:end]), (start, end)


def test_few_numbers_of_rows_need_code() -> None:
    filled = {count: pad_to_bucket(torch.ones(count, 1), FEWEST_ROWS) for count in range(2049)}
    for count, rows in filled.items():
        assert len(rows) >= count == rows.sum()
        assert len(rows) - count < max(4 if count <= 4 else 8, count / 8)
    assert len({len(rows) for rows in filled.values()}) <= 51
