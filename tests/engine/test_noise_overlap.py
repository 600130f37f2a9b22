"""Overlapping steps over canvases change no answer."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("transformers.models.diffusion_gemma")

from tests.support.cases import examples
from tests.support.engines import Answer, collect, make_engine, run_all, run_alone
from tests.support.noise import KINDS, UNUSUAL, WIDTH, canvas_requests, load_noise
from unmask.models.registry import LoadedModel
from unmask.types import Request, SamplingParams


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_noise(tmp_path_factory.mktemp("noise"))


@pytest.mark.exhaustive
@pytest.mark.usual_cases(1)
@given(
    batch=canvas_requests(kinds=(*KINDS, *UNUSUAL)),
    steps_ahead=st.sampled_from([0, 1, 3]),
    num_pages=st.sampled_from([16, 400]),
    max_batch_tokens=st.sampled_from([32, 100, 2048]),
)
@settings(
    max_examples=examples(6, 12),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_request_in_company_and_ahead_is_as_it_is_alone(
    noise: LoadedModel,
    batch: list[Request],
    steps_ahead: int,
    num_pages: int,
    max_batch_tokens: int,
) -> None:
    engine = make_engine(
        noise,
        overlap=steps_ahead > 0,
        steps_ahead=max(1, steps_ahead),
        num_pages=num_pages,
        max_batch_tokens=max_batch_tokens,
    )
    answers = run_all(engine, batch)
    for request in batch:
        alone = run_alone(noise, request)
        assert answers[request.request_id].essence == alone.essence
        assert answers[request.request_id].logprobs == alone.logprobs


@pytest.mark.usual_cases(2)
@pytest.mark.parametrize("steps_ahead", [1, 3])
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_no_step_follows_the_last_one_of_a_canvas(
    noise: LoadedModel, steps: int, steps_ahead: int
) -> None:
    """Bounds of zero keep most positions open, so that each canvas takes all its steps."""
    params = SamplingParams(
        max_tokens=3 * WIDTH, seed=1, ignore_eos=True, steps=steps, entropy_bound=0.0
    )
    requests = [Request(str(i), tuple(range(i, i + 9 * i + 2)), params) for i in range(3)]
    engine = make_engine(noise, overlap=True, steps_ahead=steps_ahead)
    for request in requests:
        answer = run_all(engine, [request])[request.request_id]
        alone = run_alone(noise, request)
        assert answer.essence == alone.essence
        assert answer.finish is not None
        assert answer.finish.usage.denoising_steps == 3 * steps
        assert answer.finish.usage == alone.finish.usage if alone.finish else False


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_a_canvas_begins_behind_the_last_step_of_the_one_before(
    noise: LoadedModel, steps: int
) -> None:
    """No step is skipped between them: the tokens are on the device."""
    params = SamplingParams(
        max_tokens=3 * WIDTH, seed=1, ignore_eos=True, steps=steps, entropy_bound=0.0
    )
    request = Request("a", tuple(range(21)), params)
    engine = make_engine(noise, overlap=True)
    engine.add(request)
    answers: dict[str, Answer] = {}
    num_steps = 0
    while engine.has_work:
        collect(answers, engine.step())
        engine.check_integrity()
        num_steps += 1
    assert num_steps == 3 * steps + 1
    assert answers["a"].essence == run_alone(noise, request).essence


def test_a_model_of_canvases_runs_where_steps_may_speculate(noise: LoadedModel) -> None:
    """Table rows for speculative states have canvases too."""
    params = SamplingParams(max_tokens=WIDTH, seed=1, ignore_eos=True)
    requests = [Request(str(i), tuple(range(i, i + 5)), params) for i in range(2)]
    engine = make_engine(noise, overlap=True, speculation_rows=64, max_num_seqs=2)
    answers = run_all(engine, requests)
    for request in requests:
        assert answers[request.request_id].essence == run_alone(noise, request).essence
