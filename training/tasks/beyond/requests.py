"""Requests that are none of the tasks, which the model declines in one sentence."""

import re
from functools import cache
from typing import Any

from training.tasks.beyond.craft import CRAFT
from training.tasks.beyond.life import LIFE
from training.tasks.beyond.noise import foreign, fragment, lone_word, mash
from training.tasks.beyond.slots import SLOTS
from training.tasks.beyond.world import WORLD
from training.tasks.problem import MEMORISED, Problem, ask
from training.wordings import Draw

BEYOND = (
    "That is beyond me: I am a small model for simple arithmetic, lists, text, JSON, short Python "
    "functions and short stories."
)
TOPICS: tuple[tuple[str, ...], ...] = (*WORLD, *LIFE, *CRAFT)
NOISES = (
    (fragment, 0.5),
    (foreign, 0.2),
    (mash, 0.15),
    (lone_word, 0.15),
)
NOISE_SHARE, LOWER_SHARE = 0.25, 0.25
_SLOT = re.compile(r"\{(?:other)?(\w+)\}")


@cache
def _slots_of(topic: tuple[str, ...]) -> frozenset[str]:
    return frozenset(match[1] for form in topic for match in _SLOT.finditer(form))


def _matrix(draw: Draw) -> str:
    rows = draw.pick((2, 2, 3))
    cells = [[draw.rng.randint(-5, 9) for _ in range(rows)] for _ in range(rows)]
    return str(cells)


def _fillings(draw: Draw, topic: tuple[str, ...]) -> dict[str, Any]:
    """Words for the slots of a topic, two different ones for each."""
    found: dict[str, Any] = {}
    for slot in sorted(_slots_of(topic)):
        if slot in SLOTS:
            first, second = draw.slots(SLOTS[slot], 2)
            if draw.chance(LOWER_SHARE) and slot not in ("site", "file"):
                first, second = first.lower(), second.lower()
            found[slot], found[f"other{slot}"] = first, second
        elif slot == "matrix":
            found[slot], found[f"other{slot}"] = _matrix(draw), _matrix(draw)
        else:
            digits = {"big": (5, 9), "small": (1, 3), "rank": (2, 3)}[slot]
            low, high = 10 ** (digits[0] - 1), 10 ** digits[1]
            found[slot], found[f"other{slot}"] = (str(draw.rng.randrange(low, high)) for _ in "12")
    return found


def beyond(draw: Draw) -> Problem:
    """A request that the model cannot do: about the world, for a long text, or no request."""
    if draw.chance(NOISE_SHARE):
        noises = [noise for noise, _ in NOISES]
        request = draw.rng.choices(noises, [share for _, share in NOISES])[0](draw)
    else:
        topic = draw.rng.choices(TOPICS, [len(forms) for forms in TOPICS])[0]
        request = draw.say(topic, **_fillings(draw, topic))
    key = f"{MEMORISED}:beyond:{request}"
    return Problem("beyond", (key,), ask(request), BEYOND, said=tuple(draw.said))
