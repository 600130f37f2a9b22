"""A process of an engine that does not end when it is killed."""

import logging
import subprocess
from typing import Any, cast

import pytest

from unmask.engine.process import handle
from unmask.engine.process.handle import EngineLost, EngineProcess


class Stuck:
    """A process in a driver that hangs."""

    pid, returncode = 7, None

    def __init__(self, *_: object, **__: object) -> None:
        """Nothing is started."""

    def kill(self) -> None:
        """The system will, later."""

    def wait(self, timeout: float) -> int:
        raise subprocess.TimeoutExpired("engine", timeout)


def test_a_process_that_does_not_end_is_lost_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(handle.subprocess, "Popen", Stuck)
    process = EngineProcess(cast(Any, "start"), {})
    with pytest.raises(EngineLost, match=r"its process ended \(it is not gone yet\)"):
        process.receive(10.0)  # its end of the socket is closed
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == "process 7 has not ended 5 s after it was killed"
