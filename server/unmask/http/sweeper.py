"""Checks of all connections at intervals, and a sign of life of the event loop."""

import asyncio
import time
from collections.abc import Collection
from typing import Protocol

from unmask.config import ServerConfig

INTERVAL_S = 1.0
CHECKS = 4  # within the shortest limit


class Checked(Protocol):
    """Connection that ends itself when its client is too slow."""

    def check(self, now_s: float) -> None:
        """End the connection if a limit has passed, on the event loop's clock."""
        ...


class Sweeper:
    """Checks connections, one timer for all of them."""

    def __init__(self, limits: ServerConfig) -> None:
        shortest_s = min(limits.header_timeout_s, limits.body_timeout_s, limits.write_timeout_s)
        self._interval_s = min(INTERVAL_S, shortest_s / CHECKS)
        self._last_s = time.monotonic()

    @property
    def silence_s(self) -> float:
        """Seconds since the event loop last ran a check; for other threads."""
        return time.monotonic() - self._last_s

    async def run(self, connections: Collection[Checked]) -> None:
        """Check until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._last_s = time.monotonic()
            now_s = loop.time()
            for connection in tuple(connections):
                connection.check(now_s)
            await asyncio.sleep(self._interval_s)
