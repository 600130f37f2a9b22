"""A client whose answers are scripted; it validates requests like the real engine."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Self

from tests.support.tiny import EOS_ID, MASK_ID, VOCAB_SIZE, byte_tokenizer
from unmask.decoding.automata.compiler import GrammarCompiler
from unmask.engine.schedule.admission import resolve
from unmask.engine.schedule.limits import EngineLimits
from unmask.errors import InvalidRequest, UnmaskError
from unmask.grammar import Grammar
from unmask.tokenizer import Tokenizer
from unmask.types import (
    Delta,
    EngineState,
    EngineStatus,
    Event,
    Failure,
    Finish,
    FinishReason,
    ModelInfo,
    RefinedToken,
    Refinement,
    Request,
    SamplingParams,
    TokenLogprob,
    Usage,
)

ANSWER = "Hello wörld!"
MODEL = ModelInfo(
    name="tiny/fake",
    max_model_len=256,
    vocab_size=VOCAB_SIZE,
    mask_token_id=MASK_ID,
    eos_token_ids=(EOS_ID,),
    default_sampling=SamplingParams(),
    created_s=1_700_000_000,
)
TOKENIZER = Tokenizer(byte_tokenizer())
Script = Callable[[Request], Iterable[Event | float]]


@dataclass
class FakeStream:
    """Events of a script, in which floats are seconds of silence; `closed_early` after an abort."""

    events: list[Event | float]
    ended: bool = False
    closed_early: bool = False
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while self.events:
            event = self.events.pop(0)
            if not isinstance(event, float):
                self.ended = bool(getattr(event, "finish", isinstance(event, Failure)))
                return event
            await asyncio.sleep(event)
        raise StopAsyncIteration

    def held_bytes(self) -> int:
        return 100 * len(self.events)

    async def aclose(self) -> None:
        if not self.closed.is_set():
            self.closed_early = not self.ended
        self.events = []
        self.closed.set()


@dataclass
class FakeConnection:
    """A server's connection, which leaves when it is told to."""

    opened: bool = True
    calls: set[Callable[[], None]] = field(default_factory=set)

    def is_open(self) -> bool:
        return self.opened

    def watch(self, call: Callable[[], None]) -> None:
        self.calls.add(call)

    def unwatch(self, call: Callable[[], None]) -> None:
        self.calls.discard(call)

    def leave(self) -> None:
        self.opened = False
        for call in tuple(self.calls):
            call()


@dataclass
class FakeClient:
    """`refusals` are errors by the number of the submission that raises them."""

    script: Script = lambda request: answer(request)
    state: EngineState = "ready"
    refusals: dict[int, UnmaskError] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    streams: list[FakeStream] = field(default_factory=list)
    known_grammars: set[Grammar] = field(default_factory=set)  # that need no compilation
    model: ModelInfo = MODEL
    tokenizer: Tokenizer = TOKENIZER
    max_queue: int | None = None

    def compile(self, sampling: SamplingParams, seconds: float | None = None) -> object:
        if sampling.grammar is None:
            return None
        try:
            return GrammarCompiler(self.tokenizer.to_json, self.model).automaton(sampling.grammar)
        except InvalidRequest as error:
            raise InvalidRequest(error.message, field="grammar") from error

    def has_compiled(self, sampling: SamplingParams) -> bool:
        return sampling.grammar is None or sampling.grammar in self.known_grammars

    def submit(self, request: Request) -> FakeStream:
        resolve(
            request, self.model, EngineLimits(max_batch_tokens=2048, num_pages=400, page_size=16)
        )
        number = len(self.requests)
        self.requests.append(request)
        if number in self.refusals:
            raise self.refusals[number]
        self.streams.append(FakeStream(list(self.script(request))))
        return self.streams[-1]

    def abort(self, request_id: str) -> None:
        raise AssertionError("the API closes streams instead")

    def shutdown(self, timeout_s: float = 0.0) -> None:
        self.state = "stopping"

    def status(self) -> EngineStatus:
        return EngineStatus(self.state, 1, 2, 3, 4, max_queue=self.max_queue)


def usage(request: Request, num_tokens: int) -> Usage:
    return Usage(len(request.prompt_token_ids), 1, num_tokens, 5, 6, 70, 16)


def refinement(request: Request, step: int) -> Refinement:
    tokens = (RefinedToken(40, "H", 0.75, True), RefinedToken(MASK_ID, "<|mask|>", 0.1, False))
    wanted = request.refinements is not None and request.refinements.tokens
    return Refinement(request.request_id, 0, step, 8, (0, 2), 1, "H░", tokens if wanted else None)


def answer(request: Request, text: str = ANSWER, pause_s: float = 0.0) -> list[Event | float]:
    """`text` two tokens at a time, then the end of the sequence; stops at `max_tokens`.

    An answer that is given is read instead.
    """
    request_id, sampling = request.request_id, request.sampling
    ids = request.given_answer or (*TOKENIZER.encode(text), EOS_ID)
    reason, rank = FinishReason.STOP, 2 if request.given_answer else None
    if sampling.max_tokens is not None and sampling.max_tokens < len(ids):
        ids, reason = ids[: sampling.max_tokens], FinishReason.LENGTH
    events: list[Event | float] = []
    sent = ""
    for at in range(0, len(ids), 2):
        if request.refinements is not None:
            events.append(refinement(request, at))
        if pause_s:
            events.append(pause_s)
        last = at + 2 >= len(ids)
        ready = TOKENIZER.decode(ids[: at + 2])
        ready = ready if last else ready.rstrip("�")
        fresh, sent = ready[len(sent) :], ready
        pair = ids[at : at + 2]
        logprobs: tuple[TokenLogprob, ...] = ()
        if (count := sampling.logprobs) is not None:
            top = ((65, -0.5), (66, -1.5), (67, float("-inf")))[:count]
            logprobs = tuple(TokenLogprob(i, -0.25, top, rank) for i in pair)
        finish = Finish(reason, usage(request, len(ids))) if last else None
        events.append(Delta(request_id, tuple(pair), fresh, logprobs, finish))
    return events


def endless(request: Request) -> Iterable[Event | float]:
    """A few words, then silence."""
    return [*answer(request, "Hello wor", 0.0)[:2], 3600.0]


def failing(request: Request) -> list[Event | float]:
    """A word, then a failure."""
    return [answer(request)[0], Failure(request.request_id, "out of luck")]
