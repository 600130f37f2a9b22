"""Requests that are late: never started, or dropped before the next step."""

import time
from dataclasses import replace

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


def test_a_late_request_that_waits_is_never_started(tiny: LoadedModel) -> None:
    engine, answers = make_engine(tiny, max_num_seqs=1), dict[str, Answer]()
    engine.add(REQUEST)
    engine.add(replace(REQUEST, request_id="late", deadline_s=time.monotonic() - 1))
    collect(answers, engine.step())
    late = answers["late"]
    assert late.finish is not None
    assert (late.finish.reason, late.finish.usage.forward_passes) == ("abort", 0)
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


def test_an_ended_request_is_not_late(tiny: LoadedModel) -> None:
    engine, answers = make_engine(tiny), dict[str, Answer]()
    engine.add(replace(REQUEST, deadline_s=time.monotonic() + 60))
    while engine.has_work:
        collect(answers, engine.step())
    assert answers["a"].finish is not None
    assert answers["a"].finish.reason == "length"
