"""Streamed request over HTTP, and its timings."""

import itertools
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from unmask.bench.workload import Conversation, Prompt
from unmask.errors import InvalidConfig

Endpoint = Literal["chat", "completions"]
PATHS = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}
TEXTS = ("content", "reasoning_content", "reasoning", "tool_calls")  # of a delta, by any server
MAX_DETAIL = 300


@dataclass(frozen=True, slots=True)
class Target:
    """Server, model and endpoint of a load, with body fields of all requests."""

    base_url: str
    model: str
    endpoint: Endpoint
    fields: dict[str, Any] = field(default_factory=dict)

    def body_of(self, prompt: Prompt) -> dict[str, Any]:
        """JSON body of a streamed request."""
        content: dict[str, Any]
        if isinstance(prompt, Conversation):
            content = {"messages": prompt.messages}
        elif self.endpoint == "chat":
            content = {"messages": [{"role": "user", "content": prompt}]}
        else:
            content = {"prompt": prompt}
        streaming = {"stream": True, "stream_options": {"include_usage": True}}
        return {"model": self.model, **content, **streaming, **self.fields}


@dataclass(frozen=True, slots=True)
class Record:
    """Result of one request; times are in seconds since it was sent.

    `first_text_s` is the time to the first final text, of an answer, its reasoning or a call;
    `gaps_s` are the times between chunks of text. `num_tokens` counts chunks if the server sends
    no usage (`counted`). `error` is the kind of failure, or None.
    """

    latency_s: float
    first_text_s: float | None = None
    gaps_s: tuple[float, ...] = ()
    num_tokens: int = 0
    counted: bool = False
    num_prompt_tokens: int | None = None
    num_denoising_steps: int | None = None
    block_length: int | None = None
    finish_reason: str | None = None
    error: str | None = None
    detail: str = ""


@dataclass
class _Stream:
    """Accumulated chunks of one answer."""

    started_s: float
    text_times_s: list[float] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=dict)
    finish_reason: str | None = None
    error: str | None = None

    def take(self, data: str) -> None:
        if data == "[DONE]":
            return
        chunk = json.loads(data)
        if "error" in chunk:
            self.error = str(chunk["error"])
            return
        self.usage = chunk.get("usage") or self.usage
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            if choice.get("text") or any(delta.get(name) for name in TEXTS):
                self.text_times_s.append(time.perf_counter() - self.started_s)
            self.finish_reason = choice.get("finish_reason") or self.finish_reason

    def to_record(self) -> Record:
        latency_s = time.perf_counter() - self.started_s
        if self.error is not None:
            return Record(latency_s, error="stream_error", detail=self.error[:MAX_DETAIL])
        if self.finish_reason is None:
            return Record(latency_s, error="truncated", detail="no finish_reason before the end")
        times_s = self.text_times_s
        counted = self.usage.get("completion_tokens") is None
        return Record(
            latency_s=latency_s,
            # An answer without text (end of sequence at once) counts its end as first text.
            first_text_s=times_s[0] if times_s else latency_s,
            gaps_s=tuple(b - a for a, b in itertools.pairwise(times_s)),
            num_tokens=len(times_s) if counted else int(self.usage["completion_tokens"]),
            counted=counted,
            num_prompt_tokens=self.usage.get("prompt_tokens"),
            num_denoising_steps=self.usage.get("denoising_steps"),
            block_length=self.usage.get("block_length"),
            finish_reason=self.finish_reason,
        )


async def exchange(client: httpx.AsyncClient, target: Target, prompt: Prompt) -> Record:
    """Send a request and read its stream; every failure becomes a record with `error`."""
    stream = _Stream(time.perf_counter())
    url = target.base_url + PATHS[target.endpoint]
    try:
        async with client.stream("POST", url, json=target.body_of(prompt)) as response:
            if response.status_code != 200:
                detail = (await response.aread()).decode(errors="replace")
                kind = f"http_{response.status_code}"
                return _failure(stream, kind, detail)
            async for data in _events(response):
                stream.take(data)  # until the end, so that the connection can be reused
        return stream.to_record()
    except httpx.TimeoutException as error:
        return _failure(stream, "timeout", repr(error))
    except httpx.ConnectError as error:
        return _failure(stream, "connect", str(error))
    except httpx.HTTPError as error:
        return _failure(stream, "disconnected", repr(error))
    except (ValueError, TypeError, AttributeError) as error:
        return _failure(stream, "malformed", repr(error))


def _failure(stream: _Stream, kind: str, detail: str) -> Record:
    latency_s = time.perf_counter() - stream.started_s
    return Record(latency_s, error=kind, detail=detail[:MAX_DETAIL])


async def _events(response: httpx.Response) -> AsyncIterator[str]:
    """Data of server-sent events of one line each."""
    rest = b""
    async for received in response.aiter_bytes():
        *lines, rest = (rest + received).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip().decode()


async def first_model(client: httpx.AsyncClient, base_url: str) -> str:
    """Name of the server's first model; raises `InvalidConfig`."""
    try:
        response = await client.get(base_url + "/v1/models")
        response.raise_for_status()
        model = response.json()["data"][0]["id"]
    except httpx.HTTPStatusError as error:
        status = f"HTTP {error.response.status_code} {error.response.reason_phrase}".strip()
        detail = " ".join(error.response.text.split())[:MAX_DETAIL]
        raise InvalidConfig(f"{base_url} does not list its models: {status}: {detail}") from error
    except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError) as error:
        raise InvalidConfig(f"{base_url} does not list its models: {error!r}") from error
    return str(model)
