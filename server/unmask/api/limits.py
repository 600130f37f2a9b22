"""Allowance of requests or tokens a minute."""

import math

MINUTE_S = 60.0
ROUNDING = 1e-9  # units that sums of floats may lack


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
