"""Requests that are late: never started, or dropped before the next step."""

import gc
import time
import weakref
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.engines import Answer, collect, make_engine
from unmask.engine.schedule.deadlines import Deadlines
from unmask.models.registry import LoadedModel
from unmask.types import Request, SamplingParams

REQUEST = Request("a", (1, 2, 3), SamplingParams(max_tokens=64, ignore_eos=True, block_length=8))


@given(times=st.lists(st.none() | st.floats(0, 10), max_size=20), now_s=st.floats(0, 10))
def test_deadlines_pass_once(times: list[float | None], now_s: float) -> None:
    deadlines = Deadlines()
    for number, at_s in enumerate(times):
        deadlines.add(str(number), at_s)
    expected = {str(i) for i, at_s in enumerate(times) if at_s is not None and at_s <= now_s}
    assert set(deadlines.passed(now_s)) == expected
    assert deadlines.passed(now_s) == []


@given(
    # An id and its new deadline, or none if it ends.
    changes=st.lists(st.tuples(st.integers(0, 4), st.none() | st.integers(0, 9)), max_size=40),
    now_s=st.integers(0, 10),
)
def test_a_request_is_late_by_its_own_deadline_alone(
    changes: list[tuple[int, int | None]], now_s: int
) -> None:
    deadlines, left = Deadlines(), dict[str, int]()
    for number, at_s in changes:
        name = str(number)
        deadlines.remove(name)
        left.pop(name, None)
        if at_s is not None:
            deadlines.add(name, at_s)
            left[name] = at_s
    late = deadlines.passed(now_s)
    assert sorted(late) == sorted(name for name, at_s in left.items() if at_s <= now_s)
    assert [left[name] for name in late] == sorted(left[name] for name in late)


class Name(str):
    """A request's id that tells by a weak reference if it is still kept."""


@pytest.mark.parametrize("end", ["finish", "abort", "fail_all"])
def test_nothing_is_kept_of_requests_that_ended_before_their_deadlines(
    tiny: LoadedModel, end: str
) -> None:
    engine, kept = make_engine(tiny), weakref.WeakSet[Name]()
    for number in range(20):
        name = Name(number)
        kept.add(name)
        sampling = SamplingParams(max_tokens=1)
        engine.add(Request(name, (1, 2), sampling, deadline_s=time.monotonic() + 1e9))
        if end == "abort":
            engine.abort(name)
        elif end == "fail_all":
            engine.fail_all("closed")
        while engine.has_work:
            engine.step()
    gc.collect()
    assert len(kept) <= 2


def test_a_deadline_is_not_that_of_a_later_request_of_the_same_id(tiny: LoadedModel) -> None:
    engine, answers = make_engine(tiny), dict[str, Answer]()
    engine.add(replace(REQUEST, deadline_s=time.monotonic() - 1))
    engine.abort("a")
    engine.add(REQUEST)
    while engine.has_work:
        collect(answers, engine.step())
    assert len(answers["a"].token_ids) == 64


def test_a_late_request_that_waits_is_never_started(tiny: LoadedModel) -> None:
    engine, answers = make_engine(tiny, max_num_seqs=1), dict[str, Answer]()
    engine.add(REQUEST)
    engine.add(replace(REQUEST, request_id="late", deadline_s=time.monotonic() - 1))
    collect(answers, engine.step())
    late = answers["late"]
    assert late.finish is not None
    assert (late.finish.reason, late.finish.usage.forward_passes) == ("abort", 0)
    assert late.finish.queue_s is None
    assert engine.scheduler.num_waiting == 0
    while engine.has_work:
        collect(answers, engine.step())
    assert len(answers["a"].token_ids) == 64


def test_a_late_request_that_runs_gives_its_pages_up_before_the_next_step(
    tiny: LoadedModel,
) -> None:
    engine, answers = make_engine(tiny), dict[str, Answer]()
    at_s = time.monotonic() + 0.5
    engine.add(replace(REQUEST, deadline_s=at_s))
    collect(answers, engine.step())
    time.sleep(max(at_s - time.monotonic(), 0))
    collect(answers, engine.step())
    assert engine.pool.num_held == 0
    assert answers["a"].finish is not None
    assert answers["a"].finish.reason == "abort"
    assert answers["a"].finish.queue_s is not None


def test_an_ended_request_is_not_late(tiny: LoadedModel) -> None:
    engine, answers = make_engine(tiny), dict[str, Answer]()
    engine.add(replace(REQUEST, deadline_s=time.monotonic() + 60))
    while engine.has_work:
        collect(answers, engine.step())
    assert answers["a"].finish is not None
    assert answers["a"].finish.reason == "length"
