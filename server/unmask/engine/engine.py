"""The engine: schedule, run, apply. Synchronous, and knows no HTTP."""

import functools
import time
from collections import deque
from dataclasses import dataclass, replace

import torch

from unmask import __version__
from unmask.config import Config, EngineConfig
from unmask.engine.apply.apply import Applied, Session, apply_speculative, apply_step
from unmask.engine.apply.text import TextAssembler
from unmask.engine.run.pending import PendingStep
from unmask.engine.run.runner import Runner, count_pages
from unmask.engine.schedule.admission import EngineLimits, resolve
from unmask.engine.schedule.batch import StepBatch, StepResult
from unmask.engine.schedule.block_lengths import saturation_rows_of
from unmask.engine.schedule.pages import PagePool, page_size_of
from unmask.engine.schedule.scheduler import Scheduler
from unmask.engine.schedule.sequence import Sequence
from unmask.errors import InvalidRequest, QueueFull
from unmask.metrics import BuildInfo, Metrics
from unmask.models.host_memory import huge_pages, keep_freed_memory
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
    ModelInfo,
    Request,
)
from unmask.vllm_metrics import VllmMetrics
from unmask_kernels.native.threads import set_num_threads


@functools.cache
def num_cores() -> int:
    """Those that torch counted, before a number of threads was chosen."""
    return torch.get_num_threads()


def with_room(config: EngineConfig, model: ModelInfo) -> EngineConfig:
    """A step must hold whole what is denoised together: all of a sequence, or a canvas."""
    longest = 1
    if model.attention == "full":
        longest = model.max_model_len
    elif model.canvas is not None:
        longest = model.block_length or longest
    return replace(config, max_batch_tokens=max(config.max_batch_tokens, longest))


def build_info(loaded: LoadedModel) -> BuildInfo:
    """The program and the device, a GPU by its name."""
    device = loaded.device
    is_gpu = device.type == "cuda"
    return BuildInfo(
        version=__version__,
        device=torch.cuda.get_device_name(device) if is_gpu else device.type,
        dtype=str(loaded.dtype).removeprefix("torch."),
        attention=loaded.info.attention,
    )


@dataclass(frozen=True, slots=True)
class Step:
    """A batch that was launched."""

    batch: StepBatch
    launched: PendingStep
    started_s: float


