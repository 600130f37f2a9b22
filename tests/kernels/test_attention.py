"""Paged attention, in torch and in Triton, against attention written out in float64."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.support.attention import SMALL, TOLERANCES, build, check, check_in_company, exact
from unmask_kernels.attention.ops import attention
from unmask_kernels.dispatch import Backend

# Spans of one step: (first position, end, block length).
RAGGED = [(0, 12, 4), (30, 33, 3), (96, 160, 32), (5, 6, 1), (16, 48, 16), (40, 70, 10)]
SHORT = [(0, 5, 4), (60, 68, 8)]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("heads", [(4, 2), (3, 3), (6, 1), (5, 1)])
@pytest.mark.parametrize("page_size", [4, 16, 24, 32])
def test_ragged_rows_agree_with_float64(
    page_size: int, heads: tuple[int, int], dtype: torch.dtype, device: torch.device
) -> None:
    case = build(RAGGED, page_size, heads, dtype, device)
    check(attention(case.query, case.keys, case.values, case.plan(), 0.2), exact(case, 0.2))


@pytest.mark.usual_cases(1)
@pytest.mark.usefixtures("triton_kernels")
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(("heads", "page_size"), [((4, 2), 16), ((3, 3), 24), ((5, 1), 4)])
def test_tiles_agree_with_float64(
    page_size: int, heads: tuple[int, int], dtype: torch.dtype, device: torch.device
) -> None:
    case = build(RAGGED, page_size, heads, dtype, device)
    check(attention(case.query, case.keys, case.values, case.plan(), 0.2), exact(case, 0.2))


@pytest.mark.usefixtures("triton_kernels")
@pytest.mark.parametrize("head_dim", [64, 128, 256, 512])
def test_every_head_size_has_a_configuration(head_dim: int, device: torch.device) -> None:
    case = build(SHORT, 64, (4, 2), torch.bfloat16, device, head_dim, config=None)
    check(attention(case.query, case.keys, case.values, case.plan(), 0.1), exact(case, 0.1))


@pytest.mark.exhaustive
@pytest.mark.usefixtures("triton_kernels")
@pytest.mark.parametrize(
    ("head_dim", "dtype"), [(6, torch.float32), (8, torch.bfloat16), (96, torch.bfloat16)]
)
def test_heads_of_any_size_are_filled_up(
    head_dim: int, dtype: torch.dtype, device: torch.device
) -> None:
    """Head size padded to a power of two, 16 at least."""
    case = build(RAGGED, 16, (6, 2), dtype, device, head_dim)
    check(attention(case.query, case.keys, case.values, case.plan(), 0.2), exact(case, 0.2))
    case = build(SHORT, 16, (6, 2), dtype, device, head_dim, config=None)
    starts = case.reach(9)
    out = attention(case.query, case.keys, case.values, case.plan(starts=starts), 0.2)
    check(out, exact(case, 0.2, starts))


@pytest.mark.usual_cases(2)
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_a_query_sees_nothing_before_its_start(
    dtype: torch.dtype, device: torch.device, backend: Backend
) -> None:
    case = build(RAGGED, 16, (4, 2), dtype, device)
    starts = case.reach(20)
    out = attention(case.query, case.keys, case.values, case.plan(starts=starts), 0.2)
    check(out, exact(case, 0.2, starts))


@pytest.mark.usual_cases(2)
@pytest.mark.parametrize("ahead", [3, 20])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_a_query_sees_nothing_outside_a_window_around_it(
    dtype: torch.dtype, ahead: int, device: torch.device, backend: Backend
) -> None:
    """The queries of a tile see keys that begin and end at other places."""
    case = build([(0, 90, 90), (0, 4, 4), (40, 75, 75)], 16, (4, 2), dtype, device)
    case.cut(ahead)
    starts = case.reach(ahead)
    out = attention(case.query, case.keys, case.values, case.plan(starts=starts), 0.2)
    check(out, exact(case, 0.2, starts))
    check_in_company(case, starts)


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_scores_are_capped(dtype: torch.dtype, device: torch.device, backend: Backend) -> None:
    case = build(SHORT, 16, (4, 2), dtype, device)
    out = attention(case.query, case.keys, case.values, case.plan(), 0.5, softcap=2.0)
    check(out, exact(case, 0.5, softcap=2.0))


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_pages_of_8_bits_have_a_scale_for_each_head(
    dtype: torch.dtype, device: torch.device, backend: Backend
) -> None:
    case = build(SHORT, 16, (4, 2), torch.bfloat16, device)
    scales = torch.tensor([0.5, 2.0], device=device)
    small_keys, small_values = case.keys.to(dtype), case.values.to(dtype)
    out = attention(
        case.query,
        small_keys,
        small_values,
        case.plan(),
        0.2,
        key_scales=scales,
        value_scales=scales.flip(0),
    )
    case.keys = small_keys.float() * scales[:, None]
    case.values = small_values.float() * scales.flip(0)[:, None]
    check(out, exact(case, 0.2))


@pytest.mark.exhaustive
@pytest.mark.usual_cases(1)
@pytest.mark.usefixtures("triton_kernels")
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_tiles_from_descriptors_are_those_from_pointers(
    dtype: torch.dtype, device: torch.device
) -> None:
    case = build(RAGGED, 32, (4, 2), dtype, device)
    expected = attention(case.query, case.keys, case.values, case.plan(), 0.2)
    case.config = replace(SMALL, tma=True)
    assert torch.equal(attention(case.query, case.keys, case.values, case.plan(), 0.2), expected)


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("window", [None, 20])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_a_query_gets_the_same_bits_in_any_company(
    dtype: torch.dtype, window: int | None, device: torch.device, backend: Backend
) -> None:
    case = build(RAGGED, 16, (4, 2), dtype, device)
    check_in_company(case, None if window is None else case.reach(window))


def test_no_queries_give_no_rows(device: torch.device, backend: Backend) -> None:
    case = build(SHORT, 16, (4, 2), torch.float32, device)
    nothing = {
        "query_starts": [0],
        "horizons": np.empty(0, np.int64),
        "pages": np.empty(0, np.int64),
        "page_starts": [0],
    }
    assert attention(case.query[:0], case.keys, case.values, case.plan(**nothing), 1.0).numel() == 0


def test_heads_that_do_not_group_are_refused(device: torch.device) -> None:
    case = build(SHORT, 16, (4, 2), torch.float32, device)
    with pytest.raises(ValueError, match="do not group"):
        attention(case.query[:, :3], case.keys, case.values, case.plan(), 1.0)


def test_pages_of_another_dtype_need_scales(device: torch.device) -> None:
    case = build(SHORT, 16, (4, 2), torch.float32, device)
    with pytest.raises(ValueError, match="need scales"):
        attention(case.query, case.keys.bfloat16(), case.values.bfloat16(), case.plan(), 1.0)
