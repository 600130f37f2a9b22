"""Client of a request: whether it is still there, and the end of work whose client leaves."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

CONNECTION = "unmask.connection"  # extension of a server that tells of its connections


class Connection(Protocol):
    """A connection of the server, in the scope's `extensions`."""

    def is_open(self) -> bool:
        """True while the client is there."""
        ...

    def watch(self, call: Callable[[], None]) -> None:
        """Have `call` called when the client leaves."""
        ...

    def unwatch(self, call: Callable[[], None]) -> None:
        """Do not call it any more."""
        ...


def connection_of(scope: Scope) -> Connection | None:
    """The connection of a request, if its server tells."""
    connection: Connection | None = scope.get("extensions", {}).get(CONNECTION)
    return connection


class WhileConnected:
    """Cancels its context when the client leaves, and raises `ClientDisconnect` then.

    The request's body must have been read. Servers that do not tell of their connections are asked
    for a message, which takes a task.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._connection, self._receive = connection_of(scope), receive
        self._listener: asyncio.Task[None] | None = None
        self._has_left = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None, "coroutines run in tasks"
        self._task = task
        if self._connection is None:
            self._listener = asyncio.create_task(_disconnected(self._receive))
            self._listener.add_done_callback(self._on_message)
            return self
        if not self._connection.is_open():
            raise ClientDisconnect
        self._connection.watch(self._leave)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._connection is not None:
            self._connection.unwatch(self._leave)
        elif self._listener is not None:
            self._listener.remove_done_callback(self._on_message)
            self._listener.cancel()
        if kind is asyncio.CancelledError and self._has_left and self._task.uncancel() == 0:
            if self._listener is not None:
                self._listener.result()
            raise ClientDisconnect from None

    def _on_message(self, listener: asyncio.Task[None]) -> None:
        if not listener.cancelled():
            self._leave()

    def _leave(self) -> None:
        self._has_left = True
        self._task.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
