"""Captured forward passes equal eager ones; steps that fit no graph run eagerly."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.cases import examples
from tests.support.checkpoints import load_golden
from tests.support.draws import requests
from tests.support.engines import make_engine, run_all, run_alone
from tests.support.graphs import (
    Captured,
    Recordings,
    assert_padded_is_the_same,
    noisy_cache,
    some_step,
)
from unmask.config import EngineConfig
from unmask.engine.run.graphs.recorder import Recorder, cuda_recorder
from unmask.engine.run.limits import derive_limits
from unmask.models.family import Model
from unmask.models.inputs import ForwardInputs
from unmask.models.kv_cache import KVCache
from unmask.models.registry import LoadedModel
from unmask.types import Request, SamplingParams

PAGE = 16
CONFIG = EngineConfig(page_size=PAGE, max_batch_tokens=96, max_num_seqs=8, graphs=True)
few = settings(
    max_examples=examples(6, 12),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
REQUESTS = [
    Request("a", tuple(range(40)), SamplingParams(max_tokens=20, seed=1, ignore_eos=True)),
    Request("b", (5, 6), SamplingParams(max_tokens=30, seed=2, temperature=0.9, ignore_eos=True)),
    Request("c", tuple(range(9, 90)), SamplingParams(max_tokens=9, seed=3, ignore_eos=True)),
]


@pytest.fixture(scope="module")
def tiny(tiny_on_cpu: LoadedModel) -> LoadedModel:
    """Tiny model with recordings as graphs, only if a test asks for them."""
    return tiny_on_cpu


@pytest.fixture(scope="module")
def whole(tiny: LoadedModel) -> tuple[Captured, Recordings, KVCache]:
    """Graphs of every size, their replays, and their cache."""
    recordings, cache = Recordings(), noisy_cache(tiny, 40, PAGE)
    captured = Captured.from_config(CONFIG, tiny, cache, recordings)
    assert captured is not None
    return captured, recordings, cache


@pytest.fixture
def recordings() -> Recordings:
    return Recordings()


@given(
    num_rows=st.integers(1, 96),
    num_sequences=st.integers(1, 12),
    reach=st.integers(1, 300),
    seed=st.integers(0, 10**6),
)
@few
def test_a_step_that_is_filled_up_keeps_every_bit(
    tiny: LoadedModel,
    whole: tuple[Captured, Recordings, KVCache],
    num_rows: int,
    num_sequences: int,
    reach: int,
    seed: int,
) -> None:
    captured, recordings, cache = whole
    recordings.num_replays = 0
    step = some_step(tiny, cache, num_rows, num_sequences, reach, seed)
    with torch.inference_mode():
        # A larger step before leaves its slots behind, which are somebody else's by now.
        captured.forward(some_step(tiny, cache, 100, 4, 100, seed + 1))
        assert_padded_is_the_same(captured.forward, tiny, step)
    assert recordings.num_replays == 2


@pytest.mark.parametrize("family", ["llada2", "llada", "dream"])
def test_a_step_of_another_family_keeps_every_bit_too(
    recordings: Recordings, tmp_path: Path, family: str
) -> None:
    """LLaDA2's rows are routed to experts, padding rows too."""
    loaded = load_golden(family, tmp_path, device="cpu")
    loaded = replace(loaded, info=replace(loaded.info, max_model_len=150))
    cache = noisy_cache(loaded, 40, PAGE)
    captured = Captured.from_config(CONFIG, loaded, cache, recordings)
    assert captured is not None
    recordings.num_replays = 0
    with torch.inference_mode():
        for seed in range(8):
            step = some_step(loaded, cache, 7 + 12 * seed, 1 + seed, 120, seed)
            assert_padded_is_the_same(captured.forward, loaded, step)
    assert recordings.num_replays == 8


def test_a_step_of_more_rows_than_any_graph_is_eager(
    tiny: LoadedModel, whole: tuple[Captured, Recordings, KVCache]
) -> None:
    captured, recordings, cache = whole
    recordings.num_replays = 0
    step = some_step(tiny, cache, 120, 4, 300, 0)
    assert len(step.token_ids) > 96
    with torch.inference_mode():
        given = captured.forward(step)
        assert torch.equal(given, tiny.model.forward(step))
    assert recordings.num_replays == 0


def test_every_graph_is_told_once_largest_first(tiny: LoadedModel, recordings: Recordings) -> None:
    told: list[tuple[str, int, int]] = []
    cache = noisy_cache(tiny, 40, PAGE)
    assert Captured.from_config(
        CONFIG, tiny, cache, recordings, lambda *progress: told.append(progress)
    )
    assert told == [("graphs", i + 1, len(told)) for i in range(len(told))]
    assert recordings.num_replays == len(told) > 0


def test_steps_of_more_rows_than_there_are_open_tokens_are_captured(
    tiny: LoadedModel, recordings: Recordings
) -> None:
    """Few sequences, whose prompts are longer than all of their blocks."""
    config = replace(CONFIG, max_num_seqs=1, max_batch_tokens=192)
    captured = Captured.from_config(config, tiny, noisy_cache(tiny, 40, PAGE), recordings)
    assert captured is not None
    assert captured.open_tokens.numel() < captured.graphs.row_counts[-1]


def refuses(device: torch.device) -> Callable[[Callable[[], None]], object]:
    raise torch.OutOfMemoryError("no memory for graphs")


def forgets(device: torch.device) -> Callable[[Callable[[], None]], object]:
    return lambda run: type("Forgetful", (), {"replay": staticmethod(lambda: None)})()


