"""HTTP/1.1 connection that no client can hold by sending or reading slowly, or by sending much."""

import asyncio
import json
import socket
import struct
from enum import Enum
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from unmask.api.connection import CONNECTION
from unmask.api.errors import STOPPED_RETRY_AFTER_S, envelope
from unmask.api.middleware import RAW_REQUEST_ID
from unmask.api.random_ids import RANDOM_IDS
from unmask.http.config import HttpConfig
from unmask.http.presence import Presence
from unmask.http.upgrades import head_without_upgrade, new_parser

BODY_RATE = 16 * 2**10  # bytes that give a body one more second
HEADER_OVERHEAD = 4  # bytes around a name and its value
CHUNK_OVERHEAD = 9  # bytes that frame each byte of a body in the smallest chunks, and itself
LINGER_S = 2.0  # for a client to read an error, and to stop sending
RESET = struct.pack("ii", 1, 0)  # linger, for no time
MOST_AHEAD = 16  # requests that are read while one before them is answered
SURPLUS = 64  # connections beyond the limit that are told so; more are dropped


class Phase(Enum):
    """The part of a request that a connection waits for."""

    IDLE = "idle"  # none: the client may be waiting for an answer
    HEAD = "head"
    BODY = "body"
    REFUSED = "refused"  # nothing: what comes is dropped until the client has read its error


