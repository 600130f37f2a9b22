"""Numbers and lists of numbers as people write them in requests."""

import re
from collections.abc import Sequence

from training.tasks.numbers.numerals import number_in_words
from training.wordings import Draw

SPOKEN_SHARE = 0.1
LARGEST_SPOKEN = 100
NUM_SEPARATORS = (", ", ", ", ", ", ", ", " ", " ", ",", "; ", "\n", " | ")
PLACEHOLDERS = ("\0", "\1")
TIGHT = re.compile("\0[^\\s,]+\1|\1s")
BRACKETS = ("[]", "[]", "[]", "()", "{}")


def spoken(draw: Draw, value: int) -> str:
    """A number in words, with or without hyphens."""
    return number_in_words(value).replace("-", draw.pick(("-", " ")))


def written(draw: Draw, *values: int) -> list[str]:
    """Numbers in digits, sometimes all in words, or with their thousands apart."""
    if all(0 <= value <= LARGEST_SPOKEN for value in values) and draw.chance(SPOKEN_SHARE):
        return [spoken(draw, value) for value in values]
    if max(values) > 999 and draw.chance(0.2):
        return [f"{value:,}" for value in values]
    return list(map(str, values))


def say_pair(draw: Draw, templates: Sequence[str], a: int, b: int) -> str:
    """A request about two numbers `{a}` and `{b}`, in any order where it says `{x}` and `{y}`.

    They are never in words where they would run into a sign.
    """
    first, second = draw.rng.sample(PLACEHOLDERS, 2)
    request = draw.say(templates, a=PLACEHOLDERS[0], b=PLACEHOLDERS[1], x=first, y=second)
    x, y = (str(a), str(b)) if TIGHT.search(request) else written(draw, a, b)
    return request.replace(PLACEHOLDERS[0], x).replace(PLACEHOLDERS[1], y)


def listed(draw: Draw, numbers: Sequence[object], last: str = "and") -> str:
    """A list of numbers, whatever separates them."""
    items = list(map(str, numbers))
    if draw.chance(0.35):
        comma = draw.pick(("", "", ","))
        return f"{', '.join(items[:-1])}{comma if len(items) > 2 else ''} {last} {items[-1]}"
    if draw.chance(0.12):
        brackets = draw.pick(BRACKETS)
        return brackets[0] + draw.pick((", ", ", ", ",", " ")).join(items) + brackets[1]
    return draw.pick(NUM_SEPARATORS).join(items)
