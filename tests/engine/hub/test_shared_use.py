"""Limits of clients before several HTTP processes, whose uses are told through the hub."""

import asyncio
import pickle
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.processes import until
from unmask.api.clients import Client
from unmask.api.gate import Gate
from unmask.engine.hub.hub import Hub
from unmask.engine.hub.messages import Refused
from unmask.engine.hub.remote import RemoteEngine
from unmask.engine.process.recording import RecordedMetrics
from unmask.errors import (
    EngineStarting,
    EngineStopped,
    InvalidRequest,
    QueueFull,
    RateLimited,
    TooSlow,
    UnmaskError,
)
from unmask.metrics import Metrics
from unmask.types import EngineStatus
from unmask.usage import ClientLimits

READY = EngineStatus("ready", 0, 0, 0, 0, max_queue=100)


class Process:
    """One HTTP process: its gate, its engine, and its end of the socket."""

    def __init__(self) -> None:
        self.hub_end, self.end = socket.socketpair()
        self.engine = RemoteEngine(RecordedMetrics(), 100)
        self.gate = Gate(lambda: READY, Metrics(), now=lambda: 0.0, tell=self.engine.tell)
        self.engine.listen(self.gate.take)

    async def join(self, hub: Hub) -> "asyncio.Task[None]":
        task = asyncio.create_task(self.engine.connect(self.end, lambda: None))
        before = hub.num_processes
        await hub.connect(self.hub_end, lambda: None)
        await until(lambda: hub.num_processes == before + 1)
        return task

    def lets_in(self, client: Client) -> bool:
        """True if one more request is; it leaves again."""
        try:
            self.gate.enter(client).leave()
        except RateLimited:
            return False
        return True


@asynccontextmanager
async def two_processes() -> AsyncIterator[tuple[Hub, Process, Process]]:
    hub = Hub(lambda: READY, Metrics())
    first, second = Process(), Process()
    tasks = [await first.join(hub), await second.join(hub)]
    try:
        yield hub, first, second
    finally:
        for task in tasks:
            task.cancel()
        await until(lambda: not hub.num_processes)


def test_processes_that_do_not_listen_yet_are_not_counted() -> None:
    async def run() -> None:
        hub, (ours, theirs) = Hub(lambda: READY, Metrics()), socket.socketpair()
        with theirs:
            await hub.connect(ours, lambda: None)  # as soon as the process is there
            assert hub.metrics.registry.get_sample_value("unmask_api_processes") == 0
        await until(lambda: not hub.num_processes)
        async with two_processes() as (hub, _, _):
            await until(lambda: hub.metrics.registry.get_sample_value("unmask_api_processes") == 2)

    asyncio.run(run())


def test_a_hub_tells_how_long_its_event_loop_stands_still() -> None:
    now_s = 5.0

    async def run() -> None:
        nonlocal now_s
        hub = Hub(lambda: READY, Metrics(), lambda: now_s)
        watching = asyncio.create_task(hub.watch())
        now_s = 7.0
        await asyncio.sleep(0)
        assert hub.silence_s == 0
        now_s = 70.0
        assert hub.silence_s == 63
        await until(lambda: hub.silence_s == 0)
        watching.cancel()

    asyncio.run(run())


def test_requests_that_are_open_count_in_all_processes() -> None:
    client = Client("key-a", ClientLimits(max_concurrent=2))

    async def run() -> None:
        async with two_processes() as (_, first, second):
            visits = [first.gate.enter(client), first.gate.enter(client)]
            await until(lambda: not second.lets_in(client))
            assert second.lets_in(Client("key-b", client.limits))
            visits[0].leave()
            await until(lambda: second.lets_in(client))
            visits[1].leave()

    asyncio.run(run())


@pytest.mark.parametrize(
    "limits", [ClientLimits(requests_per_minute=2), ClientLimits(tokens_per_minute=2)], ids=str
)
def test_what_a_client_spends_counts_in_all_processes(limits: ClientLimits) -> None:
    client = Client("key-a", limits)

    async def run() -> None:
        async with two_processes() as (_, first, second):
            for _ in range(2):
                first.gate.enter(client).leave(num_tokens=1)
            await until(lambda: not second.lets_in(client))

    asyncio.run(run())


def test_choices_count_in_all_processes() -> None:
    client = Client("key-a", ClientLimits(max_queue=4))

    async def run() -> None:
        async with two_processes() as (_, first, second):
            visit, other = first.gate.enter(client), second.gate.enter(client)
            visit.reserve(3, "n")

            def is_refused() -> bool:
                try:
                    other.reserve(2, "n")
                except RateLimited:
                    return True
                return False

            await until(is_refused)
            visit.leave()
            other.leave()

    asyncio.run(run())


def test_a_process_that_dies_gives_back_what_its_clients_had_open() -> None:
    client = Client("key-a", ClientLimits(max_concurrent=1))

    async def run() -> None:
        async with two_processes() as (hub, first, second):
            visit = first.gate.enter(client)
            await until(lambda: not second.lets_in(client))
            first.end.shutdown(socket.SHUT_RDWR)
            await until(lambda: hub.num_processes == 1)
            await until(lambda: second.lets_in(client))
            visit.leave()

    asyncio.run(run())


def test_a_process_that_comes_later_knows_what_is_open() -> None:
    client = Client("key-a", ClientLimits(max_concurrent=1))

    async def run() -> None:
        async with two_processes() as (hub, first, second):
            visit, late = first.gate.enter(client), Process()
            await until(lambda: not second.lets_in(client))
            task = await late.join(hub)
            await until(lambda: not late.lets_in(client))
            task.cancel()
            visit.leave()

    asyncio.run(run())


@pytest.mark.parametrize(
    "error",
    [
        QueueFull("full", retry_after_s=3),
        RateLimited("slower", kind="tokens", retry_after_s=4),
        InvalidRequest("wrong", field="n", code="c"),
        TooSlow("slow", field="grammar"),
        EngineStopped("stopped"),
        EngineStarting("loading"),
        UnmaskError("other"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_refusal_keeps_its_kind_on_the_way(error: UnmaskError) -> None:
    sent = pickle.loads(pickle.dumps(Refused.because("r", error))).error
    assert type(sent) is type(error)
    assert vars(sent) == vars(error)
    assert str(sent) == str(error)
