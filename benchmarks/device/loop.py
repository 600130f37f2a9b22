"""Closed loop of requests over an engine, and its measured window of steps."""

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
    """Interface of an engine to a loop."""

    metrics: Metrics

    @property
    def has_work(self) -> bool: ...

    def add(self, request: Request) -> None: ...

    def abort(self, request_id: str) -> list[Event]: ...

    def step(self) -> list[Event]:
        """Launch a step; returns events of this or an earlier one."""
        ...


@dataclass(frozen=True)
class Counts:
    """Totals of an engine's metrics over all steps with known results."""

    steps: float
    tokens: float  # committed
    final: float  # tokens that requests have got
    rows: float
    scored: float
    requests: float  # running requests, summed over steps
    looked_up: float  # prompt tokens of requests that began
    cached: float  # prompt tokens with cached keys

    @classmethod
    def read(cls, metrics: Metrics) -> "Counts":
        """The current counts."""
        return cls(
            value_of(metrics.forward_passes),
            value_of(metrics.committed_tokens),
            value_of(metrics.generated_tokens),
            value_of(metrics.query_tokens),
            value_of(metrics.canvas_positions),
            value_of(metrics.batch_sequences, "_sum"),
            value_of(metrics.prefix_cache_queries),
            value_of(metrics.prefix_cache_hits),
        )

    def since(self, before: "Counts") -> "Counts":
        """Difference to earlier counts."""
        return Counts(*(now - then for now, then in zip(self._all, before._all, strict=True)))

    @property
    def _all(self) -> tuple[float, ...]:
        return tuple(self.__dict__.values())


def phases(count: int, cycle: int, seed: int = 0) -> list[int]:
    """Starting step within a cycle for each of `count` requests; the earliest is 0.

    Drawn independently, but not all equal; deterministic by the arguments.
    """
    chosen = random.Random(f"{seed} {count} {cycle}")
    while True:
        drawn = [chosen.randrange(cycle) for _ in range(count)]
        if min(count, cycle) == 1 or len(set(drawn)) > 1:
            return [phase - min(drawn) for phase in drawn]


@dataclass
class _Place:
    """One of the concurrent requests, and its predecessors."""

    index: int
    num_begun: int = 0
    num_final: int = 0
    request_id: str = ""


class ClosedLoop:
    """Concurrent requests, one a phase: each joins at its phase, and is replaced when it ends.

    `new_request` gets a place, an id, and True for the place's first request; answers are whole
    blocks of `block_len` tokens. A cycle is a block, or all blocks of a request that `waits` only
    for the result of its last step.
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
        """True if every place has a request."""
        return not self._waiting

    def step(self) -> bool:
        """Run one step; True if a cycle of the first request ended.

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
        """Abort all requests, and wait for launched steps."""
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
    """Whole cycles of a loop with all requests running."""

    counts: Counts
    elapsed_s: float
    step_s: list[float]

    @property
    def mean_step_s(self) -> float:
        return self.elapsed_s / self.counts.steps

    def quantiles_ms(self) -> list[float]:
        """The 10th, 50th and 90th percentile of step times."""
        if len(self.step_s) < 2:
            return [1000 * value for value in self.step_s] * 3
        tenths = statistics.quantiles(self.step_s, n=10, method="inclusive")
        return [1000 * tenths[i] for i in (0, 4, 8)]


def to_steady(loop: ClosedLoop) -> None:
    """Run until all requests have joined and the first one's next cycle begins."""
    while not loop.all_joined:
        loop.step()
    while not loop.step():
        pass


def run_window(loop: ClosedLoop, least_s: float) -> Window:
    """Measure whole cycles of the first request for at least `least_s`.

    With fixed work all requests have cycles of as many steps, so each produces whole blocks.
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
    """Committed tokens as a share of the maximum, and contradictions in a window.

    `tokens_a_step` is the maximum mean of a request's commits a step, `share_of_steps` the share of
    steps it takes part in at least: in others it may wait for a result. Prompts are in the prefix
    cache if it `shares_prompts`.
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
