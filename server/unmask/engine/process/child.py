"""The process of an engine: `python -m unmask.engine.process.child FD`, started by a server."""

import logging
import os
import pickle
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from unmask.config import Config
from unmask.engine.process.messages import (
    FAILED,
    Abort,
    Add,
    Beat,
    Choice,
    Command,
    Forget,
    LoadFailed,
    Loading,
    Ready,
    Report,
    Resume,
    Start,
    StepFailed,
    Stepped,
)
from unmask.engine.process.portable import Receiver
from unmask.engine.process.recording import RecordedMetrics
from unmask.engine.process.whole_answers import WholeAnswers
from unmask.engine.silence import Silence
from unmask.errors import EngineStopped, InvalidRequest
from unmask.types import Delta, Event, Failure, Refinement

if TYPE_CHECKING:
    from unmask.engine.engine import Engine

logger = logging.getLogger(__name__)

BEAT_S = 0.5
MOST_S = 4 * BEAT_S  # between two beats, unless the machine was paused


class EngineLoop:
    """Runs steps while there are requests, and reports what they made."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._wake = threading.Condition()
        self._commands: deque[Command] = deque()
        self._receiver = Receiver()
        self._choosing: set[str] = set()  # requests whose block length or mode is not chosen yet
        self._whole = WholeAnswers()
        self._step_runs: Silence | None = None  # since the step began
        self._has_failed = False  # and the server may not know it yet

    def run(self) -> None:
        """Load the model, then run steps until the server is gone."""
        try:
            start: Start = self._connection.recv()
        except (EOFError, OSError):  # the server ended before this process had begun
            return
        if start.cores is not None and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, start.cores)  # before there are threads, and torch counts cores
        if start.set_up is not None:
            start.set_up()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()
        metrics = RecordedMetrics()
        try:
            engine = self._load(start.config, metrics)
        except Exception as error:
            logger.debug("the engine did not start", exc_info=True)
            self._send(LoadFailed(_sendable(error)))
            return
        threading.Thread(target=self._receive, name="commands", daemon=True).start()
        while True:
            self._wait(engine)
            self._step(engine, metrics)

    def _load(self, config: Config, metrics: RecordedMetrics) -> "Engine":
        from unmask.engine.engine import Engine, build_info  # import torch, which takes seconds

        def note(name: str, done: int, total: int) -> None:
            self._send(Loading(name, done, total))

        engine = Engine.load(config, metrics, note)
        loaded = engine.loaded
        facts = Ready(loaded.info, loaded.tokenizer, engine.limits, build_info(loaded))
        self._send(facts)
        return engine

    def _wait(self, engine: "Engine") -> None:
        with self._wake:
            while not (engine.has_work or self._commands):
                self._wake.wait()

    def _step(self, engine: "Engine", metrics: RecordedMetrics) -> None:
        """Take commands, run a step and report it; a step that raises is reported too."""
        self._step_runs = Silence()
        try:
            events = self._take_commands(engine)
            events += engine.step()
        except Exception as error:
            self._fail(engine, error)
            metrics.take()
            return
        finally:
            self._step_runs = None
        self._send(self._stepped(engine, events, metrics))

    def _fail(self, engine: "Engine", error: Exception) -> None:
        """Report the error, and forget all requests; a GPU is not trusted any more."""
        logger.exception("a step failed")
        engine.fail_all(FAILED)
        self._choosing.clear()
        self._whole.clear()
        self._has_failed = True
        ends = engine.loaded.device.type != "cpu"
        self._send(StepFailed(f"{type(error).__name__}: {error}", ends))
        if ends:
            sys.exit(1)

    def _take_commands(self, engine: "Engine") -> list[Event]:
        with self._wake:
            commands, self._commands = self._commands, deque()
        events: list[Event] = []
        for command in commands:
            match command:
                case Resume():
                    self._has_failed = False
                case Add() | Abort() if self._has_failed:
                    continue  # the server had not heard of the failure
                case Add():
                    events += self._add(engine, command)
                case Abort():
                    self._choosing.discard(command.request_id)
                    events += engine.abort(command.request_id)
                case Forget():
                    self._receiver.forget(command)
        return events

    def _add(self, engine: "Engine", command: Add) -> list[Event]:
        """Queue a request; one that the engine cannot take fails alone."""
        request = self._receiver.request(command)
        try:
            engine.add(request, command.counted)
        except InvalidRequest as error:  # checked before, so only a changed mind gets here
            return [Failure(request.request_id, error.message)]
        except Exception:
            logger.exception("a request could not be queued")
            return [Failure(request.request_id, FAILED)]
        self._whole.expect(request)
        if engine.load_decides(request.request_id):
            self._choosing.add(request.request_id)
        return []

    def _stepped(
        self, engine: "Engine", events: Iterable[Event], metrics: RecordedMetrics
    ) -> Stepped:
        deltas, refinements, failures = list[Delta](), list[Refinement](), list[tuple[str, str]]()
        held: list[tuple[str, int]] = []
        for event in events:
            match event:
                case Delta():
                    if (delta := self._whole.take(event)) is not None:
                        deltas.append(delta)
                    else:
                        held.append((event.request_id, len(event.token_ids)))
                    if event.finish is not None:  # late, before anything was chosen for it
                        self._choosing.discard(event.request_id)
                case Refinement():
                    refinements.append(event)
                case Failure():
                    failures.append((event.request_id, event.message))
        status = engine.status()
        return Stepped(
            tuple(map(tuple, deltas)),
            tuple(held),
            tuple(refinements),
            tuple(failures),
            engine.begun,
            tuple(self._chosen(engine)),
            metrics.take(),
            status.num_running,
            status.num_pages_used,
        )

    def _chosen(self, engine: "Engine") -> Iterator[Choice]:
        """Requests that began, with what the load chose for them."""
        for name in tuple(self._choosing):
            decoding = engine.chosen_by_load(name)
            if decoding is None:
                continue
            self._choosing.discard(name)
            of_mode = engine.load_decides(name) == "mode"
            yield name, *((None, decoding.mode) if of_mode else (decoding.block_len, None))

    def _receive(self) -> None:
        """Take commands from the server; without a server there is nothing left to do."""
        try:
            while True:
                command: Command = self._connection.recv()
                with self._wake:
                    self._commands.append(command)
                    self._wake.notify()
        except (EOFError, OSError):
            os._exit(0)

    def _beat(self) -> None:
        while True:
            time.sleep(BEAT_S)
            step = self._step_runs
            self._send(Beat(0.0 if step is None else step.look(MOST_S)))

    def _send(self, report: Report) -> None:
        try:
            with self._sending:
                self._connection.send(report)
        except OSError:  # the server is gone
            os._exit(0)


def _sendable(error: Exception) -> Exception:
    """The error, or one with its text if it is not whole once it was sent."""
    try:
        if str(pickle.loads(pickle.dumps(error))) == str(error):
            return error
    except Exception:
        logger.debug("an error cannot be sent", exc_info=True)
    return EngineStopped.at_start(error)


def main() -> None:
    """Serve the socket whose descriptor is the argument."""
    for number in (signal.SIGINT, signal.SIGTERM):  # of a terminal, to all of a service
        signal.signal(number, signal.SIG_IGN)  # the server says when to stop
    EngineLoop(Connection(int(sys.argv[1]))).run()


if __name__ == "__main__":
    main()
