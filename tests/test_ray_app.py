"""Ray Serve application: settings, and two replicas of which one is killed under streams."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from unmask.config import Config
from unmask.errors import InvalidConfig
from unmask.ray_app import config_of, max_ongoing_requests

EXAMPLE = Path(__file__).parent.parent / "configs" / "ray.yaml"
NUM_STREAMS, NUM_TOKENS = 200, 400
MAX_NUM_SEQS, MAX_QUEUE = 64, 150  # one replica alone has room for all streams
SERVED = "is served by a replica of Ray Serve"
RAY = {
    "RAY_worker_niceness": "0",  # 15 by default: replicas would starve beside other tests
    "RAY_AUTH_MODE": "disabled",  # else it writes a token into the home folder
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
}


def test_arguments_are_settings_by_their_names(tmp_path: Path) -> None:
    file = tmp_path / "unmask.toml"
    file.write_text("[engine]\nmax_queue = 5\nmax_num_seqs = 3\n")
    args = {
        "config": str(file),
        "engine.max_queue": 7,
        "model.path": "m",
        "server.engine": "process",
    }
    config = config_of(args)
    assert (config.engine.max_queue, config.engine.max_num_seqs) == (7, 3)
    assert config.model.path == "m"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"server.port": 80}, "server.port has no effect here"),
        ({"server.api_processes": 2}, "server.api_processes has no effect here"),
        ({"server.cors_origins": "http://a/path"}, "without a path, got 'http://a/path'"),
        ({"max_queue": 5}, "max_queue is not a setting"),
        ({"engine.max_queue": 0}, "of at least 1"),
        ({"server.engine": "thread"}, "must be process"),
    ],
)
def test_arguments_without_an_effect_are_refused(args: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        config_of(args)


def test_a_replica_is_handed_more_than_its_queue_takes() -> None:
    config = Config()
    assert max_ongoing_requests(config) > config.engine.max_num_seqs + config.engine.max_queue


@dataclass
class Cluster:
    """Ray Serve on this machine, and what it prints."""

    process: subprocess.Popen[str]
    url: str
    log: list[str] = field(default_factory=list)

    def replicas(self) -> list[psutil.Process]:
        """Processes of replicas, which have their title from Ray."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if "ServeReplica:unmask" in " ".join(child.cmdline())]

    def wait_for(self, text: str, count: int) -> None:
        """Wait until lines of the log have the text so often."""
        end_s = time.monotonic() + 120
        while sum(text in line for line in self.log) < count:
            assert self.process.poll() is None, "".join(self.log[-50:])
            assert time.monotonic() < end_s, "".join(self.log[-50:])
            time.sleep(0.2)


