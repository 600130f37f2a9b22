"""Engine on its thread: streams, aborts, failures and shutdown."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.engines import Answer, make_engine, run_alone
from unmask.engine.async_engine import MAX_FAILURES, AsyncEngine
from unmask.engine.schedule.batch import StepBatch
from unmask.errors import EngineStopped, InvalidRequest, QueueFull
from unmask.models.registry import LoadedModel
from unmask.types import FinishReason, Refinement, RefinementOptions, Request, SamplingParams

LONG = SamplingParams(max_tokens=600, ignore_eos=True, steps=4, block_length=4)


@pytest.fixture
def client(tiny: LoadedModel) -> Iterator[AsyncEngine]:
    client = AsyncEngine(make_engine(tiny, num_pages=200, max_queue=4))
    yield client
    client.shutdown()


def request(name: str, sampling: SamplingParams = LONG, **more: object) -> Request:
    return Request(name, (1, 2, 3), sampling, **more)


async def read(client: AsyncEngine, wanted: Request) -> Answer:
    answer = Answer()
    async for event in client.submit(wanted):
        answer.take(event)
    return answer


async def settled(client: AsyncEngine) -> None:
    """Wait until no request is left."""
    async with asyncio.timeout(20):
        while client.status().num_running or client.status().num_waiting:
            await asyncio.sleep(0.005)


def test_concurrent_answers_are_those_of_lone_requests(
    client: AsyncEngine, tiny: LoadedModel
) -> None:
    short = [
        request(f"r{i}", SamplingParams(max_tokens=10 + i, seed=i, temperature=0.5))
        for i in range(4)
    ]

    async def run() -> list[Answer]:
        return await asyncio.gather(*(read(client, wanted) for wanted in short))

    answers = asyncio.run(run())
    for wanted, answer in zip(short, answers, strict=True):
        assert answer.essence == run_alone(tiny, wanted).essence


def test_closing_a_stream_frees_its_pages(client: AsyncEngine) -> None:
    async def run() -> None:
        stream = client.submit(request("a"))
        await anext(stream)
        assert client.status().num_pages_used > 0
        await stream.aclose()
        await settled(client)
        assert client.status().num_pages_used == 0

    asyncio.run(run())


def test_an_abort_ends_the_stream_with_its_reason(client: AsyncEngine) -> None:
    async def run() -> Answer:
        answer = Answer()
        async for event in client.submit(request("a")):
            answer.take(event)
            client.abort("a")
        return answer

    answer = asyncio.run(run())
    assert answer.finish is not None
    assert answer.finish.reason is FinishReason.ABORT


def test_a_wrong_request_is_refused_in_the_call(client: AsyncEngine) -> None:
    async def run() -> None:
        with pytest.raises(InvalidRequest):
            client.submit(Request("a", ()))

    asyncio.run(run())


def test_a_full_queue_refuses(client: AsyncEngine) -> None:
    async def run() -> None:
        streams = [client.submit(request(f"r{i}")) for i in range(4)]
        with pytest.raises(QueueFull) as full:
            streams.extend(client.submit(request(f"more{i}")) for i in range(1000))
        assert full.value.retry_after_s >= 1
        for stream in streams:
            await stream.aclose()
        await settled(client)

    asyncio.run(run())


def test_a_slow_reader_gets_every_token_and_the_latest_refinement(client: AsyncEngine) -> None:
    async def run() -> None:
        wanted = request(
            "a",
            SamplingParams(max_tokens=64, ignore_eos=True, steps=16, block_length=16),
            refinements=RefinementOptions(),
        )
        answer, stream = Answer(), client.submit(wanted)
        async with asyncio.timeout(60):
            while client.status().num_waiting or client.status().num_running:
                await asyncio.sleep(0.01)
        pending = [event async for event in stream]
        for event in pending:
            answer.take(event)
        assert len(answer.token_ids) == 64
        assert sum(isinstance(event, Refinement) for event in pending) <= 2

    asyncio.run(run())


def test_a_failing_step_ends_its_requests_with_an_error_and_others_go_on(
    client: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = client._engine.runner
    real = type(runner).launch
    broken = {"left": 1}

    def launch(self: object, batch: StepBatch) -> object:
        if broken["left"]:
            broken["left"] -= 1
            raise RuntimeError("device lost")
        return real(self, batch)

    monkeypatch.setattr(type(runner), "launch", launch)

    async def run() -> None:
        assert (await read(client, request("a"))).failure is not None
        after = await read(client, request("b", SamplingParams(max_tokens=5)))
        assert after.finish is not None
        assert client.status().state == "ready"
        broken["left"] = MAX_FAILURES
        for i in range(MAX_FAILURES):
            assert (await read(client, request(f"c{i}"))).failure is not None
        async with asyncio.timeout(5):
            while client.status().state != "failed":
                await asyncio.sleep(0.005)
        with pytest.raises(EngineStopped):
            client.submit(request("d"))

    asyncio.run(run())


def test_shutdown_lets_requests_end_in_time_and_fails_the_rest(tiny: LoadedModel) -> None:
    async def run(max_tokens: int, timeout_s: float) -> Answer:
        client = AsyncEngine(make_engine(tiny, num_pages=200))
        sampling = SamplingParams(max_tokens=max_tokens, ignore_eos=True, steps=4, block_length=4)
        reading = asyncio.create_task(read(client, request("a", sampling)))
        await asyncio.sleep(0.01)
        await asyncio.to_thread(client.shutdown, timeout_s)
        with pytest.raises(EngineStopped):
            client.submit(request("b"))
        return await reading

    assert asyncio.run(run(8, 20.0)).finish is not None
    failed = asyncio.run(run(1900, 0.0))
    assert failed.failure is not None
    assert "shutting down" in failed.failure
