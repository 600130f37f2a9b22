"""Floors of a step against hand arithmetic."""

import pytest

from benchmarks.device.families import SHAPES, Sizes, sizes
from benchmarks.device.floors import StepWork, Term, by_name, joint_s, serial_s, terms
from benchmarks.device.loads import Load, best_work
from benchmarks.device.timing import Ceilings
from unmask.models.kv_cache import LayerShape

CEILINGS = Ceilings(1000.0, 100.0, 200.0)
SIZES = Sizes(
    linear=100,
    linear_bytes=200,
    other=10,
    head=50,
    head_products=1,
    experts=0,
    experts_bytes=0,
    share_of_experts=0,
    stored=0,
    row_bytes=30,
    mixture_row_bytes=0,
    layers=(LayerShape(num_kv_heads=1, head_dim=2, group_size=3, window=4),),
)


def test_parts_one_after_the_other_take_the_sum_of_their_own_bounds() -> None:
    parts = [Term("a", 3000, 100), Term("b", 500, 400), Term("c", 0, 400, eight_bits=True)]
    assert serial_s(parts, CEILINGS) == 3 + 4 + 2
    assert joint_s(parts, CEILINGS) == max(3.5, 1 + 4 + 2)
    assert by_name(parts, CEILINGS) == {"a": 3000, "b": 4000, "c": 2000}


def test_without_a_rate_for_8_bits_the_other_one_counts() -> None:
    assert serial_s([Term("c", 0, 400, eight_bits=True)], Ceilings(1000.0, 100.0)) == 4


def test_terms_of_a_dense_step() -> None:
    by_name = {term.name: term for term in terms(SIZES, StepWork(2, 16, 6, keys=9))}
    assert by_name["layers"] == Term("layers", 200, 2 * 16 * 100)
    assert by_name["passes"] == Term("passes", 16 * 30, 0)
    assert by_name["head"] == Term("head", 100, 2 * 6 * 50)
    # Two requests' windows of four keys, each of two times two numbers; queries and results of
    # three heads of two.
    assert by_name["attention"] == Term("attention", 2 * 4 * 4 * 2 + 16 * 24, 4 * 16 * 6 * 4)


def test_of_experts_those_that_rows_reach_are_read() -> None:
    mixed = sizes_with_experts()
    [term] = [t for t in terms(mixed, StepWork(1, 2, 0, keys=1)) if t.name == "experts"]
    assert term.num_bytes == pytest.approx(1000 * (1 - 0.75**2) + 2 * 7)
    assert term.flops == 2 * 2 * 1000 * 0.25
    assert term.eight_bits


def sizes_with_experts() -> Sizes:
    return Sizes(
        **SIZES.__dict__
        | {"experts": 1000, "experts_bytes": 1000, "share_of_experts": 0.25, "mixture_row_bytes": 7}
    )


def test_the_floor_of_a_dense_8b_is_that_of_its_bytes_or_of_its_operations() -> None:
    ceilings, model_sizes = Ceilings(3.0e12, 7.18e14), sizes(SHAPES["SDAR-8B"])
    one, many = Load(1), Load(128)
    step_s = serial_s(terms(model_sizes, best_work(model_sizes, one)), ceilings)
    assert step_s == pytest.approx(5.2e-3, rel=0.02)  # 15 GB of weights, and little else
    step_s = serial_s(terms(model_sizes, best_work(model_sizes, many)), ceilings)
    # 128 x 36 rows of 13.9 GFLOP; 128 x 18 of 1.24 for the head; attention, and passes between.
    assert step_s == pytest.approx(89.2e-3 + 4.0e-3 + 7.8e-3 + 7.3e-3, rel=0.01)


def test_published_sizes_add_up() -> None:
    gemma = sizes(SHAPES["DiffusionGemma-26B-A4B"])
    assert gemma.linear + gemma.other + gemma.head + gemma.experts == pytest.approx(
        25.2e9, rel=0.005
    )
    active = gemma.linear + gemma.other + gemma.head + gemma.experts * gemma.share_of_experts
    assert active == pytest.approx(3.8e9, rel=0.03)
    heads = {(s.num_kv_heads, s.head_dim, s.group_size, s.window) for s in gemma.layers}
    assert heads == {(8, 256, 2, 1024), (2, 512, 8, None)}
    assert sizes(SHAPES["SDAR-4B"]).linear + gemma.other == pytest.approx(3.64e9, rel=0.01)


def test_a_few_experts_stand_for_all() -> None:
    whole, small = (sizes(SHAPES["LLaDA2.0-mini"], held) for held in ("none", "fp8"))
    layers, hidden, inner, num_experts = 19, 2048, 512, 256
    assert whole.experts == layers * num_experts * 3 * hidden * inner
    assert (whole.experts_bytes, small.experts_bytes) == (2 * whole.experts, whole.experts)
    assert (whole.linear_bytes, small.linear_bytes) == (2 * whole.linear, whole.linear)
    norms = 20 * (2 * hidden + 2 * 128) + hidden
    assert whole.other == layers * (num_experts * hidden + num_experts) + norms
    assert whole.stored == 2 * (whole.linear + whole.experts + whole.other + 2 * whole.head)
    assert whole.share_of_experts == 8 / 256


@pytest.mark.parametrize(
    ("load", "rows_a_token"),
    [
        (Load(1), 9.0),
        (Load(1, block=16, tokens_per_forward=2), 9.0),
        (Load(1, block=4, tokens_per_forward=2), 3.0),
        # 32 + 28 + ... + 4 masked, 7 times 4 resolved, and the block once more: 204 for 32 tokens.
        (Load(1, cache="block"), 204 / 32),
    ],
)
def test_rows_that_a_token_costs_at_best(load: Load, rows_a_token: float) -> None:
    assert best_work(SIZES, load).rows * load.steps / load.block == pytest.approx(rows_a_token)
