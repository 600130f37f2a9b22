"""Closed-loop (fixed concurrency) and open-loop (Poisson arrivals) load on a server."""

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from unmask.bench.exchange import Record, Target, exchange
from unmask.bench.transport import SpreadTransport
from unmask.bench.workload import Prompt

T = TypeVar("T")
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Load:
    """Load of `concurrency` requests at a time, or Poisson arrivals of `rate` a second.

    `warmup` requests go first and are not measured.
    """

    num_requests: int
    concurrency: int = 1
    rate: float | None = None
    warmup: int = 0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """Records of a load in completion order, and its wall time."""

    records: tuple[Record, ...]
    wall_s: float


def run_async(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` on uvloop if available, so that the client is not the bottleneck."""
    if sys.platform == "win32":
        return asyncio.run(main)
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


@asynccontextmanager
async def connect(
    *, api_key: str | None = None, timeout_s: float = 600.0
) -> AsyncIterator[httpx.AsyncClient]:
    """HTTP client with unlimited connections, without proxies and redirects."""
    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
    async with httpx.AsyncClient(
        headers=headers, transport=SpreadTransport(), timeout=timeout_s, trust_env=False
    ) as client:
        yield client


async def run_load(
    client: httpx.AsyncClient,
    target: Target,
    prompts: Sequence[Prompt],
    load: Load,
    progress: Progress | None = None,
) -> Run:
    """Send `load.warmup` prompts, then `load.num_requests` measured ones, and await all."""
    assert len(prompts) == load.warmup + load.num_requests, "one prompt a request"
    await _closed_loop(client, target, prompts[: load.warmup], load.concurrency, lambda _: None)
    records: list[Record] = []

    def done(record: Record) -> None:
        records.append(record)
        if progress is not None:
            progress(len(records), load.num_requests)

    started_s = time.perf_counter()
    measured = prompts[load.warmup :]
    if load.rate is None:
        await _closed_loop(client, target, measured, load.concurrency, done)
    else:
        await _open_loop(client, target, measured, load.rate, load.seed, done)
    return Run(tuple(records), time.perf_counter() - started_s)


async def _closed_loop(
    client: httpx.AsyncClient,
    target: Target,
    prompts: Sequence[Prompt],
    concurrency: int,
    done: Callable[[Record], None],
) -> None:
    queue = iter(prompts)

    async def work() -> None:
        for prompt in queue:
            done(await exchange(client, target, prompt))

    await asyncio.gather(*(work() for _ in range(min(concurrency, len(prompts)))))


async def _open_loop(
    client: httpx.AsyncClient,
    target: Target,
    prompts: Sequence[Prompt],
    rate: float,
    seed: int,
    done: Callable[[Record], None],
) -> None:
    draw = random.Random(seed)
    loop = asyncio.get_running_loop()
    due_s = loop.time()

    async def send(prompt: Prompt, at_s: float) -> None:
        await asyncio.sleep(at_s - loop.time())
        done(await exchange(client, target, prompt))

    async with asyncio.TaskGroup() as tasks:
        for prompt in prompts:
            tasks.create_task(send(prompt, due_s))
            due_s += draw.expovariate(rate)
