"""Grains of keys are assigned to programs by load, which changes no bit of attention."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.attention import SMALL, TOLERANCES, Case, build, check, exact
from tests.support.cases import examples
from unmask_kernels.attention import tiles
from unmask_kernels.attention.ops import attention
from unmask_kernels.attention.static_tiles import (
    TileSize,
    fill,
    fits,
    make_static_plan,
    plan_tensors,
    static_sizes,
    with_tensors,
)
from unmask_kernels.attention.tiles import (
    ITEM_FIELDS,
    TileConfig,
    TilePlan,
    ToDevice,
    make_tile_plan,
    num_lanes,
)

# Spans of one step: (first position, end, block length). Some reach over several chunks of 64 keys.
SPANS = [(120, 150, 8), (0, 20, 4), (40, 64, 1), (70, 71, 1)]
GRAINS = replace(SMALL, chunk=64, grain=16)
PROGRAMS = (1, 6, 24, 1000)  # that run at once, for two key heads


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def poisoned() -> Iterator[None]:
    """Unwritten memory is NaN."""
    torch.use_deterministic_algorithms(True)
    assert torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.use_deterministic_algorithms(False)


def run(case: Case, plan: TilePlan) -> torch.Tensor:
    return attention(case.query, case.keys, case.values, plan, 0.2)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("triton_kernels", "poisoned")
@pytest.mark.parametrize("window", [None, 50])
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("tma", [False, True])
def test_dealing_grains_to_more_programs_changes_no_bit(
    tma: bool, dtype: torch.dtype, window: int | None, device: torch.device
) -> None:
    case = build(SPANS, 16, (4, 2), dtype, device)
    starts = None if window is None else case.reach(window)
    result, slots = [], set()
    for programs in PROGRAMS:
        case.config = replace(GRAINS, programs=programs, tma=tma)
        plan = case.plan(starts=starts)
        slots.add(plan.num_slots)
        result.append(run(case, plan))
    assert len(slots) > 1, "grains are dealt in several ways"
    assert all(torch.equal(out, result[0]) for out in result)
    error = (result[0].cpu().double() - exact(case, 0.2, starts)).abs().max()
    assert error < TOLERANCES[dtype]


@pytest.mark.exhaustive
@pytest.mark.usefixtures("triton_kernels", "poisoned")
@pytest.mark.parametrize("tma", [False, True])
def test_8_bit_keys_have_the_same_bits_however_they_are_dealt(
    tma: bool, device: torch.device
) -> None:
    case = build(SPANS, 16, (4, 2), torch.bfloat16, device)
    keys, values = (pages.to(torch.float8_e4m3fn) for pages in (case.keys, case.values))
    scales = torch.tensor([0.5, 2.0], device=device)
    result = []
    for programs in PROGRAMS:
        case.config = replace(GRAINS, programs=programs, tma=tma)
        held = {"key_scales": scales, "value_scales": scales.flip(0)}
        result.append(attention(case.query, keys, values, case.plan(), 0.2, **held))
    assert all(torch.equal(out, result[0]) for out in result)
    case.keys, case.values = (
        keys.float() * scales[:, None],
        values.float() * scales.flip(0)[:, None],
    )
    check(result[0], exact(case, 0.2))


@pytest.mark.usual_cases(1)
@pytest.mark.usefixtures("triton_kernels")
@pytest.mark.parametrize("spread", [0.01, 1.0, 300.0])
def test_8_bit_keys_lose_no_more_than_the_rounding_of_a_result(
    spread: float, device: torch.device
) -> None:
    """Queries are two 8-bit terms: only keys are rounded to 8 bits."""
    case = build(SPANS, 16, (4, 2), torch.bfloat16, device, head_dim=64)
    case.query = (case.query * spread).bfloat16()
    keys, values = (pages.to(torch.float8_e4m3fn) for pages in (case.keys, case.values))
    scales = torch.ones(2, device=device)
    held = {"key_scales": scales, "value_scales": scales}
    scale = 0.125 / spread
    out = attention(case.query, keys, values, case.plan(), scale, **held).cpu().double()
    case.keys, case.values = keys.float(), values.float()
    expected = exact(case, scale)
    assert (out - expected).norm() / expected.norm() < 3e-3  # bfloat16's own is about 2e-3


@pytest.mark.usual_cases(1)
@pytest.mark.usefixtures("triton_kernels", "poisoned")
@pytest.mark.parametrize(("most", "runs"), [(40_000, 2), (1, 3), (2**30, 1)])
def test_tiles_whose_chunks_have_no_room_run_after_the_others(
    most: int, runs: int, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = build(SPANS, 16, (4, 2), torch.bfloat16, device)
    case.config = replace(GRAINS, programs=24)
    expected = run(case, case.plan())
    monkeypatch.setattr(tiles, "MAX_CHUNK_BYTES", most)
    plan = case.plan()
    assert len(list(plan.parts())) >= runs
    assert (len(list(plan.parts())) > 1) == (runs > 1)
    assert torch.equal(run(case, plan), expected)


def on_host(arrays: list[np.ndarray]) -> list[torch.Tensor]:
    return [torch.from_numpy(array) for array in arrays]


def plan_of(
    lengths: list[int], config: TileConfig, to_device: ToDevice = on_host, queries: int = 32
) -> TilePlan:
    """Plan of one block of each sequence, 32 query heads over 8 KV heads."""
    pages = [-(-length // 64) for length in lengths]
    return make_tile_plan(
        list(range(0, len(lengths) * queries + 1, queries)),
        None,
        np.repeat(np.array(lengths, np.int64), queries),
        np.arange(sum(pages)),
        np.cumsum([0, *pages]).tolist(),
        group_size=4,
        num_kv_heads=8,
        head_dim=128,
        config=config,
        to_device=to_device,
    )


def test_heads_that_no_tile_holds_are_refused() -> None:
    with pytest.raises(ValueError, match="tiles have 3 rows: 4 query heads of one KV head"):
        plan_of([40], replace(SMALL, rows=3))


LARGE = TileConfig(rows=64, keys=64, chunk=4096, grain=512, programs=264)


def spans_of(plan: TilePlan) -> np.ndarray:
    """Keys of each item."""
    items = plan.items.numpy().reshape(-1, ITEM_FIELDS)
    return items[:, 4] - items[:, 3]


@pytest.mark.parametrize("length", [1024, 8192])
def test_one_request_is_dealt_to_as_many_programs_as_it_has_grains(length: int) -> None:
    plan = plan_of([length], LARGE)
    assert spans_of(plan).tolist() == [512] * (2 * length // 512)


@pytest.mark.parametrize("requests", [8, 32])
def test_many_requests_are_merged_in_registers(requests: int) -> None:
    plan = plan_of([1024] * requests, LARGE)
    assert plan.num_slots == 0
    assert spans_of(plan).tolist() == [1024] * 2 * requests


def test_one_long_request_among_short_ones_does_not_make_them_wait() -> None:
    plan = plan_of([4096] + [300] * 20, LARGE)
    lanes = num_lanes(LARGE, 8, 128)
    spans = spans_of(plan)
    assert spans.max() <= 512 < spans.sum() / lanes
    assert sorted(spans.tolist(), reverse=True) == spans.tolist()


def test_every_key_of_every_tile_is_in_one_item() -> None:
    lengths = [int(n) for n in np.random.default_rng(0).integers(1, 9000, 12)]
    plan = plan_of(lengths, LARGE)
    items = plan.items.numpy().reshape(-1, ITEM_FIELDS)
    for first in range(0, 12 * 32, 16):
        own = items[items[:, 0] == first]
        own = own[np.argsort(own[:, 3])]
        assert own[0, 3] == 0
        assert own[-1, 4] == lengths[first // 32]
        assert (own[1:, 3] == own[:-1, 4]).all()
        assert (own[1:, 3] % LARGE.grain == 0).all()


@pytest.mark.usefixtures("triton_kernels", "poisoned")
def test_padding_rows_of_a_static_plan_are_zero_and_change_no_bit(device: torch.device) -> None:
    case = build(SPANS, 16, (4, 2), torch.bfloat16, device)
    case.config = replace(GRAINS, programs=24)
    expected, count, padding = run(case, case.plan()), len(case.query), 21
    plan = with_tensors(case.plan(), [tensor.cpu() for tensor in plan_tensors(case.plan())])
    size = TileSize.from_plan(plan)
    large = TileSize(count + padding, size.pages + 3, size.items + 3, size.tiles + 2, 99)
    memory = [torch.full((n,), 7, dtype=torch.int32) for n in static_sizes(large)]
    static = make_static_plan(case.config, large, memory, group_size=2)
    fill(static, plan)
    static = with_tensors(static, [tensor.to(device) for tensor in plan_tensors(static)])
    case.query = torch.cat([case.query, case.query.new_full((padding, 4, 32), torch.nan)])
    out = run(case, static)
    assert torch.equal(out[:count], expected)
    assert not out[count:].any()


def test_a_plan_fits_where_its_padding_has_items_too() -> None:
    plan = plan_of([1000], LARGE)
    size = TileSize.from_plan(plan)
    for spare, does_fit in ((0, False), (1, True)):
        large = replace(size, rows=size.rows + 16, items=size.items + spare)
        memory = [torch.zeros(n, dtype=torch.int32) for n in static_sizes(large)]
        assert fits(plan, make_static_plan(LARGE, large, memory, group_size=4)) == does_fit


@pytest.mark.parametrize("length", [1_000, 32_768, 131_072])
def test_results_of_chunks_are_bounded_however_long_a_prompt_is(length: int) -> None:
    """A prompt's 2,048 last positions, of which each tile sees all chunks before it."""
    config = TileConfig(rows=64, keys=32, chunk=512, grain=512, programs=108)
    plan = plan_of([length], config, queries=min(length, 2048))
    parts = list(plan.parts())
    part_bytes = 4 * 8 * config.rows * 128
    a_tile = -(-length // config.chunk) * part_bytes
    assert all(part.num_slots * part_bytes <= tiles.MAX_CHUNK_BYTES + a_tile for part in parts)
    items = np.concatenate([part.items.numpy().reshape(-1, ITEM_FIELDS) for part in parts])
    queries = min(length, 2048)
    assert (items[:, 4] - items[:, 3]) @ items[:, 1] == queries * length
    size = TileSize.from_plan(parts[0])
    size = replace(size, items=2 * size.items + 99)
    memory = [torch.zeros(n, dtype=torch.int32) for n in static_sizes(size)]
    static = make_static_plan(config, size, memory, group_size=4)
    assert fits(plan, static) == (len(parts) == 1)


@given(
    spans=st.lists(st.tuples(st.integers(1, 70), st.integers(0, 3000)), min_size=1, max_size=40),
    window=st.sampled_from([None, 7, 100, 1500]),
    chunk=st.sampled_from([512, 1024, 4096]),
    grain=st.sampled_from([128, 512]),
    programs=st.integers(1, 300),
)
@settings(deadline=None, derandomize=True, max_examples=examples(100, 300))
def test_c_makes_the_items_that_numpy_makes(
    spans: list[tuple[int, int]], window: int | None, chunk: int, grain: int, programs: int
) -> None:
    config = TileConfig(rows=64, keys=32, chunk=chunk, grain=grain, programs=programs)
    counts = np.array([count for count, _ in spans])
    positions = np.concatenate([np.arange(first, first + count) for count, first in spans])
    horizons = np.repeat(np.array([sum(span) for span in spans]), counts)
    pages = -(-np.array([sum(span) for span in spans]) // 64)
    plans = [
        make_tile_plan(
            np.append(0, counts.cumsum()),
            None if window is None else np.maximum(positions + 1 - window, 0),
            horizons,
            np.arange(pages.sum()),
            np.append(0, pages.cumsum()),
            group_size=4,
            num_kv_heads=8,
            head_dim=128,
            config=config,
            to_device=on_host,
            uses_c=uses_c,
        )
        for uses_c in (True, False)
    ]
    for ours, expected in zip(*map(plan_tensors, plans), strict=True):
        assert torch.equal(ours, expected)
