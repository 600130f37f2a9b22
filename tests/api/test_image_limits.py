"""Images of requests in memory: as they were sent, and decoded."""

import asyncio
import threading

import pytest

from tests.api.fake_client import FakeClient
from tests.support.pictures import MODEL_OF_IMAGES, image_tokenizer, pixels, png, url_of
from unmask.api.backend import MAX_PENDING, Backend, Workers
from unmask.api.body_budget import FREE, BodyBudget, ImageBudget
from unmask.api.images import images_of, read_images
from unmask.api.requests import ChatMessage
from unmask.config import ServerConfig
from unmask.errors import InvalidRequest, QueueFull
from unmask.metrics import Metrics

RED, BLUE = png(), png(8, 24, "blue")


@pytest.fixture
def engine():
    return FakeClient(model=MODEL_OF_IMAGES, tokenizer=image_tokenizer())


def part(file):
    return {"type": "image_url", "image_url": {"url": url_of(file)}}


def test_images_that_are_decoded_have_a_limit_together(engine):
    """Also those of requests that are not open yet, or that only count tokens."""
    size, other = len(pixels(RED).data), len(pixels(BLUE).data)
    budget = ImageBudget(size + other)
    backend = Backend(engine, Metrics(), ServerConfig(), BodyBudget(0), images=budget)
    chats = [
        [ChatMessage(role="user", content=[part(file)]) for file in files]
        for files in ([RED, RED, BLUE], [RED], [RED, b"broken"], [])
    ]

    async def idle():
        await backend.workers.read_image(lambda: None)  # the thread has let go of the last result

    async def run():
        of_both, of_one, broken, none = (images_of(messages) for messages in chats)
        held = await read_images(backend, of_both)
        assert budget.num_bytes == size + other
        assert await read_images(backend, none) == {}
        with pytest.raises(QueueFull, match="too many images"):
            await read_images(backend, of_one)
        del held
        await idle()
        assert budget.num_bytes == 0
        with pytest.raises(InvalidRequest, match="none of PNG"):
            await read_images(backend, broken)
        await idle()
        assert budget.num_bytes == 0

    asyncio.run(run())


def test_many_requests_wait_for_their_images_within_a_limit_of_bytes(engine):
    """More than may wait for another thread; large ones may be too many."""
    one = list(images_of([ChatMessage(role="user", content=[part(RED)])]))
    large = list(images_of([ChatMessage(role="user", content=[part(RED + bytes(FREE))])]))
    room = BodyBudget(len(large[0].image.sent) - FREE)
    backend = Backend(engine, Metrics(), ServerConfig(), BodyBudget(0), sent_images=room)

    async def run():
        may_end = threading.Event()
        first = asyncio.create_task(backend.workers.read_image(lambda: may_end.wait(20)))
        waiting = [
            asyncio.create_task(read_images(backend, sent))
            for sent in (large, *[one] * (MAX_PENDING + 1))
        ]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull, match="bytes of request bodies"):
            await read_images(backend, large)
        may_end.set()
        assert [len(read) for read in await asyncio.gather(*waiting)] == [1] * (MAX_PENDING + 2)
        await first
        assert len(await read_images(backend, large)) == 1

    asyncio.run(run())


def test_images_are_decoded_beside_the_event_loop():
    async def run():
        return await Workers().read_image(threading.current_thread)

    assert asyncio.run(run()) is not threading.main_thread()
