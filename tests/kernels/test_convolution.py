"""Short convolutions: kernels and torch give a plain convolution's rows, whatever the chunks."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels import dispatch
from unmask_kernels.convolution.ops import centred_convolution, short_convolution

PAGE = 4
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def whole(projected: Tensor, weight: Tensor, bias: Tensor | None, behind: int = 0) -> Tensor:
    """The gated convolution of a sequence [T, 3 C] at once, in float32.

    A row sees so many positions `behind` it.
    """
    before, gate, x = projected.float().chunk(3, -1)
    padding = len(weight) - 1 - behind, behind
    inputs = F.pad((before * x).to(projected.dtype).float().T[None], padding)
    kernel = weight.float().T[:, None]
    biases = None if bias is None else bias.float()
    return gate * F.conv1d(inputs, kernel, biases, groups=len(kernel))[0].T


def slots_of(pages: list[int], positions: Tensor) -> Tensor:
    return torch.tensor(pages)[positions // PAGE] * PAGE + positions % PAGE


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("num_columns", "num_taps"), [(24, 3), (1030, 3), (16, 1), (16, 5)])
@pytest.mark.parametrize("has_bias", [False, True])
def test_rows_of_two_sequences_in_chunks_are_those_of_whole_ones(
    dtype: torch.dtype,
    num_columns: int,
    num_taps: int,
    has_bias: bool,
    backend: dispatch.Backend,
    device: torch.device,
) -> None:
    lengths, pages = (11, 7), ([5, 1, 3], [0, 4])
    sequences = [torch.randn(n, 3 * num_columns).to(dtype) for n in lengths]
    weight = torch.randn(num_taps, num_columns).to(dtype)
    bias = torch.randn(num_columns).to(dtype) if has_bias else None
    # Garbage that a position before the first must not read.
    states = torch.full((6, PAGE, num_columns), torch.nan, dtype=dtype, device=device)
    found: list[list[Tensor]] = [[], []]
    for first, last in ((0, 1), (1, 6), (6, 11)):
        rows, slots, earlier, positions = [], [], [], []
        for sequence, own in zip(sequences, pages, strict=True):
            at = torch.arange(first, min(last, len(sequence)))
            before = (at[:, None] - torch.arange(num_taps - 1, 0, -1)).clamp_min(0)
            rows.append(sequence[at])
            slots.append(slots_of(own, at))
            earlier.append(slots_of(own, before.flatten()).view(before.shape))
            positions.append(at)
        out = short_convolution(
            torch.cat(rows).to(device),
            weight.to(device),
            None if bias is None else bias.to(device),
            states,
            *(torch.cat(part).to(device) for part in (slots, earlier, positions)),
        )
        for parts, part in zip(found, out.cpu().split([len(at) for at in positions]), strict=True):
            parts.append(part)
    for sequence, parts in zip(sequences, found, strict=True):
        expected = whole(sequence, weight, bias)
        torch.testing.assert_close(
            torch.cat(parts).float(), expected, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype]
        )


def test_no_rows_leave_the_states_alone(backend: dispatch.Backend, device: torch.device) -> None:
    states = torch.ones(2, PAGE, 8, device=device)
    none = torch.empty(0, dtype=torch.int64, device=device)
    weight = torch.ones(3, 8, device=device)
    rows = torch.empty(0, 24, device=device)
    out = short_convolution(rows, weight, None, states, none, none.view(0, 2), none)
    assert out.shape == (0, 8)
    assert (states == 1).all()


def test_slots_for_another_kernel_are_refused() -> None:
    rows, states, at = torch.zeros(1, 24), torch.zeros(1, PAGE, 8), torch.zeros(1).long()
    with pytest.raises(ValueError, match="kernel of 3"):
        short_convolution(rows, torch.zeros(3, 8), None, states, at, at[:, None], at)
    with pytest.raises(ValueError, match="7 channels"):
        short_convolution(rows, torch.zeros(2, 7), None, states, at, at[:, None], at)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("num_columns", "num_taps"), [(24, 3), (1030, 3), (16, 1), (16, 5)])
@pytest.mark.parametrize("has_bias", [False, True])
def test_centred_rows_see_both_sides_of_their_own_sequence(
    dtype: torch.dtype,
    num_columns: int,
    num_taps: int,
    has_bias: bool,
    backend: dispatch.Backend,
    device: torch.device,
) -> None:
    lengths = (1, 7, 4, 1, 2)
    sequences = [torch.randn(n, 3 * num_columns).to(dtype) for n in lengths]
    weight = torch.randn(num_taps, num_columns).to(dtype)
    bias = torch.randn(num_columns).to(dtype) if has_bias else None
    positions = torch.cat([torch.arange(n) for n in lengths])
    out = centred_convolution(
        torch.cat(sequences).to(device),
        weight.to(device),
        None if bias is None else bias.to(device),
        positions.to(device),
    )
    for sequence, rows in zip(sequences, out.cpu().split(lengths), strict=True):
        expected = whole(sequence, weight, bias, behind=num_taps // 2)
        torch.testing.assert_close(
            rows.float(), expected, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype]
        )


def test_a_kernel_without_a_middle_is_refused() -> None:
    with pytest.raises(ValueError, match="kernel of 2"):
        centred_convolution(torch.zeros(1, 24), torch.zeros(2, 8), None, torch.zeros(1).long())
