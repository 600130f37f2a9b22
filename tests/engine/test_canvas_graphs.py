"""Captured steps over canvases equal eager ones; steps that fit no graph run eagerly."""

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("transformers.models.diffusion_gemma")

from tests.support.engines import make_engine, run_all, run_alone
from tests.support.graphs import Recordings
from tests.support.noise import (
    KINDS,
    UNUSUAL,
    WIDTH,
    canvas_requests,
    load_noise,
)
from unmask.config import EngineConfig
from unmask.engine.run.graphs import noise as canvas_graphs
from unmask.engine.run.graphs.noise_buffers import canvas_sizes
from unmask.models.registry import LoadedModel
from unmask.types import RefinementOptions, Request, SamplingParams

ANY = SamplingParams(max_tokens=40, seed=1, ignore_eos=True)
few = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_noise(tmp_path_factory.mktemp("noise"))


@pytest.fixture
def replayed(monkeypatch: pytest.MonkeyPatch) -> Recordings:
    recordings = Recordings()
    monkeypatch.setattr(canvas_graphs, "recorder", recordings)
    return recordings


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
        noise, graphs=True, overlap=overlap, max_batch_tokens=100, num_pages=num_pages
    )
    answers = run_all(engine, batch)
    for request in batch:
        alone = run_alone(noise, request)
        assert answers[request.request_id].essence == alone.essence
        assert answers[request.request_id].logprobs == alone.logprobs


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("params", [replace(ANY, **kind) for kind in KINDS])
def test_steps_of_usual_requests_are_replayed(
    noise: LoadedModel, replayed: Recordings, params: SamplingParams, overlap: bool
) -> None:
    engine = make_engine(noise, graphs=True, overlap=overlap, max_batch_tokens=64)
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
    engine = make_engine(noise, graphs=True, max_batch_tokens=64)
    assert run_all(engine, [request])["a"].refinements == expected != []


@pytest.mark.parametrize("params", [replace(ANY, **kind) for kind in UNUSUAL])
def test_steps_of_unusual_requests_are_not(
    noise: LoadedModel, replayed: Recordings, params: SamplingParams
) -> None:
    engine = make_engine(noise, graphs=True, max_batch_tokens=96)
    replayed.num_replays = 0
    request = Request("a", (5, 6, 7), params)
    assert run_all(engine, [request])["a"].essence == run_alone(noise, request).essence
    assert replayed.num_replays == 0


def test_every_graph_is_told_once(noise: LoadedModel, replayed: Recordings) -> None:
    told: list[tuple[str, int, int]] = []
    plain = make_engine(noise)
    config = replace(plain.config, graphs=True, max_batch_tokens=4 * WIDTH)
    type(plain.runner).create(config, noise, 40, lambda *progress: told.append(progress))
    assert told == [("graphs", i + 1, len(told)) for i in range(len(told))]
    assert replayed.num_replays == len(told) == len(canvas_sizes(config, noise))


def test_there_is_a_graph_for_every_number_of_canvases_and_those_that_begin(
    noise: LoadedModel,
) -> None:
    config = EngineConfig(max_num_seqs=4, max_batch_tokens=8 * WIDTH)
    sizes = [(own.num_canvases, own.num_rows // WIDTH) for own in canvas_sizes(config, noise)]
    assert sizes == sorted(sizes, key=lambda size: (size[1], size[0]))
    for count in (1, 2, 3, 4):
        for finished in range(1 + max(1, count // 2)):
            assert (count, count + finished) in sizes


def test_pages_of_the_pool_are_as_many_with_graphs(
    noise: LoadedModel, replayed: Recordings
) -> None:
    engine = make_engine(noise, graphs=True, num_pages=20, max_batch_tokens=32)
    assert engine.pool.num_pages == 20
    assert len(engine.runner.cache.keys[0]) == 21
    engine.check_integrity()


def refuses(device: torch.device) -> Callable[[Callable[[], None]], object]:
    raise torch.OutOfMemoryError("no memory for graphs")


def forgets(device: torch.device) -> Callable[[Callable[[], None]], object]:
    return lambda run: type("Forgetful", (), {"replay": staticmethod(lambda: None)})()


@pytest.mark.parametrize(
    ("recorder", "message"),
    [
        (canvas_graphs.recorder, "RuntimeError: graphs need CUDA and Triton, the device is cpu"),
        (refuses, "OutOfMemoryError: no memory for graphs"),
        (forgets, "is not what was captured"),
    ],
)
def test_without_a_good_capture_steps_are_eager_and_a_warning_says_so(
    noise: LoadedModel,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    recorder: object,
    message: str,
) -> None:
    monkeypatch.setattr(canvas_graphs, "recorder", recorder)
    with caplog.at_level(logging.WARNING):
        engine = make_engine(noise, graphs=True, max_batch_tokens=96)
    assert engine.runner.canvas_graphs is None
    assert "steps run without graphs" in caplog.text
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
    engine = make_engine(noise, graphs=True, max_batch_tokens=96)
    assert engine.runner.canvas_graphs is None
    assert "are off by" in caplog.text
