"""Modulated layers: fused kernels give the rows of the unfused operations."""

import pytest
import torch
from torch import Tensor

from unmask_kernels import dispatch
from unmask_kernels.layers.modulation import enter_layer, leave_layer, next_layer
from unmask_kernels.layers.types import Entered, Modulation

EPS = 1e-5
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def some(count: int, columns: int, dtype: torch.dtype) -> tuple[Modulation, Tensor]:
    tables = (0.5 * torch.randn(2, 3, 3 * columns)).to(dtype)
    norm = (1 + 0.1 * torch.randn(columns)).to(dtype)
    return Modulation(tables, torch.randint(0, 3, (count,))), norm


def moved(modulation: Modulation, device: torch.device) -> Modulation:
    return Modulation(modulation.tables.to(device), modulation.groups.to(device))


def all_of(
    x: Tensor, out: Tensor, modulation: Modulation, norm: Tensor, dtype: torch.dtype
) -> list[Tensor]:
    """Rows that enter two layers, one after the other, and leave them."""
    first = enter_layer(x, modulation, 0, norm, EPS)
    second = next_layer(first, out, modulation, 1, norm, EPS)
    last = leave_layer(second, out, modulation, 1)
    return [*(getattr(e, f) for e in (first, second) for f in ("x", "inner", "normed")), last]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("count", "columns"), [(5, 64), (3, 100), (0, 64)])
def test_kernels_give_the_rows_of_torch(
    dtype: torch.dtype, count: int, columns: int, device: torch.device
) -> None:
    x, out = (torch.randn(count, columns).to(dtype) for _ in range(2))
    modulation, norm = some(count, columns, dtype)
    with dispatch.backend("torch"):
        expected = all_of(x, out, modulation, norm, dtype)
    with dispatch.backend("triton"):
        given = x.to(device), out.to(device), moved(modulation, device), norm.to(device)
        result = all_of(*given, dtype)
    for one, other in zip(result, expected, strict=True):
        tolerance = TOLERANCES[dtype]
        torch.testing.assert_close(one.cpu(), other, rtol=tolerance, atol=tolerance)


def test_a_layer_that_adds_nothing_leaves_its_rows(device: torch.device) -> None:
    x = torch.randn(4, 32, device=device)
    modulation, norm = some(4, 32, torch.float32)
    modulation = moved(modulation, device)
    entered = enter_layer(x, modulation, 0, norm.to(device), EPS)
    torch.testing.assert_close(leave_layer(entered, entered.inner, modulation, 0), x)


def test_tables_of_other_rows_are_refused() -> None:
    modulation, norm = some(4, 32, torch.float32)
    with pytest.raises(ValueError, match="do not fit"):
        enter_layer(torch.zeros(3, 32), modulation, 0, norm, EPS)
    rows = torch.zeros(4, 16)
    with pytest.raises(ValueError, match="do not fit"):
        leave_layer(Entered(rows, rows, rows), rows, modulation, 0)
