"""Problems of closed sets, which can only be memorised."""

from textwrap import dedent

from training.tasks.problem import MEMORISED, Problem, ask
from training.tasks.text.layouts import quoted
from training.wordings import Draw

LOWER_SHARE, UPPER_SHARE = 0.3, 0.02


def typed(draw: Draw, text: str) -> str:
    """A proper name as people type it, often without capitals."""
    kind = draw.rng.random()
    if kind < LOWER_SHARE:
        return text.lower()
    return text.upper() if kind < LOWER_SHARE + UPPER_SHARE else text


def mentioned(draw: Draw, word: str) -> str:
    """A word as requests mention it: as it is, in quotation marks, or with a capital."""
    kind = draw.rng.random()
    if kind < 0.06:
        word = word.capitalize()
    return quoted(draw, word.upper() if kind > 0.98 else word)


def closed(task: str, name: str, request: str, answer: str, fact: str = "") -> Problem:
    """The problem of a name; as a plain completion, an answer goes on from the last `fact`."""
    raw = None
    if fact and (at := answer.rfind(f" {fact}")) > 0:
        raw = (answer[:at], answer[at:])
    return Problem(task, (f"{MEMORISED}:{name}",), ask(request), answer, raw=raw)


def framed(frames: tuple[str, ...], core: str) -> tuple[str, ...]:
    """Templates about one thing: frames with `$` replaced by its name."""
    return tuple(frame.replace("$", core) for frame in frames)


def table(text: str) -> list[list[str]]:
    """Rows of a table that is written with `|`, one row a line."""
    return [line.strip().split("|") for line in text.strip().splitlines()]


def pairs(text: str) -> dict[str, str]:
    """A mapping that is written as `key value, key value`."""
    found = {}
    for pair in text.split(", "):
        key, value = pair.split(maxsplit=1)
        found[key] = value
    return found


def subjects(text: str) -> dict[tuple[str, ...], str]:
    """Texts by the names of their subjects: a line of names and the text, then an empty line."""
    found = {}
    for block in dedent(text).strip().split("\n\n"):
        names, _, body = block.partition("\n")
        found[tuple(names.split(", "))] = body
    return found
