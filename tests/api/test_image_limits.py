"""Images of requests in memory: as they were sent, and decoded."""

import asyncio
import gc
import json
import re
import threading
import time
from dataclasses import replace

import pytest

from tests.api.fake_client import MODEL, FakeClient, answer
from tests.support.pictures import (
    MODEL_OF_IMAGES,
    image_tokenizer,
    in_base64,
    pixels,
    png,
    url_of,
)
from unmask.api.backend import MAX_PENDING, Backend, Workers
from unmask.api.body_budget import FREE, BodyBudget, ImageBudget
from unmask.api.images import images_of, read_images
from unmask.api.message_parts import ImageBody
from unmask.api.requests import ChatMessage
from unmask.config import ServerConfig
from unmask.errors import InvalidRequest, QueueFull
from unmask.image_fits import Square
from unmask.metrics import Metrics

RED, BLUE = png(), png(8, 24, "blue")
CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
MIB = 2**20


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


def send(call, num_bytes, config=None):
    """Send an image in a body of so many bytes; those behind the end of a file are not read."""
    zeros = "A" * (num_bytes // 4 * 4 - 1000)
    whole = RED + bytes(-len(RED) % 3)  # whose base64 has no padding
    body = json.dumps({"messages": [{"role": "user", "content": [part(whole)]}]})
    body = body.replace('"}}]', zeros + '"}}]')
    headers = {"content-type": "application/json"}
    return call("POST", CHAT, config, content=body, headers=headers)


@pytest.mark.parametrize(
    ("settings", "allowed", "refused"),
    [
        ({}, 27 * MIB, 33 * MIB),
        ({"max_body_mib": 1}, MIB // 2, 2 * MIB),
        ({"max_body_mib": 6}, 5 * MIB, 7 * MIB),
        ({"max_bodies_mib": 2}, MIB, 3 * MIB),
    ],
    ids=["unset", "less", "more", "less in all"],
)
def test_a_body_has_room_for_photos_unless_a_limit_is_set(call, engine, settings, allowed, refused):
    config = ServerConfig(**settings)
    assert send(call, allowed, config).status_code == 200
    ((image,),) = [request.images for request in engine.requests]
    assert image.pixels == pixels(RED)
    assert send(call, refused, config).status_code == 413
    page = call("GET", "/", config).text  # it scales images down to the same limit
    limit = int(re.search(r'"max_body_bytes": (\d+)', page)[1])
    assert allowed < limit < refused


def test_bodies_of_models_without_images_have_four_mib(call, engine):
    engine.model = MODEL
    assert send(call, 3 * MIB).json()["error"]["message"].endswith("this model takes no images")
    assert send(call, 5 * MIB).status_code == 413
    body = {"prompt": "hi", "user": "a" * (3 * MIB)}
    assert call("POST", "/v1/completions", json=body).status_code == 200


@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES])
@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_images_as_they_were_sent_are_gone_once_a_request_is_submitted(call, engine, path, streams):
    counts = []

    def script(request):
        end_s = time.monotonic() + 10  # the thread that has decoded them lets go of them soon
        while (num_left := sum(isinstance(one, ImageBody) for one in gc.get_objects())) and (
            time.monotonic() < end_s
        ):
            time.sleep(0.01)
        counts.append(num_left)
        return answer(request)

    engine.script = script
    source = {"type": "base64", "media_type": "image/png", "data": in_base64(RED)}
    block = {"type": "image", "source": source}
    content = {
        CHAT: {"messages": [{"role": "user", "content": [part(RED)]}]},
        MESSAGES: {"messages": [{"role": "user", "content": [block]}], "max_tokens": 9},
        RESPONSES: {
            "input": [
                {"role": "user", "content": [{"type": "input_image", "image_url": url_of(RED)}]}
            ]
        },
    }
    assert call("POST", path, json={**content[path], "stream": streams}).status_code == 200
    assert counts == [0]


def test_images_of_a_request_with_several_may_be_taken_in_another_way():
    traits = replace(MODEL_OF_IMAGES.images, fit_of_several=Square(16, 2, (127, 127, 127)))
    model = replace(MODEL_OF_IMAGES, images=traits)
    engine = FakeClient(model=model, tokenizer=image_tokenizer())
    backend = Backend(engine, Metrics(), ServerConfig(), BodyBudget(0))

    async def run(*files):
        chat = [ChatMessage(role="user", content=[part(file)]) for file in files]
        return [one.num_rows for one in (await read_images(backend, images_of(chat))).values()]

    assert asyncio.run(run(RED)) == [pixels(RED).num_rows] != [5]
    assert asyncio.run(run(RED, BLUE)) == [5, 5]
