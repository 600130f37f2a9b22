"""An answer depends on the request alone, and no page is lost."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.cases import examples
from tests.support.draws import mixed, requests, sampling
from tests.support.engines import Answer, collect, make_engine, run_all, run_alone
from unmask.config import DecodingConfig, ModelConfig
from unmask.models.registry import LoadedModel, load_model
from unmask.types import FinishReason, RefinementOptions, Request, SamplingParams

few = settings(
    max_examples=examples(4, 8),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


FULL = {"attention": "full"}
PATTERNS = {
    "float32": ("float32", {}),
    "bfloat16": ("bfloat16", {}),
    "edits": (
        "float32",
        {"can_edit": True, "default_sampling": SamplingParams(editing_threshold=0.3)},
    ),
    "mixtures": ("float32", {"can_mix": True}),
    "sub-blocks, shifted": (
        "bfloat16",
        {"shift": True, "default_sampling": SamplingParams(sub_block_length=4)},
    ),
    "causal prefix, shifted": (
        "float32",
        {
            "attention": "causal_prefix",
            "shift": True,
            "default_sampling": SamplingParams(block_length=16, sub_block_length=4),
        },
    ),
    "window": (
        "float32",
        {
            "attention": "causal_window",
            "default_sampling": SamplingParams(block_length=16, distance_penalty=0.02),
        },
    ),
    "full": ("float32", FULL | {"shift": True, "schedule": "timed"}),
    "prefix cache": ("float32", FULL | {"default_sampling": SamplingParams(cache="prefix")}),
    "dual cache, shifted": (
        "bfloat16",
        FULL | {"shift": True, "default_sampling": SamplingParams(cache="dual")},
    ),
}


@pytest.fixture(scope="module", params=list(PATTERNS))
def loaded(request: pytest.FixtureRequest, tiny_folder: str) -> LoadedModel:
    """Tiny weights, decoded as one kind of family or another."""
    dtype, traits = PATTERNS[request.param]
    model = load_model(ModelConfig(path=str(tiny_folder), dtype=dtype), DecodingConfig())
    # Random weights would edit for ever.
    return replace(model, info=replace(model.info, max_post_steps=3, **traits))


def served(loaded: LoadedModel, batch: list[Request]) -> list[Request]:
    """Requests as the kind of family is asked."""
    return [mixed(request) for request in batch] if loaded.info.can_mix else batch


def assert_same(answers: dict[str, Answer], expected: dict[str, Answer]) -> None:
    assert {name: a.essence for name, a in answers.items()} == {
        name: a.essence for name, a in expected.items()
    }


@st.composite
def engine_settings(draw: st.DrawFn) -> dict[str, Any]:
    """Engines with all combinations of caching, chunking, preemption, overlap and speculation."""
    page_size = draw(st.sampled_from([4, 16, 24]))
    return {
        "prefix_cache": draw(st.booleans()),
        "page_size": page_size,
        "num_pages": draw(st.sampled_from([200, 300, 6400])) // page_size,
        "max_batch_tokens": draw(st.sampled_from([32, 48, 70, 200, 2048])),
        "max_num_seqs": draw(st.sampled_from([2, 3, 64])),
        "overlap": draw(st.booleans()),
        "overlap_rows": draw(st.sampled_from([0, 20, 1000])),
        "steps_ahead": draw(st.sampled_from([1, 2, 4])),
        "speculation_rows": draw(st.sampled_from([0, 64, 200])),
        "saturation_rows": draw(st.sampled_from([None, 4, 32])),
    }


@pytest.mark.usual_cases(1)
@given(batch=requests(), settings=engine_settings())
@few
def test_an_answer_depends_on_the_request_alone(
    loaded: LoadedModel, batch: list[Request], settings: dict[str, Any]
) -> None:
    """A batch of N equals N batches of one, cached equals uncached, and so on for all options."""
    batch = served(loaded, batch)
    alone = {request.request_id: run_alone(loaded, request) for request in batch}
    engine = make_engine(loaded, **settings)
    together = run_all(engine, batch)
    assert_same(together, alone)
    for name, answer in together.items():
        assert [entry.token_id for entry in answer.logprobs] == [
            entry.token_id for entry in alone[name].logprobs
        ]
    again = [replace(request, request_id=f"again-{request.request_id}") for request in batch]
    assert_same(run_all(engine, again), {f"again-{name}": a for name, a in alone.items()})


@pytest.mark.usual_cases(1)
def test_too_few_pages_do_preempt(loaded: LoadedModel) -> None:
    """Guards the property above: it does meet preemptions."""
    sampling = replace(Request("x", (1,)).sampling, max_tokens=50, ignore_eos=True)
    batch = [Request(f"r{i}", tuple(range(i, i + 40)), sampling) for i in range(4)]
    batch = served(loaded, batch)
    engine = make_engine(loaded, num_pages=12)
    answers = run_all(engine, batch)
    has_all_pages = loaded.info.attention == "full"
    assert (engine.scheduler.num_preempted > 0) != has_all_pages
    assert_same(answers, {r.request_id: run_alone(loaded, r) for r in batch})


@pytest.mark.usual_cases(1)
@given(params=sampling(), prompt=st.lists(st.integers(0, 500), min_size=1, max_size=40))
@few
def test_refinements_do_not_change_the_answer(
    loaded: LoadedModel, params: object, prompt: list[int]
) -> None:
    [plain] = served(loaded, [Request("a", tuple(prompt), params)])
    refined = replace(plain, refinements=RefinementOptions(tokens=True))
    assert run_alone(loaded, refined).essence == run_alone(loaded, plain).essence


@pytest.mark.usual_cases(1)
@given(batch=requests(max_size=6), steps_ahead=st.integers(0, 3), data=st.data())
@few
def test_pages_are_conserved_whatever_arrives_aborts_or_ends(
    loaded: LoadedModel, batch: list[Request], steps_ahead: int, data: st.DataObject
) -> None:
    overlap = {"overlap": steps_ahead > 0, "steps_ahead": max(1, steps_ahead)}
    engine = make_engine(loaded, num_pages=14, max_batch_tokens=64, max_num_seqs=3, **overlap)
    batch = served(loaded, batch)
    waiting, answers = list(batch), {}
    while waiting or engine.has_work:
        if waiting and (not engine.has_work or data.draw(st.booleans())):
            engine.add(waiting.pop())
        if data.draw(st.integers(0, 9)) == 0:
            name = data.draw(st.sampled_from(batch)).request_id
            collect(answers, engine.abort(name))
            engine.check_integrity()
        collect(answers, engine.step())
        engine.check_integrity()
    assert engine.pool.num_held == 0
    assert set(answers) == {request.request_id for request in batch}, "no request is lost"
    for request in batch:
        answer = answers[request.request_id]
        assert answer.finish is not None
        if answer.finish.reason is not FinishReason.ABORT:
            assert answer.essence == run_alone(loaded, request).essence
