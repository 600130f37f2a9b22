"""Packed experts: right, and batch-invariant."""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.dispatch import backend
from unmask_kernels.linear.ops import uses_onednn
from unmask_kernels.moe import ops as experts_module
from unmask_kernels.moe.ops import Experts, experts, gather_experts, make_experts
from unmask_kernels.moe.routing import route_sigmoid, route_softmax
from unmask_kernels.native.library import library

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 3e-2}
SIZES = [(5, 1, 64, 48), (16, 4, 600, 40), (3, 3, 40, 300), (64, 8, 128, 20)]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True, params=["native", "packed", "stacked"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Every way to pack, whichever this machine prefers."""
    if request.param == "native":
        yield request.param
        return
    packs = request.param == "packed"
    own = experts_module
    monkeypatch.setattr(own, "_packs", lambda weight, _: packs and uses_onednn(weight))
    with backend("torch"):
        yield request.param


def weights(num_experts: int, columns: int, inner: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    gate_up = torch.randn(num_experts, 2 * inner, columns) / columns**0.5
    down = torch.randn(num_experts, columns, inner) / inner**0.5
    return gate_up.to(dtype), down.to(dtype)


def exact(x: Tensor, gate_up: Tensor, down: Tensor, ids: Tensor, topk_weights: Tensor) -> Tensor:
    gate, up = torch.einsum("eic,tc->tei", gate_up.double(), x.double()).chunk(2, -1)
    parts = torch.einsum("eci,tei->tec", down.double(), F.silu(gate) * up)
    chosen = parts.gather(1, ids[:, :, None].expand(-1, -1, x.shape[1]))
    return (chosen * topk_weights.double()[:, :, None]).sum(1)


@pytest.mark.usual_cases(6)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("num_experts", "top", "columns", "inner"), SIZES)
def test_a_row_is_right_and_the_same_alone_and_among_300(
    num_experts: int, top: int, columns: int, inner: int, dtype: torch.dtype
) -> None:
    gate_up, down = weights(num_experts, columns, inner, dtype)
    x = torch.randn(301, columns).to(dtype)
    ids, topk_weights = route_softmax(torch.randn(301, num_experts), top, renormalise=True)
    mixture = make_experts(gate_up, down)
    whole = mixture(x, ids, topk_weights)
    expected = exact(x, gate_up, down, ids, topk_weights)
    assert whole.dtype == dtype
    assert (whole.double() - expected).abs().max() < TOLERANCE[dtype] * expected.abs().max()
    for start, end in [
        (0, 1),
        (7, 8),
        (9, 12),
        (30, 36),
        (3, 20),
        (100, 133),
        (0, 300),
        (300, 301),
    ]:
        rows = slice(start, end)
        assert torch.equal(mixture(x[rows], ids[rows], topk_weights[rows]), whole[rows]), rows


def test_an_expert_may_get_every_row_and_the_others_none() -> None:
    gate_up, down = weights(9, 32, 16, torch.float32)
    x, ids, topk_weights = torch.randn(50, 32), torch.full((50, 1), 6), torch.rand(50, 1)
    result = make_experts(gate_up, down)(x, ids, topk_weights)
    close = {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(result.double(), exact(x, gate_up, down, ids, topk_weights), **close)


def test_no_rows_give_no_rows() -> None:
    mixture = make_experts(*weights(4, 32, 16, torch.float32))
    nothing = torch.empty(0, 2, dtype=torch.int64)
    assert mixture(torch.empty(0, 32), nothing, torch.empty(0, 2)).shape == (0, 32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_experts_given_one_by_one_are_those_given_together(dtype: torch.dtype) -> None:
    gate_up, down = weights(6, 48, 32, dtype)
    x = torch.randn(20, 48).to(dtype)
    ids, topk_weights = route_softmax(torch.randn(20, 6), 2, renormalise=True)
    alone = ((*g.chunk(2), d) for g, d in zip(gate_up, down, strict=True))
    gathered = gather_experts(alone, 6)
    assert torch.equal(
        gathered(x, ids, topk_weights), make_experts(gate_up, down)(x, ids, topk_weights)
    )


def test_weights_of_8_bits_keep_their_scales() -> None:
    gate_up, down = (w.to(torch.float8_e4m3fn) for w in weights(4, 32, 16, torch.float32))
    scales = {"gate_up_scales": torch.rand(4, 32) + 0.5, "down_scales": torch.rand(4, 32) + 0.5}
    x = torch.randn(10, 32)
    ids, topk_weights = route_softmax(torch.randn(10, 4), 2, renormalise=True)
    result = make_experts(gate_up, down, **scales)(x, ids, topk_weights)
    wide_up = gate_up.float() * scales["gate_up_scales"][:, :, None]
    wide_down = down.float() * scales["down_scales"][:, :, None]
    expected = exact(x, wide_up, wide_down, ids, topk_weights)
    torch.testing.assert_close(result.double(), expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(result, experts(x, gate_up, down, ids, topk_weights, **scales))


def test_experts_are_held_in_one_way(way: str) -> None:
    mixture = make_experts(*weights(4, 32, 16, torch.float32))
    assert isinstance(mixture, Experts)
    if way == "native" and library(torch.float32) is not None:
        assert mixture.native is not None
        assert mixture.stacked is None
        assert not mixture.packed
        return
    assert (mixture.stacked is None) == (way == "packed")
    assert len(mixture.packed) == (4 if way == "packed" else 0)
    assert all(p.gate.weight is None and d.weight is None for p, d in mixture.packed)


@pytest.mark.usual_cases(5)
@pytest.mark.parametrize("num_experts", [6, 16, 18, 256])
def test_a_row_chooses_the_same_experts_and_shares_in_any_company(num_experts: int) -> None:
    logits, bias = 3 * torch.randn(301, num_experts), torch.randn(num_experts)

    def both(rows: slice) -> list[Tensor]:
        sigmoid = route_sigmoid(logits[rows], bias, 3, groups=2, top_groups=1, scale=2.5)
        return [*sigmoid, *route_softmax(logits[rows], 3, renormalise=True)]

    whole = both(slice(0, 301))
    # Every row alone: torch's own sigmoid errs for one in five.
    for start, end in [*((i, i + 1) for i in range(301)), (3, 20)]:
        for part, full in zip(both(slice(start, end)), whole, strict=True):
            assert torch.equal(part, full[start:end]), (start, end)


def test_shares_that_are_not_renormalised_are_the_scores() -> None:
    logits = torch.randn(5, 8)
    ids, topk_weights = route_sigmoid(
        logits, torch.zeros(8), 1, groups=1, top_groups=1, scale=2.0, renormalise=False
    )
    torch.testing.assert_close(topk_weights, 2 * logits.sigmoid().gather(1, ids))
