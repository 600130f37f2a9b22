"""Captured steps over canvases give the bits of eager ones; rare requests run eagerly."""

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("transformers.models.diffusion_gemma")

from tests.support.cases import examples
from tests.support.engines import make_engine, run_all, run_alone
from tests.support.graphs import Recordings
from tests.support.noise import (
    KINDS,
    UNUSUAL,
    WIDTH,
    canvas_requests,
    load_noise,
)
from unmask.config import Config, EngineConfig
from unmask.engine.engine import Engine
from unmask.engine.run.graphs.noise_buffers import noise_sizes
from unmask.engine.run.graphs.recorder import Recorder, cuda_recorder
from unmask.engine.schedule.limits import EngineLimits
from unmask.metrics import Metrics
from unmask.models.registry import LoadedModel
from unmask.types import RefinementOptions, Request, SamplingParams

ANY = SamplingParams(max_tokens=40, seed=1, ignore_eos=True)
few = settings(
    max_examples=examples(4, 8),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_noise(tmp_path_factory.mktemp("noise"))


@pytest.fixture
def replayed() -> Recordings:
    return Recordings()


@pytest.mark.exhaustive
@pytest.mark.usual_cases(1)
@given(
    batch=canvas_requests(kinds=(*KINDS, *UNUSUAL)),
    overlap=st.booleans(),
    num_pages=st.sampled_from([16, 400]),
)
@few
def test_answers_are_those_of_an_engine_without_graphs(
    noise: LoadedModel,
    replayed: Recordings,
    batch: list[Request],
    overlap: bool,
    num_pages: int,
) -> None:
    engine = make_engine(
        noise,
        graphs=True,
        overlap=overlap,
        max_batch_tokens=100,
        num_pages=num_pages,
        recorder=replayed,
    )
    answers = run_all(engine, batch)
    for request in batch:
        alone = run_alone(noise, request)
        assert answers[request.request_id].essence == alone.essence
        assert answers[request.request_id].logprobs == alone.logprobs


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("params", [replace(ANY, **kind) for kind in KINDS])
def test_steps_of_usual_requests_are_replayed(
    noise: LoadedModel, replayed: Recordings, params: SamplingParams, overlap: bool
) -> None:
    engine = make_engine(
        noise, graphs=True, overlap=overlap, max_batch_tokens=64, recorder=replayed
    )
    replayed.num_replays = 0
    batch = [Request("a", (5, 6, 7), params), Request("b", tuple(range(30)), ANY)]
    answers = run_all(engine, batch)
    for request in batch:
        assert answers[request.request_id].essence == run_alone(noise, request).essence
    steps = [answer.finish.usage.denoising_steps for answer in answers.values() if answer.finish]
    assert replayed.num_replays >= max(steps)


def test_refinements_are_those_of_an_engine_without_graphs(
    noise: LoadedModel, replayed: Recordings
) -> None:
    request = Request("a", (5, 6, 7), ANY, RefinementOptions(tokens=True))
    expected = run_alone(noise, request).refinements
    engine = make_engine(noise, graphs=True, max_batch_tokens=64, recorder=replayed)
    assert run_all(engine, [request])["a"].refinements == expected != []


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("params", [replace(ANY, **kind) for kind in UNUSUAL])
def test_steps_of_unusual_requests_are_not(
    noise: LoadedModel, replayed: Recordings, params: SamplingParams
) -> None:
    engine = make_engine(noise, graphs=True, max_batch_tokens=96, recorder=replayed)
    replayed.num_replays = 0
    request = Request("a", (5, 6, 7), params)
    assert run_all(engine, [request])["a"].essence == run_alone(noise, request).essence
    assert replayed.num_replays == 0


def test_every_graph_is_counted_once(noise: LoadedModel, replayed: Recordings) -> None:
    counts: list[tuple[str, int, int]] = []
    config = EngineConfig(graphs=True, max_batch_tokens=4 * WIDTH, num_pages=40)
    engine = Engine(
        Config(engine=config),
        noise,
        Metrics(),
        progress=lambda *progress: counts.append(progress),
        recorder=replayed,
    )
    assert counts == [("graphs", i + 1, len(counts)) for i in range(len(counts))]
    assert replayed.num_replays == len(counts) == len(noise_sizes(engine.limits, noise))


def test_there_is_a_graph_for_every_number_of_canvases_and_those_that_begin(
    noise: LoadedModel,
) -> None:
    limits = EngineLimits(8 * WIDTH, num_pages=400, page_size=16, max_num_seqs=4)
    sizes = [(size.num_canvases, size.num_rows // WIDTH) for size in noise_sizes(limits, noise)]
    assert sizes == sorted(sizes, key=lambda size: (size[1], size[0]))
    for count in (1, 2, 3, 4):
        for finished in range(1 + max(1, count // 2)):
            assert (count, count + finished) in sizes


def test_pages_of_the_pool_are_as_many_with_graphs(
    noise: LoadedModel, replayed: Recordings
) -> None:
    engine = make_engine(noise, graphs=True, num_pages=20, max_batch_tokens=32, recorder=replayed)
    assert engine.pool.num_pages == 20
    assert len(engine.runner.device.cache.keys[0]) == 21
    engine.check_integrity()


def refuses(device: torch.device) -> Callable[[Callable[[], None]], object]:
    raise torch.OutOfMemoryError("no memory for graphs")


def forgets(device: torch.device) -> Callable[[Callable[[], None]], object]:
    return lambda run: type("Forgetful", (), {"replay": staticmethod(lambda: None)})()


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize(
    ("recorder", "message"),
    [
        (cuda_recorder, "RuntimeError: graphs need CUDA and Triton, the device is cpu"),
        (refuses, "OutOfMemoryError: no memory for graphs"),
        (forgets, "is not what was captured"),
    ],
)
def test_without_a_good_capture_steps_are_eager_and_a_warning_says_so(
    noise: LoadedModel,
    caplog: pytest.LogCaptureFixture,
    recorder: Recorder,
    message: str,
) -> None:
    with caplog.at_level(logging.WARNING):
        engine = make_engine(noise, graphs=True, max_batch_tokens=96, recorder=recorder)
    assert engine.runner.graphs is None
    assert "CUDA graphs of steps are disabled" in caplog.text
    assert message in caplog.text
    request = Request("a", (5, 6, 7), ANY)
    assert run_all(engine, [request])["a"].essence == run_alone(noise, request).essence


def test_a_step_that_depends_on_how_many_rows_there_are_is_found_out(
    noise: LoadedModel,
    replayed: Recordings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    real = type(noise.model).forward
    monkeypatch.setattr(
        type(noise.model), "forward", lambda self, step: real(self, step) + len(step.token_ids)
    )
    engine = make_engine(noise, graphs=True, max_batch_tokens=96, recorder=replayed)
    assert engine.runner.graphs is None
    assert "are off by" in caplog.text
