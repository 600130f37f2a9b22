"""Rows that are filled up before a product, so that their number does not matter to any of them."""

import pytest
import torch

from unmask_kernels import rows
from unmask_kernels.gpu.unmasking import SLICE, slice_width


def test_a_gpu_multiplies_numbers_of_rows_that_are_added_up_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rows, "row_unit", lambda device: 128)
    x = torch.randn(5, 3)
    filled = rows.fill_rows(x)
    assert filled.shape == (128, 3)
    assert torch.equal(filled[:5], x)
    assert not filled[5:].any()
    assert len(rows.fill_rows(x[:0])) == 0
    assert len(rows.fill_rows(torch.randn(128, 3))) == 128
    assert len(rows.fill_rows(torch.randn(136, 3))) == 256


def test_few_rows_have_all_their_logits_in_memory_and_many_a_slice() -> None:
    assert slice_width(128, 151_936, torch.bfloat16) == 151_936
    assert slice_width(2048, 151_936, torch.bfloat16) == SLICE
    assert slice_width(100_000, 151_936, torch.bfloat16) == SLICE
    width = slice_width(256, 151_936, torch.bfloat16)
    assert width % SLICE == 0
    assert 2 * 256 * width < 50e6, "the L2 cache of an H100"
