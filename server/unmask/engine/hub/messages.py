"""Messages between a hub and its HTTP processes, besides those that engines take too."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from unmask.config import ServerConfig
from unmask.engine.process.messages import Abort, Add, Forget, Recorded
from unmask.engine.schedule.limits import EngineLimits
from unmask.errors import UnmaskError
from unmask.tokenizer import Tokenizer
from unmask.types import EngineStatus, Event, ModelInfo
from unmask.usage import Use


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


class Held(NamedTuple):
    """Requests, and the numbers of tokens that are made and come with their last events."""

    tokens: tuple[tuple[str, int], ...]


class Accepted(NamedTuple):
    """A request that is in the queue."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that is not, and the error that says why.

    Errors with named arguments cannot be pickled, so its kind and its attributes are sent.
    """

    request_id: str
    kind: type[UnmaskError]
    arguments: tuple[Any, ...]
    attributes: dict[str, Any]

    @classmethod
    def because(cls, request_id: str, error: UnmaskError) -> "Refused":
        """The message of an error."""
        return cls(request_id, type(error), error.args, dict(vars(error)))

    @property
    def error(self) -> UnmaskError:
        """The error as it was raised."""
        error = self.kind.__new__(self.kind, *self.arguments)
        vars(error).update(self.attributes)
        return error


@dataclass(frozen=True, slots=True)
class Listening:
    """The process takes connections."""


@dataclass(frozen=True, slots=True)
class Alive:
    """A sign of life of the process' event loop."""


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


FromProcess = Listening | Connections | Add | Abort | Forget | Recorded | Scrape | Use | Alive
# A tuple has the fields of a `Delta`: plain tuples are the fastest to pickle.
FromHub = Facts | EngineStatus | Held | Accepted | Refused | Scraped | Use | Event | tuple[Any, ...]
