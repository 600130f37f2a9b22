"""The engine: schedule, run, apply. Synchronous, and knows no HTTP."""

import functools
import time
from collections import deque
from collections.abc import Iterable
from typing import Literal

import torch

from unmask import __version__
from unmask.config import Config
from unmask.decoding.automata.automaton import TokenAutomaton
from unmask.engine.apply.apply import apply_speculative, apply_step
from unmask.engine.apply.session import Applied, Session
from unmask.engine.apply.text import TextAssembler
from unmask.engine.run.device import DeviceModel
from unmask.engine.run.graphs.recorder import Recorder, cuda_recorder
from unmask.engine.run.limits import check_cache, derive_limits, log_limits
from unmask.engine.run.noise_runner import NoiseRunner
from unmask.engine.run.pending import PendingStep
from unmask.engine.run.runner import MaskRunner, Runner
from unmask.engine.schedule.admission import check_defaults
from unmask.engine.schedule.batch import StepBatch
from unmask.engine.schedule.deadlines import Deadlines
from unmask.engine.schedule.decoding import Decoding
from unmask.engine.schedule.pages import PagePool
from unmask.engine.schedule.prefix_cache import shares_prefixes
from unmask.engine.schedule.requests import Counted, RequestResolver
from unmask.engine.schedule.scheduler import Scheduler
from unmask.engine.schedule.sequence import Sequence
from unmask.engine.step_metrics import (
    record_progress,
    record_started,
    record_step,
)
from unmask.metrics import BuildInfo, Metrics
from unmask.models.host_memory import huge_pages, keep_freed_memory
from unmask.models.matrices import dtype_name
from unmask.models.registry import LoadedModel, load_model
from unmask.models.weights import Progress
from unmask.types import (
    Delta,
    EngineState,
    EngineStatus,
    Event,
    Failure,
    Finish,
    FinishReason,
    Request,
    SamplingParams,
)
from unmask.vllm_metrics import VllmMetrics
from unmask_kernels.native.threads import set_num_threads


@functools.cache
def num_cores() -> int:
    """Physical cores, read before the thread count is overridden."""
    return torch.get_num_threads()


