"""Requests that end per second, measured, and the time after which to try again."""

import math
from collections import deque

WINDOW_S = 60.0
MAX_NOTED = 512  # ends of requests
UNKNOWN_S, MAX_RETRY_S = 5, 120


class ServiceRate:
    """Ends of requests in the last minute, the last `MAX_NOTED` of them."""

    def __init__(self) -> None:
        self._ended_s = deque[float](maxlen=MAX_NOTED)

    def note(self, now_s: float, num: int = 1) -> None:
        """Count requests that have ended."""
        self._ended_s.extend([now_s] * num)

    def per_second(self, now_s: float) -> float | None:
        """Requests that ended per second; None if too few did."""
        while self._ended_s and self._ended_s[0] < now_s - WINDOW_S:
            self._ended_s.popleft()
        if len(self._ended_s) < 2:
            return None
        elapsed_s = now_s - self._ended_s[0]
        return (len(self._ended_s) - 1) / elapsed_s if elapsed_s > 0 else None

    def retry_after_s(self, num_waiting: int, now_s: float) -> int:
        """Seconds until so many requests have been served, from 1 to `MAX_RETRY_S`."""
        rate = self.per_second(now_s)
        if rate is None:
            return UNKNOWN_S
        return max(1, min(math.ceil(num_waiting / rate), MAX_RETRY_S))
