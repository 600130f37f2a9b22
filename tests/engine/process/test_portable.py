"""Requests on their way to another process: automata and images are sent once."""

import pickle
from dataclasses import replace

from unmask.engine.process.messages import Add, Forget
from unmask.engine.process.portable import Receiver, Sender
from unmask.engine.schedule.requests import Automata
from unmask.images import ImageRows, Pixels
from unmask.types import Request, SamplingParams

SIZE = 200_000


def image(start: int, shade: int) -> ImageRows:
    pixels = Pixels(bytes([shade]) * SIZE, 100, SIZE // 300, bytes([shade]) * 16, 4, (1, 4))
    return ImageRows(start, start + 4, pixels, True)


def sent(add: Add) -> Add:
    """The message as the other process has it."""
    copied: Add = pickle.loads(pickle.dumps(add))
    return copied


def test_choices_of_a_prompt_send_its_images_once_and_share_them_again() -> None:
    sender, receiver, forgotten = Sender(), Receiver(), list[Forget]()
    first, second = image(1, 7), image(6, 8)
    images = first, second, replace(first, start=11, end=15)
    request = Request("a", tuple(range(20)), SamplingParams(), images=images)
    choices = [replace(request, request_id=name) for name in "abc"]
    adds = [sender.message(one, Automata(()), forgotten.append) for one in choices]
    assert 2 * SIZE < len(pickle.dumps(adds[0])) < 2 * SIZE + 2_000
    assert all(len(pickle.dumps(add)) < 2_000 for add in adds[1:])
    received = [receiver.request(sent(add)) for add in adds]
    assert received == choices
    pixels = [one.images[0].pixels for one in received]
    assert pixels[0] is received[0].images[2].pixels is pixels[1] is pixels[2]
    assert forgotten == []


def test_images_that_no_request_has_are_forgotten_and_sent_again() -> None:
    sender, receiver, forgotten = Sender(), Receiver(), list[Forget]()
    for _ in range(2):
        request = Request("a", tuple(range(20)), SamplingParams(), images=(image(1, 7),))
        add = sender.message(request, Automata(()), forgotten.append)
        assert receiver.request(sent(add)) == request
        assert len(add.fresh) == 1
        del request, add
        receiver.forget(forgotten.pop())
    request = Request("a", tuple(range(20)), SamplingParams(), images=(image(1, 7),))
    for _ in range(2):  # the second time to a process that has nothing
        assert len(sender.message(request, Automata(()), forgotten.append).fresh) == 1
        sender.clear()
