"""Answers in one piece: all deltas of each request as one, or the first failure."""

import asyncio
import time
from contextlib import aclosing

import pytest

from tests.api.fake_client import FakeClient
from unmask.api.errors import RequestFailed
from unmask.api.gathering import Gathering
from unmask.api.request_record import RequestRecord, follow
from unmask.engine.streams import RequestStream
from unmask.types import Delta, Failure, Finish, FinishReason, Request, SamplingParams, Usage

USAGE = Usage(*(1 for _ in range(7)))
PIECES = [Delta("r", (1,), "a"), Delta("r", (2, 3), "b")]


def last(reason: FinishReason = FinishReason.STOP) -> Delta:
    return Delta("r", (4,), "c", finish=Finish(reason, USAGE))


def pushed(events, aborted):
    stream = RequestStream(asyncio.get_running_loop(), lambda: aborted.append(stream))
    asyncio.get_running_loop().call_soon(lambda: [stream.push(event) for event in events])
    return stream


def listened(events, aborted):
    client = FakeClient(lambda request: events)
    return client.submit(Request("r", (1, 2), SamplingParams(max_tokens=5)))


def gather(make, *scripts):
    aborted = []

    async def run():
        async with aclosing(Gathering([make(events, aborted) for events in scripts])) as gathering:
            return await gathering.answers()

    return asyncio.run(asyncio.wait_for(run(), 10)), aborted


@pytest.mark.parametrize("make", [pushed, listened])
def test_deltas_of_each_request_are_joined(make):
    (first, second), aborted = gather(make, [*PIECES, last()], [last()])
    assert first == Delta("r", (1, 2, 3, 4), "abc", finish=last().finish)
    assert second == last()
    assert not aborted


@pytest.mark.parametrize("make", [pushed, listened])
@pytest.mark.parametrize(
    ("end", "message"),
    [(Failure("r", "out of luck"), "failed: out of luck"), (last(FinishReason.ABORT), "aborted")],
    ids=["failure", "abort"],
)
def test_the_first_failure_ends_all(make, end, message):
    with pytest.raises(RequestFailed, match=f"choice 1 .*{message}"):
        gather(make, [*PIECES, last()], [*PIECES, end])


def test_requests_that_have_not_ended_are_aborted():
    aborted = []

    async def run():
        streams = [pushed(PIECES, aborted), pushed([last()], aborted)]
        async with aclosing(Gathering(streams)) as gathering:
            await asyncio.sleep(0.01)
            assert gathering.num_tokens == 4
        assert aborted == streams[:1]

    asyncio.run(run())


def test_tokens_that_are_held_back_are_counted_where_an_answer_is_given_up():
    record = RequestRecord("id", time.monotonic())

    async def run():
        follow(record)
        stream = RequestStream(asyncio.get_running_loop(), lambda: None)
        gathering = Gathering([stream])
        stream.push(PIECES[0])
        num_told = gathering.num_tokens
        stream.num_held = 300
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(gathering.answers(), 0.01)
        assert gathering.num_tokens == record.num_tokens == num_told + 300
        await gathering.aclose()

    asyncio.run(run())


def test_events_from_before_are_taken_too():
    async def run():
        stream = RequestStream(asyncio.get_running_loop(), lambda: None)
        for event in PIECES:
            stream.push(event)
        async with aclosing(Gathering([stream])) as gathering:
            assert stream.held_bytes() == 0
            stream.push(last())
            (whole,) = await gathering.answers()
        assert whole.text == "abc"

    asyncio.run(run())


def test_the_time_of_the_first_token_is_noted_when_it_comes():
    record = RequestRecord("id", time.monotonic())

    async def run():
        follow(record)
        client = FakeClient(lambda request: [Delta("r", (), ""), 0.01, *PIECES, 0.05, last()])
        stream = client.submit(Request("r", (1, 2), SamplingParams(max_tokens=5)))
        async with aclosing(Gathering([stream])) as gathering:
            await gathering.answers()
        return time.monotonic()

    end_s = asyncio.run(run())
    assert record.first_token_s is not None
    assert record.received_s + 0.01 <= record.first_token_s <= end_s - 0.05


def test_the_reading_of_a_prompt_is_no_first_token():
    record = RequestRecord("id", time.monotonic())

    async def run():
        follow(record)
        events = [[Delta("r", (), "", finish=last().finish)], [*PIECES, last()]]
        streams = [pushed(part, []) for part in events]
        async with aclosing(Gathering(streams, num_choices=1)) as gathering:
            await gathering.answers()

    asyncio.run(asyncio.wait_for(run(), 10))
    assert record.first_token_s is None


def test_nothing_to_wait_for_is_no_answer():
    assert gather(pushed) == ([], [])
