"""Engine client while the model loads: health probes are answered, requests are refused."""

import gc
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from unmask.client import EngineClient, EventStream
from unmask.errors import EngineStarting, EngineStopped, UnmaskError
from unmask.tokenizer import Tokenizer
from unmask.types import EngineLoad, EngineStatus, ModelInfo, Request, SamplingParams

logger = logging.getLogger(__name__)

MIB = 2**20


class Engine(EngineClient, Protocol):
    """An engine that can be shut down."""

    def shutdown(self, timeout_s: float = 0.0) -> None:
        """Refuse new requests, let running ones finish for `timeout_s`, and stop."""
        ...


class StartingEngine:
    """`EngineClient` in front of an engine that is loaded on a thread.

    Until the engine is ready, everything but `status`, `abort` and `shutdown` raises
    `EngineStarting`. `failure` is the exception that ended loading. Requests reach the engine while
    `is_served`.
    """

    def __init__(self, num_engines: int = 1) -> None:
        self.failure: BaseException | None = None
        self.is_served: Callable[[], bool] = lambda: True
        self._loads = (EngineLoad(False, 0, 0, 0, 0),) * (num_engines if num_engines > 1 else 0)
        self._engine: Engine | None = None
        self._detail = "the model is being loaded"
        self._is_loading = self._is_stopping = self._is_draining = False
        self._stop_lock = threading.Lock()  # of `_is_stopping` and the handover of the engine

    @property
    def is_loading(self) -> bool:
        """True while the loading thread runs; it cannot be stopped."""
        return self._is_loading

    @property
    def model(self) -> ModelInfo:
        return self._ready.model

    @property
    def tokenizer(self) -> Tokenizer:
        return self._ready.tokenizer

    def compile(self, sampling: SamplingParams, seconds: float | None = None) -> object:
        return self._ready.compile(sampling, seconds)

    def has_compiled(self, sampling: SamplingParams) -> bool:
        return self._ready.has_compiled(sampling)

    def submit(self, request: Request) -> EventStream:
        return self._ready.submit(request)

    def abort(self, request_id: str) -> None:
        """Abort a request; no effect before the engine is ready."""
        if self._engine is not None:
            self._engine.abort(request_id)

    def status(self) -> EngineStatus:
        """Status of the server: the engine's, or "stopping" once it drains.

        "starting" while nobody listens for a ready engine.
        """
        status = self.engine_status()
        if self._is_draining and status.state != "failed":
            return replace(status, state="stopping")
        if status.state == "ready" and not self.is_served():
            return replace(status, state="starting", detail="no HTTP process listens")
        return status

    def engine_status(self) -> EngineStatus:
        """Status of the engine, or "starting" with the progress of loading."""
        if self._engine is not None:
            return self._engine.status()
        return EngineStatus("starting", 0, 0, 0, 0, self._detail, self._loads)

    def drain(self) -> None:
        """Tell in `status` that the server stops; the engine takes what other processes send."""
        self._is_draining = True

    def shutdown(self, timeout_s: float = 0.0) -> None:
        """Drain and stop the engine; one that is still loading is stopped once it is ready."""
        with self._stop_lock:
            self._is_stopping = True
        if self._engine is not None:
            self._engine.shutdown(timeout_s)

    def note(self, name: str, done: int, total: int) -> None:
        """Set the progress in `status`; weights are counted in bytes, CUDA graphs one by one."""
        amount = f"{done} of {total}"
        if name == "weights":
            amount = f"{done / MIB:.0f} of {total / MIB:.0f} MiB"
        self._detail = f"the model is being loaded: {name}, {amount}"

    def raise_failure(self) -> None:
        """Raise the exception that ended loading, if one did, as an error of one line."""
        failure = self.failure
        if isinstance(failure, Exception) and not isinstance(failure, UnmaskError):
            logger.debug("the engine did not start", exc_info=failure)
            raise EngineStopped.at_start(failure) from None
        if failure is not None:
            raise failure

    def load(
        self,
        make: Callable[[], Engine],
        on_ready: Callable[[Engine], None],
        on_failure: Callable[[], None],
    ) -> None:
        """Load on a new thread, which calls `on_ready` or sets `failure` and calls `on_failure`."""
        self._is_loading = True

        def run() -> None:
            try:
                engine = make()
                if self._take(engine):
                    self._is_loading = False
                    on_ready(engine)
            except BaseException as error:
                self.failure, self._is_loading = error, False
                on_failure()

        threading.Thread(target=run, name="loading", daemon=True).start()

    def _take(self, engine: Engine) -> bool:
        """Serve with an engine; False if the server is stopping, which stops the engine."""
        try:
            _ = engine.tokenizer.chars_per_token  # cached; takes a second for a large vocabulary
            # Model and modules live as long as the process: exclude them from collections.
            gc.collect()
            gc.freeze()
            with self._stop_lock:
                if not self._is_stopping:
                    self._engine = engine
        finally:
            if self._engine is None:
                engine.shutdown()
        return self._engine is not None

    @property
    def _ready(self) -> Engine:
        if self._engine is None:
            raise EngineStarting(self._detail)
        return self._engine
