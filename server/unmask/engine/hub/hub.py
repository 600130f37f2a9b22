"""A hub: takes requests of HTTP processes to an engine, and its events back to them."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Protocol

from unmask.client import EngineClient, EventStream
from unmask.engine.hub.channel import Channel
from unmask.engine.hub.messages import (
    Accepted,
    Connections,
    Facts,
    FromProcess,
    Listening,
    Refused,
    Scrape,
    Scraped,
)
from unmask.engine.process.messages import Abort, Add, Forget, Recorded
from unmask.engine.process.portable import Receiver
from unmask.engine.process.recording import count
from unmask.engine.schedule.limits import EngineLimits
from unmask.errors import UnmaskError
from unmask.metrics import Metrics
from unmask.types import Delta, EngineStatus, Failure, is_last

logger = logging.getLogger(__name__)

STATUS_S = 0.1  # between two looks at the engine's status


class SharedEngine(EngineClient, Protocol):
    """An engine that tells its sizes."""

    @property
    def limits(self) -> EngineLimits: ...


class Hub:
    """Serves one engine, once it is loaded, to any number of processes."""

    def __init__(self, status: Callable[[], EngineStatus], metrics: Metrics) -> None:
        """`status` is that of the engine, also before it is loaded."""
        self.status, self.metrics = status, metrics
        self.engine: SharedEngine | None = None
        self._callers = set[_Caller]()
        metrics.connections.set_function(lambda: sum(c.num_connections for c in self._callers))

    @property
    def num_processes(self) -> int:
        """Processes that are connected."""
        return len(self._callers)

    def serve(self, engine: SharedEngine) -> None:
        """Tell all processes that the engine is loaded."""
        self.engine = engine
        for caller in self._callers:
            caller.tell_facts(engine)

    async def connect(self, ours: socket.socket, on_listening: Callable[[], None]) -> None:
        """Serve the process at the other end of a socket; it says when it listens."""
        caller = _Caller(self, on_listening)

        def lost() -> None:
            self._callers.discard(caller)
            caller.leave()

        caller.channel = Channel(caller.take, lost)
        await asyncio.get_running_loop().create_connection(lambda: caller.channel, sock=ours)
        self._callers.add(caller)
        caller.tell_status()
        if self.engine is not None:
            caller.tell_facts(self.engine)

    async def watch(self) -> None:
        """Tell processes of each change of the status."""
        while True:
            for caller in self._callers:
                caller.tell_status()
            await asyncio.sleep(STATUS_S)


class _Caller:
    """One process: its requests and its automata."""

    channel: Channel

    def __init__(self, hub: Hub, on_listening: Callable[[], None]) -> None:
        self._hub, self._on_listening = hub, on_listening
        self._automata = Receiver()
        self._pumps: dict[str, asyncio.Task[None]] = {}
        self._told: EngineStatus | None = None
        self.num_connections = 0

    def tell_facts(self, engine: SharedEngine) -> None:
        self.channel.send(Facts(engine.model, engine.tokenizer, engine.limits))
        self.tell_status()

    def tell_status(self) -> None:
        """Send the status if it has changed."""
        status = self._hub.status()
        if status != self._told:
            self._told = status
            self.channel.send(status)

    def leave(self) -> None:
        """Abort the requests of a process that is gone."""
        for pump in self._pumps.values():
            pump.cancel()
        self._automata.clear()

    def take(self, messages: Sequence[FromProcess]) -> None:
        for message in messages:
            match message:
                case Add():
                    self._add(message)
                case Abort():
                    if (pump := self._pumps.get(message.request_id)) is not None:
                        pump.cancel()
                case Forget():
                    self._automata.forget(message)
                case Recorded():
                    count(self._hub.metrics, message)
                case Connections():
                    self.num_connections = message.number
                case Listening():
                    self._on_listening()
                case Scrape():
                    self.channel.send(Scraped(message.number, self._hub.metrics.render()))

    def _add(self, add: Add) -> None:
        """Queue a request, or refuse it."""
        request, engine = self._automata.request(add), self._hub.engine
        assert engine is not None, "processes know the model once it is loaded"
        try:
            stream = engine.submit(request)
        except UnmaskError as error:
            self.channel.send(Refused.because(request.request_id, error))
            return
        self.channel.send(Accepted(request.request_id))
        pump = asyncio.create_task(self._pump(request.request_id, stream))
        self._pumps[request.request_id] = pump
        pump.add_done_callback(lambda _: self._pumps.pop(request.request_id, None))

    async def _pump(self, request_id: str, stream: EventStream) -> None:
        """Send the events of a request; one whose process has left or aborts it is aborted."""
        channel = self.channel
        async with contextlib.aclosing(stream):
            try:
                async for event in stream:
                    channel.send(tuple(event) if isinstance(event, Delta) else event)
                    if is_last(event):
                        return
                    await channel.drain()
            except Exception:
                logger.exception("the events of a request could not be read")
                channel.send(Failure(request_id, "the server failed; its log says why"))
