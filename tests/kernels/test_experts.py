"""Mixtures of experts, in torch and in Triton, against a loop over rows in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.dispatch import Backend
from unmask_kernels.moe.ops import experts
from unmask_kernels.moe.routing import route_sigmoid, route_softmax

TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 3e-2}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def weights(
    num_experts: int, columns: int, inner: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    gate_up = torch.randn(num_experts, 2 * inner, columns) / columns**0.5
    down = torch.randn(num_experts, columns, inner) / inner**0.5
    return gate_up.to(device, dtype), down.to(device, dtype)


def exact(
    x: Tensor,
    gate_up: Tensor,
    down: Tensor,
    ids: Tensor,
    topk_weights: Tensor,
    *,
    gelu: bool = False,
) -> Tensor:
    out = torch.zeros(x.shape, dtype=torch.float64)
    wide = [t.cpu().double() for t in (x, gate_up, down, topk_weights)]
    for row in range(len(x)):
        for k, expert in enumerate(ids[row].tolist()):
            gate, up = (wide[1][expert] @ wide[0][row]).chunk(2)
            opened = F.gelu(gate, approximate="tanh") if gelu else F.silu(gate)
            out[row] += wide[3][row, k] * (wide[2][expert] @ (opened * up))
    return out


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(
    ("rows", "num_experts", "top", "columns", "inner"),
    [(7, 4, 2, 64, 48), (70, 3, 1, 40, 24), (1, 16, 4, 32, 200), (0, 4, 2, 64, 32)],
)
def test_every_row_goes_through_its_own_experts(
    rows: int,
    num_experts: int,
    top: int,
    columns: int,
    inner: int,
    dtype: torch.dtype,
    device: torch.device,
    backend: Backend,
) -> None:
    gate_up, down = weights(num_experts, columns, inner, dtype, device)
    x = torch.randn(rows, columns).to(device, dtype)
    ids, topk_weights = route_softmax(
        torch.randn(rows, num_experts, device=device), top, renormalise=True
    )
    result = experts(x, gate_up, down, ids, topk_weights)
    assert result.dtype == dtype
    close = {"rtol": TOLERANCES[dtype], "atol": TOLERANCES[dtype]}
    torch.testing.assert_close(
        result.cpu().double(), exact(x, gate_up, down, ids, topk_weights), **close
    )


def test_experts_may_be_gated_by_a_gelu(device: torch.device, backend: Backend) -> None:
    gate_up, down = weights(4, 64, 48, torch.float32, device)
    x = torch.randn(9, 64, device=device)
    ids, topk_weights = route_softmax(torch.randn(9, 4, device=device), 2, renormalise=True)
    result = experts(x, gate_up, down, ids, topk_weights, activation="gelu_tanh")
    expected = exact(x, gate_up, down, ids, topk_weights, gelu=True)
    torch.testing.assert_close(result.cpu().double(), expected, rtol=1e-5, atol=1e-5)


def test_weights_of_8_bits_have_a_scale_for_each_output(
    device: torch.device, backend: Backend
) -> None:
    gate_up, down = weights(3, 32, 48, torch.float32, device)
    up_scales, down_scales = (
        torch.rand(3, 96, device=device) + 0.5,
        torch.rand(3, 32, device=device),
    )
    small_up, small_down = (w.to(torch.float8_e4m3fn) for w in (gate_up, down))
    x = torch.randn(5, 32).to(device, torch.bfloat16)
    ids, topk_weights = route_softmax(torch.randn(5, 3, device=device), 2, renormalise=False)
    result = experts(
        x,
        small_up,
        small_down,
        ids,
        topk_weights,
        gate_up_scales=up_scales,
        down_scales=down_scales,
    )
    wide_up = small_up.float() * up_scales[:, :, None]
    wide_down = small_down.float() * down_scales[:, :, None]
    expected = exact(x, wide_up, wide_down, ids, topk_weights)
    torch.testing.assert_close(result.cpu().double(), expected, rtol=3e-2, atol=3e-2)


@pytest.mark.usefixtures("triton_kernels")
def test_rows_are_batch_invariant(device: torch.device) -> None:
    gate_up, down = weights(4, 64, 48, torch.bfloat16, device)
    x = torch.randn(40, 64).to(device, torch.bfloat16)
    ids, topk_weights = route_softmax(torch.randn(40, 4, device=device), 2, renormalise=True)
    together = experts(x, gate_up, down, ids, topk_weights)
    for some in (slice(0, 1), slice(13, 20), slice(39, 40)):
        alone = experts(x[some], gate_up, down, ids[some], topk_weights[some])
        assert torch.equal(alone, together[some])


def test_a_bias_changes_the_choice_and_not_the_shares() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
    free = route_sigmoid(logits, torch.zeros(4), 2, groups=1, top_groups=1, scale=2.5)
    assert free[0].tolist() == [[0, 1]]
    bias = torch.tensor([0.0, 0.0, 0.0, 5.0])
    ids, topk_weights = route_sigmoid(logits, bias, 2, groups=1, top_groups=1, scale=2.5)
    assert ids.tolist() == [[3, 0]]
    chosen = logits.sigmoid()[0, [3, 0]]
    torch.testing.assert_close(topk_weights[0], chosen / chosen.sum() * 2.5)


def test_only_the_best_groups_are_chosen_from() -> None:
    logits = torch.tensor([[3.0, -3.0, 1.0, 1.0, -3.0, -3.0]])
    ids, _ = route_sigmoid(logits, torch.zeros(6), 2, groups=3, top_groups=1, scale=1.0)
    assert sorted(ids[0].tolist()) == [2, 3]  # two good ones beat one that is better


def test_shapes_that_do_not_fit_are_refused() -> None:
    gate_up, down = weights(2, 8, 4, torch.float32, torch.device("cpu"))
    ids, topk_weights = torch.zeros(3, 1, dtype=torch.int64), torch.ones(3, 1)
    with pytest.raises(ValueError, match="do not fit rows"):
        experts(torch.ones(3, 6), gate_up, down, ids, topk_weights)
    with pytest.raises(ValueError, match=r"experts, .* weights"):
        experts(torch.ones(3, 8), gate_up, down, ids, torch.ones(3, 2))
