"""Fake server with OpenAI's streaming API; the prompt selects its behavior."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn


class FakeOpenAI:
    """Counts requests and their maximum concurrency."""

    def __init__(self, *, tells_steps: bool = True, tells_usage: bool = True) -> None:
        self.tells_steps = tells_steps
        self.tells_usage = tells_usage
        self.bodies: list[dict[str, Any]] = []
        self.num_open = 0
        self.most_open = 0
        self.chunk_s = 0.01
        self.field = "content"  # of a delta
        self.refuses_lists = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        if scope["path"] == "/v1/models" and self.refuses_lists:
            await _answer(send, 401, b'{"error":\n{"message": "no key"}}')
            return
        if scope["path"] == "/v1/models":
            await _answer(send, 200, json.dumps({"data": [{"id": "fake"}]}).encode())
            return
        body = b""
        while (message := await receive()).get("more_body") or message.get("body"):
            body += message["body"]
            if not message.get("more_body"):
                break
        self.bodies.append(json.loads(body))
        self.num_open += 1
        self.most_open = max(self.most_open, self.num_open)
        try:
            await self._stream(self.bodies[-1], scope["path"], send)
        finally:
            self.num_open -= 1

    async def _stream(self, body: dict[str, Any], path: str, send: Any) -> None:
        chat = path.endswith("/chat/completions")
        prompt = body["messages"][0]["content"] if chat else body["prompt"]
        if prompt == "refuse":
            await _answer(send, 429, b'{"error": {"message": "too many"}}')
            return
        await _start(send, 200, b"text/event-stream")
        if prompt == "hang up":
            await send({"type": "http.response.body", "body": b""})
            return
        if prompt == "fail":
            await _event(send, {"error": {"message": "broken", "code": 500}})
        elif prompt == "gibberish":
            await send({"type": "http.response.body", "body": b"data: {\n\n", "more_body": True})
        else:
            words = [] if prompt == "say nothing" else ["one ", "two ", "three"]
            for word in words:
                await asyncio.sleep(self.chunk_s)
                said = {"delta": {self.field: word}} if chat else {"text": word}
                await _event(send, {"choices": [{"index": 0, **said, "finish_reason": None}]})
            ended = {"delta": {}} if chat else {"text": ""}
            await _event(send, {"choices": [{"index": 0, **ended, "finish_reason": "stop"}]})
            if prompt == "odd usage":
                await _event(send, {"choices": [], "usage": {"completion_tokens": "many"}})
            elif self.tells_usage:
                await _event(send, {"choices": [], "usage": self._usage()})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    def _usage(self) -> dict[str, int]:
        usage = {"prompt_tokens": 5, "completion_tokens": 12, "total_tokens": 17}
        return usage | ({"denoising_steps": 4} if self.tells_steps else {})


async def _start(send: Any, status: int, kind: bytes) -> None:
    headers = [(b"content-type", kind)]
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _answer(send: Any, status: int, body: bytes) -> None:
    await _start(send, status, b"application/json")
    await send({"type": "http.response.body", "body": body})


async def _event(send: Any, content: dict[str, Any]) -> None:
    data = f": ping\n\ndata: {json.dumps(content)}\n\n".encode()
    await send({"type": "http.response.body", "body": data, "more_body": True})


@contextlib.contextmanager
def served(app: FakeOpenAI) -> Iterator[str]:
    """URL of `app` on a free local port."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
