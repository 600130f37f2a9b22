"""`EngineClient` of an HTTP process, for the engine behind a hub."""

import asyncio
import itertools
import logging
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from unmask.client import UnconfirmedStream
from unmask.engine.hub.channel import Channel
from unmask.engine.hub.messages import (
    Accepted,
    Alive,
    Connections,
    Facts,
    FromHub,
    Held,
    Listening,
    Refused,
    Scrape,
    Scraped,
)
from unmask.engine.process.messages import Abort, Forget
from unmask.engine.process.portable import Sender, portable
from unmask.engine.process.recording import RecordedMetrics
from unmask.engine.schedule.requests import RequestResolver
from unmask.engine.streams import SHUTTING_DOWN, RequestStream, stopped
from unmask.errors import EngineStarting, EngineStopped, InvalidRequest, UnmaskError
from unmask.tokenizer import Tokenizer
from unmask.types import (
    Delta,
    EngineStatus,
    Event,
    Failure,
    ModelInfo,
    Request,
    SamplingParams,
    is_last,
)
from unmask.usage import Use

logger = logging.getLogger(__name__)

LOST = "the server ended"
METRICS_S = 0.25  # between two messages with what was recorded
NOT_YET = EngineStatus("starting", 0, 0, 0, 0, "the model is being loaded")


class RemoteStream(RequestStream, UnconfirmedStream):
    """Events of one request; the hub may still refuse it, for want of room in the queue."""

    def __init__(self, loop: asyncio.AbstractEventLoop, abort: Callable[[], None]) -> None:
        super().__init__(loop, abort)
        self.answer: asyncio.Future[None] = loop.create_future()

    async def confirmed(self) -> None:
        """See `UnconfirmedStream.confirmed`."""
        await self.answer

    def accept(self) -> None:
        """Note that the request is in the queue."""
        if not self.answer.done():
            self.answer.set_result(None)

    def fail(self, error: UnmaskError, failure: Failure) -> None:
        """End the stream, with an error for those who wait until the request is in the queue."""
        if not self.answer.done():
            self.answer.set_exception(error)
            self.answer.exception()  # seen, also if nobody waits for it any more
        self.push(failure)


