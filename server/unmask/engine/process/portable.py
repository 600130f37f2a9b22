"""Requests on their way to another process, to which each automaton is sent once."""

import itertools
import weakref
from collections.abc import Callable
from dataclasses import replace

from unmask.decoding.automata.automaton import TokenAutomaton
from unmask.engine.process.messages import Add, Forget
from unmask.engine.schedule.requests import Automata, Counted, Resolved
from unmask.types import Request


def portable(request: Request, resolved: Resolved) -> Request:
    """The request with its seed, and without its automata."""
    sampling = replace(request.sampling, seed=resolved.decoding.seed)
    return replace(request, sampling=sampling, compiled=None)


class Sender:
    """Numbers the automata that another process has."""

    def __init__(self) -> None:
        self._numbers = weakref.WeakKeyDictionary[TokenAutomaton, int]()
        self._next = itertools.count()

    def message(
        self,
        request: Request,
        automata: Automata,
        send: Callable[[Forget], None],
        counted: Counted | None = None,
    ) -> Add:
        """The message for a request, with the automata that the other process does not have.

        `send` is called from any thread once an automaton is not needed any more.
        """
        numbers, fresh = list[int](), list[tuple[int, TokenAutomaton]]()
        for automaton in automata.parts:
            number = self._numbers.get(automaton)
            if number is None:
                number = self._numbers[automaton] = next(self._next)
                fresh.append((number, automaton))
                weakref.finalize(automaton, send, Forget(number)).atexit = False
            numbers.append(number)
        return Add(request, tuple(numbers), tuple(fresh), counted)

    def clear(self) -> None:
        """Note that the other process has none any more."""
        self._numbers.clear()


class Receiver:
    """Keeps the automata of a `Sender` until it says that they are not needed."""

    def __init__(self) -> None:
        self._automata: dict[int, TokenAutomaton] = {}

    def request(self, add: Add) -> Request:
        """The request of a message, with its automata."""
        self._automata.update(add.fresh)
        parts = tuple(self._automata[number] for number in add.automata)
        return replace(add.request, compiled=Automata(parts) if parts else None)

    def forget(self, forget: Forget) -> None:
        """Drop an automaton."""
        self._automata.pop(forget.number, None)

    def clear(self) -> None:
        """Drop all automata."""
        self._automata.clear()
