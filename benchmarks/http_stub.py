"""Servers for `benchmarks.http_path`: the application around a stub engine, and a bare one.

    python -m benchmarks.http_stub {unmask,bare,typed} PORT [--chunk-every-s 1.0]

The bare route reads the body's JSON, the typed one has a model for it. The stub answers at once.
Chunks of a stream come one in each turn of the event loop, or at intervals.
"""

import argparse
import asyncio
import gc
import json
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel

import unmask
from unmask import types
from unmask.api.app import create_app
from unmask.cli.http import bind
from unmask.config import ServerConfig
from unmask.engine.streams import RequestStream
from unmask.http.config import HttpConfig
from unmask.http.server import copies
from unmask.metrics import Metrics
from unmask.tokenizer import Tokenizer
from unmask.types import Delta, EngineStatus, Finish, FinishReason, ModelInfo, SamplingParams, Usage

CHUNKS = 20
TOKENS = (11, 22, 33, 44)
ANSWER = {
    "id": f"chatcmpl-{0:032x}",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "embedded",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": " some words" * CHUNKS,
                "refusal": None,
            },
            "logprobs": None,
            "finish_reason": "length",
            "stop_reason": None,
        }
    ],
    "usage": {
        "prompt_tokens": 30,
        "completion_tokens": CHUNKS * len(TOKENS),
        "total_tokens": 30 + CHUNKS * len(TOKENS),
        "prompt_tokens_details": {"cached_tokens": 0},
        "denoising_steps": CHUNKS,
        "forward_passes": CHUNKS,
        "query_tokens": 640,
        "block_length": 32,
    },
}
CHUNK = {
    **{name: ANSWER[name] for name in ("id", "created", "model")},
    "object": "chat.completion.chunk",
    "choices": [
        {"index": 0, "delta": {"content": " some words"}, "logprobs": None, "finish_reason": None}
    ],
}


class StubEngine:
    """`EngineClient` whose answers have `CHUNKS` deltas of the same text."""

    def __init__(self, pause_s: float) -> None:
        self.tokenizer = Tokenizer.from_folder(Path(unmask.__file__).parent / "embedded")
        vocab_size = self.tokenizer.num_tokens
        assert vocab_size is not None
        self.model = ModelInfo(
            name="embedded",
            max_model_len=4096,
            vocab_size=vocab_size,
            mask_token_id=self.tokenizer.mask_token_id,
            eos_token_ids=(2,),
            default_sampling=SamplingParams(),
            created_s=1_700_000_000,
        )
        self._pause_s = pause_s
        self._open: list[tuple[RequestStream, list[Delta]]] = []
        self._is_ticking = False

    def compile(self, sampling: SamplingParams, seconds: float | None = None) -> object:
        return None

    def has_compiled(self, sampling: SamplingParams) -> bool:
        return True

    def abort(self, request_id: str) -> None:
        """The deltas go nowhere."""

    def status(self) -> EngineStatus:
        return EngineStatus("ready", len(self._open), 0, 0, 1)

    def submit(self, request: types.Request) -> RequestStream:
        loop = asyncio.get_running_loop()
        name, num_tokens = request.request_id, CHUNKS * len(TOKENS)
        usage = Usage(len(request.prompt_token_ids), 0, num_tokens, CHUNKS, CHUNKS, 640, 32)
        # As an engine process sends it: an answer that does not stream comes in two pieces.
        num_last = 1 if request.streams else CHUNKS - 1
        finish = Finish(FinishReason.LENGTH, usage)
        last = Delta(name, TOKENS * num_last, " some words" * num_last, finish=finish)
        deltas = [Delta(name, TOKENS, " some words")] * (CHUNKS - num_last)
        stream = RequestStream(loop, partial(self.abort, name))
        self._open.append((stream, [last, *deltas]))
        if not self._is_ticking:
            self._is_ticking = True
            self._later(loop)
        return stream

    def _later(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._pause_s:
            loop.call_later(self._pause_s, self._tick, loop)
        else:
            loop.call_soon(self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        """Push a delta of each request, as an engine does after a step."""
        for stream, deltas in self._open:
            stream.push(deltas.pop())
        self._open = [pair for pair in self._open if pair[1]]
        self._is_ticking = bool(self._open)
        if self._is_ticking:
            self._later(loop)


class Message(BaseModel):
    """One turn of a conversation."""

    role: str
    content: str


class Chat(BaseModel):
    """The fields that the load has."""

    model: str
    messages: list[Message]
    max_tokens: int | None = None
    temperature: float | None = None
    stream: bool = False


def bare(pause_s: float, *, is_typed: bool = False) -> FastAPI:
    """An application that reads a body, by a model if typed, and returns prepared bytes."""
    app = FastAPI()
    answer = json.dumps(ANSWER, separators=(",", ":")).encode()
    chunk = b"data: " + json.dumps(CHUNK, separators=(",", ":")).encode() + b"\n\n"

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(CHUNKS):
            await asyncio.sleep(pause_s)
            yield chunk
        yield b"data: [DONE]\n\n"

    def respond(*, stream: bool) -> Response:
        if stream:
            return StreamingResponse(chunks(), media_type="text/event-stream")
        return Response(answer, media_type="application/json")

    async def from_json(request: Request) -> Response:
        body = await request.json()
        return respond(stream=body.get("stream", False))

    async def from_model(body: Chat) -> Response:
        return respond(stream=body.stream)

    route = app.post("/v1/chat/completions", response_model=None)
    route(from_model if is_typed else from_json)

    @app.get("/health")
    async def health() -> JSONResponse:
        return JSONResponse({})

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["unmask", "bare", "typed"])
    parser.add_argument("port", type=int)
    parser.add_argument("--chunk-every-s", type=float, default=0.0)
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    config = ServerConfig(port=args.port)
    metrics = Metrics()
    makers: dict[str, Callable[[], Any]] = {
        "unmask": lambda: create_app(StubEngine(args.chunk_every_s), metrics, config),
        "bare": lambda: bare(args.chunk_every_s),
        "typed": lambda: bare(args.chunk_every_s, is_typed=True),
    }
    server = uvicorn.Server(HttpConfig(makers[args.kind](), config, metrics))
    gc.collect()
    gc.freeze()  # as `unmask serve` does
    server.run(sockets=copies(bind(config.host, config.port)))


if __name__ == "__main__":
    main()
