"""A request that goes on in another engine is counted there from where it was."""

import time

import pytest

from tests.support.engines import make_engine
from unmask.engine.engine import Engine
from unmask.engine.schedule.requests import Counted
from unmask.metrics import value_of
from unmask.models.registry import LoadedModel
from unmask.types import Delta, Request, SamplingParams

LENGTH = 40
PARAMS = SamplingParams(max_tokens=LENGTH, ignore_eos=True, block_length=4, steps=4, seed=1)


def run(engine: Engine, counted: Counted | None) -> Delta:
    """The last event of a request."""
    engine.add(Request("r", (1, 2, 3), PARAMS), counted)
    events = []
    while engine.has_work:
        events += engine.step()
    assert isinstance(events[-1], Delta)
    return events[-1]


def counts(engine: Engine) -> dict[str, float]:
    metrics = engine.metrics
    return {
        "admitted": value_of(metrics.admitted),
        "prompt tokens": value_of(metrics.prompt_tokens),
        "begun": value_of(metrics.queue_s, "_count"),
        "block lengths": value_of(metrics.block_length, "_count"),
        "first tokens": value_of(metrics.first_token_s, "_count"),
        "tokens": value_of(metrics.generated_tokens),
        "ended": value_of(metrics.latency_s, "_count"),
    }


ONCE = {
    "admitted": 1, "prompt tokens": 3, "begun": 1, "block lengths": 1, "first tokens": 1,
    "tokens": LENGTH, "ended": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("num_tokens", "has_begun"), [(0, False), (0, True), (10, True), (LENGTH, True)]
)
def test_only_the_rest_is_counted(tiny: LoadedModel, num_tokens: int, has_begun: bool) -> None:
    engine, now_s = make_engine(tiny), time.monotonic()
    times = (2.0, 3.0 if num_tokens else None, now_s - 5 if num_tokens else None)
    counted = Counted(now_s - 10, *(times if has_begun else ()), num_tokens=num_tokens)
    last = run(engine, counted)
    rest = {"admitted": 0, "prompt tokens": 0, "tokens": LENGTH - num_tokens}
    rest |= {"begun": 0, "block lengths": 0} if has_begun else {}
    rest |= {"first tokens": 0} if num_tokens else {}
    assert counts(engine) == ONCE | rest
    assert last.finish is not None
    assert last.finish.queue_s is not None
    assert last.finish.queue_s == 2.0 if has_begun else last.finish.queue_s >= 10
    assert value_of(engine.metrics.latency_s, "_sum") >= 10
    longest = value_of(engine.metrics.inter_token_s, "_sum")
    assert longest >= 5 if num_tokens == 10 else longest < 5


def test_a_request_that_no_engine_had_is_counted_whole(tiny: LoadedModel) -> None:
    engine = make_engine(tiny)
    run(engine, None)
    assert counts(engine) == ONCE
    assert engine.begun == ()
