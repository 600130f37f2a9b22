"""Captured sampling gives the bits of eager sampling; rare requests are sampled eagerly."""

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.cases import examples
from tests.support.draws import requests
from tests.support.engines import make_engine, run_all, run_alone
from tests.support.graphs import Recordings, in_turn
from unmask.config import Config, EngineConfig
from unmask.engine.engine import Engine
from unmask.engine.run.graphs.recorder import Recorder
from unmask.engine.run.runner import MaskRunner
from unmask.metrics import Metrics
from unmask.models.registry import LoadedModel
from unmask.types import Request, SamplingParams

PLAIN = SamplingParams(max_tokens=20, ignore_eos=True)
HOT = replace(PLAIN, temperature=0.9, seed=2)
few = settings(
    max_examples=examples(6, 12),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def tiny(tiny_on_cpu: LoadedModel) -> LoadedModel:
    """Tiny model with recordings as graphs, only if a test asks for them."""
    return tiny_on_cpu


@pytest.fixture
def sampled() -> Recordings:
    """Replays of sampling; those of forward passes are not counted."""
    return Recordings()


def recorded(sampled: Recordings) -> Recorder:
    return in_turn(Recordings(), sampled)


@pytest.mark.exhaustive
@given(batch=requests(), overlap=st.booleans(), num_pages=st.sampled_from([16, 400]))
@few
def test_answers_are_those_of_an_engine_without_graphs(
    tiny: LoadedModel,
    sampled: Recordings,
    batch: list[Request],
    overlap: bool,
    num_pages: int,
) -> None:
    engine = make_engine(
        tiny,
        graphs=True,
        overlap=overlap,
        max_batch_tokens=100,
        num_pages=num_pages,
        recorder=recorded(sampled),
    )
    answers = run_all(engine, batch)
    for request in batch:
        assert answers[request.request_id].essence == run_alone(tiny, request).essence


@pytest.mark.usual_cases(3)
@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize(
    "params",
    [
        PLAIN,
        HOT,
        replace(PLAIN, logprobs=0),
        replace(PLAIN, policy="margin", steps=4, block_length=8),
        replace(HOT, policy="entropy_bound", block_length=16),
        replace(PLAIN, policy="factor"),
        replace(PLAIN, policy="hierarchical", low_threshold=0.01),
        replace(HOT, policy="local_leap", threshold=0.05, relaxed_threshold=0.02),
    ],
)
def test_usual_requests_are_sampled_by_graphs(
    tiny: LoadedModel, sampled: Recordings, params: SamplingParams, overlap: bool
) -> None:
    engine = make_engine(
        tiny, graphs=True, overlap=overlap, max_batch_tokens=64, recorder=recorded(sampled)
    )
    sampled.num_replays = 0
    batch = [Request("a", (5, 6, 7), params), Request("b", tuple(range(30)), HOT)]
    answers = run_all(engine, batch)
    for request in batch:
        expected = run_alone(tiny, request)
        assert answers[request.request_id].essence == expected.essence
        assert answers[request.request_id].logprobs == expected.logprobs
    assert sampled.num_replays >= max(len(answers["a"].token_ids) // 20, 2)


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize(
    "params",
    [
        replace(PLAIN, logprobs=2),
        replace(HOT, top_k=5),
        replace(HOT, top_p=0.5),
        replace(PLAIN, logit_bias=((7, 1.0),)),
        replace(PLAIN, eos_last=True),
        replace(PLAIN, policy="random", seed=1),
        replace(PLAIN, policy="margin", alg_temp=0.2, seed=1),
        replace(PLAIN, block_length=65, max_tokens=70),  # shorter answers have shorter blocks
    ],
)
def test_rare_requests_are_sampled_eagerly(
    tiny: LoadedModel, sampled: Recordings, params: SamplingParams
) -> None:
    engine = make_engine(
        tiny, graphs=True, overlap=True, max_batch_tokens=96, recorder=recorded(sampled)
    )
    sampled.num_replays = 0
    request = Request("a", (5, 6, 7), params)
    assert run_all(engine, [request])["a"].essence == run_alone(tiny, request).essence
    assert sampled.num_replays == 0


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize(
    "traits",
    [
        {"attention": "full", "shift": True},
        {"attention": "full", "default_sampling": SamplingParams(cache="dual")},
        {"can_edit": True, "default_sampling": SamplingParams(editing_threshold=0.03)},
    ],
    ids=["full, shifted", "dual cache", "edits"],
)
def test_answers_of_other_families_are_those_without_graphs(
    tiny: LoadedModel, sampled: Recordings, traits: dict[str, object]
) -> None:
    loaded = replace(tiny, info=replace(tiny.info, max_model_len=200, **traits))
    engine = make_engine(
        loaded, graphs=True, overlap=True, max_batch_tokens=100, recorder=recorded(sampled)
    )
    sampled.num_replays = 0
    batch = [Request("a", (5, 6, 7), PLAIN), Request("b", tuple(range(30)), HOT)]
    answers = run_all(engine, batch)
    assert sampled.num_replays > 0
    for request in batch:
        assert answers[request.request_id].essence == run_alone(loaded, request).essence


def test_every_graph_is_counted_once(tiny: LoadedModel, sampled: Recordings) -> None:
    counts: list[tuple[str, int, int]] = []
    config = Config(engine=EngineConfig(graphs=True, max_batch_tokens=32, num_pages=10))
    Engine(
        config,
        tiny,
        Metrics(),
        progress=lambda *progress: counts.append(progress),
        recorder=recorded(sampled),
    )
    of_sampling = [count for count in counts if count[0] == "sampling graphs"]
    expected = [("sampling graphs", i + 1, len(of_sampling)) for i in range(len(of_sampling))]
    assert of_sampling == expected
    assert sampled.num_replays == len(of_sampling) > 0


def refuses(device: torch.device) -> Callable[[Callable[[], None]], object]:
    raise torch.OutOfMemoryError("no memory for graphs")


def forgets(device: torch.device) -> Callable[[Callable[[], None]], object]:
    return lambda run: type("Forgetful", (), {"replay": staticmethod(lambda: None)})()


@pytest.mark.parametrize(
    ("recorder", "message"),
    [
        (refuses, "OutOfMemoryError: no memory for graphs"),
        (forgets, "is not what was captured"),
    ],
)
def test_without_a_good_capture_sampling_is_eager_and_a_warning_says_so(
    tiny: LoadedModel, caplog: pytest.LogCaptureFixture, recorder: Recorder, message: str
) -> None:
    with caplog.at_level(logging.WARNING):
        engine = make_engine(
            tiny, graphs=True, max_batch_tokens=64, recorder=in_turn(Recordings(), recorder)
        )
    assert isinstance(engine.runner, MaskRunner)
    assert engine.runner.forward_graphs is not None
    assert engine.runner.sampling_graphs is None
    assert "CUDA graphs of sampling are disabled" in caplog.text
    assert message in caplog.text
    request = Request("a", (5, 6, 7), PLAIN)
    assert run_all(engine, [request])["a"].essence == run_alone(tiny, request).essence
