"""Row padding before products, which makes them batch-invariant."""

import pytest
import torch

from unmask_kernels.dispatch import backend
from unmask_kernels.linear import padding
from unmask_kernels.linear.ops import Linear
from unmask_kernels.linear.padding import pad_rows, row_unit
from unmask_kernels.scoring.gpu.scores import SLICE, slice_width
from unmask_kernels.scoring.ops import score_rows
from unmask_kernels.scoring.types import GuidedRows


def test_a_gpu_multiplies_numbers_of_rows_that_are_added_up_alike() -> None:
    unit = row_unit(torch.device("cuda"))
    assert unit == 128
    x = torch.randn(5, 3)
    padded = pad_rows(x, unit)
    assert padded.shape == (128, 3)
    assert torch.equal(padded[:5], x)
    assert not padded[5:].any()
    assert len(pad_rows(x[:0], unit)) == 0
    assert len(pad_rows(torch.randn(128, 3), unit)) == 128
    assert len(pad_rows(torch.randn(136, 3), unit)) == 256


def test_few_rows_have_all_their_logits_in_memory_and_many_a_slice() -> None:
    assert slice_width(128, 151_936, torch.bfloat16) == 151_936
    assert slice_width(2048, 151_936, torch.bfloat16) == SLICE
    assert slice_width(100_000, 151_936, torch.bfloat16) == SLICE
    width = slice_width(256, 151_936, torch.bfloat16)
    assert width % SLICE == 0
    assert 2 * 256 * width < 50e6, "the L2 cache of an H100"


def test_logits_of_guided_rows_are_of_padded_rows(
    monkeypatch: pytest.MonkeyPatch, device: torch.device
) -> None:
    """Every product with the head is padded, guidance included."""
    monkeypatch.setattr(padding, "row_unit", lambda device: 16)
    counts: list[int] = []
    product = Linear.__call__

    def counted(self: Linear, x: torch.Tensor) -> torch.Tensor:
        counts.append(len(x))
        return product(self, x)

    monkeypatch.setattr(Linear, "__call__", counted)
    hidden = torch.randn(9, 8, device=device)
    some = torch.tensor([1, 4, 5], device=device)
    guided = GuidedRows(some, hidden[some] + 1, torch.ones(3, device=device))
    with backend("triton"):
        head = Linear(torch.randn(40, 8, device=device))
        score_rows(hidden, head, mask_token_id=7, guided=guided)
    assert counts
    assert all(count % 16 == 0 for count in counts)
