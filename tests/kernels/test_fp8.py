"""W8A8 products: right, batch-invariant, and the same bits for any configuration."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.device import fp8
from benchmarks.device.fp8_inputs import Shape
from benchmarks.device.fp8_sweep import candidates, sweep
from benchmarks.device.timing import Ceilings
from unmask_kernels.dispatch import Backend, backend
from unmask_kernels.layers.ops import gated_quantized
from unmask_kernels.linear.gpu.fp8 import (
    MAX_GRAIN,
    Tile,
    fp8_product,
    grain_inputs,
    pick_grouped_tile,
    pick_tile,
)
from unmask_kernels.linear.ops import make_gated_linear, make_linear
from unmask_kernels.linear.quantized import row_product
from unmask_kernels.quantization.ops import (
    dequantize,
    dequantize_rows,
    emulated_w8a8,
    quantize,
    quantize_rows,
    takes_quantized_rows,
)
from unmask_kernels.quantization.types import QuantizedRows, QuantizedWeight

# Rounding of the result and of float32 sums, relative to the largest entry.
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 5e-3}
MATRIX_UNITS = 2e-3  # a GPU's sums of e4m3 products may keep as few as 14 bits
TILES = [
    Tile(64, 32),
    Tile(64, 64, split=True),
    Tile(128, 64, per_sm=1),
    Tile(64, 32, per_sm=2, num_stages=8),
    Tile(128, 128, num_warps=8, split=True),
    Tile(128, 256, num_warps=8, num_stages=1, per_sm=1),  # deeper, some takes too much memory
]
GRAIN = 256


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def poisoned(x: Tensor) -> Tensor:
    """The same rows, with rows of NaN after them in memory."""
    memory = torch.full((len(x) + 9, x.shape[1]), torch.nan, device=x.device).to(x.dtype)
    bits = memory.view(torch.uint8) if x.itemsize == 1 else memory
    bits[: len(x)] = x.view(torch.uint8) if x.itemsize == 1 else x
    return memory[: len(x)]


def inputs(
    num_rows: int,
    num_outputs: int,
    num_inputs: int,
    dtype: torch.dtype,
    device: torch.device,
    *,
    grouped: bool = False,
) -> tuple[QuantizedRows, QuantizedWeight]:
    rows = quantize_rows(torch.randn(num_rows, num_inputs).to(device, dtype), grouped=grouped)
    weight = quantize((torch.randn(num_outputs, num_inputs) / 8).to(device), "fp8")
    if grouped:  # of a kind
        as_rows = quantize_rows(torch.randn(num_outputs, num_inputs).to(device), grouped=True)
        weight = QuantizedWeight(as_rows.values, as_rows.scales)
    rows = QuantizedRows(poisoned(rows.values), rows.scales, dtype)
    return rows, QuantizedWeight(poisoned(weight.values), weight.scales)


def exact(rows: QuantizedRows, weight: QuantizedWeight) -> Tensor:
    return dequantize_rows(rows, torch.float64) @ dequantize(weight, torch.float64).T


def assert_near(found: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    assert found.dtype == dtype
    assert found.shape == expected.shape
    if len(found):
        error = (found.double() - expected).abs().max()
        tolerance = max(TOLERANCE[dtype], MATRIX_UNITS if found.is_cuda else 0)
        assert error < tolerance * expected.abs().max()


@pytest.mark.usual_cases(20)
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(70, 40, 96), (1, 300, 48), (5, 33, 1040), (0, 16, 32)])
def test_products_agree_with_float64(
    shape: tuple[int, int, int],
    dtype: torch.dtype,
    grouped: bool,
    device: torch.device,
    backend: Backend,
) -> None:
    rows, weight = inputs(*shape, dtype, device, grouped=grouped)
    bias = torch.randn(shape[1]).to(device, dtype)
    residual = torch.randn(shape[0], shape[1]).to(device, dtype)
    expected = exact(rows, weight)

    def product(bias: Tensor | None, residual: Tensor | None) -> Tensor:
        return row_product(rows, weight.values, weight.scales, bias=bias, residual=residual)

    assert_near(product(None, None), expected, dtype)
    assert_near(product(bias, None), expected + bias.double(), dtype)
    added = expected + residual.double()
    assert_near(product(None, poisoned(residual)), added, dtype)
    assert_near(product(bias, poisoned(residual)), added + bias.double(), dtype)


@pytest.mark.usual_cases(3)
@pytest.mark.parametrize("tile", TILES, ids=str)
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize(("num_rows", "num_inputs"), [(3, 96), (130, 640), (150, 256)])
def test_no_configuration_changes_a_bit(
    num_rows: int, num_inputs: int, grouped: bool, tile: Tile, device: torch.device
) -> None:
    rows, weight = inputs(num_rows, 140, num_inputs, torch.bfloat16, device, grouped=grouped)
    bias = torch.randn(140).to(device, torch.bfloat16)
    residual = torch.randn(num_rows, 140).to(device, torch.bfloat16)
    with backend("triton"):
        found, usual = (
            fp8_product(
                rows, weight.values, weight.scales, bias, residual.clone(), tile=one, grain=GRAIN
            )
            for one in (tile, TILES[0])
        )
    assert torch.equal(found, usual)
    assert_near(found, exact(rows, weight) + bias.double() + residual.double(), torch.bfloat16)


@pytest.mark.usual_cases(3)
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("tile", [None, *TILES], ids=str)
def test_a_row_alone_is_the_same_among_300(
    tile: Tile | None, grouped: bool, device: torch.device
) -> None:
    rows, weight = inputs(300, 72, 528, torch.bfloat16, device, grouped=grouped)
    grain = None if grouped else GRAIN
    with backend("triton"):
        whole, alone, some = (
            fp8_product(part, weight.values, weight.scales, None, None, tile=tile, grain=grain)
            for part in (rows, rows[257:258], rows[100:190])
        )
    assert torch.equal(alone, whole[257:258])
    assert torch.equal(some, whole[100:190])


@pytest.mark.parametrize("grouped", [False, True])
def test_a_row_is_the_same_in_any_company_in_torch(grouped: bool) -> None:
    cpu = torch.device("cpu")
    rows, weight = inputs(300, 72, 528, torch.bfloat16, cpu, grouped=grouped)
    whole = row_product(rows, weight.values, weight.scales)
    for start, end in [(0, 1), (3, 10), (5, 38), (100, 300)]:
        part = row_product(rows[start:end], weight.values, weight.scales)
        assert torch.equal(part, whole[start:end]), (start, end)


@pytest.mark.parametrize("num_inputs", [16, 4096, 4112, 12_288, 16_400, 18_944, 40_000])
def test_grains_follow_the_weight_s_shape(num_inputs: int) -> None:
    grain = grain_inputs(num_inputs)
    assert grain <= MAX_GRAIN
    assert grain % 256 == 0
    assert -(-num_inputs // grain) == -(-num_inputs // MAX_GRAIN)  # as few as there may be


@pytest.mark.parametrize("chip", [89, 90, 100, 120])
@pytest.mark.parametrize("num_rows", [1, 32, 128, 512, 8192])
def test_a_tile_sums_whole_instructions_in_order(num_rows: int, chip: int) -> None:
    for num_outputs, num_inputs in [(4096, 4096), (4096, 12_288), (24_576, 4096), (512, 256)]:
        usual = pick_tile(num_rows, num_outputs, num_inputs, chip)
        grouped = pick_grouped_tile(num_rows, num_outputs, chip)
        assert grain_inputs(num_inputs) % usual.inputs == 0
        assert grouped.inputs == 128
        for tile in (usual, grouped):
            held = tile.num_stages * (tile.rows + tile.outputs) * tile.inputs
            assert held <= (200 if chip in (90, 100) else 64) * 1024


@pytest.mark.usefixtures("triton_kernels")
def test_layers_quantize_what_they_are_given(device: torch.device) -> None:
    x = torch.randn(20, 64).to(device, torch.bfloat16)
    first, second = (quantize((torch.randn(48, 64) / 8).to(device), "fp8") for _ in range(2))
    bias, residual = (torch.randn(n, 48).to(device, torch.bfloat16) for n in (1, 20))
    linear, gated = make_linear(first, bias[0]), make_gated_linear(first, second)
    rows = quantize_rows(x)
    assert linear.takes_quantized_rows
    assert gated.takes_quantized_rows
    assert torch.equal(linear(x), linear(rows))
    assert torch.equal(linear.add(x, residual.clone()), linear.add(rows, residual.clone()))
    assert torch.equal(gated(x), gated(rows))
    both = torch.cat([make_linear(one)(rows) for one in (first, second)], 1)
    found, expected = gated.quantized(rows, grouped=False), gated_quantized(both, "silu")
    assert torch.equal(found.values.float(), expected.values.float())
    assert torch.equal(found.scales, expected.scales)
    near = F.silu(both[:, :48].double()) * both[:, 48:].double()
    assert_near(gated(rows), near, torch.bfloat16)


def test_weights_are_multiplied_with_rows_in_e4m3_where_the_chip_does(device: torch.device) -> None:
    weight = quantize(torch.randn(32, 64).to(device), "fp8").values
    with backend("triton", chip=90):
        assert takes_quantized_rows(weight)
        assert not takes_quantized_rows(weight[:, :40].contiguous())
        assert not takes_quantized_rows(quantize(torch.randn(32, 64), "int8").values)
    if device.type == "cpu":
        assert not takes_quantized_rows(weight)
        with backend("triton", chip=80):
            assert not takes_quantized_rows(weight)
        with emulated_w8a8():
            assert takes_quantized_rows(weight)


def test_a_product_refuses_rows_and_residuals_that_do_not_fit(device: torch.device) -> None:
    rows, weight = inputs(4, 24, 64, torch.bfloat16, device)
    with pytest.raises(ValueError, match="do not fit a weight"):
        row_product(rows, weight.values[:, :32], weight.scales)
    with pytest.raises(ValueError, match="scales"):
        row_product(rows, weight.values, weight.scales[:, None])
    with pytest.raises(ValueError, match="a residual"):
        row_product(rows, weight.values, weight.scales, residual=torch.zeros(4, 23))


@pytest.mark.usefixtures("triton_kernels")
@pytest.mark.parametrize("grouped", [False, True])
def test_a_weight_is_measured_beside_its_floor(grouped: bool, device: torch.device) -> None:
    shape = replace(fp8.TINY, grouped=grouped)
    found = fp8.compare(shape, (70, 3), Ceilings(1e9, 1e9), device)
    assert [row["rows"] for row in found] == [70, 3]
    assert all(row["same_bits"] and row["relative_error"] < 5e-3 for row in found)
    assert all(row["us"] > 0 and row["floor_us"] > 0 for row in found)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("triton_kernels")
def test_a_sweep_times_every_candidate(
    device: torch.device, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = Shape("tiny", 48, 64, True)
    found = sweep(600, device, [tiny], (3, 70, 600))
    assert found["skipped"] == []
    for case in found["cases"]:
        assert len(case["tiles"]) == len(set(candidates(case["rows"], tiny)))
        assert all(row["same_bits"] for row in case["tiles"] if "problem" not in row)
        assert any("problem" not in row for row in case["tiles"])
    assert "BEST" in capsys.readouterr().out


@pytest.mark.parametrize("shape", fp8.SHAPES, ids=lambda shape: shape.name)
@pytest.mark.parametrize("num_rows", fp8.ROWS)
def test_candidates_sum_whole_instructions_in_order(shape: Shape, num_rows: int) -> None:
    tiles = list(candidates(num_rows, shape))
    assert len(set(tiles)) <= 16
    for tile in tiles:
        assert grain_inputs(shape.inputs) % tile.inputs == 0
