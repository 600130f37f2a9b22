"""Ways people write lists, words and numbers inside a request."""

from collections.abc import Callable, Sequence

from training.tasks.problem import Problem, ask
from training.tasks.text.sentences import typed_sentence
from training.tasks.words import ANIMALS, COLORS, FOODS, FRUITS, LETTERS, VEGETABLES
from training.wordings import Draw

Kinds = Sequence[tuple[Callable[[Draw], Problem], float]]
"""Generators of one task with their shares."""

HOLE = "\0"  # stands for a list or a text until its place in the request is known
TITLE_SHARE = 0.04
LETTERS_SHARE = 0.05
NO_COLON_SHARE = 0.12
CATEGORIES = (FRUITS, VEGETABLES, ANIMALS, COLORS, FOODS)
ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth".split()
SHORT_ORDINALS = "1st 2nd 3rd 4th 5th 6th 7th 8th 9th 10th".split()
CARDINALS = "zero one two three four five six seven eight nine ten eleven twelve".split()
# Lists on one line: share, opening, quotation mark, separator, closing.
INLINE = (
    (40, "", "", ", ", ""),
    (16, "", "", " ", ""),
    (6, "", "", ",", ""),
    (5, "[", "", ", ", "]"),
    (1, "[", "", " ", "]"),
    (2, "(", "", ", ", ")"),
    (1, "(", "", " ", ")"),
    (1, "{", "", ", ", "}"),
    (3, "", "", "; ", ""),
    (1, "", "", "/", ""),
    (1, "", "", " / ", ""),
    (1, "", "", " | ", ""),
)
QUOTED_INLINE = (
    (4, "", '"', ", ", ""),
    (1, "", '"', " ", ""),
    (1, "", "'", ", ", ""),
    (5, "[", '"', ", ", "]"),
    (4, "[", "'", ", ", "]"),
)
BLOCK: tuple[tuple[str, float], ...] = (("{}", 10), ("- {}", 6), ("* {}", 2), ("• {}", 1))


def exact(task: str, key: str, request: str, answer: str) -> Problem:
    """A problem whose answer is a text without any working."""
    return Problem(task, (f"{task}:{key}",), ask(request), answer)


def worked(task: str, key: str, request: str, work: str, result: str) -> Problem:
    """A problem whose result is a sentence after some working."""
    return Problem(task, (f"{task}:{key}",), ask(request), f"{work}. {result}", "final", result)


def one_kind(draw: Draw, kinds: Kinds) -> Problem:
    """A problem of one of the kinds, by their shares."""
    generators = [generator for generator, _ in kinds]
    return draw.rng.choices(generators, [share for _, share in kinds])[0](draw)


def size(draw: Draw, low: int = 3, high: int = 8) -> int:
    """A length of a list, short ones most often."""
    lengths = range(low, high + 1)
    return draw.rng.choices(lengths, [1 / (2 + length - low) for length in lengths])[0]


def listed_words(draw: Draw, count: int) -> list[str]:
    """Different words for a list: any, of one category, names, or single letters."""
    kind = draw.rng.random()
    if kind > 1 - LETTERS_SHARE and count <= len(LETTERS):
        first = draw.pick((0, draw.rng.randint(0, len(LETTERS) - count)))
        in_order = LETTERS[first : first + count]
        return list(in_order) if draw.chance(0.6) else draw.rng.sample(LETTERS, count)
    if kind < 0.25:
        return draw.slots(draw.pick(CATEGORIES), count)
    if kind < 0.35:
        names: dict[str, None] = {}
        while len(names) < count:
            names[draw.name()] = None
        return list(names)
    words = draw.distinct(count)
    return [word.capitalize() for word in words] if kind < 0.35 + TITLE_SHARE else words


def any_text(draw: Draw) -> str:
    """A text that a person would have changed or counted: a word, a few, or a sentence."""
    kind = draw.rng.random()
    if kind < 0.3:
        return draw.word()
    if kind < 0.35:
        return draw.name()
    if kind < 0.6:
        return " ".join(draw.distinct(draw.pick((2, 2, 2, 3, 3, 4, 5))))
    return typed_sentence(draw)


