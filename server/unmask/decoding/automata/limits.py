"""Limits of a compilation, and the budget that it spends."""

import time
from dataclasses import dataclass, field, replace

from unmask.decoding.automata.errors import GrammarTooLarge, GrammarTooSlow


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one grammar's compilation; beyond one it raises `GrammarTooLarge`."""

    parts: int = 400_000  # states of the nondeterministic automaton
    subsets: int = 200_000  # states of the deterministic one, before it is minimized
    states: int = 40_000  # of the least one
    classes: int = 2**15 - 1  # of tokens; devices hold their numbers as int16
    edges: int = 4_000_000  # of the automaton over tokens: triples of state, class and state
    seconds: float = 5.0


@dataclass(slots=True)
class Budget:
    """Limits of a compilation that has begun in this thread, whose time on a CPU is counted."""

    limits: Limits = field(default_factory=Limits)
    deadline_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.deadline_s = time.thread_time() + self.limits.seconds

    def narrowed(self, subsets: int, parts: int | None = None) -> "Budget":
        """The same time with lower limits of subsets and parts."""
        limits = replace(self.limits, subsets=min(subsets, self.limits.subsets))
        if parts is not None:
            limits = replace(limits, parts=min(parts, limits.parts))
        made = Budget(limits)
        made.deadline_s = self.deadline_s
        return made

    @property
    def remaining_s(self) -> float:
        """Seconds of this thread until the deadline; 0 behind it."""
        return max(self.deadline_s - time.thread_time(), 0.0)

    def check(self, noun: str, count: int, most: int) -> None:
        """Raise `GrammarTooLarge` for a count above its limit, or after the deadline."""
        if count > most:
            raise GrammarTooLarge(f"the grammar is too large: over {most} {noun}")
        self.check_time()

    def check_time(self) -> None:
        if time.thread_time() > self.deadline_s:
            raise GrammarTooSlow(self.limits.seconds)
