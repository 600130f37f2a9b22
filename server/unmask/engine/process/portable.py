"""Requests on their way to another process, to which each automaton and image is sent once."""

import itertools
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from unmask.engine.process.messages import Add, Forget, Shared
from unmask.engine.schedule.requests import Automata, Counted, Resolved
from unmask.images import Pixels
from unmask.types import Request

BESIDE = Pixels(b"", 0, 0, b"", 0, (0, 0))  # of an image whose pixels are sent beside its request


def portable(request: Request, resolved: Resolved) -> Request:
    """The request with its seed, and without its automata."""
    sampling = replace(request.sampling, seed=resolved.decoding.seed)
    return replace(request, sampling=sampling, compiled=None)


class Sender:
    """Numbers the automata and the pixels that another process has."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}  # by the id of each
        self._next = itertools.count()

    def message(
        self,
        request: Request,
        automata: Automata,
        send: Callable[[Forget], None],
        counted: Counted | None = None,
    ) -> Add:
        """The message for a request, with all that the other process does not have.

        `send` is called from any thread once an automaton or an image is not needed any more.
        """
        fresh = list[tuple[int, Shared]]()
        numbers = [self._number(part, send, fresh) for part in automata.parts]
        pixels = [self._number(image.pixels, send, fresh) for image in request.images]
        images = tuple(replace(image, pixels=BESIDE) for image in request.images)
        request = replace(request, images=images)
        return Add(request, tuple(numbers), tuple(fresh), counted, tuple(pixels))

    def _number(
        self, part: Shared, send: Callable[[Forget], None], fresh: list[tuple[int, Shared]]
    ) -> int:
        """Number of a part, which is `fresh` if it was not sent before."""
        number = self._numbers.get(id(part))
        if number is None:
            number = self._numbers[id(part)] = next(self._next)
            fresh.append((number, part))
            weakref.finalize(part, self._forget, id(part), number, send).atexit = False
        return number

    def _forget(self, part_id: int, number: int, send: Callable[[Forget], None]) -> None:
        self._numbers.pop(part_id, None)
        send(Forget(number))

    def clear(self) -> None:
        """Note that the other process has none any more."""
        self._numbers.clear()


class Receiver:
    """Keeps the automata and the pixels of a `Sender` until it says that they are not needed."""

    def __init__(self) -> None:
        self._parts: dict[int, Any] = {}

    def request(self, add: Add) -> Request:
        """The request of a message, with its automata and images."""
        self._parts.update(add.fresh)
        automata = tuple(self._parts[number] for number in add.automata)
        images = tuple(
            replace(image, pixels=self._parts[number])
            for image, number in zip(add.request.images, add.pixels, strict=True)
        )
        compiled = Automata(automata) if automata else None
        return replace(add.request, compiled=compiled, images=images)

    def forget(self, forget: Forget) -> None:
        """Drop an automaton or the pixels of an image."""
        self._parts.pop(forget.number, None)

    def clear(self) -> None:
        """Drop all."""
        self._parts.clear()
