"""HTTP processes that are interrupted before they listen."""

import asyncio
import os
import signal
from dataclasses import replace

import pytest

from unmask.cli.api_processes import ApiProcesses, shared_listener
from unmask.config import ServerConfig
from unmask.engine.hub.hub import Hub
from unmask.metrics import Metrics
from unmask.types import EngineStatus


@pytest.mark.parametrize("after_s", [0.2, 0.6])
def test_ctrl_c_while_processes_start_leaves_no_traceback(
    capfd: pytest.CaptureFixture[str], after_s: float
) -> None:
    async def run() -> int | None:
        hub = Hub(lambda: EngineStatus("starting", 0, 0, 0, 0), Metrics())
        with shared_listener("127.0.0.1", 0) as listener:
            server = replace(ServerConfig(), port=listener.getsockname()[1], api_processes=2)
            processes = ApiProcesses(hub, server, max_queue=4)
            interrupt = asyncio.get_running_loop().call_later
            processes.on_start = lambda: interrupt(after_s, os.kill, os.getpid(), signal.SIGINT)
            await asyncio.wait_for(processes.run(), 60)
            return processes.signal

    assert asyncio.run(run()) == signal.SIGINT
    assert "Traceback" not in capfd.readouterr().err
