"""Times by which requests must have ended; no torch."""

import heapq


class Deadlines:
    """Deadlines of requests, the earliest first; ended requests are dropped as theirs pass."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []

    def add(self, request_id: str, deadline_s: float | None) -> None:
        """Note the deadline of a request, if it has one."""
        if deadline_s is not None:
            heapq.heappush(self._heap, (deadline_s, request_id))

    def passed(self, now_s: float) -> list[str]:
        """Requests whose deadlines have passed, and are forgotten."""
        names: list[str] = []
        while self._heap and self._heap[0][0] <= now_s:
            names.append(heapq.heappop(self._heap)[1])
        return names
