"""Times by which requests must have ended; no torch."""

import heapq


class Deadlines:
    """Deadlines of requests that have not ended, the earliest first."""

    def __init__(self) -> None:
        self._at_s: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []  # also some of requests that have ended

    def add(self, request_id: str, deadline_s: float | None) -> None:
        """Note the deadline of a request, if it has one."""
        if deadline_s is not None:
            self._at_s[request_id] = deadline_s
            heapq.heappush(self._heap, (deadline_s, request_id))

    def remove(self, request_id: str) -> None:
        """Forget a request, which has ended."""
        self._at_s.pop(request_id, None)
        if len(self._heap) > 2 * len(self._at_s):
            self._heap = [(at_s, name) for name, at_s in self._at_s.items()]
            heapq.heapify(self._heap)

    def passed(self, now_s: float) -> list[str]:
        """Requests whose deadlines have passed, and are forgotten."""
        names: list[str] = []
        while self._heap and self._heap[0][0] <= now_s:
            at_s, name = heapq.heappop(self._heap)
            if self._at_s.get(name) == at_s:
                del self._at_s[name]
                names.append(name)
        return names
