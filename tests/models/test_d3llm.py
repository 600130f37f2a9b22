"""LLaDA and Dream by d3LLM: blocks that open early, though every position sees all others."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.d3llm import NUM_TOKENS, cases, ending_with, params_of
from tests.support.engines import collect, make_engine, run_all, run_alone
from tests.support.golden import company
from tests.support.graphs import Recordings, in_turn
from tests.support.tiny import EOS_ID
from unmask.models.registry import LoadedModel
from unmask.types import (
    Delta,
    RefinementOptions,
    Request,
    SamplingParams,
)

Load = Callable[..., LoadedModel]
NAMES = "llada", "dream"
FOLDERS = pytest.mark.parametrize("folder", NAMES)
few = settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.usual_cases(4)
@pytest.mark.parametrize(
    ("folder", "index"), [(name, i) for name in NAMES for i in range(len(cases(name)))]
)
def test_tokens_and_passes_are_those_of_the_authors_code(
    golden_model: Load, folder: str, index: int
) -> None:
    """With and without company, and with the tokens of open blocks on the device or not."""
    case = cases(folder)[index]
    loaded = ending_with(golden_model(folder), case["end"])
    request = Request("a", tuple(case["prompt"]), params_of(case))
    for engine, others in (
        (make_engine(loaded), []),
        (make_engine(loaded, overlap=True, max_num_seqs=4), company(loaded, 3, seed=index)),
    ):
        answer = run_all(engine, [request, *others])["a"]
        assert answer.finish is not None
        assert answer.token_ids == case["tokens"]
        assert answer.finish.usage.denoising_steps == case["forwards"]


def test_a_second_copy_of_keys_is_all_that_the_authors_answers_differ_by() -> None:
    """Their own count of kept positions leaves it out, and their loop over LLaDA never has it."""
    for name in NAMES:
        for case in cases(name):
            assert (case["as_published"] is not None) <= (case["doubled"] > 0) <= (name == "dream")
    assert sum(case["as_published"] is not None for case in cases("dream")) >= 3


@pytest.mark.usual_cases(1)
@FOLDERS
def test_all_answers_together_are_those_of_the_authors_code(
    golden_model: Load, folder: str
) -> None:
    loaded = golden_model(folder)
    known = [case for case in cases(folder) if case["end"] is None]
    requests = [Request(f"{i}", tuple(c["prompt"]), params_of(c)) for i, c in enumerate(known)]
    answers = run_all(make_engine(loaded, overlap=True, max_num_seqs=5), requests)
    assert [answers[r.request_id].token_ids for r in requests] == [c["tokens"] for c in known]


def usual_end(folder: str) -> int:
    """A token that these weights write often."""
    written = [token for case in cases(folder) if case["end"] is None for token in case["tokens"]]
    return Counter(written).most_common(4)[-1][0]


POLICIES: tuple[dict[str, Any], ...] = (
    {"policy": "entropy_threshold", "entropy_threshold": 1.0, "open_blocks": 40},
    {"policy": "entropy_threshold", "entropy_threshold": 0.1, "open_blocks": 3},
    {"policy": "threshold", "threshold": 0.4, "open_blocks": 8, "add_block_threshold": 0.3},
    {"policy": "factor", "factor": 1.5, "open_blocks": 4},
    {"policy": "local_leap", "threshold": 0.5, "relaxed_threshold": 0.3, "open_blocks": 4},
    {"policy": "hierarchical", "threshold": 0.4, "low_threshold": 0.2, "open_blocks": 4},
    {"policy": "threshold", "threshold": 0.5, "open_blocks": 4, "eos_last": True},
    {"policy": "entropy_threshold", "entropy_threshold": 0.8, "open_blocks": 4, "steps": 4},
    {"policy": "entropy", "steps": 4},
    {"policy": "klass", "threshold": 0.3, "kl_threshold": 1.0},
    {"policy": "threshold", "threshold": 0.4, "cache": "dual"},
)
KEPT: tuple[dict[str, Any], ...] = (
    {},
    {"cache": "delayed"},
    {"cache": "delayed", "cache_delay_iter": 1, "refresh_interval": 3},
)
SAMPLERS: tuple[dict[str, Any], ...] = (
    {"temperature": 0.0},
    {"temperature": 0.8},
    {"temperature": 0.6, "top_k": 5, "frequency_penalty": 0.7},
    {"temperature": 0.0, "min_tokens": 20},
)


@st.composite
def requests(draw: st.DrawFn, number: int) -> Request:
    chosen = draw(st.sampled_from(POLICIES))
    kept = draw(st.sampled_from(KEPT)) if "open_blocks" in chosen else {}
    sampling = SamplingParams(
        max_tokens=draw(st.integers(20, 50)),
        block_length=draw(st.sampled_from([1, 5, 8, 16])),
        seed=draw(st.integers(0, 2**63 - 1)),
        ignore_eos=draw(st.sampled_from([False, False, True])),
        logprobs=draw(st.sampled_from([None, 2])),
        stop=draw(st.sampled_from([(), ("e",)])),
        **chosen,
        **kept,
        **draw(st.sampled_from(SAMPLERS)),
    )
    return Request(
        f"r{number}",
        tuple(draw(st.lists(st.integers(0, 500), min_size=1, max_size=30))),
        sampling,
        draw(st.sampled_from([None, RefinementOptions(tokens=True)])),
        draw(st.sampled_from([(), (5, 9, 77)])),
        client=draw(st.sampled_from(["", "x", "y"])),
    )


@pytest.mark.usual_cases(1)
@FOLDERS
@given(data=st.data())
@few
def test_an_answer_depends_on_the_request_alone(
    golden_model: Load, folder: str, data: st.DataObject
) -> None:
    """Batched, preempted, overlapped and streamed or not; tokens that were shown stay."""
    loaded = ending_with(golden_model(folder), usual_end(folder))
    loaded = replace(loaded, info=replace(loaded.info, max_model_len=90))
    batch = [data.draw(requests(i)) for i in range(4)]
    engine = make_engine(
        loaded,
        num_pages=data.draw(st.sampled_from([14, 400])),
        max_batch_tokens=data.draw(st.sampled_from([90, 2048])),
        max_num_seqs=data.draw(st.sampled_from([2, 64])),
        overlap=data.draw(st.booleans()),
        speculation_rows=data.draw(st.sampled_from([0, 200])),
    )
    answers = run_all(engine, batch)
    for request in batch:
        answer = answers[request.request_id]
        alone = run_alone(loaded, replace(request, refinements=None))
        assert answer.essence == alone.essence
        assert [e.token_id for e in answer.logprobs] == [e.token_id for e in alone.logprobs]


@FOLDERS
def test_an_answer_that_is_preempted_is_the_same(golden_model: Load, folder: str) -> None:
    """Another client's request takes the place of one that keeps no keys."""
    case = next(c for c in cases(folder) if c["end"] is not None and c["forwards"] > 20)
    loaded = ending_with(golden_model(folder), case["end"])
    for overlap in (False, True):
        engine = make_engine(loaded, max_num_seqs=2, overlap=overlap)
        answers: dict[str, Any] = {}
        for name in ("a", "b"):
            engine.add(Request(name, tuple(case["prompt"]), params_of(case), client="x"))
        for _ in range(8):
            collect(answers, engine.step())
        engine.add(Request("c", tuple(case["prompt"]), params_of(case), client="y"))
        while engine.has_work:
            collect(answers, engine.step())
            engine.check_integrity()
        assert engine.scheduler.num_preempted > 0
        assert all(answers[name].token_ids == case["tokens"] for name in "abc")


