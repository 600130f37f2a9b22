"""Speculation: the same answers to the bit, in fewer passes if states are accepted."""

from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.cases import examples
from tests.support.draws import requests
from tests.support.engines import Answer, collect, make_engine, run_all, run_alone
from tests.support.graphs import Recordings
from unmask.decoding.variable_length import VariableLength
from unmask.engine.engine import Engine
from unmask.metrics import value_of
from unmask.models.registry import LoadedModel
from unmask.types import RefinementOptions, Request, SamplingParams

few = settings(
    max_examples=examples(4, 7),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
# Only one token may be generated, so that a state is reached once the order is right.
CERTAIN = SamplingParams(
    max_tokens=64,
    block_length=16,
    policy="sequential",
    allowed_token_ids=(40,),
    ignore_eos=True,
)


def count(engine: Engine, name: str) -> float:
    value = engine.metrics.registry.get_sample_value(f"unmask_{name}_total")
    assert value is not None
    return value


def told(answer: Answer) -> tuple[Any, ...]:
    """Contents of a stream, without its costs."""
    steps = [(r.block, r.step, r.span, r.text, r.tokens) for r in answer.refinements]
    return answer.essence, answer.logprobs, steps


@given(
    batch=requests(max_size=4),
    rows=st.sampled_from([40, 128, 400]),
    overlap=st.booleans(),
    num_pages=st.sampled_from([19, 400]),
    max_batch_tokens=st.sampled_from([40, 200, 2048]),
    max_num_seqs=st.sampled_from([1, 4]),
    prefix_cache=st.booleans(),
)
@few
def test_answers_are_those_without_speculation(
    tiny: LoadedModel, batch: list[Request], rows: int, **config: Any
) -> None:
    """Tokens, logprobs and all drafts, greedy and sampled, preempted or ahead."""
    engine = make_engine(tiny, speculation_rows=rows, **config)
    answers = run_all(engine, batch)
    for request in batch:
        assert told(answers[request.request_id]) == told(run_alone(tiny, request))


@pytest.mark.exhaustive
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    block_length=st.sampled_from([1, 4, 8, 16]),
    sub_block_length=st.sampled_from([None, 2, 3, 4]),
    page_size=st.sampled_from([4, 16, 24]),
    policy=st.sampled_from(["sequential", "low_confidence"]),
    temperature=st.sampled_from([0.0, 1.0]),
    overlap=st.booleans(),
    allowed=st.sampled_from([(40,), (40, 41), (3, 40, 510)]),
)
@few
def test_states_that_are_reached_change_nothing_either(
    tiny: LoadedModel,
    lengths: list[int],
    block_length: int,
    sub_block_length: int | None,
    page_size: int,
    policy: Any,
    temperature: float,
    overlap: bool,
    allowed: tuple[int, ...],
) -> None:
    sampling = replace(
        CERTAIN,
        max_tokens=37,
        policy=policy,
        block_length=block_length,
        sub_block_length=sub_block_length,
        allowed_token_ids=allowed,
        temperature=temperature,
        seed=5,
        ignore_eos=False,
        logprobs=1,
    )
    batch = [
        Request(f"r{i}", tuple(range(n)), sampling, RefinementOptions(tokens=True))
        for i, n in enumerate(lengths)
    ]
    engine = make_engine(tiny, speculation_rows=300, page_size=page_size, overlap=overlap)
    answers = run_all(engine, batch)
    for request in batch:
        assert told(answers[request.request_id]) == told(run_alone(tiny, request))


@pytest.mark.parametrize(
    ("rows", "part", "passes"),
    [(0, None, 64), (32, None, 36), (48, None, 25), (200, None, 10), (200, 16, 10), (200, 4, 18)],
)
def test_accepted_states_save_passes(
    tiny: LoadedModel, rows: int, part: int | None, passes: int
) -> None:
    """Each accepted state saves a pass, the first step of a block or of a part included."""
    engine = make_engine(tiny, speculation_rows=rows)
    sampling = replace(CERTAIN, sub_block_length=part)
    answer = run_all(engine, [Request("r", tuple(range(16)), sampling)])["r"]
    assert answer.finish is not None
    usage = answer.finish.usage
    assert usage.denoising_steps == 64, "the steps are those of the plain loop"
    assert count(engine, "forward_passes") == usage.forward_passes == passes
    assert count(engine, "accepted_states") == 64 - passes
    assert value_of(engine.metrics.inter_token_s, "_count") == passes - 1
    assert count(engine, "query_tokens") == usage.query_tokens


def test_without_spare_rows_nothing_is_speculated(tiny: LoadedModel) -> None:
    engine = make_engine(tiny, speculation_rows=64)
    run_all(engine, [Request(f"r{i}", tuple(range(16)), CERTAIN) for i in range(8)])
    crowded = count(engine, "speculative_states")
    alone = make_engine(tiny, speculation_rows=64)
    run_all(alone, [Request("r", tuple(range(16)), CERTAIN)])
    assert crowded < count(alone, "speculative_states")


