"""Weights of 4 bits: near to the whole ones, right, and the same for a row in any company."""

import pytest
import torch
from torch import Tensor

from unmask_kernels.dispatch import Backend
from unmask_kernels.int4 import (
    Int4Weight,
    dequantize_int4,
    int4_product,
    join_int4,
    pack_int4,
    quantize_int4,
    unpack_int4,
)

TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 2e-2}


def weight(num_outputs: int, num_inputs: int, device: torch.device) -> Int4Weight:
    torch.manual_seed(0)
    return quantize_int4((torch.randn(num_outputs, num_inputs) / 8).to(device))


def test_every_integer_survives_packing() -> None:
    values = (torch.arange(3 * 256).view(3, 256) % 16 - 8).to(torch.int8)
    packed = pack_int4(values)
    assert packed.shape == (3, 128)
    assert torch.equal(unpack_int4(packed), values)


@pytest.mark.parametrize("num_inputs", [128, 200, 40])
def test_a_weight_is_no_further_off_than_half_a_step_or_what_clipping_saves(
    num_inputs: int,
) -> None:
    torch.manual_seed(0)
    whole = torch.randn(70, num_inputs) * torch.logspace(-6, 2, 70)[:, None]
    found = quantize_int4(whole)
    meant = dequantize_int4(found, torch.float32)
    assert meant.shape == whole.shape
    unclipped = quantize_unclipped(whole)
    for first in range(0, num_inputs, 128):
        part = slice(first, first + 128)
        error = (meant - whole)[:, part].square().sum(1)
        assert (error <= (unclipped - whole)[:, part].square().sum(1) * 1.0001).all()
    relative = (meant - whole).norm(dim=1) / whole.norm(dim=1)
    assert relative.max() < 0.2
    assert relative.mean() < 0.11


def quantize_unclipped(whole: Tensor) -> Tensor:
    """Each group by the scale with which its largest weight is 7."""
    parts = []
    for group in whole.split(128, 1):
        scale = group.abs().amax(1, keepdim=True) / 7
        parts.append((group / scale).round() * scale)
    return torch.cat(parts, 1)


def test_zeros_stay_zeros() -> None:
    assert not dequantize_int4(quantize_int4(torch.zeros(3, 130)), torch.float32).any()


def test_a_weight_in_another_order_and_two_that_are_joined() -> None:
    device = torch.device("cpu")
    first, second = weight(6, 200, device), weight(5, 200, device)
    order = torch.tensor([5, 0, 3, 1, 2, 4])
    whole = dequantize_int4(first, torch.float32)
    assert torch.equal(dequantize_int4(first.ordered(order), torch.float32), whole[order])
    both = torch.cat((whole, dequantize_int4(second, torch.float32)))
    assert torch.equal(dequantize_int4(join_int4([first, second]), torch.float32), both)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("num_outputs", "num_inputs"), [(70, 128), (130, 1500), (64, 40)])
def test_products_agree_with_float64(
    num_outputs: int, num_inputs: int, dtype: torch.dtype, device: torch.device, backend: Backend
) -> None:
    held = weight(num_outputs, num_inputs, device)
    x = torch.randn(21, num_inputs).to(device, dtype)
    expected = x.double() @ dequantize_int4(held, torch.float64).T
    found = int4_product(x, held)
    assert found.dtype == dtype
    assert (found.double() - expected).abs().max() < TOLERANCE[dtype] * expected.abs().max()


@pytest.mark.parametrize("num_rows", [1, 16, 40, 140])
def test_a_row_has_the_same_bits_in_any_company(
    num_rows: int, device: torch.device, triton_kernels: None
) -> None:
    held = weight(70, 1200, device)
    x = torch.randn(140, 1200).to(device, torch.bfloat16)
    assert torch.equal(int4_product(x[:num_rows], held), int4_product(x, held)[:num_rows])


def test_rows_behind_those_that_count_are_not_read(
    device: torch.device, triton_kernels: None
) -> None:
    held = weight(70, 200, device)
    x = torch.full((20, 200), torch.nan).to(device, torch.bfloat16)
    x[:5] = torch.randn(5, 200)
    assert not int4_product(x[:5], held).isnan().any()


def test_no_rows_give_no_rows(device: torch.device, backend: Backend) -> None:
    assert int4_product(torch.zeros(0, 40).to(device), weight(64, 40, device)).shape == (0, 64)


def test_rows_of_another_width_are_refused(device: torch.device) -> None:
    with pytest.raises(ValueError, match="40 inputs"):
        int4_product(torch.zeros(2, 41).to(device), weight(64, 40, device))