def test_an_answer_beside_one_whose_tokens_are_masked_again_is_the_same(
    golden_model: Load,
) -> None:
    """Positions behind a fresh end count as masked, though the host knows their tokens."""
    loaded = ending_with(golden_model("llada"), EOS_ID)
    loaded = replace(loaded, info=replace(loaded.info, fills_best=True))
    prompt = (63, 154, 142, 36, 97, 157, 124, 163, 151, 19, 158, 6)
    several = SamplingParams(
        max_tokens=48,
        block_length=8,
        open_blocks=4,
        threshold=0.99,
        add_block_threshold=0.1,
        logit_bias=((EOS_ID, 8.0),),
    )
    remasked = SamplingParams(
        max_tokens=32, policy="remdm_cap", eta=0.1, steps=40, seed=1, ignore_eos=True
    )
    requests = [Request("a", prompt, several), Request("b", prompt[::-1], remasked)]
    together, alone = run_all(make_engine(loaded), requests)["a"], run_alone(loaded, requests[0])
    assert together.finish is not None
    assert alone.finish is not None
    assert together.essence == alone.essence
    assert together.finish.usage == alone.finish.usage


@FOLDERS
def test_graphs_write_the_same(golden_model: Load, folder: str) -> None:
    """The best position of all blocks is taken without one."""
    case = next(c for c in cases(folder) if c["end"] is not None and 10 < c["forwards"] < 22)
    loaded, sampled = ending_with(golden_model(folder), case["end"]), Recordings()
    loaded = replace(loaded, info=replace(loaded.info, max_model_len=90))
    recorder = in_turn(Recordings(), sampled)
    engine = make_engine(loaded, graphs=True, overlap=True, max_batch_tokens=96, recorder=recorder)
    before = sampled.num_replays
    request = Request("a", tuple(case["prompt"]), params_of(case))
    assert run_all(engine, [request])["a"].token_ids == case["tokens"]
    assert (sampled.num_replays > before) == (folder == "dream")