@pytest.mark.usual_cases(2)
@pytest.mark.parametrize(
    ("traits", "params"),
    [
        ({"attention": "full"}, {}),
        ({"shift": True}, {}),
        ({"can_edit": True}, {"editing_threshold": 0.5}),
        ({}, {"cache": "block"}),
    ],
)
def test_what_depends_on_more_than_the_block_runs_as_without(
    tiny: LoadedModel, traits: dict[str, Any], params: dict[str, Any]
) -> None:
    model = replace(tiny, info=replace(tiny.info, **traits))
    request = Request("r", tuple(range(16)), replace(CERTAIN, **params))
    engine = make_engine(model, speculation_rows=500)
    assert run_all(engine, [request])["r"].essence == run_alone(model, request).essence
    assert count(engine, "speculative_states") == 0


def test_scratch_pages_preempt_nobody(tiny: LoadedModel) -> None:
    sampling = replace(CERTAIN, max_tokens=40, block_length=8)
    batch = [Request(f"r{i}", tuple(range(40)), sampling) for i in range(2)]
    engine = make_engine(tiny, speculation_rows=300, num_pages=10, prefix_cache=False)
    answers = run_all(engine, batch)
    plain = make_engine(tiny, num_pages=10, prefix_cache=False)
    assert {n: a.essence for n, a in run_all(plain, batch).items()} == {
        n: a.essence for n, a in answers.items()
    }
    assert engine.scheduler.num_preempted <= plain.scheduler.num_preempted


def test_a_step_that_cannot_be_laid_out_keeps_no_scratch_pages(tiny: LoadedModel) -> None:
    request = Request("r", tuple(range(16)), CERTAIN)
    engine = make_engine(tiny, speculation_rows=300)
    engine.add(request)
    for _ in range(4):
        engine.step()
    assert count(engine, "speculative_states") > 0
    (sequence,) = engine.scheduler.sequences
    sequence.lengths = cast(VariableLength, object())
    with pytest.raises(AttributeError):
        engine.step()
    engine.check_integrity()
    engine.fail_all("a step failed")
    assert engine.pool.num_held == 0
    assert run_all(engine, [request])["r"].essence == run_alone(tiny, request).essence


def test_answers_with_graphs_are_the_same(tiny_on_cpu: LoadedModel) -> None:
    recordings = Recordings()
    engine = make_engine(
        tiny_on_cpu,
        graphs=True,
        overlap=True,
        max_batch_tokens=200,
        speculation_rows=128,
        recorder=recordings,
    )
    plain = replace(CERTAIN, allowed_token_ids=None, max_tokens=30)
    batch = [
        Request("greedy", tuple(range(9)), plain),
        Request("drawn", tuple(range(12)), replace(plain, temperature=0.8, seed=3)),
    ]
    answers = run_all(engine, batch)
    for request in batch:
        expected = run_alone(tiny_on_cpu, request).essence
        assert answers[request.request_id].essence == expected
    assert recordings.num_replays > 0
    assert count(engine, "speculative_states") > 0


@pytest.mark.parametrize("num_steps", [4, 5, 6, 7])
def test_states_on_their_way_do_not_count_where_load_ends_speculation(
    tiny: LoadedModel, num_steps: int
) -> None:
    """A block that runs ahead of a result does not use that result's speculative states."""
    params = SamplingParams(max_tokens=12, block_length=4, logprobs=0, ignore_eos=True)
    first = Request("first", (5, 6), replace(params, policy="sequential"))
    company = [Request(f"r{i}", (i,), replace(params, max_tokens=3)) for i in range(4)]
    engine = make_engine(tiny, speculation_rows=32, page_size=4, overlap=True)
    answers: dict[str, Answer] = {}
    engine.add(first)
    for _ in range(num_steps):
        collect(answers, engine.step())
    for request in company:
        engine.add(request)
    while engine.has_work:
        collect(answers, engine.step())
    alone = run_alone(tiny, first)
    assert told(answers["first"]) == told(alone)
    assert alone.finish is not None
    found = answers["first"].finish
    assert found is not None
    assert found.usage.denoising_steps == alone.finish.usage.denoising_steps


def test_an_abort_forgets_states_on_their_way(tiny: LoadedModel) -> None:
    engine = make_engine(tiny, speculation_rows=200, overlap=True)
    engine.add(Request("r", tuple(range(16)), CERTAIN))
    for _ in range(6):
        engine.step()
    engine.abort("r")
    while engine.has_work:
        engine.step()
        engine.check_integrity()
    assert engine.pool.num_held == 0
