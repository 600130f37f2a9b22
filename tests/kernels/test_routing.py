"""Routing in Triton against torch, and pairs of rows and experts in tiles of an expert."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from unmask_kernels import dispatch
from unmask_kernels.linear.ops import make_linear
from unmask_kernels.moe import reference
from unmask_kernels.moe.gpu import routing
from unmask_kernels.moe.routing import route_sigmoid, route_softmax, router_logits

DTYPES = (torch.float32, torch.bfloat16)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def distinct(rows: int, num_experts: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Logits of which no two in a row are equal, in bfloat16 either."""
    order = torch.rand(rows, num_experts).argsort(1)
    return ((order - num_experts / 2) / 16).to(device, dtype)


def assert_same(result: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> None:
    (ids, topk_weights), (own_ids, own_shares) = result, expected
    assert ids.dtype == own_ids.dtype == torch.int64
    assert torch.equal(ids, own_ids)
    torch.testing.assert_close(topk_weights, own_shares, rtol=1e-5, atol=1e-7)


@pytest.mark.usefixtures("triton_kernels")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("rows", "num_experts", "inputs"),
    [(1, 5, 36), (19, 70, 100), (33, 8, 64), (3, 9, 1100), (260, 3, 40)],
)
def test_router_logits_are_a_batch_invariant_product(
    rows: int, num_experts: int, inputs: int, dtype: torch.dtype, device: torch.device
) -> None:
    x = torch.randn(rows, inputs).to(device, dtype)
    weight = (torch.randn(num_experts, inputs) / inputs**0.5).to(device, dtype)
    router = make_linear(weight)
    result = router_logits(x, router)
    expected = x.double() @ weight.double().T
    assert result.dtype == torch.float32
    assert (result.double().sum(0) - expected).abs().max() < 2e-6 * expected.abs().max()
    for some in (slice(0, 1), slice(rows // 2, rows)):
        assert torch.equal(router_logits(x[some], router), result[:, some])


@pytest.mark.usefixtures("triton_kernels")
def test_rows_are_scored_in_the_router_s_type(device: torch.device) -> None:
    x = torch.randn(5, 72).to(device, torch.bfloat16)
    weight = torch.randn(9, 72, device=device) / 72**0.5
    result = router_logits(x, make_linear(weight), torch.float32)
    assert result.dtype == torch.float32
    result = result.sum(0)
    expected = x.double() @ weight.double().T
    assert (result.double() - expected).abs().max() < 2e-6 * expected.abs().max()
    with dispatch.backend("torch"):
        router = make_linear(weight.cpu())
        alike = router_logits(x.cpu(), router, torch.float32)
    torch.testing.assert_close(result.cpu(), alike)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("rows", "num_experts", "top", "groups", "top_groups", "renormalise"),
    [
        (0, 8, 2, 1, 1, True),
        (1, 5, 2, 1, 1, True),
        (17, 8, 3, 2, 1, True),
        (3, 8, 2, 8, 3, True),  # groups of one
        (3, 48, 4, 8, 2, True),
        (3, 60, 1, 5, 2, False),
        (1, 128, 16, 2, 1, True),
        (3, 256, 8, 8, 4, True),
    ],
)
def test_experts_by_sigmoid_are_those_of_torch(
    rows: int,
    num_experts: int,
    top: int,
    groups: int,
    top_groups: int,
    renormalise: bool,
    dtype: torch.dtype,
    device: torch.device,
) -> None:
    logits = distinct(rows, num_experts, dtype, device)
    bias = torch.rand(num_experts).to(device) / 10

    def route() -> tuple[Tensor, Tensor]:
        shape = {"groups": groups, "top_groups": top_groups}
        return route_sigmoid(logits, bias, top, **shape, scale=2.5, renormalise=renormalise)

    with dispatch.backend("triton"):
        result = route()
    with dispatch.backend("torch"):
        assert_same(result, route())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("rows", "num_experts", "top", "renormalise", "biased"),
    [
        (0, 8, 2, True, False),
        (1, 5, 5, True, False),
        (17, 8, 2, False, True),
        (3, 48, 4, True, True),
        (3, 128, 8, True, False),
        (1, 256, 16, False, False),
    ],
)
def test_experts_by_softmax_are_those_of_torch(
    rows: int,
    num_experts: int,
    top: int,
    renormalise: bool,
    biased: bool,
    dtype: torch.dtype,
    device: torch.device,
) -> None:
    logits = distinct(rows, num_experts, dtype, device)
    bias = torch.rand(num_experts).to(device) / 10 if biased else None
    with dispatch.backend("triton"):
        result = route_softmax(logits, top, renormalise=renormalise, bias=bias)
    with dispatch.backend("torch"):
        assert_same(result, route_softmax(logits, top, renormalise=renormalise, bias=bias))


@pytest.mark.usefixtures("triton_kernels")
def test_parts_of_logits_are_summed_as_rows_are_routed(device: torch.device) -> None:
    parts = torch.randn(3, 5, 8).to(device)
    bias = torch.rand(8).to(device)
    whole = (parts[0] + parts[1]) + parts[2]

    def both(logits: Tensor) -> list[Tensor]:
        by_sigmoid = route_sigmoid(logits, bias, 3, groups=2, top_groups=1, scale=2.5)
        return [*by_sigmoid, *route_softmax(logits, 3, renormalise=True)]

    for result, expected in zip(both(parts), both(whole), strict=True):
        assert torch.equal(result, expected)


