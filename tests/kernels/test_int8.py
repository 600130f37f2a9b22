"""int8 on CPUs with AVX512_VNNI: rows and weights in whole numbers, whose sums are exact."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.support.forward import block_causal, logits_of
from unmask.config import DecodingConfig, ModelConfig
from unmask.models.registry import LoadedModel, load_model
from unmask_kernels.dispatch import backend
from unmask_kernels.linear.int8 import Int8Weight
from unmask_kernels.linear.ops import Linear, make_gated_linear, make_linear
from unmask_kernels.native.compiler import compile_to, find_compiler
from unmask_kernels.native.int8 import SOURCES, VNNI, int8_library
from unmask_kernels.native.library import FLAGS, FORMATS
from unmask_kernels.quantization.ops import quantize
from unmask_kernels.quantization.types import QuantizedWeight

BF16 = torch.bfloat16
SHAPES = [(256, 96), (70, 40), (4100, 33), (2, 1)]  # whole panels and quads, and parts of them
ROWS = [0, 1, 11, 13, 33, 200, 401]

pytestmark = pytest.mark.skipif(int8_library(BF16) is None, reason="no AVX512_VNNI or no compiler")


def inputs(shape: tuple[int, int], num_rows: int) -> tuple[Tensor, QuantizedWeight, Tensor]:
    """Rows of very different sizes, one of zeros."""
    torch.manual_seed(0)
    sizes = torch.logspace(-6, 3, max(num_rows, 1))[:num_rows, None]
    x = (torch.randn(num_rows, shape[0]) * sizes).to(BF16)
    x[1:2] = 0
    return x, quantize(torch.randn(shape[1], shape[0]) / 8, "int8"), torch.randn(shape[1]).to(BF16)


def meant(x: Tensor, weight: QuantizedWeight, bias: Tensor) -> Tensor:
    """Product [M, N] in float64, of rows rounded to 255 numbers around zero."""
    wide = x.float()
    top = wide.abs().amax(1, keepdim=True)
    inverse = torch.where(top > 0, 127 / top, 0.0)
    whole = (wide * inverse + 0.5).floor().double()
    sums = whole @ weight.values.double().T
    return sums * (top / 127).double() * weight.scales.double() + bias.double()


def packed(linear: Linear) -> Int8Weight:
    assert isinstance(linear.packed, Int8Weight)
    return linear.packed


def test_it_compiles_without_a_warning(tmp_path: Path) -> None:
    compiler = find_compiler()
    assert compiler is not None
    flags = *FLAGS, *VNNI, "-Wall", "-Wextra", "-Werror"
    for dtype_flags in FORMATS.values():
        assert compile_to(tmp_path, compiler, (*flags, *dtype_flags), SOURCES).exists()


@pytest.mark.parametrize("num_rows", ROWS)
@pytest.mark.parametrize("shape", SHAPES)
def test_products_are_those_of_rounded_rows(shape: tuple[int, int], num_rows: int) -> None:
    x, weight, bias = inputs(shape, num_rows)
    linear = make_linear(weight, bias, BF16)
    other = torch.randn(num_rows, shape[1]).to(BF16)
    expected = meant(x, weight, bias)
    # A number of a row that is between two whole ones may go to either.
    step = (x.float().abs().amax(1, keepdim=True) / 127) * (weight.scales * 127).max()
    for got, exact in (
        (linear(x), expected),
        (linear.add(x, other.clone()), expected + other.double()),
        (linear.activate(x, "silu"), F.silu(expected)),
        (linear.activate(x, "gelu_tanh"), F.gelu(expected, approximate="tanh")),
    ):
        assert got.shape == (num_rows, shape[1])
        error = (got.double() - exact).abs()
        assert (error <= 2**-8 * exact.abs().amax(1, keepdim=True) + step).all()
    assert packed(linear).product(x).dtype is BF16


@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_is_the_same_in_any_company_and_layout(shape: tuple[int, int]) -> None:
    x, weight, bias = inputs(shape, 401)
    linear = make_linear(weight, bias, BF16)
    whole = linear(x)
    for start, end in [(0, 1), (2, 15), (7, 100), (190, 401)]:
        assert torch.equal(linear(x[start:end]), whole[start:end]), (start, end)
    assert torch.equal(linear(x.T.contiguous().T), whole)
    wider = torch.cat((x, x), 1)
    assert torch.equal(linear(wider[:, : shape[0]]), whole)


@pytest.mark.parametrize("activation", ["silu", "gelu_tanh"])
def test_a_gate_reads_its_rows_once(activation: str) -> None:
    x, gate, _ = inputs((96, 70), 33)
    up = quantize(torch.randn(70, 96) / 8, "int8")
    gated = make_gated_linear(gate, up, activation, BF16)
    assert gated.up is not None
    zero = torch.zeros(70)
    first = meant(x, gate, zero)
    first = F.silu(first) if activation == "silu" else F.gelu(first, approximate="tanh")
    expected = first * meant(x, up, zero)
    assert ((gated(x).double() - expected).norm() / expected.norm()) < 1e-2


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -float("inf")])
def test_a_row_without_a_scale_gives_no_numbers(odd: float) -> None:
    x, weight, bias = inputs((96, 70), 5)
    linear = make_linear(weight, bias, BF16)
    expected = linear(x)
    x[3, 40] = odd
    result = linear(x)
    assert result[3].isnan().all()
    assert torch.equal(result[[0, 1, 2, 4]], expected[[0, 1, 2, 4]])


def test_the_largest_sums_do_not_overflow() -> None:
    """Of 65,536 inputs; more are not served."""
    weight = QuantizedWeight(torch.full((1, 65_536), 127, dtype=torch.int8), torch.ones(1))
    x = torch.ones(2, 65_536, dtype=BF16)
    x[1] = -1
    result = make_linear(weight, None, BF16)(x).float().flatten()
    torch.testing.assert_close(result, torch.tensor([1.0, -1.0]) * 127 * 65_536, rtol=1e-2, atol=0)
    more = QuantizedWeight(torch.zeros(1, 65_540, dtype=torch.int8), torch.ones(1))
    assert make_linear(more, None, BF16).packed is None


def test_rows_that_do_not_fit_are_refused() -> None:
    _, weight, _ = inputs((96, 70), 1)
    linear = make_linear(weight, None, BF16)
    for x in (torch.zeros(3, 95, dtype=BF16), torch.zeros(3, 96)):
        with pytest.raises(ValueError, match=r"not 96 of torch\.bfloat16"):
            linear(x)
    with pytest.raises(ValueError, match="3 rows of 70 do not fit"):
        linear.add(torch.zeros(3, 96, dtype=BF16), torch.zeros(2, 70, dtype=BF16))
    other = make_linear(inputs((96, 71), 1)[1], None, BF16)
    with pytest.raises(ValueError, match="does not gate"):
        packed(linear).gate(torch.zeros(3, 96, dtype=BF16), packed(other), "silu")


def test_other_rows_and_other_weights_stay_weight_only() -> None:
    _, weight, _ = inputs((96, 70), 1)
    assert make_linear(weight).packed is None
    assert make_linear(weight, None, torch.float32).packed is None
    assert make_linear(quantize(torch.randn(70, 96), "fp8"), None, BF16).packed is None
    with backend("torch"):
        assert make_linear(weight, None, BF16).packed is None


def load(folder: Path, quantization: str, dtype: str = "bfloat16") -> LoadedModel:
    config = ModelConfig(path=str(folder), dtype=dtype, quantization=quantization, device="cpu")
    return load_model(config, DecodingConfig())


def test_a_model_in_int8_has_them_and_drifts_by_little(tiny_folder: Path) -> None:
    def logits(loaded: LoadedModel) -> Tensor:
        return logits_of(loaded, torch.arange(40) * 11 % 500, block_causal(40, 4)).float()

    expected = logits(load(tiny_folder, "none", "float32"))
    loaded = load(tiny_folder, "int8")
    layer = loaded.model._layers[0]
    for product in (layer.qkv, layer.out, layer.mlp.gated.gate, layer.mlp.down):
        packed(product)
    drift = (logits(loaded) - expected).norm() / expected.norm()
    rounding = (logits(load(tiny_folder, "none")) - expected).norm() / expected.norm()
    assert rounding < drift < 0.05
