"""HTTP processes that are interrupted before they listen, or while they hang."""

import asyncio
import os
import signal
from asyncio.subprocess import Process
from dataclasses import replace

import psutil
import pytest

from tests.support.processes import until
from unmask.cli.api_processes import ApiProcesses, shared_listener
from unmask.config import ServerConfig
from unmask.engine.hub.hub import Hub
from unmask.metrics import Metrics
from unmask.types import EngineStatus

TRAPS = 'trap "echo TERM" TERM; trap "echo USR1; exit" USR1'
TELLING = ("sh", "-c", f"{TRAPS}; echo ready; while :; do sleep 0.05; done")  # signals that come


def one_process(port: int) -> ApiProcesses:
    hub = Hub(lambda: EngineStatus("starting", 0, 0, 0, 0), Metrics())
    return ApiProcesses(hub, replace(ServerConfig(), port=port), max_queue=4)


@pytest.mark.parametrize("after_s", [0.2, 0.6])
def test_ctrl_c_while_processes_start_leaves_no_traceback(
    capfd: pytest.CaptureFixture[str], after_s: float
) -> None:
    async def run() -> int | None:
        with shared_listener("127.0.0.1", 0) as listener:
            processes = one_process(listener.getsockname()[1])
            interrupt = asyncio.get_running_loop().call_later
            processes.on_start = lambda: interrupt(after_s, os.kill, os.getpid(), signal.SIGINT)
            await asyncio.wait_for(processes.run(), 60)
            return processes.signal

    assert asyncio.run(run()) == signal.SIGINT
    assert "Traceback" not in capfd.readouterr().err


def test_a_hangup_that_is_ignored_ends_no_processes() -> None:
    async def run() -> int | None:
        with shared_listener("127.0.0.1", 0) as listener:
            processes = one_process(listener.getsockname()[1])

            def hang_up() -> None:
                os.kill(os.getpid(), signal.SIGHUP)
                asyncio.get_running_loop().call_later(0.1, processes.stop)

            processes.on_start = hang_up
            await asyncio.wait_for(processes.run(), 60)
            return processes.signal

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does
    try:
        assert asyncio.run(run()) == signal.SIGTERM
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_ends_a_process_that_is_just_being_made() -> None:
    made = list[Process]()

    async def run() -> None:
        with shared_listener("127.0.0.1", 0) as listener:
            processes = one_process(listener.getsockname()[1])

            async def spawn(*_: object, **__: object) -> Process:
                made.append(await asyncio.create_subprocess_exec("sleep", "600"))
                os.kill(os.getpid(), signal.SIGTERM)
                await until(lambda: processes.signal is not None)
                return made[0]

            processes.spawn = spawn
            try:
                await asyncio.wait_for(processes.run(), 20)
            finally:
                if made[0].returncode is None:
                    made[0].kill()

    asyncio.run(run())
    assert made[0].returncode == -signal.SIGTERM


def test_a_signal_after_the_end_is_ignored() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        processes = one_process(port=0)
        processes.on_start = processes.stop
        processes.serve()
        assert {signal.getsignal(number) for number in numbers} == {signal.SIG_IGN}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_second_signal_to_the_server_is_another_one_to_its_processes() -> None:
    """The first one may reach them twice, from a service manager too."""
    told, reading = list[bytes](), set[asyncio.Task[None]]()

    async def run() -> None:
        with shared_listener("127.0.0.1", 0) as listener:
            processes = one_process(listener.getsockname()[1])

            async def stop_twice(output: asyncio.StreamReader) -> None:
                for _ in range(2):
                    processes.stop()
                    told.append(await output.readline())

            async def spawn(*_: object, **__: object) -> Process:
                made = await asyncio.create_subprocess_exec(
                    *TELLING, stdout=asyncio.subprocess.PIPE
                )
                assert made.stdout is not None
                assert await made.stdout.readline() == b"ready\n"
                reading.add(asyncio.create_task(stop_twice(made.stdout)))
                return made

            processes.spawn = spawn
            await asyncio.wait_for(processes.run(), 60)
            await asyncio.gather(*reading)

    asyncio.run(run())
    assert told == [b"TERM\n", b"USR1\n"]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_second_signal_ends_processes_that_hang_too() -> None:
    async def run() -> None:
        with shared_listener("127.0.0.1", 0) as listener:
            processes = one_process(listener.getsockname()[1])
            processes.hurry_s = 0.2
            listening = asyncio.Event()
            processes.on_listening = listening.set
            running = asyncio.create_task(processes.run())
            await asyncio.wait_for(listening.wait(), 60)
            children = psutil.Process().children()
            (hanging,) = [c for c in children if "unmask.cli.api_process" in c.cmdline()]
            hanging.suspend()
            processes.stop()
            processes.stop()
            await asyncio.wait_for(running, 30)  # without it, they have 80 s

    asyncio.run(run())