@pytest.mark.parametrize("name", ["torch", "triton"])
def test_of_equal_experts_and_groups_the_first_are_chosen(
    name: dispatch.Backend, device: torch.device
) -> None:
    logits, bias = torch.zeros(2, 12, device=device), torch.zeros(12, device=device)
    logits[0, ::2] = -0.0
    logits[1, [7, 9, 10]] = 1.0
    many = torch.full((1, 256), 20.0, device=device)  # whose sigmoids are all 1
    many[:, 100:] += torch.rand(156, device=device)
    with dispatch.backend(name):
        ids, topk_weights = route_softmax(logits, 4, renormalise=True)
        by_group, _ = route_sigmoid(logits, bias, 4, groups=3, top_groups=2, scale=1.0)
        of_many, _ = route_sigmoid(
            many, torch.zeros(256, device=device), 8, groups=8, top_groups=4, scale=1.0
        )
    assert ids.tolist() == [[0, 1, 2, 3], [7, 9, 10, 0]]
    assert topk_weights[0].tolist() == pytest.approx([0.25] * 4)
    assert by_group.tolist() == [[0, 1, 2, 3], [7, 9, 10, 4]]
    assert of_many.tolist() == [list(range(8))]


def test_experts_of_weights_that_round_alike_are_ranked_by_their_logits(
    device: torch.device,
) -> None:
    logits = torch.tensor([[-200.0, 0.0, -150.0, -300.0]], device=device)
    for name in ("torch", "triton"):
        with dispatch.backend(name):
            ids, _ = route_softmax(logits, 3, renormalise=True)
        assert ids.tolist() == [[1, 2, 0]]


@pytest.mark.parametrize("name", ["torch", "triton"])
def test_a_row_that_is_no_number_is_sent_to_experts_that_there_are(
    name: dispatch.Backend, device: torch.device
) -> None:
    logits, bias = torch.zeros(1, 6, device=device), torch.zeros(6, device=device)
    logits[0, 2:5] = float("nan")
    with dispatch.backend(name):
        routed = (
            route_softmax(logits, 4, renormalise=True),
            route_sigmoid(logits, bias, 4, groups=2, top_groups=1, scale=1.0),
        )
    for ids, _ in routed:
        assert len(set(ids[0].tolist()) & set(range(6))) == 4


@pytest.mark.usefixtures("triton_kernels")
def test_routing_is_batch_invariant(device: torch.device) -> None:
    logits, bias = torch.randn(9, 48).to(device), torch.randn(48).to(device)

    def route(rows: slice) -> list[Tensor]:
        grouped = route_sigmoid(logits[rows], bias, 4, groups=4, top_groups=2, scale=2.5)
        return [*grouped, *route_softmax(logits[rows], 4, renormalise=True, bias=bias)]

    together = route(slice(0, 9))
    for rows in (slice(0, 1), slice(3, 8)):
        for own, all_of_them in zip(route(rows), together, strict=True):
            assert torch.equal(own, all_of_them[rows])


@pytest.mark.usefixtures("triton_kernels")
def test_logits_may_be_columns_of_something_wider(device: torch.device) -> None:
    wide = torch.randn(3, 12).to(device)
    logits = wide[:, :8]
    result = route_softmax(logits, 2, renormalise=True)
    assert_same(result, route_softmax(logits.contiguous(), 2, renormalise=True))


@pytest.mark.parametrize(
    "align", [reference.align_block_size, routing.align_block_size], ids=["torch", "triton"]
)
@pytest.mark.parametrize("tile", [4, 64])
@pytest.mark.parametrize(
    ("num_experts", "rows"),
    [
        (5, [[2, 0], [2, 1], [2, 0], [2, 3], [2, 3]]),
        (3, [[1]] * 9),
        (3, [[2]]),
        (2, [[0, 1]] * 70),  # more than a program counts
        (48, [[47, 0, 13, 21], [46, 47, 0, 1], [13, 21, 0, 47]]),
        (4, []),
    ],
)
def test_every_pair_is_once_in_a_tile_of_its_expert(
    num_experts: int,
    rows: list[list[int]],
    tile: int,
    align: Callable[[Tensor, int, int], tuple[Tensor, Tensor]],
    device: torch.device,
) -> None:
    ids = torch.tensor(rows, dtype=torch.int64, device=device)
    row_of, expert_of = align(ids, num_experts, tile)
    flat = ids.flatten().tolist()
    tiles = row_of.view(-1, tile).tolist()
    for held, expert in zip(tiles, expert_of.tolist(), strict=True):
        pairs = [pair for pair in held if pair < len(flat)]
        assert held == pairs + [len(flat)] * (tile - len(pairs))
        assert (expert >= 0) == bool(pairs)
        assert all(flat[pair] == expert for pair in pairs)
    placed = sorted(pair for held in tiles for pair in held if pair < len(flat))
    assert placed == list(range(len(flat)))
    # What an expert's weights are read for: no more tiles than its pairs fill.
    needed = {expert: -(-flat.count(expert) // tile) for expert in set(flat)}
    used = [expert for expert in expert_of.tolist() if expert >= 0]
    assert {expert: used.count(expert) for expert in used} == needed


@pytest.mark.parametrize("top", [1, 3])
def test_topk_weights_are_multiplied_by_their_experts_scales(
    top: int, device: torch.device, triton_kernels: None
) -> None:
    logits, scales = torch.randn(9, 20, device=device), torch.rand(20, device=device)
    ids, topk_weights = route_softmax(logits, top, renormalise=True)
    result = route_softmax(logits, top, renormalise=True, scales=scales)
    assert torch.equal(result[0], ids)
    assert torch.equal(result[1], topk_weights * scales[ids])
    with dispatch.backend("torch"):
        assert_same(result, route_softmax(logits, top, renormalise=True, scales=scales))