def quoted(draw: Draw, text: str) -> str:
    """A word or a text as people set it off, mostly not at all."""
    form = draw.rng.choices(("{}", '"{}"', "'{}'", "`{}`", "“{}”"), (76, 12, 9, 1, 2))[0]
    return form.format(text)


def set_off(draw: Draw, text: str) -> str:
    """A text of several words in quotation marks."""
    return draw.rng.choices(('"{}"', "'{}'", "“{}”"), (6, 3, 1))[0].format(text)


def cardinal(draw: Draw, number: int) -> str:
    """A small number in digits or as a word."""
    return CARDINALS[number] if number < len(CARDINALS) and draw.chance(0.35) else str(number)


def ordinal(draw: Draw, number: int) -> str:
    """A small ordinal as a word or in digits."""
    return draw.pick((ORDINALS, ORDINALS, SHORT_ORDINALS))[number - 1]


def times(draw: Draw, number: int) -> str:
    """A number of times, in words or digits."""
    if number == 2 and draw.chance(0.4):
        return "twice"
    return f"{cardinal(draw, number)} times"


def inline(draw: Draw, items: Sequence[str]) -> str:
    """A list on one line."""
    if len(items) > 1 and draw.chance(0.17):
        last = f"{draw.pick((' and ', ' and ', ' and ', ', and '))}{items[-1]}"
        return ", ".join(items[:-1]) + last
    are_words = all(item.isalpha() for item in items)
    forms = INLINE + QUOTED_INLINE if are_words else INLINE
    _, opening, quote, separator, closing = draw.rng.choices(forms, [form[0] for form in forms])[0]
    return opening + separator.join(f"{quote}{item}{quote}" for item in items) + closing


def block(draw: Draw, items: Sequence[str]) -> str:
    """A list of one item a line."""
    if all(item.isalpha() for item in items) and draw.chance(0.15):
        form = draw.pick(("{}. {}", "{}) {}"))
        return "\n".join(form.format(i, item) for i, item in enumerate(items, 1))
    form = draw.rng.choices([form for form, _ in BLOCK], [share for _, share in BLOCK])[0]
    return "\n".join(form.format(item) for item in items)


def _without_colon(draw: Draw, before: str, after: str) -> str:
    """The beginning of a request, its colon forgotten now and then."""
    if before.endswith(": ") and not after and draw.chance(NO_COLON_SHARE):
        return before.removesuffix(": ") + " "
    return before


def say_list(draw: Draw, templates: Sequence[str], items: Sequence[str], **slots: object) -> str:
    """A request on a list `{items}`, in a layout that fits its place in the request."""
    before, after = draw.say(templates, alone=False, items=HOLE, **slots).split(HOLE)
    if not after and before and draw.chance(0.2 if before.rstrip().endswith(":") else 0.08):
        return f"{before.rstrip()}\n{block(draw, items)}"
    before = _without_colon(draw, before, after)
    rest = after.lstrip(" ,.:;?-\n")
    if not before and rest and draw.chance(0.15):
        return f"{block(draw, items)}\n{rest}"
    if not after and before.endswith(": ") and draw.chance(0.08):
        before = before.rstrip() + "\n"
    return before + inline(draw, items) + after


def say_text(draw: Draw, templates: Sequence[str], text: str, **slots: object) -> str:
    """A request on a text `{text}`, set off if its place in the request needs that."""
    before, after = draw.say(templates, alone=False, text=HOLE, **slots).split(HOLE)
    one_word = text.isalnum()
    if not after.strip(" .?!"):
        if before.rstrip().endswith(":"):
            kind = draw.rng.random()
            if kind < 0.1:
                return f"{before.rstrip()}\n{text}"
            shown = quoted(draw, text) if one_word or kind < 0.7 else set_off(draw, text)
            return _without_colon(draw, before, after) + shown
        bare = one_word or draw.chance(0.4)
        shown = quoted(draw, text) if bare else set_off(draw, text)
        return before + shown + ("" if shown[-1] in ".?!" else after)
    rest = after.lstrip(" ,.:;?-\n")
    if not before and rest and draw.chance(0.12):
        return f"{text}\n{rest}"
    shown = quoted(draw, text) if one_word or draw.chance(0.1) else set_off(draw, text)
    return before + shown + after
