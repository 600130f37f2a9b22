"""Grouped products in Triton: e4m3 by e4m3, and the same bits however they are cut."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels import dispatch
from unmask_kernels.moe.gpu import experts as gpu
from unmask_kernels.moe.gpu.grouped import GROUP, GroupedConfig, Tile, grouped_config
from unmask_kernels.moe.ops import experts
from unmask_kernels.moe.routing import route_softmax
from unmask_kernels.quantization.ops import (
    dequantize,
    dequantize_rows,
    emulated_w8a8,
    quantize,
    quantize_rows,
)
from unmask_kernels.quantization.types import GROUP_INPUTS, QuantizedWeight

FP8 = torch.float8_e4m3fn
ROWS, NUM_EXPERTS, TOP, COLUMNS, INNER = 21, 5, 2, 144, 112  # no multiples of a tile

pytestmark = pytest.mark.usefixtures("triton_kernels")


class Case:
    """Rows, and the 8-bit experts that they are routed to."""

    def __init__(self, device: torch.device, held: str = "fp8", inner: int = INNER) -> None:
        torch.manual_seed(0)
        gate_up = torch.randn(NUM_EXPERTS * 2 * inner, COLUMNS) / COLUMNS**0.5
        back = torch.randn(NUM_EXPERTS * COLUMNS, inner) / inner**0.5
        both, down = quantize(gate_up.to(device), held), quantize(back.to(device), held)
        self.gate_up = both.values.view(NUM_EXPERTS, 2 * inner, COLUMNS)
        self.down = down.values.view(NUM_EXPERTS, COLUMNS, inner)
        self.scales = {
            "gate_up_scales": both.scales.view(NUM_EXPERTS, -1),
            "down_scales": down.scales.view(NUM_EXPERTS, -1),
        }
        self.x = torch.randn(ROWS, COLUMNS).to(device, torch.bfloat16)
        logits = torch.randn(ROWS, NUM_EXPERTS, device=device)
        self.ids, self.topk_weights = route_softmax(logits, TOP, renormalise=True)

    def use_groups(self) -> None:
        """Scales of every 128 inputs of an output instead of all of them."""
        for name, values in (("gate_up_scales", self.gate_up), ("down_scales", self.down)):
            num_groups = -(-values.shape[2] // GROUP_INPUTS)
            factors = torch.rand(*values.shape[:2], num_groups, device=values.device) + 0.5
            self.scales[name] = self.scales[name][:, :, None] * factors

    def run(self, rows: slice = slice(None), **options: object) -> Tensor:
        routed = self.ids[rows], self.topk_weights[rows]
        return experts(self.x[rows], self.gate_up, self.down, *routed, **self.scales, **options)

    def run_as(self, config: GroupedConfig, activation: str = "silu") -> Tensor:
        scales = self.scales["gate_up_scales"], self.scales["down_scales"]
        x = quantize_rows(self.x, grouped=self.scales["gate_up_scales"].ndim > 2)
        weights, routed = (self.gate_up, self.down), (self.ids, self.topk_weights)
        return gpu.experts(x, *weights, *routed, *scales, activation, 90, None, config)

    def exact(self, *, quantized: bool, gelu: bool = False) -> Tensor:
        """Row by row in float64, with activations rounded to 8 bits as the kernels round them."""
        grouped = self.scales["gate_up_scales"].ndim > 2
        with dispatch.backend("torch"):
            rows = quantize_rows(self.x.cpu(), grouped=grouped)
        x = dequantize_rows(rows, torch.float64) if quantized else self.x.cpu().double()
        both = widened(self.gate_up, self.scales["gate_up_scales"])
        down = widened(self.down, self.scales["down_scales"])
        out = torch.zeros(ROWS, COLUMNS, dtype=torch.float64)
        for row in range(ROWS):
            for k, expert in enumerate(self.ids[row].tolist()):
                gate, up = (both[expert] @ x[row]).chunk(2)
                inner = (F.gelu(gate, approximate="tanh") if gelu else F.silu(gate)) * up
                inner = in_groups(inner) if quantized else inner
                out[row] += self.topk_weights[row, k].item() * (down[expert] @ inner)
        return out


def widened(values: Tensor, scales: Tensor) -> Tensor:
    pairs = zip(values.cpu(), scales.cpu(), strict=True)
    return torch.stack([dequantize(QuantizedWeight(*pair), torch.float64) for pair in pairs])


def in_groups(inner: Tensor) -> Tensor:
    """A row [I] rounded to e4m3, with a scale for every group."""
    parts = [quantize_rows(part[None].float()) for part in inner.split(GROUP.value)]
    return torch.cat([dequantize_rows(part, torch.float64)[0] for part in parts])


def difference(result: Tensor, expected: Tensor) -> float:
    return ((result.cpu().double() - expected).norm() / expected.norm()).item()


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize("inner", [INNER, 144])
def test_e4m3_rows_meet_e4m3_weights(
    inner: int, gelu: bool, grouped: bool, device: torch.device
) -> None:
    case = Case(device, inner=inner)
    if grouped:
        case.use_groups()
    result = case.run(activation="gelu_tanh" if gelu else "silu")
    assert result.dtype == torch.bfloat16
    # A float32 sum can fall on the other side of a boundary between two e4m3 numbers.
    assert difference(result, case.exact(quantized=True, gelu=gelu)) < 1e-2
    rounded = difference(result, case.exact(quantized=False, gelu=gelu))
    assert 2e-2 < rounded < 6e-2  # so rows were rounded


@pytest.mark.parametrize("grouped", [False, True])
def test_the_reference_rounds_as_the_kernels_do(grouped: bool, device: torch.device) -> None:
    case = Case(device)
    if grouped:
        case.use_groups()
    with dispatch.backend("torch"), emulated_w8a8():
        assert difference(case.run(), case.exact(quantized=True)) < 1e-2
        rows = quantize_rows(case.x, grouped=grouped)
        given = experts(rows, case.gate_up, case.down, case.ids, case.topk_weights, **case.scales)
        assert torch.equal(given, case.run())


def test_rows_may_be_given_in_e4m3(device: torch.device) -> None:
    case = Case(device)
    given = experts(
        quantize_rows(case.x), case.gate_up, case.down, case.ids, case.topk_weights, **case.scales
    )
    assert given.dtype == torch.bfloat16
    assert torch.equal(given, case.run())


@pytest.mark.parametrize(("held", "chip"), [("int8", 90), ("int8", 80), ("fp8", 80)])
def test_rows_stay_whole_where_there_are_no_such_units(
    held: str, chip: int, device: torch.device
) -> None:
    if device.type == "cuda":
        chip = dispatch.capability(device)
    case = Case(device, held)
    with dispatch.backend("triton", chip=chip):
        result = case.run()
    assert difference(result, case.exact(quantized=held == "fp8" and chip >= 89)) < 1e-2


def configurations() -> list[GroupedConfig]:
    usual = grouped_config(FP8, 90, 1)
    fewer = Tile(64, GROUP.value, num_stages=2)
    return [
        *(grouped_config(FP8, 90, load) for load in (1, 16, 40)),
        replace(usual, rows=128),
        replace(usual, tma=False),
        replace(
            usual,
            gate_up=replace(usual.gate_up, experts_first=not usual.gate_up.experts_first),
            down=replace(usual.down, experts_first=not usual.down.experts_first),
        ),
        replace(usual, gate_up=replace(usual.gate_up, outputs=128), down=fewer),
        replace(usual, rows=64, down=replace(usual.down, outputs=256, num_warps=8)),
    ]


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize(
    ("activation", "grouped"), [("silu", False), ("silu", True), ("gelu_tanh", False)]
)
def test_no_bit_depends_on_how_products_are_cut(
    activation: str, grouped: bool, device: torch.device
) -> None:
    case = Case(device)
    if grouped:
        case.use_groups()
    first, *others = configurations()
    expected = case.run_as(first, activation)
    assert len({first, *others}) == len(others) + 1
    for config in others:
        assert torch.equal(case.run_as(config, activation), expected), config


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("held", ["fp8", "int8"])
def test_rows_are_batch_invariant(held: str, device: torch.device) -> None:
    case = Case(device, held)
    together = case.run()
    for rows in (slice(0, 1), slice(7, 13), slice(20, 21)):
        assert torch.equal(case.run(rows), together[rows])


def test_sums_may_stay_in_the_matrix_units(device: torch.device) -> None:
    case = Case(device)
    config = replace(grouped_config(FP8, 90, 1), promotes=False)
    assert difference(case.run_as(config), case.exact(quantized=True)) < 1e-2


def test_an_expert_of_many_rows_has_several_tiles(device: torch.device) -> None:
    case = Case(device)
    together = case.run()
    case.ids = torch.full_like(case.ids, 3)
    case.ids[0] = torch.tensor([3, 1])
    crowded = case.run_as(replace(grouped_config(FP8, 90, 1), rows=16))
    assert difference(crowded, case.exact(quantized=True)) < 1e-2
    assert not torch.equal(crowded, together)


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("held", ["fp8", "int8"])
def test_what_is_added_is_rounded_once(held: str, device: torch.device) -> None:
    case = Case(device, held)
    residual = torch.randn(ROWS, COLUMNS).to(device, torch.bfloat16)
    wide = case.exact(quantized=held == "fp8") + residual.cpu().double()
    result = case.run(residual=residual.clone())
    assert difference(result, wide) < 1e-2
    columns = torch.empty(ROWS, 2 * COLUMNS, dtype=torch.bfloat16, device=device)[:, :COLUMNS]
    assert torch.equal(case.run(residual=columns.copy_(residual)), result)


def test_no_rows_give_no_rows(device: torch.device) -> None:
    case = Case(device)
    assert case.run(slice(0, 0)).shape == (0, COLUMNS)


def test_rows_of_zeros_and_huge_rows_stay_numbers(device: torch.device) -> None:
    case = Case(device)
    case.x[3] = 0.0
    case.x[4] *= 1e4
    result = case.run()
    assert not result[3].any()
    assert result.isfinite().all()
    assert difference(result, case.exact(quantized=True)) < 1e-2
