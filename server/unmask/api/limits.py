"""Limits of one client, and its allowance of requests and tokens a minute."""

import math
from dataclasses import dataclass, replace
from typing import Self

from unmask.api.key_file import LIMITS, Key
from unmask.config import ServerConfig

MINUTE_S = 60.0
ROUNDING = 1e-9  # units that sums of floats may lack


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
    def of_settings(cls, config: ServerConfig) -> Self:
        """Limits of every client that has none of its own."""
        return cls(
            config.requests_per_minute,
            config.tokens_per_minute,
            config.max_concurrent_requests,
            config.max_queue_per_client,
        )

    def of_key(self, key: Key) -> "ClientLimits":
        """These limits, but for those that the key has itself."""
        own = {name: getattr(key, name) for name in LIMITS}
        return replace(self, **{name: value for name, value in own.items() if value is not None})


class Allowance:
    """Token bucket: full after a minute, and in debt if more is taken than there is."""

    def __init__(self, per_minute: int, now_s: float) -> None:
        self._per_minute, self._level, self._at_s = per_minute, float(per_minute), now_s

    def wait_s(self, now_s: float) -> int:
        """Seconds until there is one whole unit, at least 1; 0 if there is one now."""
        self._refill(now_s)
        missing = 1.0 - self._level
        if missing <= ROUNDING:
            return 0
        return max(1, math.ceil(missing * MINUTE_S / self._per_minute))

    def take(self, amount: float, now_s: float) -> None:
        """Take units, even more than there are."""
        self._refill(now_s)
        self._level -= amount

    def is_full(self, now_s: float) -> bool:
        """True if nothing was taken for a while."""
        self._refill(now_s)
        return self._level >= self._per_minute

    def _refill(self, now_s: float) -> None:
        gained = (now_s - self._at_s) * self._per_minute / MINUTE_S
        self._level = min(self._level + gained, float(self._per_minute))
        self._at_s = now_s
