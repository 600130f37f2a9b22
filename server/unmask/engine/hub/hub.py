"""A hub: takes requests of HTTP processes to an engine, and its events back to them."""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from unmask.client import EngineClient, EventStream, PushedStream
from unmask.engine.hub.channel import Channel
from unmask.engine.hub.messages import (
    Accepted,
    Connections,
    Facts,
    FromProcess,
    Held,
    Listening,
    Refused,
    Scrape,
    Scraped,
)
from unmask.engine.process.messages import Abort, Add, Forget, Recorded
from unmask.engine.process.portable import Receiver
from unmask.engine.process.recording import count
from unmask.engine.schedule.limits import EngineLimits
from unmask.engine.silence import Clock, Silence
from unmask.errors import UnmaskError
from unmask.metrics import Metrics
from unmask.types import Delta, EngineStatus, Failure, is_last
from unmask.usage import Use

logger = logging.getLogger(__name__)

FAILED = "the server failed; its log says why"
STATUS_S = 0.1  # between two looks at the engine's status, and at what it holds back


class SharedEngine(EngineClient, Protocol):
    """An engine that tells its sizes."""

    @property
    def limits(self) -> EngineLimits: ...


class Hub:
    """Serves one engine, once it is loaded, to any number of processes."""

    def __init__(
        self,
        status: Callable[[], EngineStatus],
        metrics: Metrics,
        clock: Clock = time.monotonic,
    ) -> None:
        """`status` is that of the engine, also before it is loaded."""
        self.status, self.metrics = status, metrics
        self._clock, self._watched_s = clock, clock()
        self.engine: SharedEngine | None = None
        self._callers = set[Caller]()
        metrics.api_processes.set_function(lambda: self.num_listening)
        metrics.connections.set_function(
            lambda: sum(c.num_connections for c in tuple(self._callers))
        )

    @property
    def num_processes(self) -> int:
        """Processes that are connected."""
        return len(self._callers)

    @property
    def num_listening(self) -> int:
        """Processes that take connections; for other threads too."""
        return sum(caller.listens for caller in tuple(self._callers))

    @property
    def silence_s(self) -> float:
        """Seconds since `watch` had a turn of the event loop; for other threads."""
        return self._clock() - self._watched_s

    def serve(self, engine: SharedEngine) -> None:
        """Tell all processes that the engine is loaded."""
        self.engine = engine
        for caller in self._callers:
            caller.tell_facts(engine)

    async def connect(self, ours: socket.socket, on_listening: Callable[[], None]) -> "Caller":
        """Serve the process at the other end of a socket; it says when it listens."""
        caller = Caller(self, on_listening)

        def lost() -> None:
            self._callers.discard(caller)
            caller.leave()

        caller.channel = Channel(caller.take, lost)
        await asyncio.get_running_loop().create_connection(lambda: caller.channel, sock=ours)
        self._callers.add(caller)
        caller.tell_status()
        if self.engine is not None:
            caller.tell_facts(self.engine)
        for other in self._callers - {caller}:
            for use in other.open_use():
                caller.channel.send(use)
        return caller

    def share(self, sender: "Caller", use: Use) -> None:
        """Tell all processes but one what a client uses there."""
        for caller in self._callers - {sender}:
            caller.channel.send(use)

    async def watch(self) -> None:
        """Tell processes of each change of the status, and of tokens that come later."""
        while True:
            self._watched_s = self._clock()
            for caller in self._callers:
                caller.tell_status()
                caller.tell_held()
            await asyncio.sleep(STATUS_S)


class Caller:
    """One process: its requests, and what clients use there."""

    channel: Channel

    def __init__(self, hub: Hub, on_listening: Callable[[], None]) -> None:
        self._hub, self._on_listening = hub, on_listening
        self._receiver = Receiver()
        self._pumps: dict[str, asyncio.Task[None]] = {}
        self._pushed: dict[str, PushedStream] = {}
        self._held: dict[str, int] = {}  # tokens of them that come later, as told
        self._told: EngineStatus | None = None
        self._open: dict[str, Use] = {}  # requests and choices by client
        self.silence = Silence()  # since its last message
        self.listens = False
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

    def tell_held(self) -> None:
        """Send numbers of tokens that come with the last events, where they have changed."""
        held = {name: stream.num_held for name, stream in self._pushed.items() if stream.num_held}
        changed = tuple(held.items() - self._held.items())
        self._held = held
        if changed:
            self.channel.send(Held(changed))

    def leave(self) -> None:
        """Abort the requests of a process that is gone."""
        for request_id in self._pumps:
            self._engine.abort(request_id)
        self._receiver.clear()
        for use in self.open_use():
            ended = replace(use, num_open=-use.num_open, num_choices=-use.num_choices)
            self._hub.share(self, ended)

    def open_use(self) -> list[Use]:
        """Requests and choices of clients that are open."""
        return list(self._open.values())

    def take(self, messages: Sequence[FromProcess]) -> None:
        self.silence.end()
        for message in messages:
            match message:
                case Add():
                    self._add(message)
                case Abort():
                    if message.request_id in self._pumps:
                        self._engine.abort(message.request_id)
                case Forget():
                    self._receiver.forget(message)
                case Recorded():
                    count(self._hub.metrics, message)
                case Use():
                    self._note(message)
                case Connections():
                    self.num_connections = message.number
                case Listening():
                    self.listens = True
                    self._on_listening()
                case Scrape():
                    self.channel.send(Scraped(message.number, self._hub.metrics.render()))

    def _note(self, use: Use) -> None:
        before = self._open.pop(use.client, Use(use.client, use.limits))
        num_open, num_choices = before.num_open + use.num_open, before.num_choices + use.num_choices
        if num_open or num_choices:
            self._open[use.client] = Use(use.client, use.limits, num_open, num_choices)
        self._hub.share(self, use)

    @property
    def _engine(self) -> SharedEngine:
        engine = self._hub.engine
        assert engine is not None, "processes know the model once it is loaded"
        return engine

    def _add(self, add: Add) -> None:
        """Queue a request, or refuse it."""
        self._told = None  # the process counts requests until a status comes, though it be the same
        request = self._receiver.request(add)
        try:
            stream = self._engine.submit(request)
        except UnmaskError as error:
            self.channel.send(Refused.because(request.request_id, error))
            return
        except Exception:  # it would end the connection to the process, and all of its requests
            logger.exception("a request could not be submitted")
            self.channel.send(Refused.because(request.request_id, UnmaskError(FAILED)))
            return
        self.channel.send(Accepted(request.request_id))
        pump = asyncio.create_task(self._pump(request.request_id, stream))
        self._pumps[request.request_id] = pump
        if isinstance(stream, PushedStream):
            self._pushed[request.request_id] = stream
        pump.add_done_callback(lambda _: self._forget(request.request_id))

    def _forget(self, request_id: str) -> None:
        del self._pumps[request_id]
        self._pushed.pop(request_id, None)

    async def _pump(self, request_id: str, stream: EventStream) -> None:
        """Send the events of a request up to its last, also if its process has aborted it."""
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
                channel.send(Failure(request_id, FAILED))
