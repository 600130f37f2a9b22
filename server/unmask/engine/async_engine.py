"""An engine on a thread of its own, behind `EngineClient`: callers on an event loop never block."""

import asyncio
import logging
import threading
import time
from collections import deque
from dataclasses import replace
from functools import partial
from typing import Self

from unmask.config import Config
from unmask.engine.engine import Engine
from unmask.engine.schedule.limits import EngineLimits
from unmask.engine.streams import (
    SHUTTING_DOWN,
    THREAD_ENDED,
    RequestStream,
    push,
    stopped,
)
from unmask.errors import EngineStopped, InvalidRequest
from unmask.metrics import Metrics
from unmask.models.weights import Progress
from unmask.tokenizer import Tokenizer
from unmask.types import (
    EngineState,
    EngineStatus,
    Event,
    Failure,
    ModelInfo,
    Request,
    SamplingParams,
    is_last,
)

logger = logging.getLogger(__name__)

HANG_S = 5.0  # for the last step, when the engine is to stop
MAX_FAILURES = 3  # steps that raise, one after another, before the engine is given up


class AsyncEngine:
    """Runs `Engine.step` in a loop and hands each request's events to its stream."""

    def __init__(self, engine: Engine, hang_s: float = HANG_S) -> None:
        """Start the thread; at the end its last step may take `hang_s`."""
        self._engine = engine
        self._hang_s = hang_s
        self._wake = threading.Condition()
        self._added: deque[Request] = deque()
        self._aborted: deque[str] = deque()
        self._streams: dict[str, RequestStream] = {}
        self._stop_at_s: float | None = None
        self._detail = ""
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @classmethod
    def start(
        cls, config: Config, metrics: Metrics | None = None, progress: Progress | None = None
    ) -> Self:
        """Load the configured model in the calling thread, then run it in another."""
        return cls(Engine.load(config, metrics, progress))

    @property
    def model(self) -> ModelInfo:
        """The model being served."""
        return self._engine.loaded.info

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of that model."""
        return self._engine.loaded.tokenizer

    @property
    def limits(self) -> EngineLimits:
        """Sizes of the engine, by which requests are checked."""
        return self._engine.limits

    def compile(self, sampling: SamplingParams, seconds: float | None = None) -> object:
        """See `EngineClient.compile`."""
        return self._engine.compile(sampling, seconds)

    def has_compiled(self, sampling: SamplingParams) -> bool:
        """See `EngineClient.has_compiled`."""
        return self._engine.has_compiled(sampling)

    def submit(self, request: Request) -> RequestStream:
        """Queue a request from a running event loop; see `EngineClient.submit`."""
        self._engine.check(request)
        loop, request_id = asyncio.get_running_loop(), request.request_id
        with self._wake:
            if self._state != "ready":
                raise EngineStopped(self._detail or "the engine is shutting down")
            self._engine.check_queue(len(self._added))
            if request_id in self._streams:
                raise InvalidRequest(f"request id {request_id} is in use", field="request_id")
            stream = RequestStream(loop, partial(self.abort, request_id))
            self._streams[request_id] = stream
            self._added.append(request)
            self._wake.notify()
        return stream

    def abort(self, request_id: str) -> None:
        """Drop a request at the next step."""
        with self._wake:
            self._aborted.append(request_id)
            self._wake.notify()

    def status(self) -> EngineStatus:
        """A snapshot of the engine, requests on their way to its queue included."""
        status = self._engine.status(len(self._added), self._detail)
        return replace(status, state=self._state)

    @property
    def _state(self) -> EngineState:
        """The engine's own state, but that an engine whose thread has ended is not ready."""
        state = self._engine.state
        return "failed" if state == "ready" and not self._thread.is_alive() else state

    def shutdown(self, timeout_s: float = 0.0) -> None:
        """Refuse new requests, give the present ones `timeout_s` to end, fail the rest, stop."""
        with self._wake:
            if self._engine.state == "ready":
                self._engine.state = "stopping"
            self._stop_at_s = time.monotonic() + timeout_s
            self._wake.notify()
        self._thread.join(timeout_s + self._hang_s)
        if self._thread.is_alive():
            with self._wake:
                ids = list(self._streams)
            self._deliver([stopped(request_id, SHUTTING_DOWN) for request_id in ids])
            raise EngineStopped("a step of the engine does not end; it was left running")

    def _run(self) -> None:
        """The thread: however it ends, its state says so and every stream has an end."""
        message = THREAD_ENDED
        try:
            message = self._serve()
        except BaseException as error:
            logger.critical("the engine's thread ended", exc_info=error)
        with self._wake:
            if message != SHUTTING_DOWN:
                self._engine.state, self._detail = "failed", message
            self._added.clear()
        try:
            self._fail_all(message)
        except Exception:
            logger.exception("the engine could not be emptied")

    def _serve(self) -> str:
        """Run steps until it is time to stop; returns the reason."""
        num_failures = 0
        while self._wait():
            try:
                events = self._take_commands()
                events += self._engine.step()
                num_failures = 0
            except Exception:
                logger.exception("a step failed; its requests are given up")
                num_failures += 1
                self._fail_all("the engine failed on this batch; see the server's log")
                if num_failures == MAX_FAILURES:
                    return f"{MAX_FAILURES} steps in a row failed"
                continue
            self._deliver(events)
        return SHUTTING_DOWN

    def _fail_all(self, message: str) -> None:
        """End every request that was taken from the queue, and every stream of one."""
        with self._wake:
            waiting = {request.request_id for request in self._added}
            ids = [request_id for request_id in self._streams if request_id not in waiting]
        try:
            self._engine.fail_all(message)
        finally:  # an engine that cannot even do this must not silence its streams
            self._deliver([stopped(request_id, message) for request_id in ids])

    def _wait(self) -> bool:
        """Sleep until there is something to do; False when it is time to stop."""
        with self._wake:
            while True:
                busy = self._engine.has_work or self._added or self._aborted
                if self._stop_at_s is not None:
                    return bool(busy) and time.monotonic() < self._stop_at_s
                if busy:
                    return True
                self._wake.wait()

    def _take_commands(self) -> list[Event]:
        """Hand requests and aborts to the engine; a request that it cannot take fails alone."""
        with self._wake:
            added, self._added = self._added, deque()
            aborted, self._aborted = self._aborted, deque()
        events: list[Event] = []
        for request in added:
            try:
                self._engine.add(request)
            except InvalidRequest as error:  # checked before, so only a changed mind gets here
                events.append(Failure(request.request_id, error.message))
            except Exception:
                logger.exception("request %s could not be queued", request.request_id)
                message = "the engine could not take this request; see the server's log"
                events.append(Failure(request.request_id, message))
        for request_id in aborted:
            events += self._engine.abort(request_id)
        return events

    def _deliver(self, events: list[Event]) -> None:
        """One wake-up per event loop and step, whatever the number of requests."""
        pairs = list[tuple[RequestStream, Event]]()
        for event in events:
            stream = self._streams.get(event.request_id)
            if stream is None:
                logger.error("an event of request %s has no stream", event.request_id)
                continue
            pairs.append((stream, event))
            if is_last(event):
                self._streams.pop(event.request_id, None)
        push(pairs)