def is_baked(device: torch.device) -> Callable[[Callable[[], None]], object]:
    """Replays the inputs of its capture, ignoring the static buffers."""

    def record(run: Callable[[], None]) -> object:
        run()
        cells = dict(zip(run.__code__.co_freevars, run.__closure__ or (), strict=True))
        hidden = cells["hidden"].cell_contents
        kept = hidden.clone()
        return type("Baked", (), {"replay": staticmethod(lambda: hidden.copy_(kept))})()

    return record


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize(
    ("recorder", "message"),
    [
        (cuda_recorder, "RuntimeError: graphs need CUDA and Triton, the device is cpu"),
        (refuses, "OutOfMemoryError: no memory for graphs"),
        (forgets, "is not what was captured"),
        (is_baked, "is not what was captured"),
    ],
)
def test_without_a_good_capture_steps_are_eager_and_a_warning_says_so(
    tiny: LoadedModel,
    caplog: pytest.LogCaptureFixture,
    recorder: Recorder,
    message: str,
) -> None:
    with caplog.at_level(logging.WARNING):
        engine = make_engine(tiny, graphs=True, max_batch_tokens=96, recorder=recorder)
    assert engine.runner.forward_graphs is None
    assert "CUDA graphs of the forward pass are disabled" in caplog.text
    assert message in caplog.text
    answers = run_all(engine, REQUESTS)
    for request in REQUESTS:
        assert answers[request.request_id].essence == run_alone(tiny, request).essence


def test_a_forward_that_depends_on_how_many_rows_there_are_is_found_out(
    tiny: LoadedModel,
    recordings: Recordings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    real = type(tiny.model).forward
    monkeypatch.setattr(
        type(tiny.model), "forward", lambda self, step: real(self, step) * len(step.token_ids)
    )
    assert Captured.from_config(CONFIG, tiny, noisy_cache(tiny, 40, PAGE), recordings) is None
    assert "are off by" in caplog.text


@given(batch=requests(), overlap=st.booleans(), num_pages=st.sampled_from([16, 400]))
@settings(few, max_examples=examples(4, 10))
def test_answers_are_those_of_an_engine_without_graphs(
    tiny: LoadedModel,
    recordings: Recordings,
    batch: list[Request],
    overlap: bool,
    num_pages: int,
) -> None:
    engine = make_engine(
        tiny,
        graphs=True,
        overlap=overlap,
        max_batch_tokens=70,
        num_pages=num_pages,
        recorder=recordings,
    )
    recordings.num_replays = 0
    answers = run_all(engine, batch)
    assert recordings.num_replays > 0
    for request in batch:
        assert answers[request.request_id].essence == run_alone(tiny, request).essence


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize(
    "traits",
    [
        {"attention": "full", "shift": True},
        {"attention": "full", "default_sampling": SamplingParams(cache="dual")},
        {"default_sampling": SamplingParams(editing_threshold=0.03)},
    ],
    ids=["full, shifted", "dual cache", "edits"],
)
def test_answers_of_other_families_are_those_without_graphs(
    tiny: LoadedModel, recordings: Recordings, traits: dict[str, object]
) -> None:
    loaded = replace(tiny, info=replace(tiny.info, max_model_len=200, **traits))
    engine = make_engine(
        loaded, graphs=True, overlap=True, max_batch_tokens=100, recorder=recordings
    )
    recordings.num_replays = 0
    answers = run_all(engine, REQUESTS)
    assert recordings.num_replays > 0
    for request in REQUESTS:
        assert answers[request.request_id].essence == run_alone(loaded, request).essence


def test_pages_of_the_pool_are_as_many_with_graphs(
    tiny: LoadedModel, recordings: Recordings
) -> None:
    engine = make_engine(tiny, graphs=True, num_pages=20, max_batch_tokens=32, recorder=recordings)
    assert engine.pool.num_pages == 20
    assert len(engine.runner.device.cache.keys[0]) == 21
    engine.check_integrity()


def test_graphs_are_for_gpus_unless_they_are_asked_for(tiny: LoadedModel) -> None:
    on_gpu = replace(tiny, device=torch.device("cuda"))
    assert not derive_limits(EngineConfig(num_pages=9), tiny).has_graphs
    assert derive_limits(EngineConfig(num_pages=9), on_gpu).has_graphs
    assert derive_limits(EngineConfig(num_pages=9, graphs=True), tiny).has_graphs
    assert not derive_limits(EngineConfig(num_pages=9, graphs=False), on_gpu).has_graphs


class Dependent:
    """Model whose last bits depend on the number of rows, like a library's products."""

    def __init__(self, model: Model) -> None:
        self.layers, self.lm_head, self.row_unit = model.layers, model.lm_head, model.row_unit
        self._model, self.vision = model, model.vision
        self.state_sizes = model.state_sizes

    def forward(self, step: ForwardInputs) -> torch.Tensor:
        return self._model.forward(step) * (1 + 1e-7 * len(step.token_ids))

    def final_norm(self, hidden: torch.Tensor) -> torch.Tensor:
        return self._model.final_norm(hidden)


def test_a_start_warns_once_where_last_bits_depend_on_company(
    tiny: LoadedModel, recordings: Recordings, caplog: pytest.LogCaptureFixture
) -> None:
    config = replace(CONFIG, max_batch_tokens=32)
    with caplog.at_level(logging.WARNING):
        cache = noisy_cache(tiny, 40, PAGE)
        assert Captured.from_config(config, tiny, cache, recordings) is not None
        assert not caplog.records
        loaded = replace(tiny, model=Dependent(tiny.model))
        assert Captured.from_config(config, loaded, cache, recordings) is not None
    (record,) = caplog.records
    assert "may depend on what else is decoded" in record.message
    assert "16, 32 rows" in record.message