def test_policies_that_rank_by_other_statistics_share_its_steps(golden_model: Load) -> None:
    loaded, case = golden_model("llada"), cases("llada")[2]
    batch = [Request("a", tuple(case["prompt"]), params_of(case))]
    batch += [
        Request(name, (5, 6), SamplingParams(policy=name, max_tokens=20, seed=1))
        for name in ("klass", "credit", "random", "margin")
    ]
    answers = run_all(make_engine(loaded), batch)
    assert answers["a"].token_ids == case["tokens"]
    for request in batch[1:]:
        assert answers[request.request_id].essence == run_alone(loaded, request).essence


@FOLDERS
def test_drafts_keep_what_is_resolved_before_the_end(golden_model: Load, folder: str) -> None:
    for case in (case for case in cases(folder) if 4 < case["forwards"] < 30):
        loaded = ending_with(golden_model(folder), case["end"])
        options = RefinementOptions(tokens=True)
        answer = run_alone(loaded, Request("a", tuple(case["prompt"]), params_of(case), options))
        assert answer.refinements
        for draft in answer.refinements:
            assert draft.tokens is not None
            shown = answer.token_ids[draft.span[0] : draft.span[1]]
            for token, final in zip(draft.tokens, shown, strict=False):
                assert not token.resolved or token.token_id == final
        for before, after in pairwise(answer.refinements):
            assert after.span[0] >= before.span[0]


@FOLDERS
def test_an_end_of_sequence_saves_passes(golden_model: Load, folder: str) -> None:
    """Nothing behind it is filled, and what is before sees it."""
    loaded, case = golden_model(folder), cases(folder)[3]
    whole = Request("a", tuple(case["prompt"]), params_of(case))
    ended = replace(whole, sampling=replace(whole.sampling, ignore_eos=False))
    passes = run_alone(loaded, whole).finish
    answer = run_alone(ending_with(loaded, case["tokens"][10]), ended)
    assert passes is not None
    assert answer.finish is not None
    assert answer.token_ids[-1] == case["tokens"][10]
    assert answer.finish.usage.denoising_steps < passes.usage.denoising_steps


@FOLDERS
def test_kept_keys_save_rows(golden_model: Load, folder: str) -> None:
    loaded, case = golden_model(folder), cases(folder)[3]
    params = params_of(case)
    counts = []
    for kept in ({}, {"cache": "delayed"}):
        answer = run_alone(loaded, Request("a", tuple(range(60)), replace(params, **kept)))
        assert answer.finish is not None
        usage = answer.finish.usage
        counts.append(usage.query_tokens / usage.denoising_steps)
    assert counts[0] == 60 + NUM_TOKENS
    assert counts[1] < 60 + NUM_TOKENS


@FOLDERS
def test_blocks_that_open_one_after_another_are_those_of_one_at_a_time(
    golden_model: Load, folder: str
) -> None:
    """To the last bit; the last block is shorter than the others."""
    loaded = golden_model(folder)
    params = SamplingParams(
        max_tokens=37,
        block_length=8,
        policy="entropy_threshold",
        entropy_threshold=1.0,
        ignore_eos=True,
        logprobs=1,
    )
    several = replace(params, open_blocks=8, add_block_threshold=1.0)
    prompt = tuple(range(30, 47))
    one, many = (run_alone(loaded, Request("a", prompt, asked)) for asked in (params, several))
    assert many.essence == one.essence
    assert many.logprobs == one.logprobs
    assert len(many.token_ids) == 37


def test_a_request_that_is_cancelled_frees_its_pages(golden_model: Load) -> None:
    loaded = golden_model("llada")
    case = next(c for c in cases("llada") if c["settings"]["cache_delay_iter"] == 2)
    for overlap in (False, True):
        engine = make_engine(loaded, overlap=overlap)
        for name in ("a", "b"):
            engine.add(Request(name, tuple(case["prompt"]), params_of(case)))
        answers: dict[str, Any] = {}
        for _ in range(5):
            collect(answers, engine.step())
        collect(answers, engine.abort("a"))
        while engine.has_work:
            collect(answers, engine.step())
            engine.check_integrity()
        assert engine.pool.num_held == 0
        assert answers["b"].token_ids == case["tokens"]


def test_streamed_text_is_only_appended(golden_model: Load) -> None:
    case = next(c for c in cases("llada") if c["end"] is not None and len(c["tokens"]) > 30)
    loaded = ending_with(golden_model("llada"), case["end"])
    engine = make_engine(loaded)
    engine.add(Request("a", tuple(case["prompt"]), params_of(case)))
    streamed: list[int] = []
    while engine.has_work:
        for event in engine.step():
            assert isinstance(event, Delta)
            streamed += event.token_ids
            assert streamed == case["tokens"][: len(streamed)]
    assert streamed == case["tokens"]
