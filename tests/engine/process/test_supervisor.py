"""Supervisor of a process that says what a test has it say, by the test's clock."""

from collections.abc import Iterable, Mapping

import pytest

from unmask.config import Config
from unmask.engine.process.handle import EngineLost
from unmask.engine.process.messages import (
    Beat,
    Command,
    Loading,
    Ready,
    Report,
    Start,
    StepFailed,
    Stepped,
)
from unmask.engine.process.placement import Place
from unmask.engine.process.supervisor import Supervisor
from unmask.engine.schedule.limits import EngineLimits
from unmask.engine.streams import SHUTTING_DOWN
from unmask.id_tokenizer import IdTokenizer
from unmask.metrics import BuildInfo
from unmask.tokenizer import Tokenizer
from unmask.types import ModelInfo, SamplingParams

Said = tuple[float, Report | None]  # seconds until then, and None if nothing was said
PAUSE: Said = (3600.0, None)  # of the whole machine
BEAT: Said = (0.0, Beat(0.0))
SILENCE: tuple[Said, ...] = ((0.25, None),) * 300
"""A process that hangs, for longer than it may."""


class Script:
    """A process, its supervisor's owner and their clock; all stops at the script's end."""

    pid = 1

    def __init__(self, said: Iterable[Said]) -> None:
        self._said = list(said)
        self.now_s = 0.0
        self.has_no_requests = False  # and is to stop
        self.num_starts = 0
        self.reasons: list[str] = []
        self.certain: list[bool] = []  # of each reason, whether a request is certainly why
        self.num_goes_on = 0  # times that the same process takes requests again

    def start(self, _: Start, __: Mapping[str, str]) -> "Script":
        self.num_starts += 1
        return self

    def clock(self) -> float:
        return self.now_s

    def send(self, command: Command) -> None:
        """Commands go nowhere."""

    def receive(self, timeout_s: float) -> Report | None:
        elapsed_s, report = self._said.pop(0)
        self.now_s += elapsed_s
        return report

    def kill(self) -> None:
        self._said.clear()

    def is_drained(self) -> bool:
        return self.has_no_requests or self.is_time_to_stop()

    def is_time_to_stop(self) -> bool:
        return not self._said

    def took(self, engine: int, stepped: Stepped) -> None:
        """Nothing in the script is a step."""

    def is_up(self, engine: int, *, is_new: bool) -> None:
        self.num_goes_on += not is_new

    def ended(self, engine: int, reason: str) -> None:
        """The script has."""

    def lost(self, engine: int, lost: EngineLost) -> None:
        self.reasons.append(lost.reason)
        self.certain.append(lost.by_request)


READY: Said = (
    1.0,
    Ready(
        ModelInfo("tiny", 64, 100, 99, (0,), SamplingParams(), 0),
        Tokenizer(IdTokenizer()),
        EngineLimits(64, 16, 16),
        BuildInfo("1", "cpu", "float32", "native"),
    ),
)


def follow(*said: Said, step_timeout_s: float = 300.0) -> list[str]:
    """The reasons for which a loaded process is lost, until it has said all of this."""
    return followed(*said, step_timeout_s=step_timeout_s).reasons


def followed(*said: Said, step_timeout_s: float = 300.0) -> Script:
    """The script of a loaded process, once it has said all of this."""
    script = Script((READY, *said))
    supervisor = supervisor_of(script, step_timeout_s)
    supervisor.launch()
    supervisor.watch()
    supervisor.join()
    return script


def supervisor_of(script: Script, step_timeout_s: float = 300.0) -> Supervisor:
    start, place = Start(Config()), Place()
    return Supervisor(script, 0, start, place, step_timeout_s, script.start, script.clock)


@pytest.mark.parametrize("silence", [SILENCE, (PAUSE,) * 61])
def test_a_process_without_a_sign_of_life_is_lost(silence: tuple[Said, ...]) -> None:
    assert follow(BEAT, *silence, BEAT) == ["it gave no sign of life"]


def test_a_process_outlives_a_pause_of_the_whole_machine() -> None:
    assert not follow(BEAT, PAUSE, (0.25, None), BEAT, BEAT, PAUSE, BEAT, BEAT)


def test_a_step_that_takes_too_long_is_lost() -> None:
    assert follow(BEAT, (0.25, Beat(299.0)), (0.5, Beat(301.0)), BEAT) == ["a step took over 300 s"]


@pytest.mark.parametrize(
    ("step_timeout_s", "num_polls"), [(1.0, 20), (8.0, 32), (300.0, 240)], ids=str
)
def test_where_steps_may_take_less_a_process_is_lost_sooner(
    step_timeout_s: float, num_polls: int
) -> None:
    for silence, is_lost in (SILENCE[:num_polls], False), (SILENCE[: num_polls + 1], True):
        reasons = follow(BEAT, *silence, BEAT, BEAT, step_timeout_s=step_timeout_s)
        assert bool(reasons) == is_lost


@pytest.mark.parametrize("ends", [False, True])
def test_a_process_goes_on_after_a_step_that_failed_unless_it_ends(ends: bool) -> None:
    script = followed(BEAT, (0.0, StepFailed("a reason", ends)), BEAT)
    assert (script.reasons, script.certain) == (["a reason"], [True])
    assert script.num_goes_on == (not ends)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ((PAUSE, BEAT, PAUSE, (0.25, Loading("weights", 1, 2)), BEAT), SHUTTING_DOWN),
        ((BEAT, *SILENCE, BEAT), "it gave no sign of life"),
    ],
)
def test_loading_outlives_a_pause_too(said: tuple[Said, ...], reason: str) -> None:
    with pytest.raises(EngineLost) as lost:
        supervisor_of(Script(said)).launch()
    assert lost.value.reason == reason


class Drained(Script):
    """An owner that is to stop, and whose last request ends as its engine is lost."""

    def lost(self, engine: int, lost: EngineLost) -> None:
        self.has_no_requests = True

    def kill(self) -> None:
        """The script goes on."""


def test_an_engine_that_is_lost_is_not_started_again_for_nobody() -> None:
    script = Drained((READY, BEAT, *SILENCE, BEAT))
    supervisor = supervisor_of(script)
    supervisor.launch()
    supervisor.watch()
    supervisor.join()
    assert script.num_starts == 1


def test_a_start_ends_once_nobody_needs_the_engine() -> None:
    script = Script((BEAT, READY))
    script.has_no_requests = True
    with pytest.raises(EngineLost) as lost:
        supervisor_of(script).launch()
    assert lost.value.reason == SHUTTING_DOWN
