"""Requests of one thread that are open together: each reads its own events."""

import gc
import weakref
from collections.abc import Callable, Iterator
from itertools import zip_longest

import pytest

from tests.support.engines import make_engine
from unmask.engine.engine import Engine
from unmask.engine.event_queues import EventQueues
from unmask.errors import InvalidRequest
from unmask.models.registry import LoadedModel
from unmask.types import Delta, Event, Failure, Request, SamplingParams

LONG = SamplingParams(max_tokens=64, ignore_eos=True, steps=4, block_length=8)


class Name(str):
    """A request's id that tells by a weak reference if it is still kept."""


class Watched:
    """An engine that calls back in the middle of each step, and notes aborts."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.during = engine, list[Callable[[], None]]()
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self.engine, name)

    def step(self) -> list[Event]:
        self.calls.append("begin")
        events = self.engine.step()
        while self.during:
            self.during.pop()()
        self.calls.append("end")
        return events

    def abort(self, request_id: str) -> list[Event]:
        self.calls.append(f"abort {request_id}")
        return self.engine.abort(request_id)


@pytest.fixture
def engine(tiny: LoadedModel) -> Watched:
    return Watched(make_engine(tiny))


@pytest.fixture
def queues(engine: Watched) -> EventQueues:
    return EventQueues(engine)


def stream(queues: EventQueues, name: str, *prompt: int) -> Iterator[Event]:
    request = Request(name, prompt or (1, 2, 3), LONG)
    with queues.opened([request]):
        yield from queues.read(request)


def tokens(events: list[Event | None]) -> list[int]:
    return [i for event in events if isinstance(event, Delta) for i in event.token_ids]


def test_events_are_those_of_the_readers_own_request(queues: EventQueues) -> None:
    alone = [list(stream(queues, name, *prompt)) for name, prompt in (("a", (7, 8)), ("b", (9,)))]
    pairs = list(zip_longest(stream(queues, "a", 7, 8), stream(queues, "b", 9)))
    for name, events, own in zip("ab", alone, zip(*pairs, strict=True), strict=True):
        assert {event.request_id for event in own if event is not None} == {name}
        assert tokens(list(own)) == tokens(events)


@pytest.mark.parametrize("is_started", [False, True])
def test_nothing_is_kept_of_a_stream_that_is_dropped(
    engine: Watched, queues: EventQueues, is_started: bool
) -> None:
    kept = weakref.WeakSet[Name]()
    for number in range(5):
        name = Name(number)
        kept.add(name)
        one = stream(queues, name)
        if is_started:
            next(one)
        del one, name
        assert not engine.has_work
        assert engine.pool.num_held == 0
    engine.calls.clear()
    gc.collect()
    assert len(kept) <= 1  # the engine tells which requests its last step began


def test_a_stream_that_is_closed_in_a_step_is_aborted_after_it(
    engine: Watched, queues: EventQueues
) -> None:
    one, other = stream(queues, "one"), stream(queues, "other")
    next(one)
    next(other)
    engine.calls.clear()
    engine.during.append(one.close)
    assert tokens([*other])
    assert engine.calls[:3] == ["begin", "end", "abort one"]
    assert engine.pool.num_held == 0


def test_a_step_that_fails_is_the_failure_of_every_request(
    engine: Watched, queues: EventQueues
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    one, other = stream(queues, "one"), stream(queues, "other")
    next(one)
    next(other)
    engine.during.append(interrupt)
    with pytest.raises(KeyboardInterrupt):
        list(one)
    assert [*other][-1] == Failure("other", "a step failed: KeyboardInterrupt()")
    assert not engine.has_work
    assert len(tokens([*stream(queues, "later")])) == 64


def test_requests_that_are_given_up_end_with_the_reason(queues: EventQueues) -> None:
    one = stream(queues, "one")
    next(one)
    queues.fail_all("closed")
    assert [*one][-1] == Failure("one", "closed")


def test_one_that_is_refused_leaves_none_of_those_before_it(
    engine: Watched, queues: EventQueues
) -> None:
    too_long = Request("long", (1,), SamplingParams(max_tokens=2**20))
    with pytest.raises(InvalidRequest), queues.opened([Request("a", (1,), LONG), too_long]):
        pass
    assert not engine.has_work


def test_a_step_that_was_launched_before_the_last_end_was_known_is_finished(
    tiny: LoadedModel,
) -> None:
    engine = make_engine(tiny, overlap=True)
    queues = EventQueues(engine)
    assert len(tokens([*stream(queues, "a")])) == 64
    assert engine.has_work
    queues.settle()
    assert not engine.has_work