def thread_counts(threads: int | None, cores: int) -> tuple[int, int]:
    """Threads of torch and of the C kernels.

    Torch's threads wait for each other, so a busy neighbour delays them all: half the cores.
    """
    return threads or max(1, cores // 2), threads or cores


def build_info(loaded: LoadedModel) -> BuildInfo:
    """The program and its device, a GPU by its name."""
    device = loaded.device
    is_gpu = device.type == "cuda"
    return BuildInfo(
        version=__version__,
        device=torch.cuda.get_device_name(device) if is_gpu else device.type,
        dtype=dtype_name(loaded.dtype),
        attention=loaded.info.attention,
    )


class Engine:
    """Decodes many requests together, one step at a time."""

    def __init__(
        self,
        config: Config,
        loaded: LoadedModel,
        metrics: Metrics,
        progress: Progress | None = None,
        recorder: Recorder = cuda_recorder,
    ) -> None:
        self.config = config.engine
        self.loaded = loaded
        self.metrics = metrics
        self.state: EngineState = "ready"
        self.limits = derive_limits(self.config, loaded)
        check_cache(self.limits, loaded)
        check_defaults(loaded.info, self.limits)
        log_limits(self.config, self.limits, loaded)
        self.pool = PagePool(self.limits.num_pages, self.limits.page_size)
        self.scheduler = Scheduler(self.config, self.limits, self.pool, loaded.info)
        device = DeviceModel.create(self.limits, loaded)
        kind = NoiseRunner if loaded.info.attention == "canvas" else MaskRunner
        self.runner: Runner = kind.create(device, progress, recorder)
        self.resolver = RequestResolver(loaded.info, self.limits, loaded.tokenizer, metrics)
        self._shares_prefixes = shares_prefixes(self.config, loaded.info)
        self._sessions: dict[str, Session] = {}
        self._pending: deque[PendingStep] = deque()
        self._deadlines = Deadlines()
        # Requests whose first step was launched last, and the seconds that they waited for it.
        self.begun: tuple[tuple[str, float], ...] = ()
        name = loaded.info.name
        metrics.watch(self.status, model_name=name, build=build_info(loaded))
        if config.server.vllm_metrics:
            metrics.registry.register(VllmMetrics(metrics, self.status, name))

    @classmethod
    def load(
        cls, config: Config, metrics: Metrics | None = None, progress: Progress | None = None
    ) -> "Engine":
        """Load the configured model; sets numbers of threads for the whole process."""
        of_torch, of_kernels = thread_counts(config.engine.threads, num_cores())
        torch.set_num_threads(of_torch)
        set_num_threads(of_kernels)
        with huge_pages():
            loaded = load_model(config.model, config.decoding, progress)
        keep_freed_memory()
        return cls(config, loaded, metrics or Metrics(), progress)

    @property
    def has_work(self) -> bool:
        """True if a step would do anything."""
        return bool(self._sessions) or bool(self._pending)

    def check(self, request: Request) -> None:
        """Raise `InvalidRequest` for what can never be served; safe from any thread."""
        self.resolver.check(request)

    def compile(
        self, sampling: SamplingParams, seconds: float | None = None
    ) -> TokenAutomaton | None:
        """See `RequestResolver.compile`; safe from any thread."""
        return self.resolver.compile(sampling, seconds)

    def has_compiled(self, sampling: SamplingParams) -> bool:
        """True if `compile` would return at once; safe from any thread."""
        return self.resolver.has_compiled(sampling)

    def check_queue(self, num_arriving: int = 0) -> None:
        """Raise `QueueFull` when no more requests may wait; safe from any thread.

        `num_arriving` requests are accepted already, but not added yet.
        """
        num_waiting = self.scheduler.num_waiting + num_arriving
        self.resolver.check_queue(num_waiting, self.config.max_queue)

    def add(self, request: Request, counted: Counted | None = None) -> None:
        """Queue a request; raises `InvalidRequest`.

        With `counted`, metrics have its admission, and what other engines made of it.
        """
        assert request.request_id not in self._sessions, "request ids are unique"
        resolved = self.resolver.resolve(request)
        sequence = Sequence(request, resolved.decoding, self.loaded.info, resolved.structure)
        sampling = request.sampling
        text = TextAssembler(
            self.loaded.tokenizer,
            self._stops(request),
            kept=sampling.stop if sampling.include_stop_str_in_output else (),
            min_tokens=sampling.min_tokens or 0,
        )
        self.scheduler.add(sequence)
        session = Session(sequence, text, self.loaded.tokenizer)
        self._sessions[request.request_id] = session
        self._deadlines.add(request.request_id, request.deadline_s)
        if counted is None:
            self.metrics.record_admitted(request)
        else:
            session.go_on(counted)

    def _stops(self, request: Request) -> tuple[str, ...]:
        """Texts that end an answer: the request's, and the model's where an EOS would, too."""
        sampling, own = request.sampling, self.loaded.info.end_text
        goes_on = sampling.ignore_eos or sampling.grammar is not None or request.template
        return sampling.stop if own is None or goes_on else (*sampling.stop, own)

    def load_decides(self, request_id: str) -> Literal["mode", "block_length"] | None:
        """The parameter that the load decides for a request, or has decided; None if it has all."""
        session = self._sessions.get(request_id)
        if session is None or len(session.sequence.choices) == 1:
            return None
        modes = {decoding.mode for decoding in session.sequence.choices}
        return "mode" if len(modes) > 1 else "block_length"

    def chosen_by_load(self, request_id: str) -> Decoding | None:
        """Parameters that were chosen as a request began; None before, and once it is over."""
        session = self._sessions.get(request_id)
        if session is None or not session.sequence.was_admitted:
            return None
        return session.sequence.decoding

    def abort(self, request_id: str) -> list[Event]:
        """Drop a request and free its pages; its last event says so."""
        session = self._sessions.pop(request_id, None)
        if session is None:
            return []
        self.scheduler.remove(session.sequence)
        self._deadlines.remove(request_id)
        usage = session.usage()
        self.metrics.record_finish(
            FinishReason.ABORT, usage, first_token_s=None, latency_s=session.age_s()
        )
        finish = Finish(FinishReason.ABORT, usage, queue_s=session.queue_s)
        return [Delta(request_id, (), "", finish=finish)]

    def step(self) -> list[Event]:
        """Launch a step; returns the events of it or, where steps overlap, of an earlier one.

        Requests past their deadlines are aborted before it.
        """
        events = list[Event]()
        for request_id in self._deadlines.passed(time.monotonic()):
            events += self.abort(request_id)
        num_preempted = self.scheduler.num_preempted
        batch, self.begun = self.scheduler.schedule(), ()
        self.metrics.preempted.inc(self.scheduler.num_preempted - num_preempted)
        if batch is not None:
            pending = self.runner.launch(batch)
            self._pending.append(pending)
            self._begin(self.scheduler.advance(batch), pending.started_s)
        ahead = self._steps_ahead(batch)
        while len(self._pending) > ahead:
            events += self._finish(self._pending.popleft())
        return events

    def _begin(self, sequences: Iterable[Sequence], now_s: float) -> None:
        """Note how long sequences waited for their first step, and count those that are new."""
        sessions = [self._sessions[sequence.request.request_id] for sequence in sequences]
        begun = list[tuple[str, float]]()
        for session in sessions:
            if session.queue_s is None:
                session.queue_s = now_s - session.sequence.arrival_s
                record_started(
                    self.metrics,
                    session.sequence,
                    session.queue_s,
                    shares_prefixes=self._shares_prefixes,
                )
                begun.append((session.sequence.request.request_id, session.queue_s))
        self.begun = tuple(begun)

    def _steps_ahead(self, batch: StepBatch | None) -> int:
        """Steps that may be launched before one's result is read.

        A block that is full earlier than its quotas say is computed once more where its last result
        is not known yet, rather than together with the next block. A fast host may do better
        without overlap while steps are short.
        """
        if batch is None or not self.limits.overlaps:
            return 0
        folds = self.loaded.info.has_blocks
        if folds and batch.num_tokens < self.config.overlap_rows:
            return 0
        return self.config.steps_ahead

    def _finish(self, pending: PendingStep) -> list[Event]:
        events = self._apply(pending)
        record_step(self.metrics, pending.batch, time.monotonic() - pending.started_s)
        return events

    def fail_all(self, message: str) -> list[Event]:
        """Give every request up with an error, and start from an empty engine."""
        failures: list[Event] = []
        for request_id, session in self._sessions.items():
            self.scheduler.remove(session.sequence)
            self._deadlines.remove(request_id)
            failures.append(Failure(request_id, message))
        self._sessions.clear()
        self._pending.clear()
        return failures

    def status(self, num_arriving: int = 0, detail: str = "") -> EngineStatus:
        """A snapshot, `num_arriving` counted as waiting; safe from any thread."""
        return EngineStatus(
            self.state,
            self.scheduler.num_running,
            self.scheduler.num_waiting + num_arriving,
            self.pool.num_held,
            self.pool.num_pages,
            detail,
            max_queue=self.config.max_queue,
        )

    def check_integrity(self) -> None:
        """Assert that every page is accounted for."""
        self.pool.check_integrity(s.pages for s in self.scheduler.sequences)

    def _apply(self, pending: PendingStep) -> list[Event]:
        table, batch, result = self.scheduler.table, pending.batch, pending.wait()
        now_s = time.monotonic()
        events = self._record(apply_step(self._sessions, table, batch, result, now_s))
        if not self.config.speculation_rows:
            return events
        for i, span in enumerate(batch.denoised):
            if span.sequence.speculates_for is not None:
                self.metrics.speculative_states.inc()
                applied = apply_speculative(self._sessions, table, batch, result, now_s, i)
                if applied is not None:
                    self.metrics.accepted_states.inc()
                    events += self._record(applied)
        return events

    def _record(self, applied: Applied) -> list[Event]:
        """Note first tokens, drop sequences that are over, and count; returns the events."""
        for session in applied.started:
            session.sequence.first_token_s = session.age_s()
        for session, finish in applied.finished:
            self._end(session, finish)
        record_progress(self.metrics, applied)
        return applied.events

    def _end(self, session: Session, finish: Finish) -> None:
        sequence = session.sequence
        self.scheduler.remove(sequence)
        self._deadlines.remove(sequence.request.request_id)
        del self._sessions[sequence.request.request_id]
        self.metrics.record_finish(
            finish.reason,
            finish.usage,
            first_token_s=sequence.first_token_s,
            latency_s=session.age_s(),
        )
