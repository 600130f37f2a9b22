"""The time by which a request must be answered: of the server, a header and a field."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.datastructures import Headers

from unmask.api.errors import RequestFailed, json_excerpt
from unmask.errors import InvalidRequest

HEADER = "x-request-timeout"
GATEWAY_TIMEOUT = 504


def header_timeout_s(headers: Headers) -> float | None:
    """Seconds that the header gives a request, None without it; raises `InvalidRequest`."""
    text = headers.get(HEADER)
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
        self._timeout: asyncio.Timeout | None = None

    def limit(self, seconds: float | None) -> None:
        """Let the request take so many seconds since its arrival, if it may not take fewer."""
        if seconds is None:
            return
        at_s = self._began_s + seconds
        self.at_s = at_s if self.at_s is None else min(self.at_s, at_s)
        if self._timeout is not None:
            self._timeout.reschedule(self._on_loop())

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

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[None]:
        """Cancel what runs inside once it is late; raises `RequestFailed`.

        The engine drops late requests too, which may be known here a moment earlier.
        """
        try:
            async with asyncio.timeout_at(self._on_loop()) as self._timeout:
                yield
        except (TimeoutError, RequestFailed):
            has_expired = self._timeout is not None and self._timeout.expired()
            if has_expired or self.is_past:
                raise self.error() from None
            raise
        finally:
            self._timeout = None

    def _on_loop(self) -> float | None:
        left_s = self.left_s
        return None if left_s is None else asyncio.get_running_loop().time() + left_s
