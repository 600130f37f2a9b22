"""Events that nobody reads: refinements give way to the latest, text is kept and measured."""

import asyncio

from unmask.engine.streams import RequestStream
from unmask.types import (
    Delta,
    Event,
    Failure,
    Finish,
    FinishReason,
    RefinedToken,
    Refinement,
    TokenLogprob,
    Usage,
)


def delta(text: str = "a", finish: Finish | None = None, num_top: int = 0) -> Delta:
    top = tuple((i, -1.0) for i in range(num_top))
    logprobs = (TokenLogprob(1, -0.5, top),) if num_top else ()
    return Delta("r", (1,), text, logprobs, finish)


def refinement(step: int, num_tokens: int = 0) -> Refinement:
    tokens = tuple(RefinedToken(i, "a", 0.5, False) for i in range(num_tokens))
    return Refinement("r", 0, step, 8, (0, 2), 1, "a", tokens)


LAST = delta("z", Finish(FinishReason.STOP, Usage(*(1 for _ in range(7)))))


async def read(stream: RequestStream) -> list[Event]:
    return [event async for event in stream]


def unread(*events: Event) -> RequestStream:
    stream = RequestStream(asyncio.get_running_loop(), lambda: None)
    for event in events:
        stream.push(event)
    return stream


def test_only_the_latest_refinement_is_kept_and_at_its_place():
    async def run() -> None:
        a, b, c = delta("a"), delta("b"), delta("c")
        first, second, third = map(refinement, range(3))
        assert await read(unread(first, a, second, b, LAST)) == [a, second, b, LAST]
        assert await read(unread(first, second, a, LAST)) == [second, a, LAST]
        assert await read(unread(a, first, b, c, third, LAST)) == [a, b, c, third, LAST]
        failure = Failure("r", "no")
        assert await read(unread(first, failure)) == [first, failure]

    asyncio.run(run())


def test_refinements_and_text_take_turns_while_both_are_read_and_pushed():
    async def run() -> None:
        stream = unread(refinement(0), delta("a"))
        assert await anext(stream) == refinement(0)
        stream.push(refinement(1))
        assert await anext(stream) == delta("a")
        assert await anext(stream) == refinement(1)
        stream.push(refinement(2))
        stream.push(LAST)
        assert await read(stream) == [refinement(2), LAST]

    asyncio.run(run())


def test_unread_events_are_measured_until_they_are_read():
    async def run() -> None:
        assert unread().held_bytes() == 0
        plain = unread(*(delta() for _ in range(1000))).held_bytes()
        long = unread(*(delta("a" * 1000) for _ in range(1000))).held_bytes()
        assert long - plain > 900_000
        scored = unread(*(delta(num_top=20) for _ in range(1000))).held_bytes()
        assert scored - plain > 1_000_000
        drafts = unread(*(refinement(i, 1000) for i in range(50)))
        assert 100_000 < drafts.held_bytes() < 1_000_000, "one of them is kept"
        stream = unread(*(delta() for _ in range(1000)), LAST)
        await read(stream)
        assert stream.held_bytes() == 0

    asyncio.run(run())


def test_a_closed_stream_holds_nothing():
    async def run() -> None:
        stream = unread(*(delta() for _ in range(1000)), refinement(0, 100))
        await stream.aclose()
        assert stream.held_bytes() == 0
        for event in (delta(), delta(), refinement(1, 100)):
            stream.push(event)
        assert stream.held_bytes() == 0, "it takes nothing either"

    asyncio.run(run())


def test_a_reader_that_waits_is_told_that_its_stream_was_closed():
    async def run() -> None:
        stream = unread()
        reading = asyncio.create_task(read(stream))
        await asyncio.sleep(0)
        await stream.aclose()
        async with asyncio.timeout(10):
            assert await reading == []

    asyncio.run(run())


def test_events_that_are_forwarded_are_not_kept():
    async def run() -> None:
        aborts = list[str]()
        stream = RequestStream(asyncio.get_running_loop(), lambda: aborts.append("r"))
        stream.push(delta("a"))
        got = list[Event]()
        stream.forward(got.append)
        assert got == [delta("a")]
        stream.push(delta("b"))
        assert stream.held_bytes() == 0
        stream.push(LAST)
        await stream.aclose()
        assert got == [delta("a"), delta("b"), LAST]
        assert not aborts

    asyncio.run(run())


def test_a_forwarded_stream_that_is_closed_early_is_aborted_and_says_no_more():
    async def run() -> None:
        aborts, got = list[str](), list[Event]()
        stream = RequestStream(asyncio.get_running_loop(), lambda: aborts.append("r"))
        stream.forward(got.append)
        stream.push(delta("a"))
        await stream.aclose()
        stream.push(delta("b"))
        assert got == [delta("a")]
        assert aborts == ["r"]

    asyncio.run(run())
