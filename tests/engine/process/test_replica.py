"""An engine's requests as a server keeps them, by what the engine reports."""

import asyncio
from dataclasses import dataclass, field, replace

from unmask.config import Config
from unmask.engine.process.group import EngineGroup
from unmask.engine.process.handle import EngineLost
from unmask.engine.process.messages import Add, Command, Recorded, Report, Start, Stepped
from unmask.engine.process.placement import Place
from unmask.engine.process.replica import Replica
from unmask.engine.process.sessions import ProcessSession
from unmask.engine.process.supervisor import Supervisor
from unmask.engine.schedule.requests import Automata, Counted
from unmask.engine.streams import RequestStream
from unmask.metrics import Metrics
from unmask.types import (
    Delta,
    Finish,
    FinishReason,
    Refinement,
    Request,
    SamplingParams,
    TokenLogprob,
    Usage,
)

FIRST = Delta("0", (7, 8), "ab")


@dataclass
class Silent:
    """A process that says nothing."""

    pid: int = 1
    commands: list[Command] = field(default_factory=list)

    def send(self, command: Command) -> None:
        self.commands.append(command)

    def receive(self, timeout_s: float) -> Report | None:
        return None

    def kill(self) -> None:
        """It is none."""


def stepped(*deltas: Delta, num_held: int = 0) -> Stepped:
    held = (("0", num_held),) if num_held else ()
    return Stepped(tuple(map(tuple, deltas)), held, (), (), (), (), Recorded(), 1, 1)


def alone() -> tuple[Replica, ProcessSession]:
    """A request alone with an engine, whose answer is held back until its end."""
    process, nobody = Silent(), EngineGroup(Start(Config()), (), 1.0, Metrics())
    supervisor = Supervisor(nobody, 0, Start(Config()), Place(), 1.0, lambda *_: process)
    supervisor.process = process
    stream = RequestStream(asyncio.new_event_loop(), lambda: None)
    request = Request("r", (1, 2), SamplingParams(), streams=False)
    return Replica(0, supervisor, {}), ProcessSession("0", request, Automata(()), stream)


def given_up(num_held: list[int]) -> list[str | None]:
    """The request that each loss of an engine gives up, so many tokens after its first ones."""
    (replica, session), culprits = alone(), list[str | None]()
    for number in num_held:
        replica.is_up = True
        if session.engine is None:
            replica.add(session)
        replica.send_admitted()
        replica.take(stepped(FIRST))
        for _ in range(number // 4):
            replica.take(stepped(num_held=4))
        culprits.append(replica.lost(EngineLost("killed"))[0])
    session.stream.loop.close()
    return culprits


def test_the_stream_of_a_held_answer_knows_how_many_tokens_are_made() -> None:
    replica, session = alone()
    replica.add(session)
    replica.take(stepped(FIRST, num_held=4))
    replica.take(stepped(num_held=3))
    assert session.stream.num_held == 7
    replica.lost(EngineLost("killed"))
    replica.is_up = True
    replica.add(session)
    replica.take(stepped(FIRST, num_held=4))
    assert session.stream.num_held == 7, "another engine comes to what one has made"
    replica.take(stepped(num_held=3))
    finish = Finish(FinishReason.LENGTH, Usage(2, 0, 9, 0, 0, 0, 0))
    pairs, ended = replica.take(stepped(Delta("0", (1,) * 7, "c" * 7, finish=finish)))
    assert ended == ["r"]
    for stream, event in pairs:
        stream.push(event)
    assert session.stream.num_held == 0
    session.stream.loop.close()


def test_an_engine_is_told_what_is_counted_of_a_request() -> None:
    replica, session = alone()
    process = replica.supervisor.process
    replica.add(session)
    nothing = Counted(session.arrival_s)
    begun = stepped(FIRST, num_held=4)._replace(begun=(("0", 0.5),))
    replica.take(begun)
    told = session.counted
    assert (told.arrival_s, told.queue_s, told.num_tokens) == (session.arrival_s, 0.5, 6)
    assert told.first_token_s is not None
    assert told.last_token_s == session.arrival_s + told.first_token_s
    for num_repeated in (0, 4):
        replica.lost(EngineLost("killed"))
        replica.is_up = True
        replica.add(session)
        replica.take(stepped(FIRST, num_held=num_repeated))
        assert session.counted == told
    added = [command.counted for command in process.commands if isinstance(command, Add)]
    assert added == [nothing, told, told]
    replica.take(stepped(num_held=2))
    assert session.counted.num_tokens == 8
    assert session.counted.first_token_s == told.first_token_s
    session.stream.loop.close()


def test_an_engine_that_repeats_an_answer_has_only_its_rest_and_no_old_draft_sent() -> None:
    replica, session = alone()
    logprobs = tuple(TokenLogprob(token_id, -1.0) for token_id in (7, 8, 9))
    draft = Refinement("0", 0, 1, 8, (0, 2), 1, "a", None)
    replica.add(session)
    replica.take(stepped(FIRST._replace(logprobs=logprobs[:2])))
    replica.lost(EngineLost("killed"))
    replica.is_up = True
    replica.add(session)
    assert replica.take(stepped()._replace(refinements=(draft,)))[0] == []
    pairs, _ = replica.take(stepped(Delta("0", (7, 8, 9), "abc", logprobs)))
    assert [event for _, event in pairs] == [Delta("r", (9,), "c", logprobs[2:])]
    pairs, _ = replica.take(stepped()._replace(refinements=(draft,)))
    assert [event for _, event in pairs] == [replace(draft, request_id="r")]
    session.stream.loop.close()


def test_a_held_answer_makes_nobody_suspect_of_losses_at_other_places() -> None:
    assert given_up([4, 40, 12, 80]) == [None] * 4


def test_a_request_that_loses_its_engine_at_one_place_of_a_held_answer_is_given_up() -> None:
    assert given_up([40, 40, 40]) == [None, None, "r"]