class Engine:
    """Decodes many requests together, one step at a time."""

    def __init__(
        self,
        config: Config,
        loaded: LoadedModel,
        metrics: Metrics,
        progress: Progress | None = None,
    ) -> None:
        self.config = with_room(config.engine, loaded.info)
        self.loaded = loaded
        self.metrics = metrics
        self.state: EngineState = "ready"
        num_pages = count_pages(self.config, loaded)
        page_size = page_size_of(self.config, loaded.device.type)
        self.limits = EngineLimits(self.config.max_batch_tokens, num_pages, page_size)
        self.pool = PagePool(num_pages, page_size)
        saturation_rows = saturation_rows_of(self.config, loaded.device.type)
        self.scheduler = Scheduler(self.config, self.pool, loaded.info, saturation_rows)
        self.runner = Runner.create(self.config, loaded, num_pages, progress)
        self._sessions: dict[str, Session] = {}
        self._launched: deque[Step] = deque()
        for reason in ("invalid", "queue_full", "loading"):
            metrics.refused.labels(reason)
        name = loaded.info.name
        metrics.watch(self.status, model_name=name, build=build_info(loaded))
        if config.server.vllm_metrics:
            metrics.registry.register(VllmMetrics(metrics, self.status, name))

    @classmethod
    def load(
        cls, config: Config, metrics: Metrics | None = None, progress: Progress | None = None
    ) -> "Engine":
        """Load the configured model; sets numbers of threads for the whole process."""
        # Half the cores: torch's threads wait for each other, and a busy neighbour delays them all.
        torch.set_num_threads(config.engine.threads or max(1, num_cores() // 2))
        set_num_threads(config.engine.threads or num_cores())
        with huge_pages():
            loaded = load_model(config.model, config.decoding, progress)
        if loaded.device.type == "cpu":
            keep_freed_memory()
        return cls(config, loaded, metrics or Metrics(), progress)

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything."""
        return bool(self._sessions) or bool(self._launched)

    def check(self, request: Request) -> None:
        """Raise `InvalidRequest` for what can never be served; safe from any thread."""
        try:
            resolve(request, self.loaded.info, self.limits)
        except InvalidRequest:
            self.metrics.refused.labels("invalid").inc()
            raise

    def check_queue(self, num_arriving: int = 0) -> None:
        """Raise `QueueFull` when no more requests may wait; safe from any thread.

        `num_arriving` requests are accepted already, but not added yet.
        """
        num_waiting = self.scheduler.num_waiting + num_arriving
        if num_waiting >= self.config.max_queue:
            self.metrics.refused.labels("queue_full").inc()
            raise QueueFull(f"{num_waiting} requests are waiting already", retry_after_s=1)

    def add(self, request: Request) -> None:
        """Queue a request; raises `InvalidRequest`."""
        assert request.request_id not in self._sessions, "request ids are unique"
        info = self.loaded.info
        sequence = Sequence(request, resolve(request, info, self.limits), info)
        text = TextAssembler(self.loaded.tokenizer, request.sampling.stop)
        self.scheduler.add(sequence)
        self._sessions[request.request_id] = Session(sequence, text, self.loaded.tokenizer)
        self.metrics.admitted.inc()
        self.metrics.prompt_tokens.inc(sequence.request.num_given)

    def abort(self, request_id: str) -> list[Event]:
        """Drop a request and free its pages; its last event says so."""
        session = self._sessions.pop(request_id, None)
        if session is None:
            return []
        self.scheduler.remove(session.sequence)
        usage = session.usage()
        self.metrics.record_finish(
            FinishReason.ABORT, usage, first_token_s=None, latency_s=session.age_s()
        )
        return [Delta(request_id, (), "", finish=Finish(FinishReason.ABORT, usage))]

    def step(self) -> list[Event]:
        """Launch a step, and tell the events of it or, where steps overlap, of an earlier one."""
        preempted_before = self.scheduler.num_preempted
        batch = self.scheduler.schedule()
        self.metrics.preempted.inc(self.scheduler.num_preempted - preempted_before)
        if batch is not None:
            self._launched.append(self._launch(batch))
        ahead, events = self._steps_ahead(batch), list[Event]()
        while len(self._launched) > ahead:
            events += self._finish(self._launched.popleft())
        return events

    def _steps_ahead(self, batch: StepBatch | None) -> int:
        """Steps that may be launched before one's result is read.

        A block that is full earlier than its quotas say is computed once more where its last result
        is not known yet, rather than together with the next block. A fast host may do better
        without overlap while steps are short.
        """
        if batch is None or not self.runner.overlaps:
            return 0
        folds = self.loaded.info.attention == "block_causal"
        if folds and batch.num_tokens < self.config.overlap_rows:
            return 0
        return self.config.steps_ahead

    def _launch(self, batch: StepBatch) -> "Step":
        started_s = time.monotonic()
        self._observe_queue(batch, started_s)
        launched = self.runner.launch(batch)
        self.scheduler.advance(batch)
        return Step(batch, launched, started_s)

    def _finish(self, step: "Step") -> list[Event]:
        events = self._apply(step.batch, step.launched.wait())
        self._observe_step(step.batch, time.monotonic() - step.started_s)
        return events

    def fail_all(self, message: str) -> list[Event]:
        """Give every request up with an error, and start from an empty engine."""
        failures: list[Event] = []
        for request_id, session in self._sessions.items():
            self.scheduler.remove(session.sequence)
            failures.append(Failure(request_id, message))
        self._sessions.clear()
        self._launched.clear()
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
        )

    def check_integrity(self) -> None:
        """Assert that every page is accounted for."""
        self.pool.check_integrity(s.pages for s in self.scheduler.sequences)

    def _apply(self, batch: StepBatch, result: StepResult) -> list[Event]:
        table, metrics, now_s = self.scheduler.table, self.metrics, time.monotonic()
        events = self._tell(apply_step(self._sessions, table, batch, result, now_s))
        if not self.config.speculation_rows:
            return events
        for i, span in enumerate(batch.denoised):
            if span.sequence.speculates_for is not None:
                metrics.speculative_states.inc()
                applied = apply_speculative(self._sessions, table, batch, result, now_s, i)
                if applied is not None:
                    metrics.accepted_states.inc()
                    events += self._tell(applied)
        return events

    def _tell(self, applied: Applied) -> list[Event]:
        metrics = self.metrics
        for session in applied.started:
            session.sequence.first_token_s = session.age_s()
            metrics.first_token_s.observe(session.sequence.first_token_s)
        for steps in applied.block_steps:
            metrics.steps_per_block.observe(steps)
        for session, finish in applied.finished:
            self._end(session, finish)
        metrics.inter_token_s.observe(applied.gaps_s)
        metrics.denoising_steps.inc(applied.num_steps)
        metrics.block_positions.inc(applied.num_block_positions)
        metrics.final_block_positions.inc(applied.num_final_block_positions)
        metrics.committed_tokens.inc(applied.num_committed)
        metrics.generated_tokens.inc(applied.num_final)
        return applied.events

    def _end(self, session: Session, finish: Finish) -> None:
        sequence = session.sequence
        self.scheduler.remove(sequence)
        del self._sessions[sequence.request.request_id]
        self.metrics.record_finish(
            finish.reason,
            finish.usage,
            first_token_s=sequence.first_token_s,
            latency_s=session.age_s(),
        )

    def _observe_queue(self, batch: StepBatch, now_s: float) -> None:
        for span in batch.spans:
            sequence = span.sequence
            if sequence.num_forwards == 0:
                self.metrics.queue_s.observe(now_s - sequence.arrival_s)
                self.metrics.block_length.observe(sequence.decoding.block_len)
                self.metrics.prefix_cache_queries.inc(sequence.num_prompt)
                self.metrics.prefix_cache_hits.inc(sequence.num_cached)

    def _observe_step(self, batch: StepBatch, elapsed_s: float) -> None:
        metrics = self.metrics
        metrics.forward_passes.inc()
        metrics.query_tokens.inc(batch.num_tokens)
        metrics.canvas_positions.inc(len(batch.scored_rows))
        metrics.masked_rows.observe(len(batch.scored_rows))
        metrics.batch_sequences.observe(len(batch.spans))
        metrics.step_s.observe(elapsed_s)
