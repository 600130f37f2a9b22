"""Load-adaptive block lengths: choice and report."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.draws import requests
from tests.support.engines import Answer, collect, make_engine, run_all, run_alone
from tests.support.tiny import GOLDEN
from unmask.config import DecodingConfig, EngineConfig, ModelConfig
from unmask.engine.engine import Engine
from unmask.engine.schedule.block_lengths import (
    block_lengths,
    index_under_load,
    saturation_rows_of,
)
from unmask.errors import InvalidConfig
from unmask.models.registry import LoadedModel, load_model
from unmask.types import AUTO, CacheName, Request, SamplingParams


def auto(name: str, max_tokens: int = 40) -> Request:
    params = SamplingParams(max_tokens=max_tokens, block_length=AUTO, ignore_eos=True)
    return Request(name, tuple(range(10)), params)


def length_of(answer: Answer) -> int:
    assert answer.finish is not None
    return answer.finish.usage.block_length


def run_while(engine: Engine, running: list[Request], late: Request) -> Answer:
    """Answer of a request that arrives while others run."""
    answers: dict[str, Answer] = {}
    for request in running:
        engine.add(request)
    collect(answers, engine.step())
    collect(answers, engine.step())
    engine.add(late)
    while engine.has_work:
        collect(answers, engine.step())
    return answers[late.request_id]


@pytest.fixture(scope="module")
def usual(tiny: LoadedModel) -> LoadedModel:
    """Tiny checkpoint with blocks of 32."""
    sampling = replace(tiny.info.default_sampling, block_length=32)
    return replace(tiny, info=replace(tiny.info, default_sampling=sampling))


@pytest.mark.parametrize(
    ("usual_len", "lengths"),
    [(32, (32, 16, 8, 4)), (16, (16, 8, 4)), (4, (4,)), (12, (12, 6)), (48, (48, 24, 12, 6))],
)
def test_lengths_are_halves_that_are_not_too_short(usual_len: int, lengths: tuple[int]) -> None:
    assert block_lengths(usual_len) == lengths


def test_a_higher_load_never_means_longer_blocks() -> None:
    indices = [index_under_load(load / 8) for load in range(100)]
    assert indices == sorted(indices)
    assert (indices[0], indices[8], indices[-1]) == (0, 0, 3)


def test_the_device_or_the_configuration_says_how_many_rows_fill_it() -> None:
    assert saturation_rows_of(EngineConfig(), "cuda") > saturation_rows_of(EngineConfig(), "cpu")
    assert saturation_rows_of(EngineConfig(saturation_rows=7), "cuda") == 7


@pytest.mark.usual_cases(3)
@pytest.mark.parametrize(
    ("num_running", "expected"), [(0, 32), (1, 32), (2, 16), (3, 16), (4, 8), (7, 8), (8, 4)]
)
def test_the_rows_of_running_sequences_decide(
    usual: LoadedModel, num_running: int, expected: int
) -> None:
    engine = make_engine(usual, saturation_rows=64)
    running = [auto(f"r{i}") for i in range(num_running)]
    assert length_of(run_while(engine, running, auto("late"))) == expected
    assert length_of(run_all(engine, [auto("alone")])["alone"]) == 32, "the load is gone"


def test_what_waits_counts_too(usual: LoadedModel) -> None:
    engine = make_engine(usual, saturation_rows=32, max_num_seqs=1)
    answers = run_all(engine, [auto(f"r{i}", 8) for i in range(4)])
    assert [length_of(answers[f"r{i}"]) for i in range(4)] == [8, 8, 16, 32]


def test_lengths_that_requests_name_are_the_load_that_they_are(usual: LoadedModel) -> None:
    engine = make_engine(usual, saturation_rows=64)
    small = [
        replace(auto(f"r{i}"), sampling=SamplingParams(max_tokens=40, block_length=4))
        for i in range(7)
    ]
    assert length_of(run_while(engine, small, auto("late"))) == 32
    large = [
        replace(auto(f"r{i}"), sampling=SamplingParams(max_tokens=40, block_length=64))
        for i in range(2)
    ]
    assert length_of(run_while(engine, large, auto("late"))) == 8


def test_an_abort_takes_its_load_with_it(usual: LoadedModel) -> None:
    engine = make_engine(usual, saturation_rows=32)
    for i in range(9):
        engine.add(auto(f"r{i}"))
    engine.step()
    for i in range(9):
        engine.abort(f"r{i}")
    assert length_of(run_all(engine, [auto("alone")])["alone"]) == 32


def test_lengths_are_counted(usual: LoadedModel) -> None:
    engine = make_engine(usual, saturation_rows=32)
    run_all(engine, [auto(f"r{i}") for i in range(2)])
    read = engine.metrics.registry.get_sample_value
    assert read("unmask_block_length_bucket", {"le": "8.0"}) == 0
    assert read("unmask_block_length_bucket", {"le": "16.0"}) == 2


@pytest.mark.exhaustive
@given(
    batch=requests(),
    num_pages=st.sampled_from([19, 400]),
    rows=st.sampled_from([8, 32, 90]),
    cache=st.sampled_from(["none", "block"]),
)
@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_an_answer_is_that_of_a_request_that_names_the_length(
    usual: LoadedModel, batch: list[Request], num_pages: int, rows: int, cache: CacheName
) -> None:
    batch = [replace(r, sampling=replace(r.sampling, cache=cache)) for r in batch]
    adaptive = [
        replace(request, sampling=replace(request.sampling, block_length=AUTO)) for request in batch
    ]
    engine = make_engine(usual, num_pages=num_pages, saturation_rows=rows, max_num_seqs=3)
    for name, answer in run_all(engine, adaptive).items():
        [request] = [request for request in batch if request.request_id == name]
        sampling = replace(request.sampling, block_length=length_of(answer))
        assert answer.essence == run_alone(usual, replace(request, sampling=sampling)).essence


def test_a_server_may_adapt_by_default(tiny_folder: str) -> None:
    decoding = DecodingConfig(block_length=AUTO)
    config = ModelConfig(path=str(tiny_folder), dtype="float32")
    model, usual = load_model(config, decoding), load_model(config, DecodingConfig())
    assert model.info.block_length == usual.info.block_length
    assert model.info.adapts_blocks
    assert not usual.info.adapts_blocks


def test_a_server_of_full_attention_does_not_start_with_auto() -> None:
    with pytest.raises(
        InvalidConfig,
        match=r"decoding\.block_length auto needs a model with block-causal attention",
    ):
        load_model(ModelConfig(path=str(GOLDEN / "llada")), DecodingConfig(block_length=AUTO))
