"""HTTP processes and their hub; all ends of the sockets are in one process."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.engines import Answer
from tests.support.processes import until
from unmask.engine.async_engine import AsyncEngine
from unmask.engine.hub.hub import Hub
from unmask.engine.hub.remote import RemoteEngine
from unmask.engine.process.recording import RecordedMetrics
from unmask.engine.streams import RequestStream
from unmask.errors import EngineStarting
from unmask.metrics import Metrics
from unmask.types import Delta, Finish, FinishReason, Request, SamplingParams, Usage

LONG = SamplingParams(max_tokens=600, ignore_eos=True, steps=4, block_length=4)


class Process:
    """One HTTP process: its engine, its metrics, and its end of the socket."""

    def __init__(self, max_queue: int) -> None:
        self.metrics = RecordedMetrics()
        self.engine = RemoteEngine(self.metrics, max_queue)
        self.hub_end, self.end = socket.socketpair()
        self.is_listening = self.is_lost = False

    def note_listening(self) -> None:
        self.is_listening = True

    def note_lost(self) -> None:
        self.is_lost = True


@asynccontextmanager
async def processes(
    engine: AsyncEngine, count: int = 1, max_queue: int = 1024, *, is_loaded: bool = True
) -> AsyncIterator[tuple[Hub, list[Process]]]:
    hub = Hub(engine.status, Metrics())
    tasks, made = [asyncio.create_task(hub.watch())], [Process(max_queue) for _ in range(count)]
    for process in made:
        tasks.append(asyncio.create_task(process.engine.connect(process.end, process.note_lost)))
        await hub.connect(process.hub_end, process.note_listening)
        await until(lambda process=process: process.is_listening)
    if is_loaded:
        hub.serve(engine)
        await until(lambda: all(process.engine.status() == engine.status() for process in made))
        await until(lambda: all(map(has_model, made)))
    try:
        yield hub, made
    finally:
        for task in tasks:
            task.cancel()
        await until(lambda: not hub.num_processes and all(process.is_lost for process in made))


def has_model(process: Process) -> bool:
    try:
        return process.engine.model is not None
    except EngineStarting:
        return False


def request(name: str, sampling: SamplingParams = LONG, **more: object) -> Request:
    return Request(name, (1, 2, 3), sampling, **more)


async def read(client: RemoteEngine, wanted: Request) -> Answer:
    answer, stream = Answer(), client.submit(wanted)
    await stream.confirmed()
    async for event in stream:
        answer.take(event)
    return answer


def is_idle(engine: AsyncEngine) -> bool:
    return not (engine.status().num_running or engine.status().num_waiting)


class Holding:
    """An engine that holds answers back."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.model, self.tokenizer, self.limits = engine.model, engine.tokenizer, engine.limits
        self.streams, self.aborted = dict[str, RequestStream](), list[str]()

    def submit(self, request: Request) -> RequestStream:
        stream = RequestStream(asyncio.get_running_loop(), lambda: self.abort(request.request_id))
        return self.streams.setdefault(request.request_id, stream)

    def abort(self, request_id: str) -> None:
        self.aborted.append(request_id)
        finish = Finish(FinishReason.ABORT, Usage(3, 0, 0, 0, 0, 0, 0))
        self.streams[request_id].push(Delta(request_id, (), "", finish=finish))
