"""A server that listens while its model loads: probes are answered, requests are told to wait."""

import gc
import logging
import threading
from collections.abc import Callable
from typing import Protocol

from unmask.client import EngineClient, EventStream
from unmask.errors import EngineStarting
from unmask.tokenizer import Tokenizer
from unmask.types import EngineStatus, ModelInfo, Request

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]  # of what, how much is done, and all
MIB = 2**20


class Engine(EngineClient, Protocol):
    """An engine that can be shut down."""

    def shutdown(self, timeout_s: float = 0.0) -> None:
        """Refuse new requests, give the present ones `timeout_s` to end, and stop."""
        ...


class StartingEngine:
    """An `EngineClient` from the first moment, in front of an engine that is still being loaded.

    Until it is there everything but `status` raises `EngineStarting`. `failure` is what kept it
    from being loaded.
    """

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self._engine: Engine | None = None
        self._detail = "the model is being loaded"
        self._is_loading = self._is_stopping = False
        self._handing_over = threading.Lock()

    @property
    def is_loading(self) -> bool:
        """Whether a thread is at work that nobody can stop."""
        return self._is_loading

    @property
    def model(self) -> ModelInfo:
        """The model being served."""
        return self._ready.model

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of that model."""
        return self._ready.tokenizer

    def submit(self, request: Request) -> EventStream:
        """Queue a request; see `EngineClient.submit`."""
        return self._ready.submit(request)

    def abort(self, request_id: str) -> None:
        """Drop a request; there is none before there is an engine."""
        if self._engine is not None:
            self._engine.abort(request_id)

    def status(self) -> EngineStatus:
        """The engine's state, or how far its loading is."""
        if self._engine is not None:
            return self._engine.status()
        return EngineStatus("starting", 0, 0, 0, 0, self._detail)

    def shutdown(self, timeout_s: float = 0.0) -> None:
        """Drain and stop the engine, if there is one; what is loaded later is stopped at once."""
        with self._handing_over:
            self._is_stopping = True
        if self._engine is not None:
            self._engine.shutdown(timeout_s)

    def note(self, name: str, done: int, total: int) -> None:
        """Tell probes how far loading is; weights are counted in bytes, graphs one by one."""
        amount = f"{done} of {total}"
        if name == "weights":
            amount = f"{done / MIB:.0f} of {total / MIB:.0f} MiB"
        self._detail = f"the model is being loaded: {name}, {amount}"

    def load(
        self,
        make: Callable[[], Engine],
        on_ready: Callable[[Engine], None],
        on_failure: Callable[[], None],
    ) -> None:
        """Load on a thread of its own; `on_ready` and `on_failure` are called there.

        A failure is kept, for whoever can tell it.
        """
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
        """Serve with an engine, unless it comes too late."""
        try:
            _ = engine.tokenizer.chars_per_token  # takes a second for a large vocabulary
            # The model and the modules live as long as the process: no collection need look.
            gc.collect()
            gc.freeze()
            with self._handing_over:
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
