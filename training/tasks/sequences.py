"""Problems on lists of numbers, words, letters and brackets."""

from random import Random

from training.tasks.arithmetic import draw_number
from training.tasks.problem import Problem, ask
from training.tasks.words import ANIMALS, COLORS, LETTERS, WORDS

BRACKETS = dict(zip("([{<", ")]}>", strict=True))


def sort_numbers(rng: Random) -> Problem:
    """Sort three to seven numbers, up or down."""
    numbers = [draw_number(rng) for _ in range(rng.randint(3, 7))]
    descending = rng.random() < 0.35
    order = " from largest to smallest" if descending else ""
    question = rng.choice(["Sort these numbers{}: {}", "Put these numbers in order{}: {}"])
    listed = ", ".join(map(str, numbers))
    answer = ", ".join(map(str, sorted(numbers, reverse=descending)))
    key = "sort:" + ":".join(map(str, sorted(numbers)))
    return Problem("sort", (key,), ask(question.format(order, listed)), answer)


def sort_words(rng: Random) -> Problem:
    """Sort three to six words alphabetically."""
    words = rng.sample(WORDS, rng.randint(3, 6))
    key = "wsort:" + ":".join(sorted(words))
    question = "Sort these words alphabetically: " + ", ".join(words)
    return Problem("wsort", (key,), ask(question), ", ".join(sorted(words)))


def reverse(rng: Random) -> Problem:
    """Reverse a list of words or of letters."""
    if rng.random() < 0.5:
        items = rng.sample(WORDS, rng.randint(3, 7))
        question = "Reverse the order of these words: "
    else:
        items = [rng.choice(LETTERS) for _ in range(rng.randint(4, 9))]
        question = "Reverse these letters: "
    key = "rev:" + min(" ".join(items), " ".join(items[::-1]))
    return Problem("rev", (key,), ask(question + " ".join(items)), " ".join(items[::-1]))


def copy(rng: Random) -> Problem:
    """Repeat a list of words."""
    text = " ".join(rng.sample(WORDS + COLORS + ANIMALS, rng.randint(3, 8)))
    question = rng.choice(["Repeat after me: ", "Say exactly this: ", "Echo: "])
    return Problem("copy", ("copy:" + text,), ask(question + text), text)


def close_brackets(rng: Random) -> Problem:
    """Close every bracket that a sequence leaves open."""
    still_open: list[str] = []
    sequence: list[str] = []
    for _ in range(rng.randint(3, 10)):
        if still_open and rng.random() < 0.35:
            sequence.append(BRACKETS[still_open.pop()])
        else:
            still_open.append(rng.choice(list(BRACKETS)))
            sequence.append(still_open[-1])
    if not still_open:
        still_open.append(rng.choice(list(BRACKETS)))
        sequence.append(still_open[-1])
    text = " ".join(sequence)
    answer = " ".join(BRACKETS[bracket] for bracket in reversed(still_open))
    return Problem("brack", ("brack:" + text,), ask("Close the brackets: " + text), answer)


def number_off(items: list[str], wanted: str) -> str:
    """Write the items with numbers, from one, in place of the wanted ones."""
    return " ".join(
        str(items[: i + 1].count(wanted)) if item == wanted else item
        for i, item in enumerate(items)
    )


def count_word(rng: Random) -> Problem:
    """Count a word in a list of four to ten, which is first numbered off."""
    choices = rng.sample(ANIMALS, 3)
    items = [rng.choice(choices) for _ in range(rng.randint(4, 10))]
    wanted = rng.choice(choices)
    total = items.count(wanted)
    reference = f"The word {wanted} appears {total} time{'' if total == 1 else 's'}."
    listed = " ".join(items)
    return Problem(
        "count",
        (f"count:{wanted}:{listed}",),
        ask(f"How many times does {wanted} appear in: {listed}?"),
        f"{number_off(items, wanted)}. {reference}",
        "final",
        reference,
    )
