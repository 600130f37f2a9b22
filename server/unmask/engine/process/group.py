"""Engines that serve the same model, and the requests of all of them."""

import itertools
import logging
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from unmask.engine.process.handle import EngineLost, EngineProcess
from unmask.engine.process.messages import FAILED, Ready, Start, Stepped
from unmask.engine.process.placement import Place
from unmask.engine.process.recording import count
from unmask.engine.process.replica import Replica
from unmask.engine.process.routing import PrefixTable, choose
from unmask.engine.process.sessions import ProcessSession
from unmask.engine.process.supervisor import Progress, Run, Supervisor
from unmask.engine.schedule.requests import Automata
from unmask.engine.streams import SHUTTING_DOWN, RequestStream, push, stopped
from unmask.errors import EngineStopped
from unmask.metrics import Metrics
from unmask.types import (
    Delta,
    EngineState,
    EngineStatus,
    Event,
    Failure,
    Request,
)

logger = logging.getLogger(__name__)


class EngineGroup:
    """Routes each request to an engine, and to another one if that engine is lost.

    Requests wait here while no engine takes any. Once every engine is given up, all fail.
    """

    def __init__(
        self,
        start: Start,
        places: Iterable[Place],
        step_timeout_s: float,
        metrics: Metrics,
        run: Run = EngineProcess,
    ) -> None:
        """`run` starts a process, see `Supervisor`."""
        self.lock = threading.Lock()  # of all that follows
        self._metrics = metrics
        self._sessions: dict[str, ProcessSession] = {}  # by request id
        self._pending: dict[str, ProcessSession] = {}  # those that no engine has
        self._numbers = itertools.count()
        self._last: dict[str, int] = {}  # see `Recovery`
        self._stop_at_s: float | None = None
        self._failure = ""
        self._replicas = tuple(
            Replica(i, Supervisor(self, i, start, place, step_timeout_s, run), self._last)
            for i, place in enumerate(places)
        )
        self._prefixes: PrefixTable | None = None

    def launch(self, progress: Progress | None = None) -> Ready:
        """Start all engines, at the same time; raises what ended loading.

        Returns the facts of the engine with the fewest pages, as a request may get to any.
        """
        combined = None if progress is None else _Combined(len(self._replicas), progress)
        errors = list[BaseException]()

        def launch(replica: Replica) -> Ready:
            try:
                ready = replica.supervisor.launch(
                    None if combined is None else combined.of(replica.number)
                )
            except BaseException as error:
                errors.append(error)  # those of the others, which need not go on, come after it
                self.stop_at(0.0)
                raise
            replica.begin(ready)
            self._metrics.engine_restarts.labels(str(replica.number))
            return ready

        with ThreadPoolExecutor(len(self._replicas)) as pool:
            launched = [pool.submit(launch, replica) for replica in self._replicas]
        if errors:
            for replica in self._replicas:
                if replica.is_up:
                    replica.supervisor.process.kill()
            error = next((e for e in errors if not isinstance(e, EngineLost)), errors[0])
            if isinstance(error, EngineLost):
                error = EngineStopped(f"the engine did not start: {error.reason}")
            raise error from None
        fewest = min((future.result() for future in launched), key=lambda r: r.limits.num_pages)
        if len(self._replicas) > 1 and fewest.model.attention != "full":
            self._prefixes = PrefixTable(len(self._replicas), fewest.limits.page_size)
        for replica in self._replicas:
            replica.supervisor.watch()
        return fewest

    @property
    def pids(self) -> tuple[int, ...]:
        """Numbers of the engines' processes, another one whenever one is started anew."""
        return tuple(replica.supervisor.process.pid for replica in self._replicas)

    @property
    def num_waiting(self) -> int:
        """Requests that no engine decodes yet."""
        return len(self._sessions) - sum(r.load().num_running for r in self._replicas)

    @property
    def state(self) -> EngineState:
        """Ready while an engine takes requests."""
        if self._failure:
            return "failed"
        if self._stop_at_s is not None:
            return "stopping"
        return "ready" if any(replica.is_up for replica in self._replicas) else "starting"

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._sessions

    def add(self, request: Request, automata: Automata, stream: RequestStream) -> None:
        """Run a request, with a seed, on an engine; hold the lock."""
        name = request.request_id
        session = ProcessSession(str(next(self._numbers)), request, automata, stream)
        self._sessions[name] = self._pending[name] = session
        self._metrics.record_admitted(request)
        self._dispatch()

    def abort(self, request_id: str) -> None:
        """Drop a request at its engine's next step, or now if no engine has it."""
        with self.lock:
            session = self._sessions.get(request_id)
            if session is None:
                return
            if session.is_inside and session.engine is not None:
                self._replicas[session.engine].abort(session)
                return
            self._end_aborted([session])

    def status(self) -> EngineStatus:
        """Status of all engines together and of each; waiting ones count for the first of them."""
        alive = (r.number for r in self._replicas if r.reason_of_end is None)
        first, num_pending = next(alive, 0), len(self._pending)
        loads = tuple(r.load(num_pending if r.number == first else 0) for r in self._replicas)
        return EngineStatus(
            self.state,
            sum(load.num_running for load in loads),
            sum(load.num_waiting for load in loads),
            sum(load.num_pages_used for load in loads),
            sum(load.num_pages for load in loads),
            self.detail,
            engines=loads,
        )

    @property
    def detail(self) -> str:
        """Engines that take no requests, and why."""
        if self._failure or self._stop_at_s is not None:
            return self._failure
        down = [replica for replica in self._replicas if not replica.is_up]
        if not down:
            return ""
        if len(self._replicas) == 1:
            return "the engine is started again"
        reasons = "; ".join(
            f"engine {r.number} is "
            + (f"given up: {r.reason_of_end}" if r.reason_of_end else "started again")
            for r in down
        )
        num_up = len(self._replicas) - len(down)
        return f"{num_up} of {len(self._replicas)} engines are up ({reasons})"

    def stop_at(self, end_s: float) -> None:
        """Let the engines stop when no request is left, or at a time of the monotonic clock."""
        with self.lock:
            if self._stop_at_s is None or end_s < self._stop_at_s:
                self._stop_at_s = end_s

    def join(self) -> None:
        """Wait until all engines have stopped."""
        for replica in self._replicas:
            replica.supervisor.join()

    def is_drained(self) -> bool:
        return self._stop_at_s is not None and not self._sessions

    def is_time_to_stop(self) -> bool:
        return self._stop_at_s is not None and time.monotonic() >= self._stop_at_s

    def took(self, engine: int, stepped: Stepped) -> None:
        """Count a step, and hand its events to their streams."""
        with self.lock:
            count(self._metrics, stepped.recorded)
            pairs, ended = self._replicas[engine].take(stepped)
            if ended:
                self._forget(ended)
        push(pairs)

    def lost(self, engine: int, lost: EngineLost) -> None:
        """Give requests of an engine to others; one that is known to be why is given up."""
        with self.lock:
            culprit, moved = self._replicas[engine].lost(lost)
            if self._prefixes is not None:
                self._prefixes.forget(engine)
            if culprit is not None:
                logger.error("request %s is given up: the engine fails on it", culprit)
                self._end([(self._sessions[culprit], Failure(culprit, FAILED))])
            self._pend(moved)

    def is_up(self, engine: int, *, is_new: bool) -> None:
        with self.lock:
            if is_new:
                self._metrics.engine_restarts.labels(str(engine)).inc()
            replica = self._replicas[engine]
            replica.is_up = True
            replica.send_admitted()
            self._dispatch()

    def ended(self, engine: int, reason: str) -> None:
        """Give requests of an engine to others; without others, or at a shutdown, they fail."""
        with self.lock:
            left = self._replicas[engine].end(reason)
            is_last = all(replica.reason_of_end for replica in self._replicas)
            if is_last:
                left += self._pending.values()
                self._failure = "" if reason == SHUTTING_DOWN else reason
            if is_last or reason == SHUTTING_DOWN:
                self._end([(s, stopped(s.request.request_id, reason)) for s in left])
            else:
                self._pend(left)

    def _pend(self, sessions: Iterable[ProcessSession]) -> None:
        """Find engines for requests, in the order of their arrival; those nobody waits for end."""
        self._pending.update((session.request.request_id, session) for session in sessions)
        lost = [s for s in self._sessions.values() if s.is_aborted and not s.is_inside]
        self._end_aborted(lost)
        by_arrival = sorted(self._pending.values(), key=lambda session: int(session.number))
        self._pending = {session.request.request_id: session for session in by_arrival}
        self._dispatch()

    def _dispatch(self) -> None:
        """Send requests that no engine has, if there is one for them."""
        while self._pending:
            name, session = next(iter(self._pending.items()))
            replica = self._route(session.request)
            if replica is None:
                return
            del self._pending[name]
            replica.add(session)

    def _route(self, request: Request) -> Replica | None:
        """The engine for a request."""
        rows = [replica.num_rows for replica in self._replicas]
        if self._prefixes is None:
            chosen = choose(rows, [0] * len(rows))
            return None if chosen is None else self._replicas[chosen]
        prompt, images = request.prompt_token_ids, request.images
        chosen = choose(rows, self._prefixes.pages(prompt, images))
        if chosen is None:
            return None
        self._prefixes.note(prompt, chosen, images)
        return self._replicas[chosen]

    def _end_aborted(self, sessions: Iterable[ProcessSession]) -> None:
        """End requests that nobody waits for, and count them: no engine has them."""
        pairs = list[tuple[ProcessSession, Event]]()
        for session in sessions:
            end, name = session.as_aborted(), session.request.request_id
            self._metrics.record_finish(end.reason, end.usage, first_token_s=None, latency_s=0.0)
            pairs.append((session, Delta(name, (), "", finish=end)))
        self._end(pairs)

    def _end(self, pairs: Iterable[tuple[ProcessSession, Event]]) -> None:
        """Send the last events of requests that no engine has, and forget these."""
        pairs = list(pairs)
        self._forget([session.request.request_id for session, _ in pairs])
        push((session.stream, event) for session, event in pairs)

    def _forget(self, names: Iterable[str]) -> None:
        """Forget requests that are over; others may run now that had to wait for them."""
        by_engine: dict[int, list[ProcessSession]] = {}
        for name in names:
            session = self._sessions.pop(name, None)
            if session is None:
                continue
            self._pending.pop(name, None)
            self._last.pop(name, None)
            if session.engine is not None:
                by_engine.setdefault(session.engine, []).append(session)
        for engine, sessions in by_engine.items():
            if self._replicas[engine].forget(sessions):
                self._dispatch()


class _Combined:
    """Progress of loading of all engines together."""

    def __init__(self, num_engines: int, progress: Progress) -> None:
        self._latest: list[tuple[str, int, int] | None] = [None] * num_engines
        self._progress, self._lock = progress, threading.Lock()

    def of(self, engine: int) -> Progress:
        """Progress function of one engine."""

        def note(name: str, done: int, total: int) -> None:
            with self._lock:
                self._latest[engine] = (name, done, total)
                same = [entry for entry in self._latest if entry is not None and entry[0] == name]
                self._progress(name, sum(e[1] for e in same), sum(e[2] for e in same))

        return note
