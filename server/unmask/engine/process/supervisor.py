"""Lifetime of an engine's process: started, watched, and started anew whenever it is lost."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from unmask.engine.process.handle import EngineLost, EngineProcess
from unmask.engine.process.messages import (
    Beat,
    Command,
    LoadFailed,
    Loading,
    Ready,
    Report,
    Start,
    StepFailed,
    Stepped,
)
from unmask.engine.process.placement import Place
from unmask.engine.silence import Clock, Silence
from unmask.engine.streams import SHUTTING_DOWN, THREAD_ENDED

logger = logging.getLogger(__name__)

MAX_STARTS = 3  # that fail one after another before the engine is given up
SILENCE_S = 60.0  # after which a process that sends no sign of life is given up
LEAST_SILENCE_S = 5.0  # where steps may take less; signs of life come twice a second
POLL_S = 0.25
MOST_S = 4 * POLL_S  # that a poll takes, unless this process was paused too
Progress = Callable[[str, int, int], None]


class Process(Protocol):
    """A process with an engine, see `EngineProcess`."""

    @property
    def pid(self) -> int: ...
    def send(self, command: Command) -> None: ...
    def receive(self, timeout_s: float) -> Report | None: ...
    def kill(self) -> None: ...


Run = Callable[[Start, Mapping[str, str]], Process]


class Owner(Protocol):
    """Owner of engines, called by their supervisors' threads with the number of the engine."""

    def is_drained(self) -> bool:
        """True if engines are to stop, and no request needs them."""
        ...

    def is_time_to_stop(self) -> bool:
        """True if engines are to stop whatever they do."""
        ...

    def took(self, engine: int, stepped: Stepped) -> None:
        """An engine ran a step."""
        ...

    def lost(self, engine: int, lost: EngineLost) -> None:
        """An engine has none of its requests any more."""
        ...

    def is_up(self, engine: int, *, is_new: bool) -> None:
        """An engine that was lost takes requests again, in a new process or the same."""
        ...

    def ended(self, engine: int, reason: str) -> None:
        """An engine is stopped, or given up: it never takes requests again."""
        ...


class Supervisor:
    """Runs one process after another for an engine, and tells its owner what they report.

    A process is lost if it ends, if a step takes over `step_timeout_s`, or without a sign of life.
    """

    def __init__(
        self,
        owner: Owner,
        engine: int,
        start: Start,
        place: Place,
        step_timeout_s: float,
        run: Run = EngineProcess,
        clock: Clock = time.monotonic,
    ) -> None:
        """`run` starts a process with variables of its own, and `clock` tells for how long."""
        self._owner, self._engine = owner, engine
        self._start, self._place, self._step_timeout_s = start, place, step_timeout_s
        self._thread = threading.Thread(target=self._supervise, name=f"engine-{engine}")
        self._thread.daemon = True
        self._run, self._clock = run, clock
        self.process: Process

    def launch(self, progress: Progress | None = None) -> Ready:
        """Start a process that loads the model; raises `EngineLost` and errors of loading."""
        process = self._run(self._start, self._place.environment)
        try:
            ready = self._load(process, progress)
        except BaseException:
            process.kill()
            raise
        self.process = process
        return ready

    def _load(self, process: Process, progress: Progress | None) -> Ready:
        silence = Silence(self._clock)
        while True:
            match report := process.receive(POLL_S):
                case Loading() if progress is not None:
                    progress(report.name, report.done, report.total)
                case LoadFailed():
                    raise report.error
                case Ready():
                    return report
            if self._is_over:
                raise EngineLost(SHUTTING_DOWN)
            if report is not None:
                silence.end()
            elif silence.look(MOST_S) > SILENCE_S:
                raise EngineLost("it gave no sign of life")

    def watch(self) -> None:
        """Follow the process that was launched, on a thread, and those that come after it."""
        self._thread.start()

    def join(self) -> None:
        """Wait until the owner was told that the engine has ended."""
        self._thread.join()

    def _supervise(self) -> None:
        reason = THREAD_ENDED
        try:
            reason = self._follow_all()
        except BaseException as error:
            logger.critical("the thread of engine %d ended", self._engine, exc_info=error)
        try:
            self.process.kill()
        finally:
            self._owner.ended(self._engine, reason)

    def _follow_all(self) -> str:
        """Run processes until it is time to stop; returns the reason."""
        while True:
            try:
                self._follow()
                return SHUTTING_DOWN
            except EngineLost as lost:
                logger.error("engine %d was lost: %s", self._engine, lost.reason)
                self.process.kill()
                self._owner.lost(self._engine, lost)
            for attempt in range(MAX_STARTS):
                if self._is_over:
                    return SHUTTING_DOWN
                try:
                    self.launch()
                    break
                except Exception as error:
                    if self._is_over:
                        return SHUTTING_DOWN
                    logger.error("engine %d did not start again: %s", self._engine, error)
                    time.sleep(2.0**attempt)
            else:
                return f"the engine was lost, and {MAX_STARTS} starts failed"
            self._owner.is_up(self._engine, is_new=True)

    def _follow(self) -> None:
        """Take reports of the process until it is time to stop; raises `EngineLost`."""
        limit_s = min(SILENCE_S, max(LEAST_SILENCE_S, self._step_timeout_s))
        silence = Silence(self._clock)
        while not self._is_over:
            match report := self.process.receive(POLL_S):
                case Stepped():
                    self._owner.took(self._engine, report)
                case StepFailed():
                    lost = EngineLost(report.message, by_request=True)
                    if report.ends:
                        raise lost
                    self._owner.lost(self._engine, lost)
                    self._owner.is_up(self._engine, is_new=False)
                case Beat() if report.step_age_s > self._step_timeout_s:
                    raise EngineLost(f"a step took over {self._step_timeout_s:g} s")
                case None:
                    if silence.look(MOST_S) > limit_s:
                        raise EngineLost("it gave no sign of life")
                    continue
            silence.end()

    @property
    def _is_over(self) -> bool:
        return self._owner.is_drained() or self._owner.is_time_to_stop()

    def send(self, command: Command) -> None:
        """Send a command to the present process."""
        self.process.send(command)
