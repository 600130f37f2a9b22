"""Engines that are started together, whose processes do what a test says."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue

import pytest

from unmask.config import Config
from unmask.engine.process.group import EngineGroup
from unmask.engine.process.handle import EngineLost
from unmask.engine.process.messages import (
    Abort,
    Add,
    Beat,
    Command,
    Loading,
    Ready,
    Recorded,
    Report,
    Resume,
    Start,
    Stepped,
)
from unmask.engine.process.placement import Place
from unmask.engine.schedule.limits import EngineLimits
from unmask.engine.schedule.requests import Automata
from unmask.engine.streams import RequestStream
from unmask.errors import EngineStopped
from unmask.id_tokenizer import IdTokenizer
from unmask.metrics import BuildInfo, Metrics, value_of
from unmask.tokenizer import Tokenizer
from unmask.types import (
    Delta,
    Event,
    Finish,
    FinishReason,
    ModelInfo,
    Request,
    SamplingParams,
    Usage,
)

KILLED = EngineLost("killed")
READY = Ready(
    ModelInfo("tiny", 64, 100, 99, (0,), SamplingParams(), 0),
    Tokenizer(IdTokenizer()),
    EngineLimits(64, 16, 16),
    BuildInfo("1", "cpu", "float32", "native"),
)


class Dying:
    """A process that loads for ever, or ends once another one loads if it `dies`."""

    pid = 1
    one_loads = threading.Event()

    def __init__(self, _: Start, environment: Mapping[str, str]) -> None:
        self._dies = "DIES" in environment

    def send(self, command: Command) -> None:
        """Nothing is asked of it."""

    def receive(self, timeout_s: float) -> Report:
        if self._dies:
            assert self.one_loads.wait(20)
            raise EngineLost("its process ended (signal 9)")
        self.one_loads.set()
        return Beat(0.0)

    def kill(self) -> None:
        """It has no resources."""


@dataclass
class Told:
    """A process that reports what it is told to, and keeps what it is sent."""

    pid: int = 1
    commands: list[Command] = field(default_factory=list)
    reports: SimpleQueue[Report] = field(default_factory=SimpleQueue)

    def send(self, command: Command) -> None:
        self.commands.append(command)

    def receive(self, timeout_s: float) -> Report | None:
        try:
            return self.reports.get(timeout=timeout_s)
        except Empty:
            return None

    def kill(self) -> None:
        """It has no resources."""

    @property
    def added(self) -> list[str]:
        """Numbers of the requests that it was sent."""
        return [one.request.request_id for one in self.commands if isinstance(one, Add)]


@dataclass
class Launched:
    """Engines that are up, and requests to them; the test tells what becomes of both."""

    group: EngineGroup
    metrics: Metrics
    processes: list[Told]
    facts: Ready
    streams: list[RequestStream] = field(default_factory=list)

    def add(self, prompt: tuple[int, ...] = (1, 2), name: str | None = None) -> None:
        """Add a request whose id is r and its number, if none is given."""
        name = name or f"r{len(self.streams)}"
        self.streams.append(RequestStream(asyncio.new_event_loop(), lambda: None))
        with self.group.lock:
            self.group.add(Request(name, prompt, SamplingParams()), Automata(()), self.streams[-1])

    def events(self, number: int) -> list[Event]:
        """Events of a request that were not read yet."""
        stream = self.streams[number]
        stream.loop.run_until_complete(asyncio.sleep(0))
        return list(stream.take())

    def end(self, engine: int, number: int) -> None:
        """Have an engine end a request, while it tells of two that run."""
        finish = Finish(FinishReason.LENGTH, Usage(2, 0, 1, 0, 0, 0, 0))
        delta = Delta(str(number), (7,), "a", finish=finish)
        self.group.took(engine, Stepped((tuple(delta),), (), (), (), (), (), Recorded(), 2, 1))


@contextmanager
def launched(*num_pages: int) -> Iterator[Launched]:
    """An engine with so many pages for each number."""
    processes, metrics = [Told() for _ in num_pages], Metrics()
    for process, number in zip(processes, num_pages, strict=True):
        limits = replace(READY.limits, num_pages=number)
        process.reports.put(replace(READY, limits=limits))
    group = group_of(lambda number: processes[number], len(processes), metrics)
    engines = Launched(group, metrics, processes, group.launch())
    try:
        yield engines
    finally:
        group.stop_at(0.0)
        group.join()
        for stream in engines.streams:
            stream.loop.close()
    assert (group.state, group.detail) == ("stopping", "")


def group_of(process: Callable[[int], Told], count: int, metrics: Metrics) -> EngineGroup:
    places = [Place({"NUMBER": str(number)}) for number in range(count)]

    def run(_: Start, environment: Mapping[str, str]) -> Told:
        return process(int(environment["NUMBER"]))

    return EngineGroup(Start(Config()), places, 300.0, metrics, run)


def test_an_engine_that_dies_while_it_loads_is_told_by_its_own_reason() -> None:
    places = [Place(), Place({"DIES": "1"})]
    group = EngineGroup(Start(Config()), places, 300.0, Metrics(), Dying)
    with pytest.raises(EngineStopped, match=r"did not start: its process ended \(signal 9\)"):
        group.launch()


def test_requests_are_checked_by_the_sizes_of_the_engine_with_the_fewest_pages() -> None:
    with launched(40, 16, 24) as engines:
        assert engines.facts.limits.num_pages == 16


def test_progress_is_that_of_all_engines_that_do_the_same() -> None:
    first_has_begun, calls = threading.Event(), list[tuple[str, int, int]]()

    class Later(Told):
        def receive(self, timeout_s: float) -> Report | None:
            assert first_has_begun.wait(20)
            return super().receive(timeout_s)

    def note(name: str, done: int, total: int) -> None:
        calls.append((name, done, total))
        first_has_begun.set()

    processes = [Told(), Later()]
    for report in (Loading("weights", 5, 10), READY):
        processes[0].reports.put(report)
    for report in (Loading("weights", 3, 10), Loading("CUDA graphs", 1, 2), READY):
        processes[1].reports.put(report)
    group = group_of(lambda number: processes[number], 2, Metrics())
    group.launch(note)
    group.stop_at(0.0)
    group.join()
    assert calls == [("weights", 5, 10), ("weights", 8, 20), ("CUDA graphs", 1, 2)]


def test_requests_that_no_engine_has_wait_in_their_order() -> None:
    with launched(16) as engines:
        for _ in range(12):
            engines.add()
        engines.group.lost(0, KILLED)
        status = engines.group.status()
        assert (status.state, status.num_running, status.num_waiting) == ("starting", 0, 12)
        engines.group.is_up(0, is_new=True)
        assert engines.processes[0].added == 2 * [str(number) for number in range(12)]


def test_an_abort_is_the_end_of_a_request_whose_engine_is_lost() -> None:
    with launched(16) as engines:
        for _ in range(2):
            engines.add()
        engines.group.abort("r0")
        assert engines.processes[0].commands[-1] == Abort("0")
        engines.group.lost(0, KILLED)
        engines.group.abort("r1")
        for number in range(2):
            (end,) = engines.events(number)
            assert isinstance(end, Delta)
            assert end.finish is not None
            assert end.finish.reason is FinishReason.ABORT
        assert value_of(engines.metrics.aborted) == 2


def test_a_suspect_is_tried_alone_and_one_that_waits_for_it_may_be_aborted() -> None:
    with launched(16) as engines:
        process = engines.processes[0]
        for _ in range(2):
            engines.add()
        for _ in range(2):
            engines.group.lost(0, KILLED)
            engines.group.is_up(0, is_new=False)
        assert process.commands.count(Resume()) == 2
        assert process.added == ["0", "1", "0", "1", "0"]
        engines.group.abort("r1")
        assert "r1" not in engines.group
        engines.add()
        assert process.added[-1] == "0"
        engines.end(0, 0)
        assert process.added[-1] == "2"


def test_a_request_is_not_suspect_for_an_earlier_one_with_its_id() -> None:
    with launched(16) as engines:
        for number in range(2):
            engines.add(name="again")
            engines.group.lost(0, KILLED)
            engines.group.is_up(0, is_new=True)
            engines.add()
            assert engines.processes[0].added[-1] == str(2 * number + 1), "it does not wait"
            for added in range(2):
                engines.end(0, 2 * number + added)


def test_the_load_has_nothing_of_requests_and_engines_that_are_over() -> None:
    with launched(16, 24) as engines:
        for _ in range(2):
            engines.add()
        engines.end(0, 0)
        loads = engines.group.status().loads
        assert [(load.num_running, load.num_waiting) for load in loads] == [(0, 0), (0, 1)]
        engines.group.ended(1, "3 starts failed")
        assert [load.num_pages for load in engines.group.status().loads] == [16, 0]


def test_an_engine_that_begins_anew_is_not_chosen_for_what_it_has_read_before() -> None:
    prompt = tuple(range(2 * READY.limits.page_size))
    with launched(16, 16) as engines:
        engines.add()
        engines.add(prompt)  # to the one without a request
        engines.end(0, 0)
        engines.end(1, 1)
        engines.add(prompt)
        assert engines.processes[1].added == ["1", "2"]
        engines.end(1, 2)
        engines.group.lost(1, KILLED)
        engines.group.is_up(1, is_new=True)
        engines.add(prompt)
        assert engines.processes[0].added == ["0", "3"]
