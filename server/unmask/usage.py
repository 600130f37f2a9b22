"""Limits of a client, and changes of its use, which HTTP processes tell each other."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Protocol

from unmask.config import ServerConfig


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """Bounds of one client; None is no limit.

    It may send `requests_per_minute` and use `tokens_per_minute` of prompts and answers, have
    `max_concurrent` requests open, and `max_queue` choices running or waiting.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_concurrent: int | None = None
    max_queue: int | None = None

    @classmethod
    def of_settings(cls, config: ServerConfig) -> "ClientLimits":
        """Limits of every client that has none of its own."""
        return cls(
            config.requests_per_minute,
            config.tokens_per_minute,
            config.max_concurrent_requests,
            config.max_queue_per_client,
        )

    def overridden(self, own: "ClientLimits") -> "ClientLimits":
        """These limits, but for those that are set in `own`."""
        names = [field.name for field in fields(self)]
        pairs = ((getattr(own, name), getattr(self, name)) for name in names)
        return ClientLimits(*(value if first is None else first for first, value in pairs))


NO_LIMITS = ClientLimits()


@dataclass(frozen=True, slots=True)
class Use:
    """A change of what a client uses: requests and choices that are open, and what it has spent."""

    client: str
    limits: ClientLimits
    num_open: int = 0
    num_choices: int = 0
    num_requests: int = 0
    num_tokens: int = 0


class Sharing(Protocol):
    """The other HTTP processes of a server."""

    def tell(self, use: Use) -> None:
        """Tell them of a client's use; callable from any thread."""
        ...

    def listen(self, take: Callable[[Use], None]) -> None:
        """Have what they tell taken, on the event loop."""
        ...
