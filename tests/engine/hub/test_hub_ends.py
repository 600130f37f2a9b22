"""Ends of requests behind a hub before their time: by a client, a process, or the hub."""

import asyncio
import socket
from contextlib import suppress

import pytest

from tests.support.engines import Answer, run_alone
from tests.support.hub import Holding, is_idle, processes, read, request
from tests.support.processes import until
from unmask.engine.async_engine import AsyncEngine
from unmask.engine.hub.channel import Channel
from unmask.engine.hub.hub import Hub
from unmask.engine.process.messages import Add
from unmask.errors import EngineStopped
from unmask.metrics import Metrics
from unmask.models.registry import LoadedModel
from unmask.types import Failure, FinishReason, SamplingParams


def test_closing_a_stream_aborts_its_request(engine: AsyncEngine) -> None:
    async def run() -> None:
        async with processes(engine) as (_, (process,)):
            stream = process.engine.submit(request("r"))
            await anext(stream)
            await stream.aclose()
            await until(lambda: is_idle(engine))

    asyncio.run(run())


def test_a_request_that_is_closed_as_it_is_sent_is_aborted(engine: AsyncEngine) -> None:
    async def run() -> None:
        async with processes(engine) as (hub, (process,)):
            holding = hub.engine = Holding(engine)
            await process.engine.submit(request("r")).aclose()
            await until(lambda: holding.aborted == ["r"])

    asyncio.run(run())


def test_a_request_whose_process_is_gone_as_it_comes_is_aborted(engine: AsyncEngine) -> None:
    async def run() -> None:
        hub, (ours, theirs) = Hub(engine.status, Metrics()), socket.socketpair()
        holding = hub.engine = Holding(engine)
        with theirs:
            caller = await hub.connect(ours, lambda: None)
            caller.take([Add(request("r"))])
            caller.leave()
            assert holding.aborted == ["r"]

    asyncio.run(run())


def test_an_abort_ends_the_stream_with_its_reason(engine: AsyncEngine) -> None:
    async def run() -> Answer:
        answer = Answer()
        async with processes(engine) as (_, (process,)), asyncio.timeout(60):
            async for event in process.engine.submit(request("r")):
                answer.take(event)
                process.engine.abort("r")
        return answer

    answer = asyncio.run(run())
    assert answer.finish is not None
    assert answer.finish.reason is FinishReason.ABORT
    assert answer.finish.usage.completion_tokens == len(answer.token_ids) > 0


def test_a_process_that_dies_takes_only_its_own_requests_with_it(
    engine: AsyncEngine, tiny: LoadedModel
) -> None:
    short = request("other", SamplingParams(max_tokens=40, ignore_eos=True))

    async def run() -> Answer:
        async with processes(engine, 2) as (_, (dying, other)):
            stream = dying.engine.submit(request("r"))
            await anext(stream)
            reading = asyncio.create_task(read(other.engine, short))
            dying.end.shutdown(socket.SHUT_RDWR)
            answer = await reading
            await until(lambda: is_idle(engine))
            assert dying.is_lost
            assert not other.is_lost
            return answer

    assert asyncio.run(run()).essence == run_alone(tiny, short).essence


def test_nobody_waits_for_a_slow_process_that_is_gone() -> None:
    async def run() -> None:
        channel = Channel(lambda _: None, lambda: None)
        channel.pause_writing()
        waiting = asyncio.create_task(channel.drain())
        await asyncio.sleep(0)
        assert not waiting.done()
        channel.connection_lost(None)
        await asyncio.wait_for(waiting, 60)

    asyncio.run(run())


def test_streams_end_when_the_hub_is_gone(engine: AsyncEngine) -> None:
    async def run() -> None:
        async with processes(engine) as (_, (process,)):
            stream = process.engine.submit(request("r"))
            await anext(stream)
            process.hub_end.shutdown(socket.SHUT_RDWR)
            *_, last = [event async for event in stream]
            assert isinstance(last, Failure)
            assert process.is_lost

    asyncio.run(run())


def test_questions_to_a_hub_that_is_gone_are_answered(engine: AsyncEngine) -> None:
    async def run() -> None:
        async with processes(engine) as (_, (process,)), asyncio.timeout(60):
            stream = process.engine.submit(request("r"))
            scraping = asyncio.create_task(process.engine.scrape())
            process.hub_end.shutdown(socket.SHUT_RDWR)
            for asked in (stream.confirmed(), scraping):
                with pytest.raises(EngineStopped, match="the server ended"):
                    await asked
            with pytest.raises(EngineStopped):
                process.engine.submit(request("late"))
            with pytest.raises(EngineStopped):
                await process.engine.scrape()

    asyncio.run(run())


def test_a_process_that_stops_awaits_no_confirmation(engine: AsyncEngine) -> None:
    async def run() -> None:
        async with processes(engine) as (_, (process,)), asyncio.timeout(60):
            stream = process.engine.submit(request("r"))
            process.engine.shutdown()
            with pytest.raises(EngineStopped, match="shutting down"):
                await stream.confirmed()
            assert isinstance(await anext(stream), Failure)
            await until(lambda: is_idle(engine))

    asyncio.run(run())


def test_a_process_that_stops_fails_what_does_not_end_in_time(engine: AsyncEngine) -> None:
    async def run() -> None:
        async with processes(engine, 2) as (_, (stopping, other)):
            streams = [p.engine.submit(request(f"r{i}")) for i, p in enumerate((stopping, other))]
            for stream in streams:
                await anext(stream)
            await asyncio.to_thread(stopping.engine.shutdown, 0.0)
            with pytest.raises(EngineStopped):
                stopping.engine.submit(request("late"))
            assert stopping.engine.status().state == "stopping"
            *_, last = [event async for event in streams[0]]
            assert isinstance(last, Failure)
            assert not isinstance(await anext(streams[1]), Failure)
            await streams[1].aclose()
            await until(lambda: is_idle(engine))

    asyncio.run(run())


def test_a_process_that_stops_waits_for_what_ends_in_time(engine: AsyncEngine) -> None:
    async def run() -> Answer:
        async with processes(engine) as (_, (process,)):
            short = request("r", SamplingParams(max_tokens=20, ignore_eos=True))
            reading = asyncio.create_task(read(process.engine, short))
            await asyncio.sleep(0)
            await asyncio.to_thread(process.engine.shutdown, 60.0)
            with suppress(asyncio.TimeoutError):
                return await asyncio.wait_for(reading, 60)
        raise AssertionError("the answer did not come")

    assert len(asyncio.run(run()).token_ids) == 20
