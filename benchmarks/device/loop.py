"""A closed loop of requests over an engine, and the window of its steps that counts."""

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from unmask.metrics import Metrics, value_of
from unmask.types import Delta, Event, Request

LONGEST_WINDOW_S = 60.0
NewRequest = Callable[[int, str, bool], Request]


class Steps(Protocol):
    """An engine, as far as a loop needs it."""

    metrics: Metrics

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything."""
        ...

    def add(self, request: Request) -> None:
        """Queue a request."""
        ...

    def abort(self, request_id: str) -> list[Event]:
        """Drop a request."""
        ...

    def step(self) -> list[Event]:
        """Launch a step, and tell the events of it or of an earlier one."""
        ...


@dataclass(frozen=True)
class Counts:
    """Totals of an engine's metrics, over all steps whose results are known."""

    steps: float
    tokens: float  # committed
    rows: float
    scored: float
    requests: float  # that ran, summed over steps
    looked_up: float  # prompt tokens of requests that began
    cached: float  # of those, the ones whose keys were there

    @classmethod
    def read(cls, metrics: Metrics) -> "Counts":
        """The current counts."""
        return cls(
            value_of(metrics.forward_passes),
            value_of(metrics.committed_tokens),
            value_of(metrics.query_tokens),
            value_of(metrics.canvas_positions),
            value_of(metrics.batch_sequences, "_sum"),
            value_of(metrics.prefix_cache_queries),
            value_of(metrics.prefix_cache_hits),
        )

    def since(self, before: "Counts") -> "Counts":
        """The difference."""
        return Counts(*(now - then for now, then in zip(self._all, before._all, strict=True)))

    @property
    def _all(self) -> tuple[float, ...]:
        return tuple(self.__dict__.values())


def phases(count: int, cycle: int, seed: int = 0) -> list[int]:
    """For each of `count` requests a step of a cycle in which it begins, the earliest 0.

    They are drawn independently, but not all alike, and are the same for the same numbers.
    """
    chosen = random.Random(f"{seed} {count} {cycle}")
    while True:
        drawn = [chosen.randrange(cycle) for _ in range(count)]
        if min(count, cycle) == 1 or len(set(drawn)) > 1:
            return [phase - min(drawn) for phase in drawn]


@dataclass
class _Place:
    """One of the requests that run at any time, and those that took its place before."""

    index: int
    num_begun: int = 0
    num_final: int = 0
    request_id: str = ""


class ClosedLoop:
    """Requests, one a phase: each joins at its own, and is replaced when it ends.

    `new_request` gets a place, an id, and whether it is the place's first; answers are whole blocks
    of `block_len` tokens. A cycle is a block, or all blocks of a request where it `waits` for the
    result of its last step alone.
    """

    def __init__(
        self,
        engine: Steps,
        new_request: NewRequest,
        phases: list[int],
        block_len: int,
        name: str,
        *,
        waits: bool = False,
    ) -> None:
        self.engine = engine
        self._new_request = new_request
        self._waiting = sorted((phase, place) for place, phase in enumerate(phases))
        self._block_len = block_len
        self._name = name
        self._waits = waits
        self._first = self._waiting[0][1]
        self._of_request: dict[str, _Place] = {}
        self.num_steps = 0

    @property
    def all_joined(self) -> bool:
        """Whether every place has a request."""
        return not self._waiting

    def step(self) -> bool:
        """One step of the engine; whether a cycle of the first request ended with it.

        Raises `RuntimeError` if a request fails.
        """
        while self._waiting and self._waiting[0][0] <= self.num_steps:
            self._begin(_Place(self._waiting.pop(0)[1]))
        self.num_steps += 1
        closed = False
        for event in self.engine.step():
            if not isinstance(event, Delta):
                raise RuntimeError(f"a request gave {event}")
            place = self._of_request[event.request_id]
            place.num_final += len(event.token_ids)
            if place.index == self._first and event.token_ids:
                full = place.num_final % self._block_len == 0
                closed = event.finish is not None if self._waits else full
            if event.finish is not None:
                del self._of_request[event.request_id]
                self._begin(place)
        return closed

    def stop(self) -> None:
        """Drop every request, and wait for what was launched."""
        for request_id in list(self._of_request):
            self.engine.abort(request_id)
        self._of_request.clear()
        self._waiting.clear()
        while self.engine.has_work:
            self.engine.step()

    def _begin(self, place: _Place) -> None:
        request_id = f"{self._name}-{place.index}-{place.num_begun}"
        self.engine.add(self._new_request(place.index, request_id, place.num_begun == 0))
        place.num_begun += 1
        self._of_request[request_id] = place


@dataclass(frozen=True)
class Window:
    """Whole cycles of a loop in which all requests ran."""

    counts: Counts
    elapsed_s: float
    step_s: list[float]

    @property
    def mean_step_s(self) -> float:
        return self.elapsed_s / self.counts.steps

    def quantiles_ms(self) -> list[float]:
        """The tenth, the half and the nine tenths of the steps that were shorter."""
        if len(self.step_s) < 2:
            return [1000 * value for value in self.step_s] * 3
        tenths = statistics.quantiles(self.step_s, n=10, method="inclusive")
        return [1000 * tenths[i] for i in (0, 4, 8)]


def to_steady(loop: ClosedLoop) -> None:
    """Go on until all requests run and the first one's next cycle begins."""
    while not loop.all_joined:
        loop.step()
    while not loop.step():
        pass


def run_window(loop: ClosedLoop, least_s: float) -> Window:
    """Count from the end of a cycle of the first request to the end of another, `least_s` later.

    With fixed work all requests have a cycle in as many steps, so that each gives whole blocks.
    """
    step_s: list[float] = []
    before = Counts.read(loop.engine.metrics)
    started_s = last_s = time.perf_counter()
    while True:
        closed = loop.step()
        now_s = time.perf_counter()
        step_s.append(now_s - last_s)
        last_s = now_s
        if (closed and now_s - started_s >= least_s) or now_s - started_s > LONGEST_WINDOW_S:
            break
    return Window(Counts.read(loop.engine.metrics).since(before), last_s - started_s, step_s)


def check(
    window: Window,
    requests: int,
    tokens_a_step: float,
    *,
    share_of_steps: float = 1.0,
    shares_prompts: bool = True,
) -> tuple[float, list[str]]:
    """Committed tokens as a share of what is possible, and what is wrong with a window.

    `tokens_a_step` is the most that a request's steps commit on average, `share_of_steps` in how
    many of all steps it runs at least: in others it may wait for a result. Prompts are in the cache
    where it `shares_prompts`.
    """
    counts = window.counts
    share = counts.tokens / (counts.steps * requests * tokens_a_step)
    wrong = []
    if share > 1 + 1e-9:
        wrong.append(f"{share:.3f} times as many tokens as its steps can commit")
    mean = counts.requests / counts.steps
    if mean < requests * share_of_steps - 1e-9:
        wrong.append(f"{mean:.2f} of {requests} requests ran in a step")
    if shares_prompts and counts.cached < counts.looked_up:
        wrong.append(f"{counts.looked_up - counts.cached:.0f} prompt tokens were read again")
    return share, wrong
