"""Engines in processes of their own, and what tests ask them."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.support.engines import Answer, run_alone
from unmask.config import Config, EngineConfig, ModelConfig, ServerConfig
from unmask.engine.process.client import ProcessEngine
from unmask.metrics import Metrics
from unmask.models.registry import LoadedModel
from unmask.types import Failure, Request, SamplingParams


@contextmanager
def running(
    folder: Path,
    fault: Callable[[], None] | None = None,
    count: int = 1,
    metrics: Metrics | None = None,
    **settings: object,
) -> Iterator[ProcessEngine]:
    """Engines of a checkpoint, each of one thread; `settings` are those of the engine."""
    engine = EngineConfig(num_pages=400, threads=1, **settings)  # type: ignore[arg-type]
    model = ModelConfig(path=str(folder), device="cpu", dtype="float32")
    config = Config(model, engine=engine, server=ServerConfig(data_parallel=count))
    client = ProcessEngine.start(config, metrics, set_up=fault)
    try:
        yield client
    finally:
        client.shutdown()


def asking(i: int, max_tokens: int = 60, first: int = 5, **params: object) -> Request:
    sampling = SamplingParams(
        max_tokens=max_tokens, ignore_eos=True, seed=i, temperature=0.8 * (i % 2), steps=4,
        block_length=4,
    )  # fmt: skip
    return Request(f"r{i}", (first, 7 + i % 400, 9), replace(sampling, **params))


async def read(client: ProcessEngine, request: Request) -> Answer | Failure:
    answer = Answer()
    async for event in client.submit(request):
        if isinstance(event, Failure):
            return event
        answer.take(event)
    return answer


def ask(client: ProcessEngine, requests: list[Request]) -> list[Answer | Failure]:
    async def run() -> list[Answer | Failure]:
        async with asyncio.timeout(200):
            return await asyncio.gather(*(read(client, request) for request in requests))

    return asyncio.run(run())


def assert_as_alone(
    answers: list[Answer | Failure], requests: list[Request], loaded: LoadedModel
) -> None:
    for request, answer in zip(requests, answers, strict=True):
        assert isinstance(answer, Answer), answer
        alone = run_alone(loaded, request)
        assert (answer.token_ids, answer.text) == (alone.token_ids, alone.text)
        assert answer.finish is not None
        assert answer.finish.usage.completion_tokens == len(answer.token_ids)


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not what():
            await asyncio.sleep(0.01)
