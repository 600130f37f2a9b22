"""Health is told from another thread, and files are there for as many connections as are taken."""

import asyncio
import subprocess
import sys

import httpx

from tests.api.fake_client import FakeClient
from unmask.api import create_app
from unmask.config import ServerConfig
from unmask.http.health import STALL_S, LoopWatch
from unmask.metrics import Metrics

# The soft limit is enough, is raised, and is raised as far as it goes; and the hard one is too low.
OPENS = """
import resource
from unmask.http.config import raise_file_limit
for limits, num_connections in (
    ((500, 1000), 100), ((500, 1000), 400), ((500, 1000), 9000), ((100, 100), 9000),
):
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    allowed = raise_file_limit(num_connections)
    print(allowed, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def test_a_process_whose_event_loop_stands_still_is_not_live() -> None:
    silence_s = 0.0
    app = LoopWatch(create_app(FakeClient(), Metrics(), ServerConfig()), lambda: silence_s)

    async def run() -> None:
        nonlocal silence_s
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            silence_s = STALL_S - 1
            assert (await client.get("/health/live")).status_code == 200
            silence_s = STALL_S + 1
            stalled = await client.get("/health/live")
            assert stalled.status_code == 503
            assert stalled.json()["error"]["code"] == "event_loop_stalled"
            assert (await client.get("/health/ready")).status_code == 200

    asyncio.run(run())


def test_the_limit_of_open_files_is_raised_for_connections_or_allows_fewer() -> None:
    run = subprocess.run([sys.executable, "-c", OPENS], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["100 500", "400 784", "616 1000", "1 100"]
