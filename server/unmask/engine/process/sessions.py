"""Requests as a server knows them while an engine in another process runs them."""

import time
from dataclasses import dataclass, field, replace

from unmask.engine.process.messages import Choice
from unmask.engine.schedule.requests import Automata, Counted
from unmask.engine.streams import RequestStream
from unmask.types import Delta, Finish, FinishReason, Refinement, Request, Usage


@dataclass(slots=True)
class ProcessSession:
    """A request, how much of its answer was sent, and how much an engine has repeated.

    Decoding is deterministic, so an answer that is begun anew comes to what was sent before.
    """

    number: str  # its id for the engine
    request: Request  # with a seed
    automata: Automata
    stream: RequestStream
    engine: int | None = None  # the engine that runs it, or is to try it
    is_inside: bool = False  # that engine has it
    is_aborted: bool = False  # that engine was told to drop it
    num_sent: int = 0  # tokens
    chars_sent: int = 0
    num_seen: int = 0  # tokens of this engine
    chars_seen: int = 0
    num_held: int = 0  # tokens that it tells at the end
    # As metrics have it, see `Counted`.
    arrival_s: float = field(default_factory=time.monotonic)
    queue_s: float | None = None
    first_token_s: float | None = None
    last_token_s: float | None = None
    num_counted: int = 0

    @property
    def position(self) -> int:
        """Tokens of the answer that the engine has made."""
        return self.num_seen + self.num_held

    def begin(self) -> Request:
        """The request for an engine that does not have it."""
        self.is_inside = True
        self.num_seen = self.chars_seen = self.num_held = 0
        return replace(self.request, request_id=self.number)

    @property
    def counted(self) -> Counted:
        """A request that is counted once, however many engines are lost with it."""
        times = self.arrival_s, self.queue_s, self.first_token_s, self.last_token_s
        return Counted(*times, self.num_counted)

    def note_tokens(self, now_s: float) -> None:
        """Note tokens that the engine has counted, if it did not repeat them."""
        if self.position <= self.num_counted:
            return
        self.num_counted, self.last_token_s = self.position, now_s
        if self.first_token_s is None:
            self.first_token_s = now_s - self.arrival_s

    def choose(self, choice: Choice) -> None:
        """Keep what the load chose, as another load might choose otherwise."""
        _, block_length, mode = choice
        params = self.request.sampling
        if mode is not None:
            params = replace(params, mode=mode)
        elif block_length is not None:
            params = replace(params, block_length=block_length)
        self.request = replace(self.request, sampling=params)

    def unsent(self, delta: Delta) -> Delta | None:
        """The part of an engine's delta that was not sent yet; None if that is nothing."""
        num_old = max(self.num_sent - self.num_seen, 0)
        chars_old = max(self.chars_sent - self.chars_seen, 0)
        self.num_seen += len(delta.token_ids)
        self.chars_seen += len(delta.text)
        self.num_sent = max(self.num_sent, self.num_seen)
        self.chars_sent = max(self.chars_sent, self.chars_seen)
        token_ids, text = delta.token_ids[num_old:], delta.text[chars_old:]
        if not token_ids and not text and delta.finish is None and (num_old or chars_old):
            return None
        name = self.request.request_id
        return Delta(name, token_ids, text, delta.logprobs[num_old:], delta.finish)

    def as_aborted(self) -> Finish:
        """The end of the answer if no engine has the request, and nobody waits for it."""
        usage = Usage(self.request.num_given, 0, self.num_sent, 0, 0, 0, 0)
        return Finish(FinishReason.ABORT, usage, queue_s=self.queue_s)

    def refined(self, refinement: Refinement) -> Refinement | None:
        """The refinement for the stream; None while the engine repeats what was sent."""
        if self.num_seen < self.num_sent:
            return None
        return replace(refinement, request_id=self.request.request_id)
