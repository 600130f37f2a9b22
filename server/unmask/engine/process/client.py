"""`EngineClient` of an engine in another process, which is started anew whenever it is lost."""

import asyncio
import itertools
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Self

from unmask.config import Config
from unmask.decoding.automata.automaton import TokenAutomaton
from unmask.engine.process.handle import EngineLost, EngineProcess
from unmask.engine.process.messages import (
    FAILED,
    Abort,
    Add,
    Beat,
    Forget,
    LoadFailed,
    Loading,
    Ready,
    Start,
    StepFailed,
    Stepped,
)
from unmask.engine.process.recording import count
from unmask.engine.process.recovery import Recovery
from unmask.engine.process.sessions import ProcessSession
from unmask.engine.schedule.requests import RequestResolver
from unmask.engine.streams import SHUTTING_DOWN, THREAD_ENDED, RequestStream, push
from unmask.errors import EngineStopped, InvalidRequest
from unmask.metrics import Metrics
from unmask.tokenizer import Tokenizer
from unmask.types import (
    Delta,
    EngineState,
    EngineStatus,
    Event,
    Failure,
    Finish,
    FinishReason,
    ModelInfo,
    Request,
    SamplingParams,
    Usage,
)
from unmask.vllm_metrics import VllmMetrics

logger = logging.getLogger(__name__)

MAX_STARTS = 3  # that fail one after another before the engine is given up
SILENCE_S = 60.0  # after which a process that sends no sign of life is given up
POLL_S = 0.25
Progress = Callable[[str, int, int], None]


