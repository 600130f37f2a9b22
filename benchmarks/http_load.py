"""Closed loop of clients for `benchmarks.http_path`, cheap enough to share a machine with a server.

    python -m benchmarks.http_load PORT {whole,fresh,stream} REQUESTS CONNECTIONS

Prints the seconds it took. Answers are not parsed: each is over at its known end. Messages are all
the same; with `fresh`, each has its words in an order of its own.
"""

import argparse
import asyncio
import json
import random
import time
from typing import cast

import uvloop

MESSAGE = "Write a short list of things to take along to the sea, one a line, without numbers."
CHUNKED_END = b"0\r\n\r\n"


def shuffled(message: str) -> str:
    """The words of a message in some order."""
    words = message.split()
    return " ".join(random.sample(words, len(words)))


def request_bytes(message: str, *, stream: bool) -> bytes:
    """One chat as a client sends it."""
    body = {
        "model": "",
        "messages": [{"role": "user", "content": message}],
        "max_tokens": 80,
        "temperature": 0,
        "stream": stream,
    }
    content = json.dumps(body).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n"
        "User-Agent: load\r\nAuthorization: Bearer none\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


class Client(asyncio.Protocol):
    """One connection; `taken` requests are left to all of them together."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self.send()

    def send(self) -> None:
        if self._load.take():
            self._received.clear()
            self._transport.write(self._load.request())
        else:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        if self._load.is_whole(received):
            self._load.finish(received)
            self.send()


class Load:
    """Requests that are left, and the end of all."""

    def __init__(self, num_requests: int, kind: str) -> None:
        stream = kind == "stream"
        self._request = request_bytes(MESSAGE, stream=stream)
        self._fresh = [
            request_bytes(shuffled(MESSAGE), stream=stream)
            for _ in range(num_requests if kind == "fresh" else 0)
        ]
        self.done = asyncio.get_running_loop().create_future()
        self._stream = stream
        self._num_left = self._num_open = num_requests

    def request(self) -> bytes:
        """The bytes of a request."""
        return self._fresh.pop() if self._fresh else self._request

    def take(self) -> bool:
        self._num_left -= 1
        return self._num_left >= 0

    def finish(self, answer: bytearray) -> None:
        self._num_open -= 1
        if not answer.startswith(b"HTTP/1.1 200 "):
            self.done.set_exception(RuntimeError(answer[:2000].decode()))
        elif not self._num_open:
            self.done.set_result(None)

    def is_whole(self, received: bytearray) -> bool:
        """True at the end of an answer."""
        if self._stream:
            return received.endswith(CHUNKED_END)
        head, found, body = received.partition(b"\r\n\r\n")
        if not found:
            return False
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return len(body) >= int(length)


async def run(port: int, load: Load, num_connections: int) -> float:
    loop = asyncio.get_running_loop()
    began_s = time.perf_counter()
    for _ in range(num_connections):
        await loop.create_connection(lambda: Client(load), "127.0.0.1", port)
    await load.done
    return time.perf_counter() - began_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("kind", choices=["whole", "fresh", "stream"])
    parser.add_argument("requests", type=int)
    parser.add_argument("connections", type=int)
    args = parser.parse_args()

    async def all_requests() -> float:
        load = Load(args.requests, args.kind)
        return await run(args.port, load, args.connections)

    elapsed_s = uvloop.run(all_requests())
    print(json.dumps({"elapsed_s": elapsed_s}))


if __name__ == "__main__":
    main()
