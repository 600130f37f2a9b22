"""Fixed work in a closed loop and its rates, the same for every compared engine."""

import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from unmask.bench.summary import Distribution


@dataclass(frozen=True, slots=True)
class Work:
    """`num_requests` of one length, `concurrency` at a time: each that ends is replaced.

    Prompts are random token ids, different for each request. Answers have `num_tokens`, in blocks
    of `steps` forward passes each.
    """

    concurrency: int
    num_requests: int
    context: int = 1024
    num_tokens: int = 256
    block: int = 32
    steps: int = 8

    @property
    def all_tokens(self) -> int:
        """Tokens of all answers."""
        return self.num_requests * self.num_tokens

    def prompts(self, vocab_size: int, seed: int = 0) -> list[tuple[int, ...]]:
        """Token ids of all requests, deterministic by seed."""
        draw = random.Random(f"{seed} {self.concurrency}")
        return [
            tuple(draw.randrange(vocab_size) for _ in range(self.context))
            for _ in range(self.num_requests)
        ]


# More than run at a time, so that some join while others decode.
LOADS = (Work(1, 3), Work(8, 16), Work(32, 64), Work(128, 192))
TINY = (Work(1, 2, 24, 16, 8, 2), Work(4, 6, 24, 16, 8, 2))


@dataclass(frozen=True, slots=True)
class Arrival:
    """Tokens of a request at a time since the start of the work; `final` with the last ones."""

    at_s: float
    request: int
    num_tokens: int
    final: bool = False


def summarise(
    work: Work, started_s: Sequence[float], arrivals: Iterable[Arrival]
) -> dict[str, Any]:
    """Tokens per second in steady state, and from the first request to the last token.

    `started_s` has the time at which each request was sent. Steady state is the time in which
    `concurrency` requests have begun to answer and have not ended, so that it includes no prompt;
    its rate is None if there is no such time.
    """
    ordered = sorted(arrivals, key=lambda arrival: arrival.at_s)
    first_s: dict[int, float] = {}
    full_s, full_tokens, num_decoding, before_s = 0.0, 0, 0, 0.0
    for at_s, group in itertools.groupby(ordered, key=lambda arrival: arrival.at_s):
        together = list(group)  # of one step
        if num_decoding == work.concurrency:
            full_s += at_s - before_s
            full_tokens += sum(arrival.num_tokens for arrival in together)
        for arrival in together:
            num_decoding += arrival.request not in first_s
            num_decoding -= arrival.final
            first_s.setdefault(arrival.request, at_s)
        before_s = at_s
    num_tokens = sum(arrival.num_tokens for arrival in ordered)
    if num_tokens != work.all_tokens:
        raise RuntimeError(f"{work.all_tokens} tokens were asked for, {num_tokens} came")
    waits_s = [at_s - started_s[request] for request, at_s in first_s.items()]
    ttft_ms = Distribution.from_seconds(waits_s)
    return {
        **asdict(work),
        "wall_s": before_s,
        "overall_tokens_per_s": num_tokens / before_s,
        "decoding_s": full_s,
        "tokens_per_s": full_tokens / full_s if full_s > 0 else None,
        "ttft_ms": asdict(ttft_ms) if ttft_ms else None,
    }
