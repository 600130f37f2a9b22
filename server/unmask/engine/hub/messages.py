"""Messages between a hub and its HTTP processes, besides those that engines take too."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from unmask.config import ServerConfig
from unmask.engine.process.messages import Abort, Add, Forget, Recorded
from unmask.engine.schedule.limits import EngineLimits
from unmask.errors import EngineStopped, InvalidRequest, QueueFull, UnmaskError
from unmask.tokenizer import Tokenizer
from unmask.types import EngineStatus, Event, ModelInfo


@dataclass(frozen=True, slots=True)
class ApiStart:
    """The first message to a new process; the port of `server` is the one that all share."""

    server: ServerConfig
    max_queue: int


@dataclass(frozen=True, slots=True)
class Facts:
    """The model is loaded, and these are the facts that a process needs to check requests."""

    model: ModelInfo
    tokenizer: Tokenizer
    limits: EngineLimits


class Accepted(NamedTuple):
    """A request that is in the queue."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that is not, and the fields of the error that says why."""

    request_id: str
    kind: str
    fields: tuple[Any, ...]

    @classmethod
    def because(cls, request_id: str, error: UnmaskError) -> "Refused":
        """Errors with named arguments cannot be pickled."""
        match error:
            case QueueFull():
                return cls(request_id, "queue_full", (error.message, error.retry_after_s))
            case InvalidRequest():
                return cls(request_id, "invalid", (error.message, error.field, error.code))
        return cls(request_id, "stopped", (str(error),))

    @property
    def error(self) -> UnmaskError:
        """The error as it was raised."""
        match self.kind, self.fields:
            case "queue_full", (message, retry_after_s):
                return QueueFull(message, retry_after_s=retry_after_s)
            case "invalid", (message, field, code):
                return InvalidRequest(message, field=field, code=code)
        return EngineStopped(*self.fields)


@dataclass(frozen=True, slots=True)
class Listening:
    """The process takes connections."""


@dataclass(frozen=True, slots=True)
class Connections:
    """The number of a process' open connections."""

    number: int


@dataclass(frozen=True, slots=True)
class Scrape:
    """A question for the metrics of all processes; `number` is in the answer too."""

    number: int


@dataclass(frozen=True, slots=True)
class Scraped:
    """Metrics in Prometheus' text format."""

    number: int
    text: bytes


FromProcess = Listening | Connections | Add | Abort | Forget | Recorded | Scrape
# A tuple has the fields of a `Delta`: plain tuples are the fastest to pickle.
FromHub = Facts | EngineStatus | Accepted | Refused | Scraped | Event | tuple[Any, ...]
