"""The parts that every route is given."""

from dataclasses import dataclass, field

from unmask.api.workers import Workers
from unmask.client import EngineClient
from unmask.config import ServerConfig
from unmask.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Backend:
    """The engine that answers, metrics that are scraped, HTTP settings, threads for long work."""

    client: EngineClient
    metrics: Metrics
    config: ServerConfig
    workers: Workers = field(default_factory=Workers)
