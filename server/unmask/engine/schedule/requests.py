"""Requests as an engine runs them: their parameters, checked, and automata of their grammars."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from unmask.decoding.automata.automaton import TokenAutomaton
from unmask.decoding.automata.compiler import GrammarCompiler
from unmask.decoding.automata.errors import GrammarTooSlow
from unmask.decoding.automata.token_sequences import IN_NO_WORD
from unmask.engine.schedule.admission import resolve
from unmask.engine.schedule.decoding import Decoding
from unmask.engine.schedule.limits import EngineLimits
from unmask.engine.schedule.structure import Part, Structure
from unmask.errors import InvalidRequest, QueueFull, TooSlow
from unmask.grammar import ANY_TEXT, Grammar
from unmask.metrics import Metrics
from unmask.tokenizer import Tokenizer
from unmask.types import ModelInfo, Request, SamplingParams, Template


@dataclass(frozen=True, slots=True)
class Automata:
    """`Request.compiled` of a request that was resolved before: an automaton for each part."""

    parts: tuple[TokenAutomaton, ...]


@dataclass(frozen=True, slots=True)
class Resolved:
    """Parameters of a request, and what may stand where in its answer."""

    decoding: Decoding
    parts: tuple[Part, ...]

    @property
    def structure(self) -> Structure | None:
        """A structure of its own for a sequence; None if anything may stand anywhere."""
        return Structure(list(self.parts)) if self.parts else None

    @property
    def automata(self) -> Automata:
        """Automata of the parts."""
        return Automata(tuple(part.automaton for part in self.parts))


@dataclass(frozen=True, slots=True)
class Counted:
    """Part of a request that metrics have, from engines that were lost with it.

    Its arrival and its last token are times of `time.monotonic`, the others are seconds from its
    arrival to its first step and its first token, None before.
    """

    arrival_s: float
    queue_s: float | None = None
    first_token_s: float | None = None
    last_token_s: float | None = None
    num_tokens: int = 0


class RequestResolver:
    """Checks requests against a model and an engine's sizes; safe from any thread."""

    def __init__(
        self, model: ModelInfo, limits: EngineLimits, tokenizer: Tokenizer, metrics: Metrics
    ) -> None:
        self.model, self.limits, self.tokenizer = model, limits, tokenizer
        self._metrics = metrics
        self._grammars = GrammarCompiler(tokenizer.to_json, model)

    def check(self, request: Request) -> Resolved:
        """Resolve a request at the door; one that can never be served is counted."""
        try:
            return self.resolve(request)
        except InvalidRequest:
            self._metrics.refused.labels("invalid").inc()
            raise

    def check_queue(self, num_waiting: int, max_queue: int) -> None:
        """Raise `QueueFull` when no more requests may wait."""
        if num_waiting >= max_queue:
            self._metrics.refused.labels("queue_full").inc()
            raise QueueFull(f"{num_waiting} requests are waiting already", retry_after_s=1)

    def resolve(self, request: Request) -> Resolved:
        """Parameters and structure of a request; raises `InvalidRequest`."""
        decoding = resolve(request, self.model, self.limits)
        known = request.compiled.parts if isinstance(request.compiled, Automata) else None
        if request.template is not None:
            return Resolved(decoding, tuple(self._holes(request, request.template, known)))
        first = len(request.prompt_token_ids)
        automaton = known[0] if known else self.compile(request.sampling)
        if automaton is None:
            return Resolved(decoding, ())
        if decoding.max_tokens < automaton.shortest:
            raise InvalidRequest(
                f"max_tokens is {decoding.max_tokens}, but the shortest answer that matches the "
                f"grammar has {automaton.shortest} tokens",
                field="max_tokens",
            )
        if request.sampling.bad_words and decoding.penalties is not None:
            decoding.penalties.check_room(np.flatnonzero(automaton.class_of == IN_NO_WORD))
        return Resolved(decoding, (Part(automaton, first, first + decoding.max_tokens),))

    def compile(
        self, sampling: SamplingParams, seconds: float | None = None
    ) -> TokenAutomaton | None:
        """Automaton of a request's grammar or bad words, known while it is held; None without any.

        Takes `seconds` at worst. Raises `InvalidRequest`.
        """
        grammar, allowed = sampling.grammar, sampling.allowed_token_ids
        if sampling.bad_words:
            return self._automaton_without(sampling)
        if grammar is None:
            return None
        try:
            return self._grammars.automaton(grammar, allowed, seconds)
        except InvalidRequest as error:
            kind = TooSlow if isinstance(error, GrammarTooSlow) else InvalidRequest
            raise kind(error.message, field="grammar", code=error.code) from error

    def has_compiled(self, sampling: SamplingParams) -> bool:
        """True if `compile` would return at once."""
        grammar, allowed = sampling.grammar, sampling.allowed_token_ids
        if sampling.bad_words:
            return self._grammars.knows_without(sampling.bad_words, allowed)
        return grammar is None or self._grammars.knows(grammar, allowed)

    def _automaton_without(self, sampling: SamplingParams) -> TokenAutomaton:
        words, allowed = sampling.bad_words, sampling.allowed_token_ids
        try:
            return self._grammars.without(words, self.tokenizer.encode, allowed)
        except InvalidRequest as error:
            raise InvalidRequest(f"bad_words: {error.message}", field="bad_words") from error

    def _holes(
        self, request: Request, template: Template, known: Sequence[TokenAutomaton] | None
    ) -> Iterator[Part]:
        """Holes of a request's template, whose automata may be known; raises `InvalidRequest`."""
        first, allowed = len(request.prompt_token_ids), request.sampling.allowed_token_ids
        for i, hole in enumerate(template.holes):
            automaton = known[i] if known else self._automaton_of_hole(i, hole.grammar, allowed)
            if hole.end - hole.start < automaton.shortest:
                raise InvalidRequest(
                    f"hole {i} has {hole.end - hole.start} tokens, but the shortest text that "
                    f"matches its grammar has {automaton.shortest}",
                    field="template",
                )
            yield Part(automaton, first + hole.start, first + hole.end)

    def _automaton_of_hole(
        self, number: int, grammar: Grammar | None, allowed: tuple[int, ...] | None
    ) -> TokenAutomaton:
        sampling = SamplingParams(grammar=grammar or ANY_TEXT, allowed_token_ids=allowed)
        try:
            automaton = self.compile(sampling)
        except InvalidRequest as error:
            message = f"hole {number}: {error.message}"
            raise type(error)(message, field="template", code=error.code) from error
        assert automaton is not None, "a hole has a grammar"
        return automaton
