"""Presence of a connection's client, as its requests see it."""

from collections.abc import Callable


class Presence:
    """A `Connection` of requests, which refers to no protocol.

    The protocol has its requests, and these have this: a cycle would be left to the garbage
    collector, whose pauses grow with all of them.
    """

    def __init__(self, resume_reading: Callable[[], None]) -> None:
        """`resume_reading` goes on reading what the client sends, and so sees that it leaves."""
        self._resume_reading = resume_reading
        self._watchers: set[Callable[[], None]] = set()
        self._is_open = True

    @property
    def is_watched(self) -> bool:
        """True if a request waits for the client to leave."""
        return bool(self._watchers)

    def is_open(self) -> bool:
        """See `Connection.is_open`."""
        return self._is_open

    def watch(self, call: Callable[[], None]) -> None:
        """See `Connection.watch`; a client that leaves is read, though its body paused reading."""
        self._watchers.add(call)
        self._resume_reading()

    def unwatch(self, call: Callable[[], None]) -> None:
        """See `Connection.unwatch`."""
        self._watchers.discard(call)

    def leave(self, *, is_gone: bool = True) -> None:
        """Tell all requests that their client has left, or will not be served any more."""
        self._is_open = self._is_open and not is_gone
        for call in tuple(self._watchers):
            call()
