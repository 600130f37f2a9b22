"""Protocol between front ends and an engine; front ends import nothing else of it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol, Self

from unmask.tokenizer import Tokenizer
from unmask.types import EngineStatus, Event, ModelInfo, Request, SamplingParams


class EventStream(Protocol):
    """Events of one request; use it in `contextlib.aclosing`: one that is not closed runs on."""

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> Event: ...

    def held_bytes(self) -> int:
        """About the memory of events that nobody has read."""
        ...

    async def aclose(self) -> None:
        """Close the stream; aborts a request that has not ended."""
        ...


class PushedStream(ABC):
    """A stream that tells of its events when they come, without a task to wait for them.

    A base class, as to look for the methods of a protocol takes longer than to use them.
    """

    num_held = 0  # tokens that are made, and come with the last event

    @abstractmethod
    def listen(self, call: Callable[[Event], None]) -> None:
        """Have `call` called for each event from now on, on the loop's thread."""

    @abstractmethod
    def take(self) -> Sequence[Event]:
        """Events that nobody has read yet."""

    @abstractmethod
    def forward(self, call: Callable[[Event], None]) -> None:
        """Have `call` given each event, those that nobody has read yet at once; none is kept."""


class UnconfirmedStream(ABC):
    """A stream of a request that is on its way to the queue."""

    @abstractmethod
    async def confirmed(self) -> None:
        """Wait until the request is in the queue; raises what `EngineClient.submit` may."""


class EngineClient(Protocol):
    """Engine on another thread or in another process, which never blocks the caller."""

    @property
    def model(self) -> ModelInfo: ...

    @property
    def tokenizer(self) -> Tokenizer:
        """Tokenizer of the model, safe to use from the caller's thread."""
        ...

    def compile(self, sampling: SamplingParams, seconds: float | None = None) -> object:
        """Compile the grammar of these parameters, if any, so that `submit` need not.

        What it returns has to be held until then, as `Request.compiled`. It may take `seconds`, by
        default several, so call it on a thread of its own. Raises `InvalidRequest`, and of it
        `TooSlow` for a grammar that takes longer.
        """
        ...

    def has_compiled(self, sampling: SamplingParams) -> bool:
        """True if `compile` would return at once."""
        ...

    def submit(self, request: Request) -> EventStream:
        """Queue a request and return its events, which end after a `Finish` or a `Failure`.

        Validates at once, not at the first event: raises `InvalidRequest` for a request that can
        never be served, `QueueFull` and `EngineStopped`. Closing the stream early aborts the
        request and frees its pages at the next step.
        """
        ...

    def abort(self, request_id: str) -> None:
        """Abort a request; its stream ends with finish reason `abort`."""
        ...

    def status(self) -> EngineStatus:
        """Snapshot of the engine's state, without waiting for the current step."""
        ...
