"""Messages between a server and an engine in another process, pickled over a socket."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from unmask.config import Config
from unmask.decoding.automata.automaton import TokenAutomaton
from unmask.engine.schedule.limits import EngineLimits
from unmask.engine.schedule.requests import Counted
from unmask.images import Pixels
from unmask.metrics import BuildInfo
from unmask.sampling_params import ModeName
from unmask.tokenizer import Tokenizer
from unmask.types import ModelInfo, Refinement, Request

FAILED = "the engine failed on this request; see the server's log"
Labels = tuple[str, ...]
Shared = TokenAutomaton | Pixels
Choice = tuple[str, int | None, ModeName | None]


@dataclass(frozen=True, slots=True)
class Start:
    """The first message to a new process: what to load, on which CPUs, and how to log.

    Without `cores` it may run on all.
    """

    config: Config
    set_up: Callable[[], None] | None = None
    cores: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Add:
    """A request for the engine, whose id is a number in words.

    Automata and pixels of images are sent once: `automata` and `pixels` are the numbers of all,
    `fresh` those not sent before. Requests to a hub are not `counted` yet.
    """

    request: Request
    automata: tuple[int, ...] = ()
    fresh: tuple[tuple[int, Shared], ...] = ()
    counted: Counted | None = None
    pixels: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Abort:
    """The end of a request that nobody waits for."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Forget:
    """An automaton, or pixels of an image, that no request will need again."""

    number: int


@dataclass(frozen=True, slots=True)
class Resume:
    """The server's answer to `StepFailed`: requests that came before it are sent again."""


@dataclass(frozen=True, slots=True)
class Loading:
    """Progress of loading, as `Progress` gives it."""

    name: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """The error that ended loading, or its text if it cannot be sent."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Ready:
    """The engine is loaded, and these are the facts about it that a server needs."""

    model: ModelInfo
    tokenizer: Tokenizer
    limits: EngineLimits
    build: BuildInfo


@dataclass(frozen=True, slots=True)
class Recorded:
    """Values of metrics since the last message, by attribute of `Metrics` and labels."""

    added: dict[tuple[str, Labels], float] = field(default_factory=dict)
    observed: dict[tuple[str, Labels], list[float]] = field(default_factory=dict)


class Stepped(NamedTuple):
    """The results of a step.

    `deltas` are the fields of `Delta`, `held` the numbers of tokens of those that come later, and
    `failures` the fields of `Failure`. `begun` are requests with the seconds that they waited,
    `chosen` some of them, with the block length or the mode that the load chose.
    """

    deltas: tuple[tuple[Any, ...], ...]
    held: tuple[tuple[str, int], ...]
    refinements: tuple[Refinement, ...]
    failures: tuple[tuple[str, str], ...]
    begun: tuple[tuple[str, float], ...]
    chosen: tuple[Choice, ...]
    recorded: Recorded
    num_running: int
    num_pages_used: int


@dataclass(frozen=True, slots=True)
class StepFailed:
    """A step raised an error: every request of the engine is lost, and one of them is why.

    The process `ends` if its device may be broken.
    """

    message: str
    ends: bool


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of life, with the seconds since the present step began; 0 between steps."""

    step_age_s: float


Command = Add | Abort | Forget | Resume
Report = Loading | LoadFailed | Ready | Stepped | StepFailed | Beat
