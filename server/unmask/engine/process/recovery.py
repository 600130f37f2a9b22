"""Requests that an engine may run after it was lost, until the one that kills it is found."""

from collections import deque
from collections.abc import Iterable, Mapping


class Recovery:
    """Suspects among the requests of an engine that was lost, tried apart from all others.

    A request is suspect once the engine was lost twice with it at the same place of its answer, or
    once if its step raised. Suspects are tried in halves, and what still loses the engine alone is
    given up: that takes about log2 of their number. Engines that share `last` share its memory of
    requests that moved from one to another; its owner drops those that are over.
    """

    def __init__(self, last: dict[str, int] | None = None) -> None:
        # Tokens of each answer when its engine was lost.
        self._last: dict[str, int] = {} if last is None else last
        self._trial: tuple[str, ...] = ()  # suspects that may run
        self._groups: deque[tuple[str, ...]] = deque()  # and those that wait for them to end

    @property
    def is_trying(self) -> bool:
        """True while suspects run apart from all others."""
        return bool(self._trial)

    def suspects(self, request_id: str) -> bool:
        """True if the request is tried, or waits for that."""
        return request_id in self._trial or any(request_id in group for group in self._groups)

    def admits(self, request_id: str) -> bool:
        """True if the request may run now."""
        return not self._trial or request_id in self._trial

    def lost(self, positions: Mapping[str, int], *, is_certain: bool) -> str | None:
        """Note that the engine was lost while it ran these requests, so many tokens into each.

        It is certain that one of them was the reason if their step raised. Returns the request to
        give up, if it is known.
        """
        suspects = tuple(
            name for name, at in positions.items() if is_certain or self._last.get(name) == at
        )
        self._last.update(positions)
        if self._trial:
            suspects = tuple(name for name in self._trial if name in suspects)
        if not suspects:
            return None  # those that ran are tried once more
        if len(suspects) == 1 and (suspects == self._trial or is_certain):  # it ran alone
            return suspects[0]
        middle = (len(suspects) + 1) // 2
        halves = [half for half in (suspects[:middle], suspects[middle:]) if half]
        rest = tuple(name for name in self._trial if name not in suspects)
        self._groups.extendleft(reversed([*halves, *([rest] if rest else [])]))
        self._trial = self._groups.popleft()
        return None

    def ended(self, request_ids: Iterable[str]) -> bool:
        """Forget requests that are over; returns whether others may run now that could not."""
        if not self._trial:
            return False
        gone = set(request_ids)
        self._groups = deque(tuple(n for n in g if n not in gone) for g in self._groups)
        before, self._trial = self._trial, tuple(n for n in self._trial if n not in gone)
        while not self._trial and self._groups:
            self._trial = self._groups.popleft()
        return not self._trial or not set(self._trial) <= set(before)
