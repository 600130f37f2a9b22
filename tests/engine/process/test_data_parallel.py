"""Several engines of one model: one that dies loses nothing while the others serve."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support import faults
from tests.support.engines import Answer
from tests.support.processes import ask, asking, assert_as_alone, read, running, until
from unmask.config import Config, EngineConfig, ModelConfig, ServerConfig
from unmask.engine.process.client import ProcessEngine
from unmask.engine.process.messages import FAILED
from unmask.engine.streams import SHUTTING_DOWN, RequestStream, stopped
from unmask.errors import InvalidCheckpoint, QueueFull
from unmask.grammar import Regex
from unmask.metrics import Metrics
from unmask.models.registry import LoadedModel
from unmask.types import Failure

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture(scope="module")
def client(tiny_folder: Path, metrics: Metrics) -> Iterator[ProcessEngine]:
    engine = EngineConfig(num_pages=400, threads=1, max_queue=20, max_num_seqs=8)
    server = ServerConfig(data_parallel=2, vllm_metrics=True)
    model = ModelConfig(path=str(tiny_folder), device="cpu", dtype="float32")
    client = ProcessEngine.start(Config(model, engine, server=server), metrics)
    yield client
    client.shutdown()


def gauges(metrics: Metrics, name: str) -> dict[str, float]:
    """Values of a family by engine."""
    families = text_string_to_metric_families(metrics.render().decode())
    samples = (sample for family in families for sample in family.samples)
    return {sample.labels["engine"]: sample.value for sample in samples if sample.name == name}


def rows(client: ProcessEngine) -> list[int]:
    """Requests of each engine."""
    return [load.num_running + load.num_waiting for load in client.status().loads]


async def kill(client: ProcessEngine, engine: int) -> None:
    """Kill an engine that has requests, and wait until that is known."""
    await until(lambda: client.status().loads[engine].is_up and rows(client)[engine] > 0)
    await asyncio.sleep(0.2)
    os.kill(client.pids[engine], signal.SIGKILL)
    await until(lambda: not client.status().loads[engine].is_up)


@pytest.mark.exhaustive
def test_answers_are_those_of_one_engine_whichever_runs_them(
    client: ProcessEngine, tiny_on_cpu: LoadedModel, metrics: Metrics
) -> None:
    requests = [asking(i, logprobs=2) for i in range(12)]
    requests += [asking(12 + i, grammar=Regex("[a-c]{1,9}"), ignore_eos=False) for i in range(4)]

    async def run() -> list[Answer | Failure]:
        reading = [asyncio.create_task(read(client, request)) for request in requests]
        await asyncio.sleep(0)
        assert min(rows(client)) > 0
        of_engines = gauges(metrics, "unmask_requests_running")
        assert set(of_engines) == {"0", "1"}
        return await asyncio.gather(*reading)

    assert_as_alone(asyncio.run(run()), requests, tiny_on_cpu)
    assert client.status().num_running + client.status().num_waiting == 0


@pytest.mark.exhaustive
def test_metrics_count_all_engines_and_tell_them_apart(
    client: ProcessEngine, metrics: Metrics
) -> None:
    ask(client, [asking(i) for i in range(8)])
    tokens = next(iter(metrics.generated_tokens.collect()[0].samples)).value
    assert tokens >= 8 * 60
    assert gauges(metrics, "unmask_kv_pages") == {"0": 400, "1": 400}
    assert gauges(metrics, "unmask_engine_up") == {"0": 1, "1": 1}
    assert gauges(metrics, "unmask_requests_running") == {"0": 0, "1": 0}
    assert gauges(metrics, "vllm:num_requests_waiting") == {"0": 0, "1": 0}
    assert set(gauges(metrics, "unmask_engine_restarts_total")) == {"0", "1"}


def test_the_bound_of_the_queue_holds_over_all_engines(client: ProcessEngine) -> None:
    async def run() -> None:
        streams = list[RequestStream]()
        with pytest.raises(QueueFull):
            streams.extend(client.submit(asking(i, max_tokens=400)) for i in range(100))
        assert 20 <= len(streams) <= 20 + 2 * 8
        for stream in streams:
            await stream.aclose()
        await until(lambda: not client.status().num_waiting + client.status().num_running)

    asyncio.run(run())


@pytest.mark.exhaustive
def test_streams_of_an_engine_that_is_killed_go_on_at_once_on_another(
    client: ProcessEngine, tiny_on_cpu: LoadedModel, metrics: Metrics
) -> None:
    requests = [asking(i, max_tokens=300) for i in range(8)]
    first, second = client.pids
    restarts = gauges(metrics, "unmask_engine_restarts_total")

    async def run() -> list[Answer | Failure]:
        reading = [asyncio.create_task(read(client, request)) for request in requests]
        await kill(client, 0)
        status = client.status()
        assert status.state == "ready"
        assert status.detail == "1 of 2 engines are up (engine 0 is started again)"
        return await asyncio.gather(*reading)

    answers = asyncio.run(run())
    assert_as_alone(answers, requests, tiny_on_cpu)
    asyncio.run(until(lambda: client.status().loads[0].is_up))
    assert client.pids[0] != first
    assert client.pids[1] == second
    counted = gauges(metrics, "unmask_engine_restarts_total")
    assert counted == {"0": restarts["0"] + 1, "1": restarts["1"]}


@pytest.mark.exhaustive
def test_each_engine_may_be_killed_in_turn(client: ProcessEngine, tiny_on_cpu: LoadedModel) -> None:
    requests = [asking(i, max_tokens=450) for i in range(8)]

    async def run() -> list[Answer | Failure]:
        reading = [asyncio.create_task(read(client, request)) for request in requests]
        for engine in (0, 1):
            await kill(client, engine)
        await until(lambda: any(load.num_running for load in client.status().loads))
        # The first that is up again has all.
        await kill(client, 0 if client.status().loads[0].num_running else 1)
        return await asyncio.gather(*reading)

    assert_as_alone(asyncio.run(run()), requests, tiny_on_cpu)
    asyncio.run(until(lambda: all(load.is_up for load in client.status().loads)))


@pytest.mark.exhaustive
@pytest.mark.parametrize("fault", [faults.raise_on_poison, faults.die_on_poison])
def test_a_request_that_breaks_engines_is_found_while_others_serve(
    tiny_folder: Path, tiny_on_cpu: LoadedModel, fault: Callable[[], None]
) -> None:
    requests = [asking(i, max_tokens=24) for i in range(8)]
    poisoned = asking(500, first=faults.POISON)
    with running(tiny_folder, fault, count=2) as client:
        *answers, last = ask(client, [*requests, poisoned])
        assert last == Failure("r500", FAILED)
        assert_as_alone(answers, requests, tiny_on_cpu)
        assert client.status().state == "ready"


@pytest.mark.exhaustive
def test_while_an_engine_never_comes_back_the_others_serve(
    tiny_folder: Path, tiny_on_cpu: LoadedModel, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    requests = [asking(i, max_tokens=100) for i in range(8)]

    async def run(client: ProcessEngine) -> list[Answer | Failure]:
        reading = [asyncio.create_task(read(client, request)) for request in requests]
        mark.touch()
        await kill(client, 1)
        answers = await asyncio.gather(*reading)
        await until(lambda: "given up" in client.status().detail)
        return answers

    with running(tiny_folder, partial(faults.no_start_beside, mark), count=2) as client:
        assert_as_alone(asyncio.run(run(client)), requests, tiny_on_cpu)
        status = client.status()
        assert status.state == "ready"
        assert status.detail == (
            "1 of 2 engines are up (engine 1 is given up: the engine was lost, and 3 starts failed)"
        )
        assert [load.num_pages for load in status.loads] == [400, 0]
        assert_as_alone(ask(client, requests[:2]), requests[:2], tiny_on_cpu)


@pytest.mark.exhaustive
def test_a_model_that_no_engine_can_load_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint):
        ProcessEngine.start(
            Config(ModelConfig(path=str(tmp_path)), server=ServerConfig(data_parallel=2))
        )


@pytest.mark.exhaustive
def test_at_shutdown_requests_of_all_engines_end_or_are_told(tiny_folder: Path) -> None:
    async def run(client: ProcessEngine) -> list[Answer | Failure]:
        requests = [asking(i, max_tokens=450) for i in range(6)]
        reading = [asyncio.create_task(read(client, request)) for request in requests]
        await asyncio.sleep(0)
        assert min(rows(client)) > 0
        await asyncio.to_thread(client.shutdown, 0.0)
        return await asyncio.gather(*reading)

    with running(tiny_folder, count=2) as client:
        answers = asyncio.run(run(client))
    assert answers == [stopped(f"r{i}", SHUTTING_DOWN) for i in range(6)]
