"""Routing by block against a loop over rows, in Triton and torch."""

import pytest
import torch
from torch import Tensor

from unmask_kernels import dispatch
from unmask_kernels.moe.routing import number_blocks, route_by_block

BACKENDS = ("torch", "triton")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def numbered(lengths: list[int]) -> Tensor:
    """Block of each row, of blocks of these lengths."""
    return torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths, dtype=torch.int64))


def by_hand(
    logits: Tensor, blocks: Tensor, bias: Tensor, top: int, capacity: int, scale: float
) -> tuple[list[list[int]], list[list[float]]]:
    """Experts of each row, the best first, and their weights, in float64."""
    scores = logits.double().sigmoid()
    choice = (scores + bias.double()).tolist()
    all_ids, all_weights = [], []
    for row, block in enumerate(blocks.tolist()):
        members = [i for i, other in enumerate(blocks.tolist()) if other == block]
        best = [max(choice[i][e] for i in members) for e in range(len(bias))]
        kept = sorted(range(len(bias)), key=lambda e: (-best[e], e))[:capacity]
        ids = sorted(kept, key=lambda e: (-choice[row][e], e))[:top]
        total = sum(scores[row, e].item() for e in ids)
        all_ids.append(ids)
        all_weights.append([scores[row, e].item() / total * scale for e in ids])
    return all_ids, all_weights


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(
    ("lengths", "num_experts", "top", "capacity"),
    [
        ([], 8, 2, 4),
        ([1], 5, 2, 2),
        ([32, 32, 7], 16, 4, 6),
        ([8, 16, 1, 1, 1], 12, 3, 3),
        ([3, 9], 48, 8, 48),  # which keeps every expert
        ([32], 256, 8, 48),
    ],
)
def test_experts_of_a_row_are_among_those_of_its_block(
    lengths: list[int],
    num_experts: int,
    top: int,
    capacity: int,
    name: dispatch.Backend,
    device: torch.device,
) -> None:
    blocks = numbered(lengths)
    logits = torch.randn(len(blocks), num_experts) * 2
    bias = torch.randn(num_experts) / 10
    with dispatch.backend(name):
        ids, weights = route_by_block(
            logits.to(device), blocks.to(device), bias.to(device), top, capacity=capacity, scale=2.5
        )
    expected_ids, expected_weights = by_hand(logits, blocks, bias, top, capacity, 2.5)
    assert ids.dtype == torch.int64
    assert ids.tolist() == expected_ids
    if expected_weights:
        expected = torch.tensor(expected_weights)
        torch.testing.assert_close(weights.cpu(), expected, rtol=1e-5, atol=1e-7)
    for block in range(len(lengths)):
        assert len(ids[blocks == block].unique()) <= capacity


@pytest.mark.parametrize("name", BACKENDS)
def test_of_equal_experts_a_block_keeps_the_first(
    name: dispatch.Backend, device: torch.device
) -> None:
    blocks, zeros = numbered([4, 9]).to(device), torch.zeros(128, device=device)
    with dispatch.backend(name):
        ids, _ = route_by_block(zeros.expand(13, 128), blocks, zeros, 8, capacity=40, scale=1.0)
    assert ids.tolist() == [list(range(8))] * 13


