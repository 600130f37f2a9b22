"""Requests of one thread, each of which reads its own events while all of them run."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from unmask.engine.engine import Engine
from unmask.types import Event, Failure, Request, is_last


class EventQueues:
    """Runs an engine for those who read; events that others read later wait in queues."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._unread: dict[str, deque[Event]] = {}  # of every open request
        self._closed: list[str] = []  # requests to abort
        self._is_stepping = False

    @contextmanager
    def opened(self, requests: Sequence[Request]) -> Iterator[None]:
        """Add requests, whose events are kept for `read`; abort the unfinished at the end.

        The end may come within a step of another request, as the garbage collector closes
        generators: the engine hears of it after the step.
        """
        try:
            for request in requests:
                self._unread[request.request_id] = deque()
                self._engine.add(request)
            yield
        finally:
            for request in requests:
                if self._unread.pop(request.request_id, None) is not None:
                    self._closed.append(request.request_id)
            if not self._is_stepping:
                self._abort_closed()

    def read(self, request: Request) -> Iterator[Event]:
        """Events of an open request up to its last, by steps of all that are open."""
        unread = self._unread[request.request_id]
        while True:
            while not unread:
                self._step()
            event = unread.popleft()
            yield event
            if is_last(event):
                return

    def settle(self) -> None:
        """Finish steps that were launched ahead, if no request is open."""
        while not self._unread and self._engine.has_work:
            self._step()

    def fail_all(self, message: str) -> None:
        """Give every open request up; its last event says why."""
        self._engine.fail_all(message)
        for request_id, unread in list(self._unread.items()):
            unread.append(Failure(request_id, message))

    def _step(self) -> None:
        """Run a step, and hand out its events; after an error nothing is left in the engine."""
        self._is_stepping = True
        try:
            for event in self._engine.step():
                if event.request_id in self._unread:
                    self._unread[event.request_id].append(event)
        except BaseException as error:
            self.fail_all(f"a step failed: {error!r}")
            raise
        finally:
            self._is_stepping = False
            self._abort_closed()

    def _abort_closed(self) -> None:
        while self._closed:
            self._engine.abort(self._closed.pop())
