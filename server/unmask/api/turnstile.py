"""Middleware that admits new requests a few at a time, so the event loop stays responsive."""

import asyncio
from collections import deque

from starlette._utils import get_route_path
from starlette.types import ASGIApp, Receive, Scope, Send

from unmask.api.connection import connection_of
from unmask.api.middleware import HEALTH_PATHS

NEVER_WAIT = HEALTH_PATHS | {"/metrics"}
BEGUN_PER_TURN = 4  # requests; each takes the event loop some 0.3 ms until it is queued


class Turnstile:
    """Lets a few requests begin in each turn of the event loop, in order of arrival.

    Without it, a thousand requests at once are parsed and tokenized before anything else is
    answered. Health checks and metrics do not wait. A request whose client has left is dropped.
    """

    def __init__(self, app: ASGIApp, per_turn: int = BEGUN_PER_TURN) -> None:
        self.app = app
        self._per_turn = per_turn
        self._num_begun = 0  # in this turn
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and get_route_path(scope) not in NEVER_WAIT:
            await self._wait()
            connection = connection_of(scope)
            if connection is not None and not connection.is_open():
                return
        await self.app(scope, receive, send)

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        if self._num_begun < self._per_turn and not self._waiting:
            self._begin(loop)
            return
        turn = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._num_begun:
            loop.call_soon(self._next_turn, loop)
        self._num_begun += 1

    def _next_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._num_begun = 0
        while self._waiting and self._num_begun < self._per_turn:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._begin(loop)
