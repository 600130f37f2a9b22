"""Automata of grammars, compiled once for each vocabulary and kept while they are used."""

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

import numpy as np

from unmask.decoding.automata.automaton import TokenAutomaton, build_automaton
from unmask.decoding.automata.errors import (
    GrammarTooLarge,
    GrammarTooSlow,
    InvalidGrammar,
    NoAnswer,
)
from unmask.decoding.automata.language import language_of
from unmask.decoding.automata.limits import Budget, Limits
from unmask.decoding.automata.vocabulary import Vocabulary
from unmask.decoding.automata.widening import without_sizes
from unmask.errors import InvalidRequest
from unmask.grammar import Grammar

CACHE_BYTES = 256 << 20
BYTES_OF_ID = 64  # in a set
MAX_REFUSED, MAX_REFUSED_BYTES = 64, 256 << 10  # refused grammars, and of one

Value = TypeVar("Value")


class AutomatonCache:
    """Least recently used automata; safe from several threads.

    A grammar that several threads ask for is compiled by one of them; the others wait. One that was
    dropped is still known while anything holds its automaton.
    """

    def __init__(self, limits: Limits | None = None, max_bytes: int = CACHE_BYTES) -> None:
        self._limits = limits or Limits()
        self._automata = _Recent[TokenAutomaton](max_bytes)
        self._refused = _Refused()

    def automaton(
        self,
        vocabulary: Vocabulary,
        grammar: Grammar,
        allowed_ids: frozenset[int] | None = None,
        seconds: float | None = None,
    ) -> TokenAutomaton:
        """Automaton of a grammar, of the allowed tokens only, within `seconds` or the limit.

        Raises `InvalidGrammar`, `GrammarTooLarge` and `NoAnswer`, at once where a grammar was
        refused before, unless it took too long.
        """
        key = vocabulary, grammar, allowed_ids
        self._refused.check(key)
        limits = self._limits if seconds is None else replace(self._limits, seconds=seconds)

        def num_bytes_of_key() -> int:  # a schema's descriptions may be longer than its automaton
            return len(repr(grammar)) + BYTES_OF_ID * len(allowed_ids or ())

        def make() -> tuple[TokenAutomaton, int]:
            made = _compile(vocabulary, grammar, allowed_ids, Budget(limits))
            return made, made.num_bytes + num_bytes_of_key()

        try:
            return self.get(key, make, limits.seconds)
        except (GrammarTooLarge, InvalidGrammar, NoAnswer) as error:
            if not isinstance(error, GrammarTooSlow) and num_bytes_of_key() <= MAX_REFUSED_BYTES:
                self._refused.add(key, error)
            raise

    def get(
        self,
        key: Hashable,
        make: Callable[[], tuple[TokenAutomaton, int]],
        seconds: float | None = None,
    ) -> TokenAutomaton:
        """The automaton of a key, which `make` makes, with the bytes of it and its key.

        One that another thread makes is waited for, up to `seconds` or the limit.
        """
        return self._automata.get(key, make, seconds or self._limits.seconds)

    def knows(
        self, vocabulary: Vocabulary, grammar: Grammar, allowed_ids: frozenset[int] | None = None
    ) -> bool:
        """True if `automaton` would return at once; it is among the last ones used from now on."""
        return self.has((vocabulary, grammar, allowed_ids))

    def has(self, key: Hashable) -> bool:
        """True if `get` would return at once; the same holds."""
        return self._automata.knows(key)


def _compile(
    vocabulary: Vocabulary, grammar: Grammar, allowed_ids: frozenset[int] | None, budget: Budget
) -> TokenAutomaton:
    allowed = None
    if allowed_ids is not None:
        allowed = np.zeros(vocabulary.num_tokens, np.bool_)
        if any(not 0 <= i < len(allowed) for i in allowed_ids):
            raise InvalidGrammar("an allowed token id is not in the vocabulary")
        allowed[list(allowed_ids)] = True
    try:
        return build_automaton(
            language_of(grammar, vocabulary.specials, budget), vocabulary, budget, allowed
        )
    except GrammarTooLarge as error:
        smaller = without_sizes(grammar)
        if smaller == grammar or isinstance(error, GrammarTooSlow):
            raise
    language = language_of(smaller, vocabulary.specials, budget)
    return build_automaton(language, vocabulary, budget, allowed)


@dataclass(slots=True)
class _Refused:
    """Errors of the grammars that were refused last, without the frames that they came from."""

    errors: OrderedDict[Hashable, InvalidRequest] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self, key: Hashable) -> None:
        """Raise the error of a key, if it has one."""
        with self.lock:
            if (error := self.errors.get(key)) is None:
                return
            self.errors.move_to_end(key)
        raise copy(error)

    def add(self, key: Hashable, error: InvalidRequest) -> None:
        with self.lock:
            self.errors[key] = copy(error)
            if len(self.errors) > MAX_REFUSED:
                self.errors.popitem(last=False)


@dataclass(slots=True)
class _Recent(Generic[Value]):
    """Values by key, made once; the least recently used are dropped beyond so many bytes.

    What makes a value tells the bytes of it and its key.
    """

    max_bytes: int
    num_bytes: int = 0
    values: OrderedDict[Hashable, "Future[tuple[Value, int]]"] = field(default_factory=OrderedDict)
    dropped: weakref.WeakValueDictionary[Hashable, Value] = field(
        default_factory=weakref.WeakValueDictionary
    )
    lock: threading.Lock = field(default_factory=threading.Lock)

    def knows(self, key: Hashable) -> bool:
        with self.lock:
            known = self.values.get(key)
            if known is None:
                return key in self.dropped
            self.values.move_to_end(key)
        return known.done()

    def get(self, key: Hashable, make: Callable[[], tuple[Value, int]], seconds: float) -> Value:
        """The value of a key; raises `GrammarTooSlow` if another thread takes over `seconds`."""
        while True:
            with self.lock:
                known = self.values.get(key)
                if known is None:
                    if (dropped := self.dropped.get(key)) is not None:
                        return dropped
                    future = self.values[key] = Future()
                    break
                self.values.move_to_end(key)
            try:
                return known.result(seconds)[0]
            except TimeoutError:
                raise GrammarTooSlow(seconds) from None
            except GrammarTooSlow as error:
                if error.seconds >= seconds:
                    raise
        try:
            value, num_bytes = make()
        except BaseException as error:
            with self.lock:
                del self.values[key]
            future.set_exception(error)
            raise
        future.set_result((value, num_bytes))
        self._make_room(key, num_bytes)
        return value

    def _make_room(self, key: Hashable, num_bytes: int) -> None:
        """Count the bytes of a fresh key, and drop other values as needed."""
        with self.lock:
            self.num_bytes += num_bytes
            done = [k for k, other in self.values.items() if other.done() and k != key]
            for other in done:
                if self.num_bytes <= self.max_bytes:
                    break
                value, freed = self.values.pop(other).result()
                self.num_bytes -= freed
                self.dropped[other] = value
