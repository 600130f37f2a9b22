"""The events of several requests as one sequence of batches, aborted together."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Sequence

from unmask.api.errors import RequestFailed
from unmask.client import EngineClient, EventStream
from unmask.types import Delta, Event, Failure, FinishReason, Refinement, Request

logger = logging.getLogger(__name__)

Batch = list[tuple[int, Event]]


async def submit_all(client: EngineClient, requests: Iterable[Request]) -> list[EventStream]:
    """Submit every request or none: when one is refused, those before it are aborted."""
    streams: list[EventStream] = []
    try:
        for request in requests:
            streams.append(client.submit(request))  # noqa: PERF401 - those so far are needed below
    except BaseException:
        for stream in streams:
            await stream.aclose()
        raise
    return streams


class Merger:
    """Reads many streams at once, fairly; use it in `contextlib.aclosing`.

    Few events wait here: when nobody takes them they stay in the client, which drops refinements.
    """

    def __init__(self, streams: Sequence[EventStream]) -> None:
        self._streams = streams
        self._queue: asyncio.Queue[tuple[int, Event]] = asyncio.Queue(2 * len(streams))
        self._open = set(range(len(streams)))
        self._tasks = [asyncio.create_task(self._pump(i, s)) for i, s in enumerate(streams)]

    async def batches(self, ping_s: float | None = None) -> AsyncGenerator[Batch, None]:
        """What has happened since the last batch, by stream index; empty after `ping_s` of silence.

        Raises `RequestFailed` for a `Failure` or an abort that was not ours.
        """
        while self._open:
            try:
                async with asyncio.timeout(ping_s):
                    batch = [await self._queue.get()]
            except TimeoutError:
                yield []
                continue
            while not self._queue.empty():
                batch.append(self._queue.get_nowait())
            for index, event in batch:
                if _ends(index, event):
                    self._open.discard(index)
            yield _without_stale(batch)

    async def aclose(self) -> None:
        """Abort what has not ended."""
        for task in self._tasks:
            task.cancel()
        try:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:
            for stream in self._streams:
                await stream.aclose()

    async def _pump(self, index: int, stream: EventStream) -> None:
        message = "the engine ended it without a reason"
        try:
            async for event in stream:
                await self._queue.put((index, event))
                if not isinstance(event, Refinement) and _is_last(event):
                    return
        except Exception:
            logger.exception("the events of a request could not be read")
            message = "the server failed; its log says why"
        await self._queue.put((index, Failure("", message)))


def _is_last(event: Delta | Failure) -> bool:
    return isinstance(event, Failure) or event.finish is not None


def _ends(index: int, event: Event) -> bool:
    if isinstance(event, Refinement):
        return False
    if isinstance(event, Failure):
        raise RequestFailed(f"choice {index} failed: {event.message}")
    if event.finish is not None and event.finish.reason is FinishReason.ABORT:
        raise RequestFailed(f"choice {index} was aborted by the server", status=503, code="aborted")
    return event.finish is not None


def _without_stale(batch: Batch) -> Batch:
    """The batch with only the latest refinement of each stream."""
    latest = {i: event for i, event in batch if isinstance(event, Refinement)}
    return [
        (i, event) for i, event in batch if not isinstance(event, Refinement) or latest[i] is event
    ]