class ProcessEngine:
    """Sends requests to an engine's process, and its events to their streams.

    If the process ends, or a step takes over `engine.step_timeout_s`, a new one gets every request
    that has no end, and their streams go on where they were. `Recovery` finds the request that is
    the reason, if one is.
    """

    def __init__(
        self,
        config: Config,
        metrics: Metrics,
        progress: Progress | None = None,
        set_up: Callable[[], None] | None = None,
    ) -> None:
        """Start a process and wait until it has loaded the model; raises what ended loading."""
        self._config, self._metrics = config.engine, metrics
        self._start = Start(config, set_up)
        # Of all that follows. A stream that is collected aborts its request, maybe under the lock.
        self._lock = threading.RLock()
        self._sessions: dict[str, ProcessSession] = {}  # by request id
        self._by_number: dict[str, ProcessSession] = {}
        self._numbers = itertools.count()
        self._automata = weakref.WeakKeyDictionary[TokenAutomaton, int]()  # the process has them
        self._recovery = Recovery()
        self._state: EngineState = "starting"
        self._detail = ""
        self._is_up = False  # the process has loaded the model and takes requests
        self._stop_at_s: float | None = None
        self._num_running = self._num_pages_used = 0
        try:
            self._process, ready = self._launch(progress)
        except EngineLost as lost:
            raise EngineStopped(f"the engine did not start: {lost.reason}") from None
        self._resolver = RequestResolver(ready.model, ready.limits, ready.tokenizer, metrics)
        self._state, self._is_up, name = "ready", True, ready.model.name
        metrics.watch(self.status, model_name=name, build=ready.build)
        if config.server.vllm_metrics:
            metrics.registry.register(VllmMetrics(metrics, self.status, name))
        self._thread = threading.Thread(target=self._supervise, name="engine", daemon=True)
        self._thread.start()

    @classmethod
    def start(
        cls,
        config: Config,
        metrics: Metrics | None = None,
        progress: Progress | None = None,
        set_up: Callable[[], None] | None = None,
    ) -> Self:
        """Load the configured model in a new process, whose logging `set_up` sets up."""
        return cls(config, metrics or Metrics(), progress, set_up)

    @property
    def model(self) -> ModelInfo:
        """The model being served."""
        return self._resolver.model

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of that model."""
        return self._resolver.tokenizer

    @property
    def pid(self) -> int:
        """The number of the engine's process, another one whenever it is started anew."""
        return self._process.pid

    def compile(self, sampling: SamplingParams, seconds: float | None = None) -> object:
        """See `EngineClient.compile`."""
        return self._resolver.compile(sampling, seconds)

    def has_compiled(self, sampling: SamplingParams) -> bool:
        """See `EngineClient.has_compiled`."""
        return self._resolver.has_compiled(sampling)

    def submit(self, request: Request) -> RequestStream:
        """Queue a request from a running event loop; see `EngineClient.submit`."""
        resolved = self._resolver.check(request)
        loop = asyncio.get_running_loop()
        # The stream is given a function without itself in it, or it would never be collected.
        request_id, abort = request.request_id, self.abort
        sampling = replace(request.sampling, seed=resolved.decoding.seed)
        request = replace(request, sampling=sampling, compiled=None)
        with self._lock:
            self._check_open(request_id)
            stream = RequestStream(loop, lambda: abort(request_id))
            number = str(next(self._numbers))
            session = ProcessSession(number, request, resolved.automata, stream)
            self._sessions[request_id] = self._by_number[number] = session
            if self._is_up and self._recovery.admits(request_id):
                self._send(session)
        return stream

    def _check_open(self, request_id: str) -> None:
        """Raise `EngineStopped`, `QueueFull`, or `InvalidRequest` for an id that is in use."""
        if self._state in ("stopping", "failed"):
            raise EngineStopped(self._detail or "the engine is shutting down")
        num_waiting = len(self._sessions) - self._num_running
        self._resolver.check_queue(num_waiting, self._config.max_queue)
        if request_id in self._sessions:
            raise InvalidRequest(f"request id {request_id} is in use", field="request_id")

    def abort(self, request_id: str) -> None:
        """Drop a request at the next step."""
        with self._lock:
            session = self._sessions.get(request_id)
            if session is None:
                return
            if session.is_inside:
                self._process.send(Abort(session.number))
                return
            prompt, sent = session.request.num_given, session.num_sent
            finish = Finish(FinishReason.ABORT, Usage(prompt, 0, sent, 0, 0, 0, 0))
            self._end([(session, Delta(request_id, (), "", finish=finish))])

    def status(self) -> EngineStatus:
        """A snapshot of the engine, requests on their way to its queue included."""
        num_running = min(self._num_running, len(self._sessions))
        num_waiting = len(self._sessions) - num_running
        num_pages = self._resolver.limits.num_pages
        return EngineStatus(
            *(self._state, num_running, num_waiting, self._num_pages_used, num_pages, self._detail)
        )

    def shutdown(self, timeout_s: float = 0.0) -> None:
        """Refuse new requests, give the present ones `timeout_s` to end, fail the rest, stop."""
        end_s = time.monotonic() + timeout_s
        with self._lock:
            if self._state in ("ready", "starting"):
                self._state = "stopping"
            self._stop_at_s = min(self._stop_at_s or end_s, end_s)
        self._thread.join()

    def _launch(self, progress: Progress | None = None) -> tuple[EngineProcess, Ready]:
        """A new process that has loaded the model; raises `EngineLost` and errors of loading."""
        process = EngineProcess(self._start)
        heard_s = time.monotonic()
        while True:
            match report := process.receive(POLL_S):
                case Loading():
                    if progress is not None:
                        progress(report.name, report.done, report.total)
                case LoadFailed():
                    process.kill()
                    raise report.error
                case Ready():
                    return process, report
                case None:
                    if time.monotonic() - heard_s > SILENCE_S or self._is_time_to_stop:
                        process.kill()
                        raise EngineLost(
                            SHUTTING_DOWN if self._is_time_to_stop else "it gave no sign of life"
                        )
                    continue
            heard_s = time.monotonic()

    @property
    def _is_time_to_stop(self) -> bool:
        return self._stop_at_s is not None and time.monotonic() >= self._stop_at_s

    def _supervise(self) -> None:
        """The thread: follow one process after another, until it is time to stop."""
        message = THREAD_ENDED
        try:
            message = self._follow_all()
        except BaseException as error:
            logger.critical("the engine's thread ended", exc_info=error)
        with self._lock:
            if message != SHUTTING_DOWN:
                self._state, self._detail = "failed", message
            self._process.kill()
            self._end(
                [(s, Failure(s.request.request_id, message)) for s in self._sessions.values()]
            )

    def _follow_all(self) -> str:
        """Run processes until it is time to stop; returns the reason."""
        while True:
            try:
                self._follow()
                return SHUTTING_DOWN
            except EngineLost as lost:
                logger.error("the engine was lost: %s", lost.reason)
                self._process.kill()
                self._note_loss(lost)
            for attempt in range(MAX_STARTS):
                if self._is_time_to_stop:
                    return SHUTTING_DOWN
                try:
                    self._process, _ = self._launch()
                    break
                except Exception as error:
                    logger.error("the engine did not start again: %s", error)
                    time.sleep(2.0**attempt)
            else:
                return f"the engine was lost, and {MAX_STARTS} starts failed"
            self._metrics.engine_restarts.inc()
            self._go_on()

    def _follow(self) -> None:
        """Take reports of the process until it is time to stop; raises `EngineLost`."""
        process, heard_s = self._process, time.monotonic()
        while True:
            with self._lock:
                if self._stop_at_s is not None and (not self._sessions or self._is_time_to_stop):
                    return
            match report := process.receive(POLL_S):
                case Stepped():
                    self._take(report)
                case StepFailed():
                    lost = EngineLost(report.message, by_request=True)
                    if report.ends:
                        raise lost
                    self._note_loss(lost)
                    self._go_on()
                case Beat() if report.step_age_s > self._config.step_timeout_s:
                    raise EngineLost(f"a step took over {self._config.step_timeout_s:g} s")
                case None:
                    if time.monotonic() - heard_s > SILENCE_S:
                        raise EngineLost("it gave no sign of life")
                    continue
            heard_s = time.monotonic()

    def _go_on(self) -> None:
        """Send what may run to a process that has nothing."""
        with self._lock:
            self._is_up = True
            if self._state == "starting":
                self._state, self._detail = "ready", ""
            self._send_admitted()

    def _take(self, stepped: Stepped) -> None:
        """Count a step, and hand its events to their streams."""
        count(self._metrics, stepped.recorded)
        pairs, ended = list[tuple[RequestStream, Event]](), list[ProcessSession]()
        with self._lock:
            self._num_running = stepped.num_running
            self._num_pages_used = stepped.num_pages_used
            known = self._by_number
            for choice in stepped.chosen:
                if (session := known.get(choice[0])) is not None:
                    session.choose(choice)
            for refinement in stepped.refinements:
                if (session := known.get(refinement.request_id)) is not None:
                    refined = session.refined(refinement)
                    if refined is not None:
                        pairs.append((session.stream, refined))
            for fields in stepped.deltas:
                if (session := known.get(fields[0])) is not None:
                    delta = session.unsent(Delta(*fields))
                    if delta is not None:
                        pairs.append((session.stream, delta))
                        if delta.finish is not None:
                            ended.append(session)
            for number, message in stepped.failures:
                if (session := known.get(number)) is not None:
                    pairs.append((session.stream, Failure(session.request.request_id, message)))
                    ended.append(session)
            if ended:
                self._forget(ended)
        push(pairs)

    def _note_loss(self, lost: EngineLost) -> None:
        """Note that no engine has any request; one that is known to be why is given up."""
        with self._lock:
            self._is_up = False
            if self._state == "ready":
                self._state, self._detail = "starting", "the engine is started again"
            inside = [s for s in self._sessions.values() if s.is_inside]
            for session in inside:
                session.is_inside = False
            positions = {session.request.request_id: session.num_seen for session in inside}
            culprit = self._recovery.lost(positions, is_certain=lost.by_request)
            self._num_running = self._num_pages_used = 0
            self._automata.clear()
            if culprit is not None:
                logger.error("request %s is given up: the engine fails on it", culprit)
                self._end([(self._sessions[culprit], Failure(culprit, FAILED))])

    def _end(self, pairs: Iterable[tuple[ProcessSession, Event]]) -> None:
        """Send the last events of requests that no engine has, and forget these."""
        pairs = list(pairs)
        self._forget([session for session, _ in pairs])
        push((session.stream, event) for session, event in pairs)

    def _forget(self, ended: Iterable[ProcessSession]) -> None:
        """Forget requests that are over; others may run now that had to wait for them."""
        names = [session.request.request_id for session in ended]
        for name in names:
            session = self._sessions.pop(name, None)
            if session is not None:
                del self._by_number[session.number]
        if self._recovery.ended(names):
            self._send_admitted()

    def _send_admitted(self) -> None:
        for session in self._sessions.values() if self._is_up else ():
            if not session.is_inside and self._recovery.admits(session.request.request_id):
                self._send(session)

    def _send(self, session: ProcessSession) -> None:
        """Send a request to the process, and automata that it does not have."""
        numbers, fresh = list[int](), list[tuple[int, TokenAutomaton]]()
        for automaton in session.automata.parts:
            number = self._automata.get(automaton)
            if number is None:
                number = self._automata[automaton] = next(self._numbers)
                fresh.append((number, automaton))
                forget = weakref.finalize(automaton, self._process.send, Forget(number))
                forget.atexit = False
            numbers.append(number)
        self._process.send(Add(session.begin(), tuple(numbers), tuple(fresh)))
