"""A socket between two processes, on an event loop: pickled lists of messages, length first."""

import asyncio
import pickle
import struct
from collections.abc import Callable, Sequence
from typing import Any, cast

LENGTH = struct.Struct("!I")


class Channel(asyncio.Protocol):
    """Sends all messages of one turn of the event loop in one piece."""

    def __init__(
        self, on_messages: Callable[[Sequence[Any]], None], on_lost: Callable[[], None]
    ) -> None:
        """Call `on_messages` with those that came, and `on_lost` when the other side is gone."""
        self._on_messages, self._on_lost = on_messages, on_lost
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._outgoing: list[Any] = []
        self._has_space = asyncio.Event()
        self._has_space.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        if self._outgoing:
            self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._has_space.set()
        self._on_lost()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while len(self._received) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._received)
            end = LENGTH.size + length
            if len(self._received) < end:
                return
            messages = pickle.loads(bytes(self._received[LENGTH.size : end]))
            del self._received[:end]
            self._on_messages(messages)

    def pause_writing(self) -> None:
        self._has_space.clear()

    def resume_writing(self) -> None:
        self._has_space.set()

    def send(self, message: Any) -> None:
        """Send a message at the end of this turn; one without a receiver is dropped."""
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outgoing.append(message)

    async def drain(self) -> None:
        """Wait while the other side is slow to read."""
        if not self._has_space.is_set():
            await self._has_space.wait()

    def close(self) -> None:
        """Close the socket."""
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        if self._transport is None or not self._outgoing:
            return
        messages, self._outgoing = self._outgoing, []
        data = pickle.dumps(messages, pickle.HIGHEST_PROTOCOL)
        self._transport.write(LENGTH.pack(len(data)) + data)
