"""Engine behind a hub, as HTTP processes see it."""

import asyncio

import pytest

from tests.support.engines import Answer, run_alone
from tests.support.hub import Holding, Process, has_model, is_idle, processes, read, request
from tests.support.processes import until
from unmask.engine.async_engine import AsyncEngine
from unmask.errors import EngineStarting, InvalidRequest, QueueFull, UnmaskError
from unmask.grammar import Regex
from unmask.models.registry import LoadedModel
from unmask.types import (
    Delta,
    Finish,
    FinishReason,
    Refinement,
    RefinementOptions,
    Request,
    SamplingParams,
    Usage,
)


def test_answers_are_those_of_lone_requests(engine: AsyncEngine, tiny: LoadedModel) -> None:
    wanted = [
        request(f"r{i}", SamplingParams(max_tokens=10 + i, seed=i, temperature=0.5))
        for i in range(4)
    ]

    async def run() -> list[Answer]:
        async with processes(engine, 2) as (_, made):
            clients = [process.engine for process in made]
            return await asyncio.gather(*(read(clients[i % 2], r) for i, r in enumerate(wanted)))

    for one, answer in zip(wanted, asyncio.run(run()), strict=True):
        assert answer.essence == run_alone(tiny, one).essence


def test_grammars_are_compiled_in_the_process(engine: AsyncEngine, tiny: LoadedModel) -> None:
    sampling = SamplingParams(max_tokens=20, grammar=Regex("[ab]{4,8}"), seed=1)

    async def run() -> list[Answer]:
        async with processes(engine) as (_, (process,)):
            held = process.engine.compile(sampling)
            assert held is not None
            return [await read(process.engine, request(f"r{i}", sampling)) for i in range(2)]

    for answer in asyncio.run(run()):
        assert answer.essence == run_alone(tiny, request("alone", sampling)).essence


def test_drafts_come_too(engine: AsyncEngine) -> None:
    wanted = request("r", refinements=RefinementOptions())

    async def run() -> Refinement:
        async with processes(engine) as (_, (process,)):
            async for event in process.engine.submit(wanted):
                if isinstance(event, Refinement):
                    return event
        raise AssertionError("no draft came")

    assert asyncio.run(run()).request_id == "r"


def test_requests_are_refused_until_the_model_is_loaded(engine: AsyncEngine) -> None:
    async def run() -> None:
        async with processes(engine, is_loaded=False) as (hub, (process,)):
            with pytest.raises(EngineStarting):
                process.engine.submit(request("r"))
            hub.serve(engine)
            await until(lambda: has_model(process))
            await process.engine.submit(request("r")).aclose()

    asyncio.run(run())


def test_wrong_requests_are_refused_at_once(engine: AsyncEngine) -> None:
    async def run() -> None:
        async with processes(engine) as (_, (process,)):
            with pytest.raises(InvalidRequest, match="max_tokens"):
                process.engine.submit(request("r", SamplingParams(max_tokens=10**6)))
            stream = process.engine.submit(request("r"))
            with pytest.raises(InvalidRequest, match="in use"):
                process.engine.submit(request("r"))
            await stream.aclose()

    asyncio.run(run())


def test_a_queue_that_fills_on_the_way_refuses_before_any_event(engine: AsyncEngine) -> None:
    async def run() -> None:
        async with processes(engine) as (_, (process,)):
            streams = [process.engine.submit(request(f"r{i}")) for i in range(200)]
            confirmed = await asyncio.gather(
                *(stream.confirmed() for stream in streams), return_exceptions=True
            )
            refused = [error for error in confirmed if error is not None]
            assert refused
            assert all(isinstance(error, QueueFull) for error in refused)
            assert all(error.retry_after_s == 1 for error in refused)
            for stream in streams:
                await stream.aclose()
            await until(lambda: is_idle(engine))

    asyncio.run(run())


def test_a_queue_that_is_full_refuses_at_once(engine: AsyncEngine) -> None:
    async def run() -> None:
        async with processes(engine, max_queue=2) as (_, (process,)):
            streams = [process.engine.submit(request(f"r{i}")) for i in range(2)]
            with pytest.raises(QueueFull):
                process.engine.submit(request("r2"))
            for stream in streams:
                await stream.aclose()

    asyncio.run(run())