@pytest.fixture(scope="module")
def cluster(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The example with a tiny model, on a free port, with little room in its queues."""
    pytest.importorskip("ray.serve")
    yaml = pytest.importorskip("yaml")
    example = yaml.safe_load(EXAMPLE.read_text())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    example["http_options"]["port"] = port
    (application,) = example["applications"]
    application["args"] |= {
        "model.path": str(tiny_folder),
        "engine.max_num_seqs": MAX_NUM_SEQS,
        "engine.max_queue": MAX_QUEUE,
        "engine.num_pages": 4000,
    }
    application["deployments"][0]["ray_actor_options"] = {"num_cpus": 0.1}
    file = tmp_path_factory.mktemp("ray") / "ray.yaml"
    file.write_text(yaml.safe_dump(example))
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / "serve"), "run", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={name: v for name, v in os.environ.items() if name != "RAY_ADDRESS"} | RAY,
    )
    cluster = Cluster(process, f"http://127.0.0.1:{port}")
    assert process.stdout is not None
    reader = threading.Thread(target=cluster.log.extend, args=(process.stdout,), daemon=True)
    reader.start()
    try:
        cluster.wait_for(SERVED, 2)
        while httpx.get(f"{cluster.url}/health/ready", timeout=60).status_code != 200:
            time.sleep(0.2)  # the proxy learns of replicas a little later
        yield cluster
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()


@dataclass
class Answer:
    """Text of a stream so far, and its end."""

    text: str = ""
    end: str = ""


async def stream(
    client: httpx.AsyncClient, number: int, answer: Answer, num_tokens: int, leave: asyncio.Event
) -> None:
    """One answer, which its seed decides, or as much of it as comes until the client leaves."""
    body = {
        "prompt": f"prompt {number}", "max_tokens": num_tokens, "ignore_eos": True, "stream": True,
        "seed": number, "temperature": 0.8,
    }  # fmt: skip
    try:
        async with client.stream("POST", "/v1/completions", json=body) as response:
            if response.status_code != 200:
                error = json.loads(await response.aread())["error"]
                answer.end = f"{response.status_code} {error['code']}"
                assert int(response.headers["retry-after"]) > 0
                return
            async for line in response.aiter_lines():
                if line.startswith("data: {"):
                    (choice,) = json.loads(line[6:])["choices"]
                    answer.text += choice["text"]
                    answer.end = choice["finish_reason"] or ""
                    if leave.is_set():
                        return
    except httpx.HTTPError as error:
        answer.end = f"broken: {type(error).__name__}"


@contextlib.asynccontextmanager
async def streaming(
    url: str, count: int, num_tokens: int = NUM_TOKENS
) -> AsyncIterator[tuple[list[Answer], asyncio.Event]]:
    """Answers, all of which have ended at the end, and the event at which their clients leave."""
    answers, leave = [Answer() for _ in range(count)], asyncio.Event()
    limits = httpx.Limits(max_connections=None)
    async with (
        httpx.AsyncClient(base_url=url, timeout=300, limits=limits) as client,
        asyncio.TaskGroup() as tasks,
    ):
        for i, answer in enumerate(answers):
            tasks.create_task(stream(client, i, answer, num_tokens, leave))
        yield answers, leave


async def until_quiet(url: str) -> None:
    """Wait until no replica has a request."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as client, asyncio.timeout(120):
        num_quiet = 0
        while num_quiet < 10:  # each goes to one of the replicas
            health = (await client.get("/health/ready")).json()
            num_quiet = 0 if health["running"] + health["waiting"] else num_quiet + 1


@pytest.mark.exhaustive
def test_a_replica_that_is_killed_loses_only_its_own_streams(cluster: Cluster) -> None:
    async def run(victim: psutil.Process | None) -> list[Answer]:
        async with streaming(cluster.url, NUM_STREAMS) as (answers, _):
            if victim is not None:
                while sum(bool(answer.text) for answer in answers) < NUM_STREAMS // 2:
                    await asyncio.sleep(0.02)
                victim.kill()
        return answers

    whole = asyncio.run(run(None))
    assert {answer.end for answer in whole} == {"length"}
    victim, _ = cluster.replicas()
    answers = asyncio.run(run(victim))
    lost = [i for i, answer in enumerate(answers) if answer.end != "length"]
    assert 0 < len(lost) < NUM_STREAMS  # a burst is not spread evenly
    for i, (answer, expected) in enumerate(zip(answers, whole, strict=True)):
        if i in lost:
            assert answer.end.startswith("broken")
            assert expected.text.startswith(answer.text)
        else:
            assert answer == expected
    cluster.wait_for(SERVED, 3)


@pytest.mark.exhaustive
def test_a_client_that_leaves_frees_its_request(cluster: Cluster) -> None:
    async def run() -> None:
        async with streaming(cluster.url, 20) as (answers, leave):
            while not all(answer.text for answer in answers):
                await asyncio.sleep(0.02)
            leave.set()
        await until_quiet(cluster.url)
        assert all(answer.end == "" for answer in answers)

    asyncio.run(run())


@pytest.mark.exhaustive
def test_the_bound_of_the_queue_is_that_of_the_engine(cluster: Cluster) -> None:
    async def run() -> set[str]:
        async with streaming(cluster.url, 700, 150) as (answers, _):
            pass
        return {answer.end for answer in answers}

    assert asyncio.run(run()) == {"length", "503 queue_full"}
