"""Engine in a process of its own: what kills it loses no request but the one that is why."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.support import faults
from tests.support.engines import Answer, run_alone
from tests.support.processes import ask, asking, assert_as_alone, read, running, until
from unmask.config import Config, EngineConfig, ModelConfig
from unmask.engine.process.client import ProcessEngine
from unmask.engine.process.messages import FAILED
from unmask.engine.streams import SHUTTING_DOWN, stopped
from unmask.errors import EngineStopped, InvalidCheckpoint, InvalidRequest, QueueFull
from unmask.grammar import Regex
from unmask.metrics import Metrics, value_of
from unmask.models.registry import LoadedModel
from unmask.types import (
    Delta,
    Failure,
    FinishReason,
    Refinement,
    RefinementOptions,
    Request,
)

Start = Callable[..., AbstractContextManager[ProcessEngine]]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def start(tiny_folder: Path) -> Start:
    return partial(running, tiny_folder)


@pytest.fixture(scope="module")
def client(start: Start) -> Iterator[ProcessEngine]:
    with start(max_queue=70) as client:
        yield client


@pytest.mark.exhaustive
def test_answers_are_those_of_an_engine_in_this_process(
    client: ProcessEngine, tiny_on_cpu: LoadedModel
) -> None:
    requests = [asking(i, logprobs=2) for i in range(8)]
    requests += [asking(8 + i, grammar=Regex("[a-c]{1,9}"), ignore_eos=False) for i in range(4)]
    assert_as_alone(ask(client, requests), requests, tiny_on_cpu)
    status = client.status()
    assert (status.state, status.num_running, status.num_waiting) == ("ready", 0, 0)


def test_an_answer_that_does_not_stream_comes_in_two_pieces(client: ProcessEngine) -> None:
    async def deltas(request: Request) -> list[Delta]:
        return [event async for event in client.submit(request) if isinstance(event, Delta)]

    async def run() -> None:
        streamed = await deltas(asking(1))
        assert len(streamed) > 10
        whole = await deltas(replace(asking(1), streams=False))
        assert [len(whole), whole[0]] == [2, streamed[0]]
        assert Delta.joined(whole) == Delta.joined(streamed)
        large = asking(1, logprobs=20)
        assert await deltas(replace(large, streams=False)) == await deltas(large)

    asyncio.run(run())


def test_tokens_until_a_deadline_are_told_though_nothing_streams(client: ProcessEngine) -> None:
    async def run() -> None:
        request = asking(0, max_tokens=900)
        late = replace(request, streams=False, deadline_s=time.monotonic() + 0.3)
        events = [event async for event in client.submit(late)]
        *_, last = events
        assert isinstance(last, Delta)
        assert last.finish is not None
        assert last.finish.reason is FinishReason.ABORT
        told = sum(len(event.token_ids) for event in events if isinstance(event, Delta))
        assert told == last.finish.usage.completion_tokens > 8

    asyncio.run(run())


def test_refusals_are_those_of_any_engine(client: ProcessEngine) -> None:
    async def run() -> None:
        with pytest.raises(InvalidRequest) as error:
            client.submit(asking(0, max_tokens=10**6))
        assert error.value.field == "max_tokens"
        streams = [client.submit(asking(0, max_tokens=400))]
        with pytest.raises(InvalidRequest, match="in use"):
            client.submit(asking(0))
        with pytest.raises(QueueFull):
            streams.extend(client.submit(asking(i, max_tokens=400)) for i in range(1, 300))
        for stream in streams:
            await stream.aclose()
        await until(lambda: not client.status().num_waiting + client.status().num_running)

    asyncio.run(run())


def test_a_signal_to_all_processes_of_a_service_ends_no_engine(client: ProcessEngine) -> None:
    async def run() -> None:
        process, stream = client.pid, client.submit(asking(0, max_tokens=400))
        await anext(stream)
        os.kill(process, signal.SIGTERM)
        *_, last = [event async for event in stream]
        assert isinstance(last, Delta)
        assert client.pid == process

    asyncio.run(run())


def test_a_stream_that_is_closed_frees_its_pages(client: ProcessEngine) -> None:
    async def run() -> None:
        stream = client.submit(asking(0, max_tokens=400))
        await anext(stream)
        assert client.status().num_running == 1
        await stream.aclose()
        await until(lambda: not client.status().num_running + client.status().num_waiting)
        assert client.status().num_pages_used == 0

    asyncio.run(run())


@pytest.mark.exhaustive
def test_metrics_are_those_of_the_engine(start: Start, tiny_folder: Path) -> None:
    metrics = Metrics()
    model = ModelConfig(path=str(tiny_folder), device="cpu", dtype="float32")
    client = ProcessEngine.start(Config(model, engine=EngineConfig(threads=1)), metrics)
    try:
        ask(client, [asking(i, max_tokens=8) for i in range(3)])
        assert value_of(metrics.admitted) == 3
        assert value_of(metrics.generated_tokens) == 24
        assert value_of(metrics.step_s, "_count") == value_of(metrics.forward_passes) > 0
        finished = 'unmask_requests_finished_total{model_name="tiny0",reason="length"} 3.0'
        assert finished in metrics.render().decode()
    finally:
        client.shutdown()


@pytest.mark.parametrize("kills", [1, pytest.param(2, marks=pytest.mark.exhaustive)])
def test_streams_go_on_after_their_engine_was_killed(
    start: Start, tiny_on_cpu: LoadedModel, kills: int
) -> None:
    requests = [asking(i, max_tokens=150) for i in range(5)]
    requests += [asking(24, grammar=Regex("[a-c]{90}"), max_tokens=100, ignore_eos=False)]

    async def run(client: ProcessEngine) -> list[Answer | Failure]:
        reading = [asyncio.create_task(read(client, request)) for request in requests]
        for _ in range(kills):
            await until(lambda: client.status().state == "ready" and client.status().num_running)
            await asyncio.sleep(0.2)
            old = client.pid
            os.kill(old, signal.SIGKILL)
            await until(lambda old=old: client.pid != old)
        return await asyncio.gather(*reading)

    with start() as client:
        answers = asyncio.run(run(client))
        assert_as_alone(answers, requests, tiny_on_cpu)
        assert client.status().state == "ready"


@pytest.mark.exhaustive
def test_a_request_is_counted_once_though_its_engine_was_lost(start: Start) -> None:
    requests = [replace(asking(i, max_tokens=120), streams=i % 2 == 0) for i in range(12)]
    metrics, left = Metrics(), asking(90, max_tokens=900)

    async def run(client: ProcessEngine) -> list[Answer | Failure]:
        reading = [asyncio.create_task(read(client, request)) for request in requests]
        await asyncio.sleep(0)  # they are before it in the queue
        given_up = client.submit(left)
        for least in (200, 400):  # tokens, with requests that run and others that wait
            await until(lambda least=least: value_of(metrics.generated_tokens) > least)
            old = client.pid
            os.kill(old, signal.SIGKILL)
            await until(lambda: client.status().state == "starting")
            await given_up.aclose()
            await until(lambda old=old: client.pid != old)
        return await asyncio.gather(*reading)

    with start(metrics=metrics, max_num_seqs=6) as client:
        answers = asyncio.run(run(client))
    assert all(isinstance(answer, Answer) for answer in answers)
    assert value_of(metrics.engine_restarts) == 2
    assert value_of(metrics.admitted) == 13
    assert value_of(metrics.prompt_tokens) == 3 * 13
    for histogram in (metrics.queue_s, metrics.block_length, metrics.first_token_s):
        assert value_of(histogram, "_count") == 12
    assert value_of(metrics.prefix_cache_queries) == 3 * 12
    assert value_of(metrics.latency_s, "_count") == 12
    assert value_of(metrics.generated_tokens) == 12 * 120
    assert value_of(metrics.aborted) == 1
    assert value_of(metrics.finished) == 13
    assert value_of(metrics.committed_tokens) > 12 * 120, "work that was done again"


@pytest.mark.exhaustive
def test_an_engine_that_dies_at_other_places_of_an_answer_makes_nobody_suspect(
    start: Start, tiny_on_cpu: LoadedModel, tmp_path: Path
) -> None:
    requests = [replace(asking(1, max_tokens=150), streams=False)]
    with start(partial(faults.die_later_each_time, tmp_path / "deaths", 3)) as client:
        assert_as_alone(ask(client, requests), requests, tiny_on_cpu)
    assert (tmp_path / "deaths").read_text() == "3"


@pytest.mark.exhaustive
def test_refinements_go_on_too(start: Start, tiny_on_cpu: LoadedModel) -> None:
    request = Request("r", (1, 2, 3), asking(1, max_tokens=200).sampling, RefinementOptions())

    async def run(client: ProcessEngine) -> tuple[list[int], list[int]]:
        tokens, starts, is_killed = list[int](), list[int](), False
        async for event in client.submit(request):
            if isinstance(event, Refinement):
                starts.append(event.span[0])
                continue
            assert not isinstance(event, Failure)
            tokens += event.token_ids
            if len(tokens) > 60 and not is_killed:
                os.kill(client.pid, signal.SIGKILL)
                is_killed = True
        return tokens, starts

    with start() as client:
        tokens, starts = asyncio.run(run(client))
    assert tokens == run_alone(tiny_on_cpu, request).token_ids
    assert starts == sorted(starts)


@pytest.mark.exhaustive
@pytest.mark.parametrize("fault", [faults.hang_once, faults.stand_still_once])
def test_a_step_that_hangs_is_run_by_another_process(
    start: Start, tiny_on_cpu: LoadedModel, tmp_path: Path, fault: Callable[[Path, int], None]
) -> None:
    requests = [asking(i) for i in range(6)]
    with start(partial(fault, tmp_path / "hung", 5), step_timeout_s=6.0) as client:
        first = client.pid
        assert_as_alone(ask(client, requests), requests, tiny_on_cpu)
        assert client.pid != first


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "fault",
    [faults.raise_on_poison, faults.die_on_poison],
)
def test_only_the_request_that_breaks_its_engine_fails(
    start: Start, tiny_on_cpu: LoadedModel, fault: Callable[[], None]
) -> None:
    count = 40 if fault is faults.raise_on_poison else 8
    requests = [asking(i, max_tokens=24) for i in range(count)]
    poisoned = asking(500, first=faults.POISON)
    with start(fault) as client:
        half = count // 2
        *answers, last = ask(client, [*requests[:half], *requests[half:], poisoned])
        assert last == Failure("r500", FAILED)
        assert_as_alone(answers, requests, tiny_on_cpu)
        for i in range(3):
            (again,) = ask(client, [asking(600 + i, first=faults.POISON)])
            assert again == Failure(f"r{600 + i}", FAILED)
        assert_as_alone(ask(client, requests[:2]), requests[:2], tiny_on_cpu)


@pytest.mark.exhaustive
def test_requests_that_come_while_a_step_fails_are_answered_as_alone(
    start: Start, tiny_on_cpu: LoadedModel, tmp_path: Path
) -> None:
    begun, proceed = tmp_path / "begun", tmp_path / "proceed"
    requests = [asking(i, max_tokens=24) for i in range(6)]
    requests += [asking(6, max_tokens=24, grammar=Regex("[a-c]{9}"), ignore_eos=False)]

    async def run(client: ProcessEngine) -> list[Answer | Failure]:
        poisoned = asyncio.create_task(read(client, asking(500, first=faults.POISON)))
        await until(begun.exists)
        others = [asyncio.create_task(read(client, request)) for request in requests]
        left = client.submit(asking(600, max_tokens=900))
        await until(lambda: client.status().num_running + client.status().num_waiting == 9)
        await left.aclose()
        proceed.touch()
        assert await poisoned == Failure("r500", FAILED)
        answers = await asyncio.gather(*others)
        assert client.status().num_running + client.status().num_waiting == 0
        return answers

    with start(partial(faults.raise_late_on_poison, begun, proceed)) as client:
        assert_as_alone(asyncio.run(run(client)), requests, tiny_on_cpu)


@pytest.mark.exhaustive
def test_an_engine_that_cannot_start_again_fails_what_it_had(start: Start, tmp_path: Path) -> None:
    async def run(client: ProcessEngine) -> None:
        stream = client.submit(asking(0, max_tokens=400))
        await anext(stream)
        mark.touch()
        os.kill(client.pid, signal.SIGKILL)
        events = [event async for event in stream]
        assert isinstance(events[-1], Failure)
        assert "3 starts failed" in events[-1].message
        await until(lambda: client.status().state == "failed")
        with pytest.raises(EngineStopped, match="starts failed"):
            client.submit(asking(1))

    mark = tmp_path / "mark"
    with start(partial(faults.no_start_beside, mark)) as client:
        asyncio.run(run(client))


def test_a_model_that_cannot_be_loaded_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint):
        ProcessEngine.start(Config(ModelConfig(path=str(tmp_path))))


def test_at_shutdown_requests_have_time_to_end(start: Start) -> None:
    async def run(client: ProcessEngine) -> None:
        answer = asyncio.create_task(read(client, asking(0, max_tokens=60)))
        await until(lambda: client.status().num_running > 0)
        await asyncio.to_thread(client.shutdown, 100.0)
        ended = await answer
        assert isinstance(ended, Answer)
        assert ended.finish is not None
        assert ended.finish.reason is FinishReason.LENGTH
        with pytest.raises(EngineStopped):
            client.submit(asking(2))
        with pytest.raises(ProcessLookupError):
            os.kill(client.pid, 0)

    with start() as client:
        asyncio.run(run(client))


@pytest.mark.exhaustive
def test_requests_that_have_no_time_at_shutdown_are_told(start: Start) -> None:
    async def run(client: ProcessEngine) -> None:
        answer = asyncio.create_task(read(client, asking(1, max_tokens=470)))
        await until(lambda: client.status().num_running > 0)
        began_s = time.monotonic()
        await asyncio.to_thread(client.shutdown, 0.0)
        assert time.monotonic() - began_s < 20
        assert await answer == stopped("r1", SHUTTING_DOWN)

    with start() as client:
        asyncio.run(run(client))
