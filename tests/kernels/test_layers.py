"""Norms, RoPE, KV writes and gates, in torch and in Triton, against float64."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.dispatch import Backend
from unmask_kernels.layers import reference
from unmask_kernels.layers.ops import (
    geglu,
    mixed_embedding,
    qk_norm_rope_store,
    rms_norm,
    swiglu,
)

TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def check(result: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    close = {"rtol": TOLERANCES[dtype], "atol": TOLERANCES[dtype]}
    torch.testing.assert_close(result.cpu().double(), expected.cpu(), **close)


def exact_norm(x: Tensor, weight: Tensor) -> Tensor:
    wide = x.double()
    return wide / (wide.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight.double()


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("shape", [(5, 256), (3, 96), (1, 1000), (0, 64)])
def test_norms_agree_with_float64(
    shape: tuple[int, int], dtype: torch.dtype, device: torch.device, backend: Backend
) -> None:
    x, weight = torch.randn(shape).to(device, dtype), torch.randn(shape[1]).to(device, dtype)
    result = rms_norm(x, weight, 1e-6)
    assert result.dtype == dtype
    check(result, exact_norm(x, weight), dtype)


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_rows_may_have_any_strides(
    dtype: torch.dtype, device: torch.device, backend: Backend
) -> None:
    wide, weight = torch.randn(6, 128).to(device, dtype), torch.ones(64).to(device, dtype)
    for x in (wide[:, 5:69], wide.T[:64].T):
        check(rms_norm(x, weight, 1e-6), exact_norm(x, weight), dtype)
        gate, up = x.double().chunk(2, 1)
        check(swiglu(x), F.silu(gate) * up, dtype)
        check(geglu(x), F.gelu(gate, approximate="tanh") * up, dtype)


@pytest.mark.usual_cases(6)
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("normed", [True, False])
@pytest.mark.parametrize(
    ("num_heads", "num_kv", "head_dim"), [(4, 2, 32), (3, 3, 24), (5, 1, 64), (19, 17, 64)]
)
def test_heads_are_normalised_rotated_and_stored(
    num_heads: int,
    num_kv: int,
    head_dim: int,
    normed: bool,
    dtype: torch.dtype,
    device: torch.device,
    backend: Backend,
) -> None:
    num_rows, page = 7, 4
    heads = torch.randn(num_rows, num_heads + 2 * num_kv, head_dim).to(device, dtype)
    weights = torch.randn(num_heads + num_kv, head_dim).to(device, dtype) if normed else None
    angles = torch.randn(num_rows, 1, head_dim // 2)
    cos, sin = angles.cos().to(device, dtype), angles.sin().to(device, dtype)
    slots = torch.tensor([3, 17, 4, 9, 0, 1, 12], device=device)
    keys = torch.full((5, page, num_kv, head_dim), math.nan, dtype=dtype, device=device)
    values = keys.clone()
    query = qk_norm_rope_store(heads, weights, 1e-6, cos, sin, keys, values, slots)

    wide = heads.double()[:, : num_heads + num_kv]
    if weights is not None:
        wide = exact_norm(wide, weights)
    low, high = wide.chunk(2, -1)
    c, s = cos.double(), sin.double()
    rotated = torch.cat((low * c - high * s, high * c + low * s), -1)
    check(query, rotated[:, :num_heads], dtype)
    check(keys.flatten(0, 1)[slots], rotated[:, num_heads:], dtype)
    check(values.flatten(0, 1)[slots], heads.double()[:, num_heads + num_kv :], dtype)
    rest = torch.ones(5 * page, dtype=torch.bool)
    rest[slots.cpu()] = False
    assert keys.flatten(0, 1)[rest.to(device)].isnan().all()
    assert values.flatten(0, 1)[rest.to(device)].isnan().all()


def test_norms_may_be_of_another_dtype_than_what_they_normalise() -> None:
    x, weight = torch.randn(3, 64).bfloat16(), torch.randn(64)
    assert torch.equal(rms_norm(x, weight, 1e-6), reference.rms_norm(x, weight, 1e-6))
    heads, norms = torch.randn(3, 3, 32).bfloat16(), torch.randn(2, 32)
    angles = torch.randn(3, 1, 16).bfloat16()
    keys, values = torch.zeros(2, 1, 4, 1, 32).bfloat16()
    query = qk_norm_rope_store(heads, norms, 1e-6, angles, angles, keys, values, torch.arange(3))
    normed = reference.rms_norm(heads[:, :2], norms, 1e-6)
    assert torch.equal(query, reference.rotary(normed, angles, angles)[:, :1])


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("num_heads", "num_kv", "head_dim"), [(4, 2, 32), (5, 1, 24)])
def test_values_are_normalised_where_there_are_norms_for_them(
    num_heads: int,
    num_kv: int,
    head_dim: int,
    shared: bool,
    dtype: torch.dtype,
    device: torch.device,
    backend: Backend,
) -> None:
    num_rows = 5
    projected = num_heads + (1 if shared else 2) * num_kv
    heads = torch.randn(num_rows, projected, head_dim).to(device, dtype)
    weights = torch.randn(num_heads + 2 * num_kv, head_dim).to(device, dtype)
    angles = torch.randn(num_rows, 1, head_dim // 2)
    cos, sin = angles.cos().to(device, dtype), angles.sin().to(device, dtype)
    slots = torch.tensor([3, 7, 4, 0, 1], device=device)
    keys = torch.zeros(2, 4, num_kv, head_dim, dtype=dtype, device=device)
    values = torch.zeros_like(keys)
    place = (weights, 1e-6, cos, sin, keys, values, slots)
    query = qk_norm_rope_store(heads, *place, key_is_value=shared)
    rotated = exact_norm(heads[:, : num_heads + num_kv], weights[: num_heads + num_kv])
    low, high = rotated.chunk(2, -1)
    c, s = cos.double(), sin.double()
    rotated = torch.cat((low * c - high * s, high * c + low * s), -1)
    check(query, rotated[:, :num_heads], dtype)
    check(keys.flatten(0, 1)[slots], rotated[:, num_heads:], dtype)
    expected = exact_norm(heads[:, -num_kv:], weights[num_heads + num_kv :])
    check(values.flatten(0, 1)[slots], expected, dtype)


@pytest.mark.usefixtures("triton_kernels")
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_heads_are_batch_invariant(dtype: torch.dtype, device: torch.device) -> None:
    longer = torch.randn(9, 40, 64).to(device, dtype)
    heads, weights = longer[:, :22], torch.randn(21, 64).to(device, dtype)
    angles = torch.randn(9, 1, 32).to(device)
    cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)

    def place(heads: Tensor, rows: slice) -> list[Tensor]:
        keys = torch.zeros(3, 4, 1, 64, dtype=dtype, device=device)
        values = torch.zeros_like(keys)
        slots = torch.arange(9, device=device)[rows]
        own = (heads[rows], weights, 1e-6, cos[rows], sin[rows])
        query = qk_norm_rope_store(*own, keys, values, slots)
        return [query, keys.flatten(0, 1)[slots], values.flatten(0, 1)[slots]]

    together = place(heads.contiguous(), slice(0, 9))
    for rows in (slice(0, 1), slice(2, 7)):
        for own, all_of_them in zip(place(heads, rows), together, strict=True):
            assert torch.equal(own, all_of_them[rows])


def test_keys_and_values_of_8_bits_are_divided_by_their_scales(
    device: torch.device, backend: Backend
) -> None:
    heads = torch.randn(3, 4, 32).to(device, torch.bfloat16)
    angles = torch.zeros(3, 1, 16, device=device)
    keys = torch.zeros(1, 4, 1, 32, device=device).to(torch.float8_e4m3fn)
    values = keys.clone()
    scale = torch.tensor([0.5], device=device)
    slots = torch.tensor([2, 0, 1], device=device)
    cos, sin = (t.bfloat16() for t in (angles.cos(), angles.sin()))
    scales = {"key_scales": scale, "value_scales": 2 * scale}
    qk_norm_rope_store(heads, None, 1e-6, cos, sin, keys, values, slots, **scales)
    expected = (heads[:, 2:3].float() / scale).to(torch.float8_e4m3fn)
    assert torch.equal(keys[0].float()[slots], expected.float())
    assert torch.equal(values[0].float()[slots], heads[:, 3:].to(torch.float8_e4m3fn).float())


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("shape", [(5, 96), (2, 2200), (0, 8)])
def test_gates_agree_with_float64(
    shape: tuple[int, int], dtype: torch.dtype, device: torch.device, backend: Backend
) -> None:
    both = torch.randn(shape).to(device, dtype)
    gate, up = both.double().chunk(2, 1)
    check(swiglu(both), F.silu(gate) * up, dtype)
    check(geglu(both), F.gelu(gate, approximate="tanh") * up, dtype)


@pytest.mark.parametrize("extreme", [-1e4, -20.0, 0.0, 20.0, 1e4])
def test_a_gelu_of_large_inputs_is_finite(
    extreme: float, device: torch.device, backend: Backend
) -> None:
    result = geglu(torch.tensor([[extreme, 2.0]], device=device))
    assert result.item() == pytest.approx(2.0 * max(extreme, 0.0), abs=1e-4)


def test_shapes_that_do_not_fit_are_refused(device: torch.device) -> None:
    with pytest.raises(ValueError, match="does not fit rows"):
        rms_norm(torch.ones(2, 8, device=device), torch.ones(4, device=device), 1e-6)
    pages = torch.zeros(1, 4, 1, 32, device=device)
    heads, angles = torch.ones(1, 3, 16, device=device), torch.ones(1, 1, 8, device=device)
    with pytest.raises(ValueError, match="do not fit heads"):
        qk_norm_rope_store(heads, None, 1e-6, angles, angles, pages, pages, torch.zeros(1).long())


def test_keys_beyond_8_bits_become_the_largest_there_are(
    backend: Backend, device: torch.device
) -> None:
    heads = torch.tensor([1e6, -1e6, 449.0, 3.0], device=device).repeat(1, 3, 8)
    keys = torch.zeros(1, 4, 1, 32, device=device).to(torch.float8_e4m3fn)
    values, one = keys.clone(), torch.ones(1, device=device)
    still = torch.ones(1, 1, 16, device=device)
    slots = torch.zeros(1, dtype=torch.int64, device=device)
    qk_norm_rope_store(
        heads, None, 1e-6, still, torch.zeros_like(still), keys, values, slots,
        key_scales=one, value_scales=one,
    )  # fmt: skip
    for pages in (keys, values):
        assert pages[0, 0, 0, :4].float().tolist() == [448.0, -448.0, 448.0, 3.0]


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(("num_rows", "num_columns"), [(7, 64), (5, 96), (1, 1000), (0, 64)])
def test_embeddings_are_mixed_with_the_mask_tokens_at_their_mean_length(
    num_rows: int, num_columns: int, dtype: torch.dtype, device: torch.device, backend: Backend
) -> None:
    table = (torch.randn(40, num_columns) * torch.rand(40, 1) * 3).to(device, dtype)
    ids = torch.randint(0, 39, (num_rows,), device=device)
    shares = torch.rand(num_rows, device=device)
    shares[::3] = 0.0
    result = mixed_embedding(ids, table, shares, 39)
    assert result.dtype == dtype
    rows, mask, share = table[ids].double(), table[39].double(), shares.double()[:, None]
    mixed = share * rows + (1 - share) * mask
    lengths = share * rows.norm(dim=-1, keepdim=True) + (1 - share) * mask.norm()
    check(result, mixed / mixed.norm(dim=-1, keepdim=True) * lengths, dtype)


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_an_embedding_that_is_not_mixed_is_the_tokens_to_the_last_bit(
    dtype: torch.dtype, device: torch.device, backend: Backend
) -> None:
    table = torch.randn(20, 96).to(device, dtype)
    table[1] = math.nan  # the mask token's, which such a row does not read
    ids = torch.tensor([3, 5, 0, 1 << 3, 3], device=device)
    assert torch.equal(mixed_embedding(ids, table, torch.ones(5, device=device), 1), table[ids])


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_mixed_embeddings_are_batch_invariant(
    dtype: torch.dtype, device: torch.device, backend: Backend
) -> None:
    table = torch.randn(300, 2048).to(device, dtype)
    ids, shares = torch.randint(0, 300, (40,), device=device), torch.rand(40, device=device)
    shares[::2] = 1.0
    together = mixed_embedding(ids, table, shares, 7)
    for i in (0, 1, 13, 38, 39):
        alone = mixed_embedding(ids[i : i + 1], table, shares[i : i + 1], 7)
        assert torch.equal(alone[0], together[i])


def test_shares_that_do_not_fit_are_refused(device: torch.device) -> None:
    table, ids = torch.ones(4, 8, device=device), torch.zeros(3, dtype=torch.int64, device=device)
    for shares in (torch.ones(2, device=device), torch.ones(3, device=device).double()):
        with pytest.raises(ValueError, match="do not fit"):
            mixed_embedding(ids, table, shares, 0)
