"""Time without a sign of life, as a watcher sees it that may have been paused itself."""

import time
from collections.abc import Callable

Clock = Callable[[], float]


class Silence:
    """Adds up the time between looks since the last sign of life; for one thread that looks."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._watched_s, self._looked_s = 0.0, clock()

    def end(self) -> None:
        """Begin anew: there was a sign of life."""
        self._watched_s, self._looked_s = 0.0, self._clock()

    def look(self, most_s: float) -> float:
        """Seconds of silence; those since the last look count as `most_s` at most.

        A longer gap means that the watcher did not run either: the machine was paused or short of
        time, and signs of life may be there that nobody has read. Looks come more often than that.
        """
        now_s = self._clock()
        self._watched_s += min(now_s - self._looked_s, most_s)
        self._looked_s = now_s
        return self._watched_s
