"""Requests with several open blocks: the same tokens in any company, and what they refuse."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.cases import examples
from tests.support.draws import CONSTRAINTS, SAMPLERS, STOPS, requests
from tests.support.engines import make_engine, run_all, run_alone
from tests.support.graphs import Recordings, in_turn
from tests.support.tiny import EOS_ID
from unmask.errors import InvalidRequest
from unmask.grammar import Regex
from unmask.models.registry import LoadedModel
from unmask.types import EditCommands, Hole, RefinementOptions, Request, SamplingParams, Template

few = settings(
    max_examples=examples(3, 6),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
POLICIES = (
    {"policy": "threshold", "threshold": 0.05},
    {"policy": "threshold", "threshold": 0.02, "steps": 4},
    {"policy": "factor", "factor": 1.9},
    {"policy": "entropy_threshold", "entropy_threshold": 4.0},
    {"policy": "low_confidence", "steps": 3},
    {"policy": "hierarchical", "threshold": 0.1, "low_threshold": 0.02},
    {"policy": "random", "steps": 5},
    {"policy": "threshold", "threshold": 0.3, "eos_last": True},
)
PENALTIES: tuple[dict[str, Any], ...] = ({}, {"frequency_penalty": 0.8}, {"min_tokens": 9})
SEVERAL = SamplingParams(
    max_tokens=50, block_length=8, open_blocks=3, threshold=0.03, temperature=0.0, ignore_eos=True
)
PROMPT = tuple(range(20, 41))


@pytest.fixture(scope="module")
def loaded(tiny_on_cpu: LoadedModel) -> LoadedModel:
    return tiny_on_cpu


@st.composite
def several(draw: st.DrawFn) -> SamplingParams:
    penalties = draw(st.sampled_from(PENALTIES))
    return SamplingParams(
        max_tokens=draw(st.integers(penalties.get("min_tokens", 1), 60)),
        block_length=draw(st.sampled_from([1, 3, 4, 8, 16])),
        open_blocks=draw(st.integers(2, 4)),
        add_block_threshold=draw(st.sampled_from([None, 0.3, 1.0])),
        semi_complete_threshold=draw(st.sampled_from([None, 0.0, 0.5])),
        seed=draw(st.integers(0, 2**63 - 1)),
        stop=draw(st.sampled_from(STOPS)),
        ignore_eos=draw(st.booleans()),
        logprobs=draw(st.sampled_from([None, 3])),
        **draw(st.sampled_from(POLICIES)),
        **draw(st.sampled_from(SAMPLERS)),
        **draw(st.sampled_from(CONSTRAINTS)),
        **penalties,
    )


@st.composite
def batches(draw: st.DrawFn) -> list[Request]:
    """Requests, more than half of which have several open blocks."""
    drawn = draw(requests(max_size=5))
    return [
        replace(request, sampling=draw(several())) if draw(st.integers(0, 2)) else request
        for request in drawn
    ]


@given(
    batch=batches(),
    changes=st.fixed_dictionaries(
        {
            "prefix_cache": st.booleans(),
            "num_pages": st.sampled_from([14, 20, 400]),
            "max_batch_tokens": st.sampled_from([64, 70, 200, 2048]),
            "max_num_seqs": st.sampled_from([2, 3, 64]),
            "overlap": st.booleans(),
            "steps_ahead": st.sampled_from([1, 3]),
            "speculation_rows": st.sampled_from([0, 200]),
        }
    ),
)
@few
def test_an_answer_depends_on_the_request_alone(
    loaded: LoadedModel, batch: list[Request], changes: dict[str, Any]
) -> None:
    """Batched, chunked, preempted, cached, overlapped and streamed or not."""
    together = run_all(make_engine(loaded, **changes), batch)
    for request in batch:
        alone = run_alone(loaded, replace(request, refinements=None))
        assert together[request.request_id].essence == alone.essence
        listed = [entry.token_id for entry in together[request.request_id].logprobs]
        assert listed == [entry.token_id for entry in alone.logprobs]


def test_few_pages_do_preempt(loaded: LoadedModel) -> None:
    """Guards the property above: it does meet preemptions."""
    batch = [Request(f"r{i}", tuple(range(i, i + 40)), SEVERAL) for i in range(4)]
    engine = make_engine(loaded, num_pages=12)
    answers = run_all(engine, batch)
    assert engine.scheduler.num_preempted > 0
    for request in batch:
        assert answers[request.request_id].essence == run_alone(loaded, request).essence


@given(params=several(), prompt=st.lists(st.integers(0, EOS_ID - 1), min_size=1, max_size=40))
@few
def test_blocks_that_open_after_full_ones_are_those_of_one_at_a_time(
    loaded: LoadedModel, params: SamplingParams, prompt: list[int]
) -> None:
    """To the last bit: tokens, steps, log-probabilities."""
    in_turn_ = replace(params, add_block_threshold=1.0)
    names = "open_blocks", "add_block_threshold", "semi_complete_threshold"
    plain = replace(params, **dict.fromkeys(names))
    given_ = run_alone(loaded, Request("a", tuple(prompt), in_turn_))
    expected = run_alone(loaded, Request("a", tuple(prompt), plain))
    assert given_.essence == expected.essence
    assert given_.logprobs == expected.logprobs
    assert given_.finish is not None
    assert expected.finish is not None
    assert given_.finish.usage.denoising_steps == expected.finish.usage.denoising_steps


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize(("overlap", "temperature"), [(False, 0.0), (True, 0.9)])
def test_graphs_write_the_same(loaded: LoadedModel, overlap: bool, temperature: float) -> None:
    """Each block keeps tokens of its own on the device."""
    sampled = Recordings()
    sampling = replace(SEVERAL, temperature=temperature, seed=5, open_blocks=4, threshold=0.3)
    batch = [Request(f"r{i}", PROMPT[i:], sampling) for i in range(2)]
    batch.append(Request("plain", PROMPT, SamplingParams(max_tokens=40, ignore_eos=True)))
    recorder = in_turn(Recordings(), sampled)
    engine = make_engine(
        loaded, graphs=True, overlap=overlap, max_batch_tokens=100, recorder=recorder
    )
    answers = run_all(engine, batch)
    assert sampled.num_replays > 0
    for request in batch:
        assert answers[request.request_id].essence == run_alone(loaded, request).essence


def test_drafts_span_every_open_block_and_keep_what_is_resolved(loaded: LoadedModel) -> None:
    options = RefinementOptions(tokens=True)
    careful = replace(SEVERAL, threshold=0.3)
    answer = run_alone(loaded, Request("a", PROMPT, careful, options))
    longest = max(end - start for start, end in (draft.span for draft in answer.refinements))
    assert longest > 2 * 8
    for draft in answer.refinements:
        assert draft.tokens is not None
        for i, token in enumerate(draft.tokens, draft.span[0]):
            assert not token.resolved or answer.token_ids[i] == token.token_id
    for before, after in pairwise(answer.refinements):
        assert after.span[0] >= before.span[0]


def test_no_block_opens_behind_a_token_that_ends_the_answer(loaded: LoadedModel) -> None:
    biased = replace(
        SEVERAL, ignore_eos=False, logit_bias=((EOS_ID, 60.0),), threshold=0.5, open_blocks=4
    )
    answer = run_alone(loaded, Request("a", (5,) * 8, biased))
    assert answer.token_ids == [EOS_ID]
    assert answer.finish is not None
    assert answer.finish.usage.query_tokens == 16  # the prompt and one block


@pytest.mark.parametrize(
    ("given_", "field"),
    [
        ({"open_blocks": 1025}, "open_blocks"),
        ({"open_blocks": 0}, "open_blocks"),
        ({"open_blocks": 2, "add_block_threshold": 0.0}, "add_block_threshold"),
        ({"open_blocks": 2, "semi_complete_threshold": 1.5}, "semi_complete_threshold"),
        ({"open_blocks": 2, "grammar": Regex("a+")}, "open_blocks"),
        ({"open_blocks": 2, "bad_words": ("a",)}, "open_blocks"),
        ({"open_blocks": 2, "cache": "block"}, "open_blocks"),
        ({"open_blocks": 2, "sub_block_length": 2}, "open_blocks"),
        ({"open_blocks": 2, "policy": "entropy_bound"}, "open_blocks"),
        ({"open_blocks": 2, "policy": "klass"}, "open_blocks"),
        ({"open_blocks": 2, "policy": "credit"}, "open_blocks"),
        ({"open_blocks": 4, "block_length": 260}, "open_blocks"),  # places on the device
        ({"open_blocks": 3, "block_length": 256}, "open_blocks"),  # rows of a step
        ({"add_block_threshold": 0.5}, "add_block_threshold"),
        ({"open_blocks": 1, "semi_complete_threshold": 0.5}, "semi_complete_threshold"),
    ],
)
def test_a_combination_that_is_not_served_is_refused_by_name(
    loaded: LoadedModel, given_: dict[str, Any], field: str
) -> None:
    engine = make_engine(loaded, max_batch_tokens=700)
    with pytest.raises(InvalidRequest) as refused:
        engine.check(Request("a", PROMPT, SamplingParams(max_tokens=500, **given_)))
    assert refused.value.field == field


def test_holes_are_refused(loaded: LoadedModel) -> None:
    template = Template((5, 5, 5), (Hole(1, 2),))
    params = SamplingParams(open_blocks=2)
    with pytest.raises(InvalidRequest) as refused:
        make_engine(loaded).check(Request("a", PROMPT, params, template=template))
    assert refused.value.field == "open_blocks"


@pytest.mark.parametrize(
    "traits",
    [
        {"attention": "causal_window", "default_sampling": SamplingParams(block_length=16)},
        {"shift": True},
        {
            "can_edit": True,
            "edit_commands": EditCommands(8, 9),
            "default_sampling": SamplingParams(editing_threshold=0.3),
        },
    ],
)
def test_models_of_other_kinds_refuse_several_blocks(
    loaded: LoadedModel, traits: dict[str, Any]
) -> None:
    model = replace(loaded, info=replace(loaded.info, **traits))
    with pytest.raises(InvalidRequest) as refused:
        make_engine(model).check(Request("a", PROMPT, SamplingParams(open_blocks=2)))
    assert refused.value.field == "open_blocks"


def test_a_default_holds_where_it_applies(loaded: LoadedModel) -> None:
    usual = SamplingParams(open_blocks=3, add_block_threshold=0.2, threshold=0.03)
    model = replace(loaded, info=replace(loaded.info, default_sampling=usual))
    asked = SamplingParams(max_tokens=50, block_length=8, ignore_eos=True)
    answer = run_alone(model, Request("a", PROMPT, asked))
    named = replace(asked, open_blocks=3, add_block_threshold=0.2, threshold=0.03)
    assert answer.essence == run_alone(loaded, Request("a", PROMPT, named)).essence
    steps = run_alone(loaded, Request("a", PROMPT, replace(asked, threshold=0.03))).finish
    assert answer.finish is not None
    assert steps is not None
    assert answer.finish.usage.denoising_steps < steps.usage.denoising_steps
    elsewhere = Request("a", PROMPT, replace(asked, policy="entropy_bound"))
    assert run_alone(model, elsewhere).essence == run_alone(loaded, elsewhere).essence