def takes(process: Process, wanted: Request) -> bool:
    try:
        process.engine.submit(wanted)
    except QueueFull:
        return False
    return True


def test_requests_that_have_ended_are_not_in_the_queue(engine: AsyncEngine) -> None:
    short = SamplingParams(max_tokens=1)

    async def run() -> None:
        async with processes(engine, max_queue=2) as (_, (process,)):
            for i in range(20):  # faster than the hub looks at the status
                await read(process.engine, request(f"r{i}", short))

    asyncio.run(run())


def test_a_queue_is_full_no_longer_than_until_the_next_status(engine: AsyncEngine) -> None:
    async def run() -> None:
        async with processes(engine, max_queue=2) as (hub, (process,)):
            hub.engine = Holding(engine)  # its requests are never in the status, which is the same
            assert all(takes(process, request(f"r{i}")) for i in range(2))
            assert not takes(process, request("r2"))
            await until(lambda: takes(process, request("r2")))

    asyncio.run(run())


def test_metrics_of_all_processes_are_one_text(engine: AsyncEngine) -> None:
    async def run() -> bytes:
        async with processes(engine, 2) as (hub, made):
            for number, process in enumerate(made):
                for _ in range(number + 1):
                    process.metrics.record_answer("POST", "/v1/completions", 200, 0.1)
            await until(lambda: b'status="200"} 3.0' in hub.metrics.render())
            texts = [await process.engine.scrape() for process in made]
            assert all(b'status="200"} 3.0' in text for text in texts)
            made[0].metrics.record_answer("POST", "/v1/completions", 200, 0.1)
            return await made[0].engine.scrape()

    text = asyncio.run(run())
    assert b'status="200"} 4.0' in text, "those of the process that is asked are fresh"
    assert b'handler="/v1/completions",method="POST"} 4.0' in text, "and so are times"


def test_connections_of_all_processes_are_added_up(engine: AsyncEngine) -> None:
    async def run() -> None:
        async with processes(engine, 2) as (hub, made):
            sample = hub.metrics.registry.get_sample_value
            for number, process in enumerate(made):
                process.metrics.connections.set(number + 1)
            await until(lambda: sample("unmask_http_connections") == 3)
            made[0].metrics.connections.set(0)
            await until(lambda: sample("unmask_http_connections") == 2)

    asyncio.run(run())


class Broken:
    """An engine that takes no request, for a reason that nobody has thought of."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.model, self.tokenizer, self.limits = engine.model, engine.tokenizer, engine.limits

    def submit(self, request: Request) -> None:
        raise ZeroDivisionError


def test_tokens_that_an_engine_holds_back_are_known_in_the_process(engine: AsyncEngine) -> None:
    async def run() -> None:
        async with processes(engine, 2) as (hub, made):
            holding = hub.engine = Holding(engine)
            streams = [p.engine.submit(request(f"r{i}")) for i, p in enumerate(made)]
            for stream in streams:
                await stream.confirmed()
            for number in (4, 300):
                holding.streams["r0"].num_held = number
                await until(lambda number=number: streams[0].num_held == number)
            assert streams[1].num_held == 0
            finish = Finish(FinishReason.LENGTH, Usage(3, 0, 300, 0, 0, 0, 0))
            holding.streams["r0"].push(Delta("r0", (7,) * 300, "a" * 300, finish=finish))
            assert len((await anext(streams[0])).token_ids) == 300
            assert streams[0].num_held == 0, "they are told"
            await streams[1].aclose()

    asyncio.run(run())


def test_an_unexpected_error_is_that_of_one_request(
    engine: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with processes(engine) as (hub, (process,)):
            hub.engine = Broken(engine)
            with pytest.raises(UnmaskError, match="its log says why"):
                await process.engine.submit(request("r")).confirmed()
            hub.engine = engine
            await process.engine.submit(request("r")).aclose()
            assert not process.is_lost

    asyncio.run(run())
    assert "a request could not be submitted" in caplog.text
