"""HTTP processes that cannot be started, beside one that serves and alone."""

import asyncio
import errno
import os
import pickle
import socket
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import ENVIRONMENT, unmask
from tests.support.processes import until
from unmask.cli.api_processes import CHILD, MAX_STARTS, ApiProcesses
from unmask.config import ServerConfig
from unmask.engine.hub.channel import LENGTH
from unmask.engine.hub.hub import Hub
from unmask.engine.hub.messages import ApiStart, Listening
from unmask.metrics import Metrics, value_of
from unmask.types import EngineStatus

PROCESS = """
import socket, sys
hub = socket.socket(fileno=int(sys.argv[1]))
hub.sendall(bytes.fromhex(sys.argv[2]))
while hub.recv(4096):
    pass
"""
NEVER_LOADED = """
import os, sys, time
if "unmask.cli.api_process" in sys.orig_argv:
    os._exit(3)
if "unmask.engine.process.child" in sys.orig_argv:
    server = os.getppid()
    while os.getppid() == server:
        time.sleep(0.05)
    os._exit(0)
"""
SAYS = pickle.dumps([Listening()])
Spawn = Callable[..., Coroutine[Any, Any, Process]]


def two_processes(spawn: Spawn) -> ApiProcesses:
    hub = Hub(lambda: EngineStatus("ready", 0, 0, 0, 0), Metrics())
    server = replace(ServerConfig(), api_processes=2)
    return ApiProcesses(hub, server, max_queue=4, pause_s=0.01, spawn=spawn)


async def listening(*command: str, **settings: Any) -> Process:
    """A process that says at once that it listens, and ends at a signal."""
    says = (LENGTH.pack(len(SAYS)) + SAYS).hex()
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-S", "-c", PROCESS, command[-1], says), **settings
    )


async def no_room(*_: str, **__: object) -> Process:
    raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")


async def ending(*_: str, **settings: Any) -> Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", "exit(1)", **settings)


@pytest.mark.parametrize("fails", [no_room, ending])
def test_a_process_is_tried_on_while_another_serves(fails: Spawn) -> None:
    made = list[Process]()
    num_failed = 0

    async def spawn(*command: str, **settings: Any) -> Process:
        nonlocal num_failed
        if len(made) == 2 and num_failed <= MAX_STARTS:
            num_failed += 1
            return await fails(*command, **settings)
        made.append(await listening(*command, **settings))
        return made[-1]

    async def run() -> ApiProcesses:
        processes = two_processes(spawn)
        processes.on_listening = lambda: made[0].kill()
        running = asyncio.create_task(processes.run())
        await until(lambda: len(made) == 3 or running.done())
        await until(lambda: processes.hub.num_processes == 2 or running.done())
        assert not running.done()
        processes.stop()
        await asyncio.wait_for(running, 20)
        return processes

    processes = asyncio.run(run())
    assert not processes.has_failed
    assert num_failed == MAX_STARTS + 1
    num_ended = 1 if fails is no_room else 1 + num_failed
    assert value_of(processes.hub.metrics.api_process_restarts) == num_ended


@pytest.mark.parametrize("fails", [no_room, ending])
def test_a_server_is_given_up_once_no_process_can_be_started(
    fails: Spawn, caplog: pytest.LogCaptureFixture
) -> None:
    processes = two_processes(fails)
    asyncio.run(asyncio.wait_for(processes.run(), 20))
    assert processes.has_failed
    assert "API processes cannot be started" in caplog.text


@pytest.mark.exhaustive
def test_processes_that_cannot_be_started_are_a_failure_while_the_model_loads(
    tmp_path: Path, tiny_folder: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(NEVER_LOADED)
    path = os.pathsep.join((str(tmp_path), ENVIRONMENT["PYTHONPATH"]))
    ended = unmask(
        "serve", str(tiny_folder), "--api-processes", "2", "--port", "0", PYTHONPATH=path
    )
    assert "API processes cannot be started; the server stops" in ended.stderr
    assert ended.returncode == 1


def test_a_mistake_in_the_key_file_is_named_by_a_process_that_starts(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text("[keys]\nalice = 3\n")
    start = pickle.dumps(ApiStart(replace(ServerConfig(), port=0, api_key_file=str(path)), 4))
    here, there = socket.socketpair()
    with here, there:
        here.sendall(LENGTH.pack(len(start)) + start)
        ended = subprocess.run(
            [sys.executable, "-m", CHILD, str(there.fileno())],
            pass_fds=[there.fileno()],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert ended.returncode == 1
    assert str(path) in ended.stderr
    assert "Traceback" not in ended.stderr
