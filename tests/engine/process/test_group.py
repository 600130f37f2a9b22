"""Engines that are started together, whose processes do what a test says."""

import threading
from collections.abc import Mapping

import pytest

from unmask.config import Config
from unmask.engine.process.group import EngineGroup
from unmask.engine.process.handle import EngineLost
from unmask.engine.process.messages import Beat, Command, Report, Start
from unmask.engine.process.placement import Place
from unmask.errors import EngineStopped
from unmask.metrics import Metrics


class Dying:
    """A process that loads for ever, or ends once another one loads if it `dies`."""

    pid = 1
    one_loads = threading.Event()

    def __init__(self, _: Start, environment: Mapping[str, str]) -> None:
        self._dies = "DIES" in environment

    def send(self, command: Command) -> None:
        """Nothing is asked of it."""

    def receive(self, timeout_s: float) -> Report:
        if self._dies:
            assert self.one_loads.wait(20)
            raise EngineLost("its process ended (signal 9)")
        self.one_loads.set()
        return Beat(0.0)

    def kill(self) -> None:
        """It has no resources."""


def test_an_engine_that_dies_while_it_loads_is_told_by_its_own_reason() -> None:
    places = [Place(), Place({"DIES": "1"})]
    group = EngineGroup(Start(Config()), places, 300.0, Metrics(), Dying)
    with pytest.raises(EngineStopped, match=r"did not start: its process ended \(signal 9\)"):
        group.launch()
