"""Limits of a compilation, and the budget that it spends."""

import time
from dataclasses import dataclass, field

from unmask.decoding.automata.errors import GrammarTooLarge


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
    """Limits of a compilation that has begun."""

    limits: Limits = field(default_factory=Limits)
    deadline_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.deadline_s = time.monotonic() + self.limits.seconds

    def check(self, noun: str, count: int, most: int) -> None:
        """Raise `GrammarTooLarge` for a count above its limit, or after the deadline."""
        if count > most:
            raise GrammarTooLarge(f"the grammar is too large: over {most} {noun}")
        self.check_time()

    def check_time(self) -> None:
        if time.monotonic() > self.deadline_s:
            raise GrammarTooLarge(
                f"the grammar is too large: it takes over {self.limits.seconds:g} s to compile"
            )
