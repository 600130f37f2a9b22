"""Weights of 4 bits: unpacked to the numbers that were packed, right products, the same rows."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.dispatch import Backend
from unmask_kernels.linear.ops import make_gated_linear, make_linear
from unmask_kernels.quantization.four_bits import (
    FourBitWeight,
    dequantize_four_bits,
    join_four_bits,
    pack_four_bits,
    quantize_int4,
    unpack_four_bits,
)

# Inputs, outputs and groups: parts of runs, groups within a run's half and of several runs, parts
# that few rows are summed in.
SHAPES = [(160, 40, 5), (256, 96, 2), (64, 70, 1), (1000, 24, 1), (1024, 72, 32), (1024, 16, 4)]
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 4e-3}


def inputs(
    shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device, *, zeros: bool
) -> tuple[Tensor, FourBitWeight]:
    torch.manual_seed(0)
    num_inputs, num_outputs, num_groups = shape
    numbers = torch.randint(0, 16, (num_outputs, num_inputs), device=device)
    scales = torch.rand(num_outputs, num_groups, device=device) / 50
    points = torch.randint(0, 17, scales.shape, device=device) if zeros else None
    rows = torch.randn(70, num_inputs).to(device, dtype)
    return rows, pack_four_bits(numbers, scales, points)


@pytest.mark.parametrize("shape", SHAPES)
def test_numbers_are_unpacked_as_they_were_packed(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    numbers = torch.randint(0, 16, (shape[1], shape[0]), dtype=torch.uint8)
    scales = torch.rand(shape[1], shape[2])
    zeros = torch.randint(0, 17, scales.shape)
    weight = pack_four_bits(numbers, scales, zeros)
    assert torch.equal(unpack_four_bits(weight), numbers)
    spread = [part.repeat_interleave(shape[0] // shape[2], 1) for part in (zeros, scales)]
    expected = (numbers.double() - spread[0]) * spread[1]
    torch.testing.assert_close(
        dequantize_four_bits(weight, torch.float64), expected, rtol=1e-6, atol=0
    )
    assert weight.values.shape == (shape[1], -(-shape[0] // 128) * 64)  # half a byte an input


@pytest.mark.usual_cases(12)
@pytest.mark.parametrize("zeros", [False, True], ids=["symmetric", "zeros"])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", SHAPES)
def test_products_agree_with_float64(
    shape: tuple[int, int, int],
    dtype: torch.dtype,
    zeros: bool,
    device: torch.device,
    backend: Backend,
) -> None:
    x, weight = inputs(shape, dtype, device, zeros=zeros)
    bias = torch.randn(shape[1]).to(device, dtype)
    other = torch.randn(70, shape[1]).to(device, dtype)
    linear = make_linear(weight, bias)
    # Weights are rounded to the type of the rows, as those that are stored in it are.
    exact = x.double() @ dequantize_four_bits(weight, dtype).double().T + bias.double()
    for got, expected in (
        (linear(x), exact),
        (linear.add(x, other.clone()), exact + other.double()),
        (linear.activate(x, "silu"), F.silu(exact)),
    ):
        assert got.dtype == dtype
        assert (got.double() - expected).abs().max() < TOLERANCE[dtype] * expected.abs().max()


@pytest.mark.parametrize("shape", [(160, 40, 5), (256, 24, 2), (1024, 16, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_groups_may_have_inputs_from_all_over_the_weight(
    shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device, backend: Backend
) -> None:
    """Act-order: the weight, and sums, are those of numbers that are widened one by one."""
    num_inputs, num_outputs, num_groups = shape
    torch.manual_seed(0)
    numbers = torch.randint(0, 16, (num_outputs, num_inputs), device=device)
    scales = torch.rand(num_outputs, num_groups, device=device) / 50
    zeros = torch.randint(0, 17, scales.shape, device=device)
    groups = torch.arange(num_inputs, device=device) // (num_inputs // num_groups)
    groups = groups[torch.randperm(num_inputs, device=device)]
    weight = pack_four_bits(numbers, scales, zeros, groups=groups)
    meant = ((numbers - zeros[:, groups]).float() * scales[:, groups]).to(dtype)
    assert torch.equal(dequantize_four_bits(weight, dtype), meant)
    both = join_four_bits((weight, weight.ordered(torch.arange(num_outputs, device=device))))
    x = torch.randn(70, num_inputs, device=device).to(dtype)
    expected = (x.double() @ meant.double().T).repeat(1, 2)
    linear = make_linear(both)
    assert (linear(x).double() - expected).abs().max() < TOLERANCE[dtype] * expected.abs().max()


@pytest.mark.usefixtures("triton_kernels")
def test_inputs_in_another_order_change_no_bit_of_a_product(device: torch.device) -> None:
    torch.manual_seed(0)
    numbers = torch.randint(0, 16, (40, 256), device=device)
    scales, order = torch.rand(40, 2, device=device), torch.randperm(256, device=device)
    x = torch.randn(9, 256, device=device)
    expected = make_linear(pack_four_bits(numbers, scales))(x)
    groups = torch.arange(256, device=device)[order] // 128
    weight = pack_four_bits(numbers[:, order], scales, groups=groups)
    inputs_of_groups = groups.argsort(stable=True)
    by_group = make_linear(pack_four_bits(numbers[:, order][:, inputs_of_groups], scales))
    rows = x[:, order]
    assert torch.equal(make_linear(weight)(rows), by_group(rows[:, inputs_of_groups]))
    torch.testing.assert_close(make_linear(weight)(rows), expected)


@pytest.mark.parametrize("shape", [(160, 40, 5), (256, 24, 2), (1024, 16, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_zero_points_need_not_be_whole_numbers(
    shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device, backend: Backend
) -> None:
    """Weights with a bias for each group, beside others."""
    x, whole = inputs(shape, dtype, device, zeros=True)
    numbers = unpack_four_bits(whole)
    zeros = torch.randn(whole.scales.shape, device=device) * 9
    weight = pack_four_bits(numbers, whole.scales, zeros)
    spread = [part.repeat_interleave(weight.group_inputs, 1) for part in (zeros, weight.scales)]
    meant = ((numbers.float() - spread[0]) * spread[1]).to(dtype)
    assert torch.equal(dequantize_four_bits(weight, dtype), meant)
    both = torch.cat((meant, dequantize_four_bits(whole, dtype)))
    expected = x.double() @ both.double().T
    linear = make_linear(join_four_bits((weight, whole)))
    assert (linear(x).double() - expected).abs().max() < TOLERANCE[dtype] * expected.abs().max()


@pytest.mark.parametrize("shape", [(160, 40, 10), (256, 24, 8), (1024, 16, 64)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_products_with_floats_of_4_bits_are_right(
    shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device, backend: Backend
) -> None:
    """Every code of e2m1, in groups of 16 inputs and more, as of NVFP4 and MXFP4."""
    num_inputs, num_outputs, num_groups = shape
    torch.manual_seed(0)
    codes = torch.randint(0, 16, (num_outputs, num_inputs), device=device)
    scales = torch.rand(num_outputs, num_groups, device=device) / 50
    weight = pack_four_bits(codes, scales, codes="e2m1")
    signs = torch.where(codes < 8, 1.0, -1.0)
    numbers = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6], device=device)[codes % 8] * signs
    meant = (2 * numbers * scales.repeat_interleave(num_inputs // num_groups, 1)).to(dtype)
    assert torch.equal(dequantize_four_bits(weight, dtype), meant)
    x = torch.randn(70, num_inputs, device=device).to(dtype)
    expected = x.double() @ meant.double().T
    error = (make_linear(weight)(x).double() - expected).abs().max()
    assert error < TOLERANCE[dtype] * expected.abs().max()


@pytest.mark.usual_cases(3)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.usefixtures("triton_kernels")
def test_a_row_is_the_same_in_any_company(
    shape: tuple[int, int, int], device: torch.device
) -> None:
    x, weight = inputs(shape, torch.bfloat16, device, zeros=True)
    linear = make_linear(weight)
    whole = linear(x)
    for start, end in [(0, 1), (3, 10), (5, 69), (60, 70)]:
        assert torch.equal(linear(x[start:end]), whole[start:end]), (start, end)
    assert linear(x[:0]).shape == (0, shape[1])


@pytest.mark.usefixtures("triton_kernels")
def test_joined_weights_give_what_each_gives(device: torch.device) -> None:
    """One of them alone has zero points."""
    x, gate = inputs((256, 48, 2), torch.float32, device, zeros=True)
    _, up = inputs((256, 48, 2), torch.float32, device, zeros=False)
    both = make_linear(join_four_bits((gate, up)))(x)
    assert torch.equal(both, torch.cat((make_linear(gate)(x), make_linear(up)(x)), 1))
    gated = make_gated_linear(gate, up)(x)
    torch.testing.assert_close(gated, F.silu(both[:, :48]) * both[:, 48:])


@pytest.mark.usefixtures("triton_kernels")
def test_outputs_may_be_reordered(device: torch.device) -> None:
    x, weight = inputs((160, 40, 5), torch.float32, device, zeros=True)
    order = torch.arange(40, device=device).flip(0)
    assert torch.equal(make_linear(weight.ordered(order))(x), make_linear(weight)(x).flip(1))


def test_groups_that_no_kernel_unpacks_are_refused() -> None:
    numbers = torch.zeros(8, 96)
    for num_groups in (2, 12, 5):  # of 48 and 8 inputs, and of no whole number of them
        with pytest.raises(ValueError, match="have no tiles"):
            pack_four_bits(numbers, torch.ones(8, num_groups))


@pytest.mark.parametrize("num_inputs", [256, 100])
def test_a_weight_is_rounded_with_less_error_than_by_its_largest_number(num_inputs: int) -> None:
    torch.manual_seed(0)
    weight = torch.randn(1100, num_inputs) * torch.logspace(-3, 2, 1100)[:, None]
    weight[7] = 0
    result = quantize_int4(weight)
    assert result.scales.shape == (1100, 2 if num_inputs == 256 else 1)
    rounded = dequantize_four_bits(result, torch.float32)
    assert not rounded[7].any()
    groups = weight.view(1100, result.scales.shape[1], -1)
    scale = groups.abs().amax(2, keepdim=True) / 7.5 + 1e-30
    usual = ((groups / scale).round().clamp(-8, 7) * scale).view_as(weight)
    assert ((rounded - weight).norm(dim=1) <= 1.0001 * (usual - weight).norm(dim=1)).all()
    assert (rounded - weight).norm() < 0.97 * (usual - weight).norm()
    assert (rounded - weight).norm() < 0.12 * weight.norm()
