"""What front ends know of an engine: this protocol, and nothing behind it."""

from typing import Protocol, Self

from unmask.tokenizer import Tokenizer
from unmask.types import EngineStatus, Event, ModelInfo, Request


class EventStream(Protocol):
    """The events of one request; use it in `contextlib.aclosing`."""

    def __aiter__(self) -> Self:
        """An iterator over the events, which is itself."""
        ...

    async def __anext__(self) -> Event:
        """The next event, when there is one."""
        ...

    async def aclose(self) -> None:
        """Stop listening; a request that has not ended is aborted."""
        ...


class EngineClient(Protocol):
    """An engine that runs elsewhere (a thread, a process) and never blocks the caller."""

    @property
    def model(self) -> ModelInfo:
        """The model being served."""
        ...

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of that model, safe to use from the caller's thread."""
        ...

    def submit(self, request: Request) -> EventStream:
        """Queue a request and return its events, ending after a `Finish` or a `Failure`.

        Validation happens in the call, not at the first event: raises `InvalidRequest` for
        what can never be served, `QueueFull` and `EngineStopped`. Closing the iterator early
        aborts the request, whose pages are free at the next step.
        """
        ...

    def abort(self, request_id: str) -> None:
        """Drop a request; its iterator ends with finish reason `abort`."""
        ...

    def status(self) -> EngineStatus:
        """A snapshot of the engine's state, without waiting for the current step."""
        ...
