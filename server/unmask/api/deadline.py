"""The time by which a request must be answered: of the server, a header and a field."""

import asyncio
import math
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from starlette.types import Scope

from unmask.api.errors import RequestFailed, json_excerpt
from unmask.api.headers import find_header
from unmask.errors import InvalidRequest

HEADER = "x-request-timeout"
RAW_HEADER = HEADER.encode()
GATEWAY_TIMEOUT = 504


def header_timeout_s(scope: Scope) -> float | None:
    """Seconds that the header gives a request, None without it; raises `InvalidRequest`."""
    text = find_header(scope, RAW_HEADER)
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (0 < seconds < math.inf):
        raise InvalidRequest(
            f"the {HEADER} header must be a number of seconds above 0, got {json_excerpt(text)}"
        )
    return seconds


class Deadline:
    """The earliest of the times that limit a request, in seconds of `time.monotonic`."""

    def __init__(self, count: Callable[[], None] = lambda: None) -> None:
        self.at_s: float | None = None
        self._began_s = time.monotonic()
        self._count = count
        self._task: asyncio.Task[object] | None = None  # that runs in this context
        self._timer: asyncio.TimerHandle | None = None
        self._num_cancels, self._has_expired = 0, False

    def limit(self, seconds: float | None) -> None:
        """Let the request take so many seconds since its arrival, if it may not take fewer."""
        if seconds is None:
            return
        at_s = self._began_s + seconds
        self.at_s = at_s if self.at_s is None else min(self.at_s, at_s)
        self._wait()

    @property
    def left_s(self) -> float | None:
        """Seconds that are left; None without a deadline."""
        return None if self.at_s is None else max(self.at_s - time.monotonic(), 0.0)

    @property
    def is_past(self) -> bool:
        """True if the time is over."""
        return self.at_s is not None and time.monotonic() >= self.at_s

    def error(self) -> RequestFailed:
        """The error of a request that is late, which is counted."""
        self._count()
        assert self.at_s is not None, "a request without a deadline is not late"
        seconds = self.at_s - self._began_s
        return RequestFailed(
            f"the request took longer than the {seconds:g} s that it may",
            status=GATEWAY_TIMEOUT,
            code="timeout",
        )

    def __enter__(self) -> Self:
        """Cancel what runs inside once it is late; raises `RequestFailed`.

        The engine drops late requests too, which may be known here a moment earlier.
        """
        self._task = asyncio.current_task()
        assert self._task is not None, "coroutines run in tasks"
        self._num_cancels = self._task.cancelling()
        self._wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        task, self._task = self._task, None
        if self._timer is not None:
            self._timer.cancel()
        if kind is asyncio.CancelledError and self._has_expired:
            if task is not None and task.uncancel() <= self._num_cancels:
                raise self.error() from None
        elif isinstance(error, TimeoutError | RequestFailed) and self.is_past:
            raise self.error() from None

    def _wait(self) -> None:
        """Set the timer for what is left, while the context is open."""
        if self._timer is not None:
            self._timer.cancel()
        left_s = self.left_s
        if self._task is not None and left_s is not None and not self._has_expired:
            self._timer = asyncio.get_running_loop().call_later(left_s, self._ring)

    def _ring(self) -> None:
        """Cancel the task if it is late; timers may ring a little early."""
        if not self.is_past:
            self._wait()
        elif self._task is not None:
            self._has_expired = True
            self._task.cancel()
