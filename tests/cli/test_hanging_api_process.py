"""An HTTP process that hangs is killed, and started again."""

import asyncio
import contextlib
import signal
import time
from dataclasses import replace

import psutil
import pytest

from tests.support.processes import until
from unmask.cli.api_processes import ApiProcesses, shared_listener
from unmask.config import ServerConfig
from unmask.engine.hub.hub import Hub
from unmask.metrics import Metrics, value_of
from unmask.types import EngineStatus

LOADING = EngineStatus("starting", 0, 0, 0, 0)


def pids() -> list[int]:
    found = list[int]()
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):  # zombies are
            if "unmask.cli.api_process" in child.cmdline():
                found.append(child.pid)
    return found


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_process_that_hangs_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()

    async def run() -> None:
        hub = Hub(lambda: LOADING, metrics)
        with shared_listener("127.0.0.1", 0) as listener:
            server = replace(ServerConfig(), port=listener.getsockname()[1], drain_delay_s=0.0)
            processes = ApiProcesses(hub, server, max_queue=4, silence_s=2.0)
            listening = asyncio.Event()
            processes.on_listening = listening.set
            running = asyncio.create_task(processes.run())
            await asyncio.wait_for(listening.wait(), 60)
            assert b"unmask_api_processes 1.0" in metrics.render()
            (hanging,) = pids()
            # A pause of the whole machine is no sign of a hang: its messages are still to come.
            psutil.Process(hanging).suspend()
            time.sleep(3.0)
            psutil.Process(hanging).resume()
            await asyncio.sleep(2.5)
            assert pids() == [hanging]
            psutil.Process(hanging).send_signal(signal.SIGSTOP)
            await until(lambda: hanging not in pids())
            processes.silence_s = 60.0
            await until(lambda: len(pids()) == 1)
            processes.stop()
            await asyncio.wait_for(running, 60)

    asyncio.run(run())
    assert value_of(metrics.api_process_restarts) == 1
    assert "API process 0 gave no sign of life for 2 s" in caplog.text
    assert "API process 0 ended with code -9 and is started again" in caplog.text