class UntilClose(int):
    """Length of a body whose end is the end of its connection, which uvicorn counts down."""

    def __lt__(self, num_bytes: int) -> bool:
        return False

    def __sub__(self, num_bytes: int) -> "UntilClose":
        return self

    def __ne__(self, num_bytes: object) -> bool:
        return False

    __hash__ = int.__hash__


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits; the server calls `check` at intervals.

    A connection ends at the second check after a limit of time: between them the event loop has
    read what had arrived, so that a late loop ends nobody.
    """

    config: HttpConfig

    def __init__(
        self,
        config: HttpConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = config.limits
        self._max_head = config.limits.max_header_kib * 2**10
        self._phase = Phase.HEAD
        self._began_s = 0.0  # of the phase
        self._num_received = 0  # bytes of the message, but of a read that it shares with others
        self._num_head = self._num_body = 0  # bytes of its head and of its body
        self._num_begun = 0  # messages, in this read
        self._is_surplus = self._is_late = False
        self._num_unread = 0  # bytes at the last check
        self._read_s = 0.0  # when the client last read something, or had nothing to read
        self._open_cycles: list[RequestResponseCycle] = []  # requests without a whole answer
        self._presence: Presence  # of the client, from the beginning of the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection; one too many is told so when it sends something."""
        super().connection_made(transport)
        self._presence = Presence(self.flow.resume_reading)
        self._began_s = self._read_s = self.loop.time()
        surplus = len(self.connections) - self._limits.max_connections
        self._is_surplus = surplus > 0
        if surplus > SURPLUS:
            self._count("too_many")
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the requests of the connection that their client has left."""
        self._disconnect()  # uvicorn tells the last one alone
        super().connection_lost(exc)
        self._presence.leave()

    def _disconnect(self) -> None:
        """Have no request of the connection answered, pipelined ones neither."""
        for cycle in self._open_cycles:
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()

    def data_received(self, data: bytes) -> None:
        """Parse what arrived; errors get an envelope, and no line in the log."""
        if self._phase is Phase.REFUSED or self.transport.is_closing():
            return
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None
        if self._is_surplus:
            self._refuse(503, "too many connections", "too_many_connections", "too_many")
            return
        if self._phase is Phase.IDLE:
            self._begin(Phase.HEAD)
            self._num_received = 0
        is_fresh = self._phase is Phase.HEAD and not self._num_received
        self._num_begun = 0
        try:
            self._parse(data)
        except httptools.HttpParserError:
            if self._num_head > self._max_head:
                self._refuse_head()
            else:
                self._refuse(400, "this is not an HTTP request", "invalid_http", "not_http")
            return
        if self._num_begun == is_fresh:
            self._num_received += len(data)
        if self._num_received > self._max_head + CHUNK_OVERHEAD * self._num_body:
            self._refuse_head()

    def _parse(self, data: bytes) -> None:
        """Parse what arrived; a request for another protocol is read as if it asked for none.

        The parser would take its body for the other protocol.
        """
        rest = memoryview(data)
        while True:
            try:
                self.parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as upgrade:
                if not self._asks_for_upgrade:
                    return
                rest = rest[upgrade.args[0] :]
            head = head_without_upgrade(self.parser, self.url, self.headers)
            self.parser = new_parser(self)
            self._num_begun -= 1  # it begins again
            self.parser.feed_data(head)

    @property
    def _asks_for_upgrade(self) -> bool:
        """True if the request may be answered as any other; a tunnel has no path."""
        return self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"

    def on_message_begin(self) -> None:
        """Note that a request begins, and that its handler may ask whether its client is there."""
        super().on_message_begin()
        if self._phase is Phase.IDLE:  # behind another request in the same read
            self._begin(Phase.HEAD)
        self._num_begun += 1
        self._num_received = self._num_head = self._num_body = 0
        self.scope["extensions"] = {CONNECTION: self._presence}  # type: ignore[dict-item]

    def on_url(self, url: bytes) -> None:
        """Count the bytes of the request line."""
        super().on_url(url)
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count the bytes of a header, or of a trailer."""
        super().on_header(name, value)
        self._count_head(len(name) + len(value) + HEADER_OVERHEAD)

    def on_headers_complete(self) -> None:
        """Start the request's task; its body has a time of its own."""
        if self._asks_for_upgrade:
            return  # it comes again
        super().on_headers_complete()
        if self.scope["http_version"] == "1.0":  # has no chunks
            self.cycle.chunked_encoding = False
            self.cycle.expected_content_length = UntilClose()
        self._open_cycles = [one for one in self._open_cycles if not one.response_complete]
        self._open_cycles.append(self.cycle)
        if self._presence.is_watched and len(self.pipeline) <= MOST_AHEAD:
            self.flow.resume_reading()  # or nobody would see that the client leaves
        self._begin(Phase.BODY)

    def on_body(self, body: bytes) -> None:
        """Count the bytes of the body."""
        self._num_body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The client owes nothing until its next request."""
        if self._asks_for_upgrade:
            return
        super().on_message_complete()
        self._phase = Phase.IDLE

    def resume_writing(self) -> None:
        """The client has read most of what was written."""
        super().resume_writing()
        self._read_s = self.loop.time()

    def check(self, now_s: float) -> None:
        """End the connection if a limit has passed at the last check too."""
        if self._phase is Phase.REFUSED:
            if now_s - self._began_s > LINGER_S:
                self.transport.abort()
            return
        reason = self._overdue(now_s)
        if reason is None or not self._is_late:
            self._is_late = reason is not None
        elif reason == "slow_reader":
            self._count(reason)
            self._reset()
        elif self._phase is Phase.HEAD and not self._num_received:
            self._count(reason)
            self.transport.close()
        else:
            self._refuse(408, "the request arrives too slowly", "request_timeout", reason)

    def _reset(self) -> None:
        """Drop the connection and what the system holds for its client, who might never read it."""
        connection = self.transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.transport.abort()

    def _overdue(self, now_s: float) -> str | None:
        """The reason to end the connection, if there is one now."""
        if self._is_reading_slowly(now_s):
            return "slow_reader"
        waited_s = now_s - self._began_s
        if self._phase is Phase.BODY:
            if self.flow.read_paused:  # by this server, which has enough for now
                self._begin(Phase.BODY)
            elif waited_s > self._limits.body_timeout_s + self._num_body / BODY_RATE:
                return "body_timeout"
        elif self._phase is Phase.HEAD and self._has_answered:
            return "header_timeout" if waited_s > self._limits.header_timeout_s else None
        return None

    def _is_reading_slowly(self, now_s: float) -> bool:
        num_unread = self.transport.get_write_buffer_size()
        if not num_unread or num_unread < self._num_unread:
            self._read_s = now_s
        self._num_unread = num_unread
        return now_s - self._read_s > self._limits.write_timeout_s

    @property
    def _has_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _begin(self, phase: Phase) -> None:
        self._phase, self._began_s = phase, self.loop.time()

    def _count_head(self, num_bytes: int) -> None:
        self._num_head += num_bytes
        if self._num_head > self._max_head:
            raise ValueError("the head is too long")  # stops the parser

    def _refuse_head(self) -> None:
        message = f"the request line and headers are longer than {self._max_head} bytes"
        self._refuse(431, message, "headers_too_large", "long_header")

    def _refuse(self, status: int, message: str, code: str, reason: str) -> None:
        """Answer with an error, unless another answer is due or begun, and close."""
        self._count(reason)
        may_answer = self._may_answer
        if may_answer:
            body = json.dumps(envelope(status, message, code=code)).encode()
            headers = [
                *self.server_state.default_headers,
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
                (RAW_REQUEST_ID, RANDOM_IDS.draw().encode()),
            ]
            if status == 503:
                headers.append((b"retry-after", str(STOPPED_RETRY_AFTER_S).encode()))
            lines = [name + b": " + value + b"\r\n" for name, value in headers]
            self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", body]))
        self._disconnect()
        self._presence.leave(is_gone=False)
        self._begin(Phase.REFUSED)
        # To close it at once would drop the answer if the client is still sending.
        if may_answer and self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    @property
    def _may_answer(self) -> bool:
        if self.pipeline:
            return False
        return self._has_answered or (self._phase is Phase.BODY and not self.cycle.response_started)

    def _count(self, reason: str) -> None:
        self.config.metrics.connections_ended.labels(reason).inc()
