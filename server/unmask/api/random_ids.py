"""Random ids of requests and answers, drawn many at a time: each draw is a call of the system."""

import os

DIGITS = 32  # hexadecimal ones of an id
DRAWN = 256  # ids


class RandomIds:
    """Ids that no two requests share; for any number of threads, but not across a fork."""

    def __init__(self) -> None:
        self._ids: list[str] = []

    def draw(self) -> str:
        """A new id."""
        try:
            return self._ids.pop()
        except IndexError:
            digits = os.urandom(DRAWN * DIGITS // 2).hex()
        ids = [digits[i : i + DIGITS] for i in range(0, len(digits), DIGITS)]
        drawn = ids.pop()
        self._ids = ids
        return drawn


RANDOM_IDS = RandomIds()
