"""A server of two HTTP processes, one of which is killed under streams."""

import asyncio
import contextlib
import signal
import socket
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.cli.running import Server, serving, unmask_here

NUM_STREAMS = 8


def body(i: int) -> dict[str, Any]:
    params = {"max_tokens": 200, "ignore_eos": True, "seed": i, "temperature": 0.8}
    return {"prompt": f"prompt {i}", **params}


def http_processes(server: Server) -> list[psutil.Process]:
    children = psutil.Process(server.process.pid).children()
    return [child for child in children if "unmask.cli.api_process" in child.cmdline()]


async def text_of(url: str, fields: dict[str, Any]) -> str | None:
    """Text of a whole answer on a connection of its own; None if that is cut."""
    async with httpx.AsyncClient(timeout=120) as client:
        with contextlib.suppress(httpx.TransportError):
            response = await client.post(f"{url}/v1/completions", json=fields)
            assert response.status_code == 200, response.text
            return str(response.json()["choices"][0]["text"])
    return None


async def metric(url: str, name: str) -> float:
    """Sum of a metric's samples."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"{url}/metrics")).text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


async def until(value: Any, expected: Any) -> None:
    async with asyncio.timeout(60):
        while await value() != expected:
            await asyncio.sleep(0.05)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_two_processes_serve_and_one_may_die(tiny_folder: Path) -> None:
    args = ("--api-processes", "2", "--threads", "1", "--num-pages", "400", "--health-port", "0")
    with serving(str(tiny_folder), *args, "--log-level", "info") as server:
        asyncio.run(check(server))
        for process in (server.process, *http_processes(server)):  # as systemd stops a service
            process.send_signal(signal.SIGTERM)
        asyncio.run(check_drain(server))
        assert server.process.wait(60) == 0
        assert not any("Traceback" in line for line in server.log)


async def check(server: Server) -> None:
    url, first = server.url, http_processes(server)
    assert len(first) == 2

    async def all_texts(count: int) -> list[str | None]:
        return await asyncio.gather(*(text_of(url, body(i)) for i in range(count)))

    texts = await all_texts(NUM_STREAMS)
    assert texts == await all_texts(NUM_STREAMS), "whichever process takes a request"
    await until(
        lambda: metric(url, 'unmask_http_requests_total{handler="/v1/completions"'), 2 * NUM_STREAMS
    )
    assert await metric(url, "unmask_requests_admitted_total{") == 2 * NUM_STREAMS

    running = asyncio.gather(*(text_of(url, body(i) | {"max_tokens": 400}) for i in range(32)))
    await until(lambda: metric(url, "unmask_requests_waiting"), 0)
    first[0].kill()
    answers = await running
    assert any(text is not None for text in answers), "the other process goes on"
    await until(lambda: metric(url, "unmask_requests_running"), 0)
    assert await all_texts(NUM_STREAMS) == texts

    async def has_two() -> bool:
        return len(http_processes(server)) == 2

    await until(has_two, True)
    assert any("ended with code -9 and is started again" in line for line in server.log)


async def check_drain(server: Server) -> None:
    """The port of health says that the server stops while that of requests is still open."""
    said = next(line for line in server.log if "health and metrics: port" in line)
    probes = f"http://127.0.0.1:{said.split()[-1]}"
    async with httpx.AsyncClient() as client:

        async def state() -> str:
            return str((await client.get(f"{probes}/health/ready")).json()["state"])

        await until(state, "stopping")
        assert await metric(probes, "unmask_ready") == 0
        assert (await client.get(f"{server.url}/health/ready")).status_code == 503


def test_an_engine_on_a_thread_has_one_process(tiny_folder: Path) -> None:
    run = unmask_here("serve", str(tiny_folder), "--engine", "thread", "--api-processes", "2")
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1] == (
        "unmask: an engine on a thread is alone: set server.api_processes to 1"
    )


def test_a_port_that_is_taken_is_reported_at_once(tiny_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        run = unmask_here("serve", str(tiny_folder), "--api-processes", "2", "--port", port)
    assert run.returncode == 2
    assert "cannot listen on 127.0.0.1" in run.stderr