class RemoteEngine:
    """Checks requests in this process, and sends them to the hub; used from its event loop.

    Grammars are compiled here; each automaton and each image is sent once.
    """

    def __init__(self, metrics: RecordedMetrics, max_queue: int) -> None:
        self._metrics, self._max_queue = metrics, max_queue
        self._channel = Channel(self._take, self._lose)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_lost: Callable[[], None] | None = None
        self._resolver: RequestResolver | None = None
        self._status = NOT_YET
        self._streams: dict[str, RemoteStream] = {}
        self._since: set[str] = set()  # open requests that the status may not count yet
        self._num_connections = 0  # told to the hub
        self._sender = Sender()
        self._numbers = itertools.count()  # of scrapes
        self._scrapes: dict[int, asyncio.Future[bytes]] = {}
        self._take_use: Callable[[Use], None] | None = None
        self._is_stopping = self._is_lost = False
        self._ended = threading.Condition()  # notified when a stream has ended

    async def connect(self, sock: socket.socket, on_lost: Callable[[], None]) -> None:
        """Tell the hub that this process listens; call `on_lost` when the hub is gone."""
        self._loop, self._on_lost = asyncio.get_running_loop(), on_lost
        await self._loop.create_connection(lambda: self._channel, sock=sock)
        self._channel.send(Listening())
        try:
            while True:
                self._channel.send(Alive())
                self._send_metrics()
                await asyncio.sleep(METRICS_S)
        finally:
            self._channel.close()

    @property
    def model(self) -> ModelInfo:
        return self._ready.model

    @property
    def tokenizer(self) -> Tokenizer:
        return self._ready.tokenizer

    @property
    def _ready(self) -> RequestResolver:
        if self._resolver is None:
            raise EngineStarting(self._status.detail)
        return self._resolver

    def compile(self, sampling: SamplingParams, seconds: float | None = None) -> object:
        """See `EngineClient.compile`."""
        return self._ready.compile(sampling, seconds)

    def has_compiled(self, sampling: SamplingParams) -> bool:
        """See `EngineClient.has_compiled`."""
        return self._ready.has_compiled(sampling)

    def submit(self, request: Request) -> RemoteStream:
        """See `EngineClient.submit`; what the hub says to it comes later."""
        resolver, name = self._ready, request.request_id
        resolved = resolver.check(request)
        self._check_hub()
        if self._is_stopping or self._status.state in ("stopping", "failed"):
            raise EngineStopped(self._status.detail or "the engine is shutting down")
        resolver.check_queue(self._status.num_waiting + len(self._since), self._max_queue)
        if name in self._streams:
            raise InvalidRequest(f"request id {name} is in use", field="request_id")
        stream = RemoteStream(asyncio.get_running_loop(), partial(self.abort, name))
        request = portable(request, resolved)
        self._channel.send(self._sender.message(request, resolved.automata, self._send_soon))
        self._streams[name] = stream
        self._since.add(name)
        return stream

    def _check_hub(self) -> None:
        if self._is_lost:
            raise EngineStopped(LOST)

    def abort(self, request_id: str) -> None:
        """Drop a request at the engine's next step."""
        if request_id in self._streams:
            self._send_soon(Abort(request_id))

    def status(self) -> EngineStatus:
        """The engine's status as it was a moment ago; that of a process that stops is its own."""
        return replace(self._status, state="stopping") if self._is_stopping else self._status

    async def scrape(self) -> bytes:
        """Metrics of all processes together; raises `EngineStopped` if the hub is gone."""
        self._check_hub()
        number = next(self._numbers)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._scrapes[number] = future
        self._send_metrics()
        self._channel.send(Scrape(number))
        try:
            return await future
        finally:
            del self._scrapes[number]

    def tell(self, use: Use) -> None:
        """See `Sharing.tell`."""
        self._send_soon(use)

    def listen(self, take: Callable[[Use], None]) -> None:
        """See `Sharing.listen`."""
        self._take_use = take

    def shutdown(self, timeout_s: float = 0.0) -> None:
        """Refuse new requests, give those of this process `timeout_s` to end, and fail the rest.

        Call it from another thread than the event loop's.
        """
        self._is_stopping = True
        with self._ended:
            self._ended.wait_for(lambda: not self._streams, timeout_s)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._fail_all, SHUTTING_DOWN)

    def _take(self, messages: Sequence[FromHub]) -> None:
        for message in messages:
            match message:
                case Facts():
                    self._resolver = RequestResolver(
                        message.model, message.limits, message.tokenizer, self._metrics
                    )
                case EngineStatus():
                    self._status = message
                    self._since.clear()
                case Held():
                    self._note_held(message)
                case Accepted():
                    if (stream := self._streams.get(message.request_id)) is not None:
                        stream.accept()
                case Refused():
                    self._refuse(message)
                case Use() if self._take_use is not None:
                    self._take_use(message)
                case Use():
                    pass  # nobody listens
                case Scraped():
                    future = self._scrapes.get(message.number)
                    if future is not None and not future.done():
                        future.set_result(message.text)
                case tuple():
                    self._push(Delta(*message))
                case _:
                    self._push(message)

    def _note_held(self, held: Held) -> None:
        for name, num_tokens in held.tokens:
            if (stream := self._streams.get(name)) is not None:
                stream.num_held = num_tokens

    def _refuse(self, refused: Refused) -> None:
        name, error = refused.request_id, refused.error
        if name in self._streams:
            self._end(name).fail(error, Failure(name, str(error)))

    def _push(self, event: Event) -> None:
        name = event.request_id
        if (stream := self._streams.get(name)) is None:  # it has failed here
            return
        if is_last(event):
            self._end(name)
        stream.push(event)

    def _end(self, request_id: str) -> RemoteStream:
        """Forget a request; returns its stream."""
        self._since.discard(request_id)
        stream = self._streams.pop(request_id)
        if self._is_stopping:
            with self._ended:
                self._ended.notify_all()
        return stream

    def _fail_all(self, message: str) -> None:
        for name in tuple(self._streams):
            self.abort(name)
            self._end(name).fail(EngineStopped(message), stopped(name, message))

    def _send_metrics(self) -> None:
        recorded = self._metrics.take()
        if recorded.added or recorded.observed:
            self._channel.send(recorded)
        (family,) = self._metrics.connections.collect()
        number = int(family.samples[0].value)
        if number != self._num_connections:
            self._num_connections = number
            self._channel.send(Connections(number))

    def _send_soon(self, message: Abort | Forget | Use) -> None:
        """Send from any thread: automata, images and visits are collected wherever."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._channel.send, message)

    def _lose(self) -> None:
        """The hub is gone, and with it the engine."""
        self._is_lost = True
        self._fail_all(LOST)
        for future in self._scrapes.values():
            if not future.done():
                future.set_exception(EngineStopped(LOST))
        if self._on_lost is not None:
            self._on_lost()
