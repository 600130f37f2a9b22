"""Any failure of an engine shows in its status and ends every stream."""

import asyncio
import contextlib
from collections.abc import Callable

import httpx
import pytest

from tests.support.engines import ROOMY, Answer
from unmask.api import create_app
from unmask.config import Config, ServerConfig
from unmask.engine.async_engine import AsyncEngine
from unmask.engine.engine import Engine
from unmask.errors import EngineStopped, InvalidRequest
from unmask.metrics import Metrics
from unmask.models.registry import LoadedModel
from unmask.types import Delta, Event, Request, SamplingParams

SHORT = SamplingParams(max_tokens=8, ignore_eos=True, steps=4, block_length=4)
LONG = SamplingParams(max_tokens=600, ignore_eos=True, steps=4, block_length=4)
NUM = 12


class Breaking(Engine):
    """Engine with calls that may raise or return something else."""

    hook: Callable[[str, object], object] = staticmethod(lambda name, value: value)

    def add(self, request: Request) -> None:
        self.hook("add", request)
        super().add(request)

    def abort(self, request_id: str) -> list[Event]:
        self.hook("abort", request_id)
        return super().abort(request_id)

    def step(self) -> list[Event]:
        return self.hook("step", super().step())  # type: ignore[return-value]

    def fail_all(self, message: str) -> list[Event]:
        self.hook("fail_all", message)
        return super().fail_all(message)


@pytest.fixture
def engine(tiny: LoadedModel) -> Breaking:
    return Breaking(Config(engine=ROOMY), tiny, Metrics())


def request(name: str, sampling: SamplingParams = LONG) -> Request:
    return Request(name, (1, 2, 3), sampling)


async def read(stream: object) -> Answer:
    answer = Answer()
    async with asyncio.timeout(20):
        async for event in stream:  # type: ignore[attr-defined]
            answer.take(event)
    return answer


def raising(error: BaseException, *names: str) -> Callable[[str, object], object]:
    def hook(name: str, value: object) -> object:
        if name in names:
            raise error
        return value

    return hook


BROKEN = {
    "step exits": raising(SystemExit(3), "step"),
    "step is interrupted": raising(KeyboardInterrupt(), "step"),
    "add exits": raising(SystemExit(3), "add"),
    "events are none": lambda name, value: [None] if name == "step" else value,
    "nothing is emptied": raising(RuntimeError("broken"), "step", "fail_all"),
}


@pytest.mark.parametrize("hook", BROKEN.values(), ids=BROKEN)
def test_when_the_thread_ends_every_stream_fails_and_health_tells(
    engine: Breaking, hook: Callable[[str, object], object]
) -> None:
    engine.hook = hook
    client = AsyncEngine(engine)

    async def run() -> None:
        streams = []
        with contextlib.suppress(EngineStopped):  # the thread may have ended before the last
            streams.extend(client.submit(request(f"r{i}")) for i in range(NUM))
        assert streams
        answers = await asyncio.gather(*map(read, streams))
        assert all(answer.failure for answer in answers)
        async with asyncio.timeout(20):
            while client.status().state == "ready":
                await asyncio.sleep(0.01)
        assert client.status().state == "failed"
        with pytest.raises(EngineStopped):
            client.submit(request("later"))
        app = create_app(client, engine.metrics, ServerConfig())
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            for path in ("/health", "/health/ready"):
                response = await http.get(path)
                assert response.status_code == 503
                assert response.json()["state"] == "failed"
                assert response.json()["detail"]

    asyncio.run(run())
    client.shutdown()
    assert client.status().state == "failed"


def test_a_request_that_the_engine_cannot_take_fails_alone(engine: Breaking) -> None:
    def hook(name: str, value: object) -> object:
        if name == "add" and getattr(value, "request_id", "") == "r5":
            raise RuntimeError("broken")
        return value

    engine.hook = hook
    client = AsyncEngine(engine)

    async def run() -> None:
        # Nothing is awaited between them, so that most arrive in one wake-up.
        streams = [client.submit(request(f"r{i}", SHORT)) for i in range(NUM)]
        answers = await asyncio.gather(*map(read, streams))
        assert [i for i, answer in enumerate(answers) if answer.failure] == [5]
        assert all(len(a.token_ids) == 8 for i, a in enumerate(answers) if i != 5)
        assert client.status().state == "ready"
        assert client.status().num_waiting == client.status().num_running == 0

    asyncio.run(run())
    client.shutdown()


@pytest.mark.parametrize("name", ["step", "abort"])
def test_a_failure_ends_what_was_taken_and_later_requests_are_served(
    engine: Breaking, name: str
) -> None:
    left = [RuntimeError("broken")]

    def hook(called: str, value: object) -> object:
        if called == name and left:
            raise left.pop()
        return value

    engine.hook = hook
    client = AsyncEngine(engine)

    async def run() -> None:
        streams = [client.submit(request(f"r{i}")) for i in range(NUM)]
        client.abort("r3")
        answers = await asyncio.gather(*map(read, streams))
        assert all(answer.failure or answer.finish for answer in answers)
        assert any(answer.failure for answer in answers)
        after = await read(client.submit(request("after", SHORT)))
        assert len(after.token_ids) == 8

    asyncio.run(run())
    client.shutdown()


def test_an_event_of_nobody_is_left_alone(engine: Breaking) -> None:
    def hook(name: str, value: object) -> object:
        return [Delta("nobody", (1,), "x"), *value] if name == "step" else value  # type: ignore[misc]

    engine.hook = hook
    client = AsyncEngine(engine)

    async def run() -> None:
        assert len((await read(client.submit(request("a", SHORT)))).token_ids) == 8

    asyncio.run(run())
    client.shutdown()


def test_an_id_that_is_in_use_is_refused(engine: Breaking) -> None:
    client = AsyncEngine(engine)

    async def run() -> None:
        stream = client.submit(request("a", SHORT))
        with pytest.raises(InvalidRequest, match="in use"):
            client.submit(request("a", SHORT))
        assert len((await read(stream)).token_ids) == 8
        assert len((await read(client.submit(request("a", SHORT)))).token_ids) == 8

    asyncio.run(run())
    client.shutdown()