@pytest.mark.parametrize("name", BACKENDS)
def test_a_block_is_routed_alike_in_any_company(
    name: dispatch.Backend, device: torch.device
) -> None:
    lengths = [32, 5, 32, 1, 16]
    blocks, bias = numbered(lengths).to(device), torch.randn(24, device=device) / 10
    logits = torch.randn(len(blocks), 24, device=device)

    def route(rows: slice) -> tuple[Tensor, Tensor]:
        own = blocks[rows] - blocks[rows][0]
        return route_by_block(logits[rows], own, bias, 4, capacity=7, scale=2.5)

    with dispatch.backend(name):
        together = route(slice(0, len(blocks)))
        for start, end in ((0, 32), (32, 37), (32, 69), (69, 70), (37, 86)):
            for own, all_of_them in zip(route(slice(start, end)), together, strict=True):
                assert torch.equal(own, all_of_them[start:end])


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("renormalise", [True, False])
def test_a_bias_chooses_experts_and_weighs_none(
    renormalise: bool, name: dispatch.Backend, device: torch.device
) -> None:
    logits, blocks = torch.zeros(2, 4, device=device), torch.zeros(2, dtype=torch.int64)
    bias = torch.tensor([0.0, 0.1, 10.0, 0.2], device=device)
    with dispatch.backend(name):
        ids, weights = route_by_block(
            logits,
            blocks.to(device),
            bias,
            2,
            capacity=3,
            scale=2.0,
            renormalise=renormalise,
        )
    assert ids.tolist() == [[2, 3]] * 2
    assert weights.tolist() == [[1.0, 1.0]] * 2


@pytest.mark.usefixtures("triton_kernels")
def test_parts_of_logits_are_summed_as_rows_are_routed(device: torch.device) -> None:
    blocks, bias = numbered([9, 4]).to(device), torch.rand(12, device=device)
    parts = torch.randn(3, 13, 12, device=device)
    whole = (parts[0] + parts[1]) + parts[2]
    by_parts = route_by_block(parts, blocks, bias, 3, capacity=5, scale=2.5)
    for result, expected in zip(
        by_parts, route_by_block(whole, blocks, bias, 3, capacity=5, scale=2.5), strict=True
    ):
        assert torch.equal(result, expected)


@pytest.mark.usefixtures("triton_kernels")
def test_of_equal_experts_the_first_are_kept_and_chosen(device: torch.device) -> None:
    blocks, bias = numbered([2, 1]).to(device), torch.zeros(8, device=device)
    logits = torch.zeros(3, 8, device=device)
    logits[0, 6] = logits[2, 7] = 1.0
    ids, _ = route_by_block(logits, blocks, bias, 3, capacity=3, scale=1.0)
    assert ids.tolist() == [[6, 0, 1], [0, 1, 6], [7, 0, 1]]


@pytest.mark.usefixtures("triton_kernels")
def test_rows_that_are_no_numbers_are_sent_to_experts_that_there_are(device: torch.device) -> None:
    blocks, bias = numbered([3]).to(device), torch.zeros(6, device=device)
    logits = torch.zeros(3, 6, device=device)
    logits[1, 2:5] = float("nan")
    ids, _ = route_by_block(logits, blocks, bias, 4, capacity=5, scale=1.0)
    for row in ids.tolist():
        assert len(set(row) & set(range(6))) == 4


def test_what_a_block_cannot_keep_is_refused() -> None:
    logits, blocks, bias = torch.zeros(2, 8), torch.zeros(2, dtype=torch.int64), torch.zeros(8)
    for capacity in (1, 9):
        with pytest.raises(ValueError, match="experts a block"):
            route_by_block(logits, blocks, bias, 2, capacity=capacity, scale=1.0)
    with pytest.raises(ValueError, match="rows have a block"):
        route_by_block(logits, blocks[:1], bias, 2, capacity=4, scale=1.0)


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], []),
        ([(0, 9)], [4, 4, 1]),
        ([(4, 8), (0, 3), (0, 4)], [4, 3, 4]),  # three sequences
        ([(6, 8), (8, 12)], [2, 4]),
        ([(0, 2), (2, 4)], [4]),  # as one sequence would go on
        ([(0, 2), (1, 3)], [2, 2]),
        ([(8, 12), (0, 1), (0, 1), (0, 1)], [4, 1, 1, 1]),  # padding is at position zero
    ],
)
def test_rows_are_numbered_by_position(
    spans: list[tuple[int, int]], expected: list[int], device: torch.device
) -> None:
    positions = torch.cat(
        [torch.zeros(0, dtype=torch.int64), *(torch.arange(*span) for span in spans)]
    )
    assert torch.equal(number_blocks(positions.to(device), 4).cpu(), numbered(expected))
