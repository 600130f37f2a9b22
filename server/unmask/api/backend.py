"""What every route is given."""

from dataclasses import dataclass

from unmask.client import EngineClient
from unmask.config import ServerConfig
from unmask.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Backend:
    """The engine that answers, the metrics that are scraped, and the HTTP settings."""

    client: EngineClient
    metrics: Metrics
    config: ServerConfig
