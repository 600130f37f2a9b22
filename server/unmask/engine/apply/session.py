"""A request while it runs, as results of steps change it, and what a step made of all of them."""

import math
import time
from dataclasses import dataclass, field

from unmask.decoding.levenshtein import EditedBlock
from unmask.engine.apply.text import TextAssembler
from unmask.engine.schedule.requests import Counted
from unmask.engine.schedule.sequence import Sequence
from unmask.tokenizer import Tokenizer
from unmask.types import Event, Finish, TokenLogprob, Usage


@dataclass(slots=True)
class Session:
    """A sequence with what its stream needs: text so far, log-probabilities, refinement clock."""

    sequence: Sequence
    text: TextAssembler
    tokenizer: Tokenizer
    edited: EditedBlock | None = None  # the open block after its last step, if commands edit it
    logprobs: dict[int, TokenLogprob] = field(default_factory=dict)
    last_refinement_s: float = -math.inf
    last_token_s: float | None = None  # when tokens were made final last
    queue_s: float | None = None  # from arrival to the first step
    num_counted: int = 0  # tokens that metrics have from engines that were lost

    def go_on(self, counted: Counted) -> None:
        """Take over what is counted already, before the first step."""
        self.sequence.arrival_s, self.queue_s = counted.arrival_s, counted.queue_s
        self.sequence.first_token_s = counted.first_token_s
        self.last_token_s, self.num_counted = counted.last_token_s, counted.num_tokens

    def num_uncounted(self, num_fresh: int) -> int:
        """Of so many tokens that have just become final, those that metrics do not have."""
        return min(num_fresh, max(self.sequence.num_generated - self.num_counted, 0))

    def age_s(self) -> float:
        """Seconds since the request arrived."""
        return time.monotonic() - self.sequence.arrival_s

    def usage(self) -> Usage:
        """Cost of the request so far."""
        s = self.sequence
        return Usage(
            *(s.request.num_given, s.num_cached, s.num_generated),
            *(s.num_steps, s.num_forwards, s.num_rows, s.decoding.block_len),
            s.decoding.mode if s.has_causal_prefix else None,
        )


@dataclass(slots=True)
class Applied:
    """Events of a step, and numbers for the metrics."""

    at_s: float  # when the result was there
    events: list[Event] = field(default_factory=list)
    num_steps: int = 0  # of sequences that were denoised
    num_block_positions: int = 0  # of the blocks that these steps denoised
    num_final_block_positions: int = 0  # of the blocks that are final now
    num_committed: int = 0
    num_final: int = 0  # tokens that metrics do not have
    block_steps: list[int] = field(default_factory=list)  # of each block that is final now
    gaps_s: list[float] = field(default_factory=list)  # since the request's last final tokens
    started: list[Session] = field(default_factory=list)  # that have their first tokens
    finished: list[tuple[Session, Finish]] = field(default_factory=list)
