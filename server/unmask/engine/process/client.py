"""`EngineClient` of engines in other processes, which are started anew whenever they are lost."""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Self

from unmask.config import Config
from unmask.engine.process.group import EngineGroup
from unmask.engine.process.messages import Start
from unmask.engine.process.placement import available_cores, places, visible_gpus
from unmask.engine.process.portable import portable
from unmask.engine.process.supervisor import Progress
from unmask.engine.schedule.limits import EngineLimits
from unmask.engine.schedule.requests import RequestResolver
from unmask.engine.streams import RequestStream
from unmask.errors import EngineStopped, InvalidRequest
from unmask.metrics import Metrics
from unmask.tokenizer import Tokenizer
from unmask.types import EngineStatus, ModelInfo, Request, SamplingParams
from unmask.vllm_metrics import VllmMetrics


class ProcessEngine:
    """Serves with `server.data_parallel` engines, each in a process of its own.

    If a process ends, or a step takes over `engine.step_timeout_s`, its requests that have no end
    go to another one, and their streams go on where they were.
    """

    def __init__(
        self,
        config: Config,
        metrics: Metrics,
        progress: Progress | None = None,
        set_up: Callable[[], None] | None = None,
    ) -> None:
        """Start processes and wait until they have loaded the model; raises what ended loading."""
        self._max_queue = config.engine.max_queue
        count, device = config.server.data_parallel, config.model.device
        self._group = EngineGroup(
            Start(config, set_up),
            places(count, device, visible_gpus(os.environ), available_cores()),
            config.engine.step_timeout_s,
            metrics,
        )
        ready = self._group.launch(progress)
        self._resolver = RequestResolver(ready.model, ready.limits, ready.tokenizer, metrics)
        name = ready.model.name
        metrics.watch(self.status, model_name=name, build=ready.build)
        if config.server.vllm_metrics:
            metrics.registry.register(VllmMetrics(metrics, self.status, name))

    @classmethod
    def start(
        cls,
        config: Config,
        metrics: Metrics | None = None,
        progress: Progress | None = None,
        set_up: Callable[[], None] | None = None,
    ) -> Self:
        """Load the configured model in new processes, whose logging `set_up` sets up."""
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
    def limits(self) -> EngineLimits:
        """Sizes of each engine, by which requests are checked."""
        return self._resolver.limits

    @property
    def pids(self) -> tuple[int, ...]:
        """Numbers of the engines' processes, another one whenever one is started anew."""
        return self._group.pids

    @property
    def pid(self) -> int:
        """The number of the first engine's process."""
        return self.pids[0]

    def compile(self, sampling: SamplingParams, seconds: float | None = None) -> object:
        """See `EngineClient.compile`."""
        return self._resolver.compile(sampling, seconds)

    def has_compiled(self, sampling: SamplingParams) -> bool:
        """See `EngineClient.has_compiled`."""
        return self._resolver.has_compiled(sampling)

    def submit(self, request: Request) -> RequestStream:
        """Queue a request from a running event loop; see `EngineClient.submit`."""
        resolved = self._resolver.check(request)
        loop, request_id = asyncio.get_running_loop(), request.request_id
        with self._group.lock:
            self._check_open(request_id)
            stream = RequestStream(loop, partial(self.abort, request_id))
            self._group.add(portable(request, resolved), resolved.automata, stream)
        return stream

    def _check_open(self, request_id: str) -> None:
        """Raise `EngineStopped`, `QueueFull`, or `InvalidRequest` for an id that is in use."""
        if self._group.state in ("stopping", "failed"):
            raise EngineStopped(self._group.detail or "the engine is shutting down")
        self._resolver.check_queue(self._group.num_waiting, self._max_queue)
        if request_id in self._group:
            raise InvalidRequest(f"request id {request_id} is in use", field="request_id")

    def abort(self, request_id: str) -> None:
        """Drop a request at the next step."""
        self._group.abort(request_id)

    def status(self) -> EngineStatus:
        """A snapshot of the engines, requests on their way to a queue included."""
        return replace(self._group.status(), max_queue=self._max_queue)

    def shutdown(self, timeout_s: float = 0.0) -> None:
        """Refuse new requests, give the present ones `timeout_s` to end, fail the rest, stop."""
        self._group.stop_at(time.monotonic() + timeout_s)
        self._group.join()
