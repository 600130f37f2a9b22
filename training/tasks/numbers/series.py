"""Closed sets about numbers: named series, sums up to a number, fractions, chance."""

from training.tasks.numbers.numerals import number_in_words
from training.tasks.numbers.table_wordings import (
    DECIMALS,
    SERIES,
    SUMS_TO,
    WHOLE_SERIES,
)
from training.tasks.problem import MEMORISED, Problem, ask
from training.wordings import Draw

TASK = "number_table"
LONGEST_SERIES = 10
NAMES_OF_SERIES = {
    "prime": ("prime numbers", "primes", "prime numbers"),
    "fibonacci": ("Fibonacci numbers", "fibonacci numbers", "numbers of the Fibonacci sequence"),
    "square": ("square numbers", "perfect squares", "squares"),
    "cube": ("cube numbers", "perfect cubes", "cubes"),
    "two": ("powers of two", "powers of 2"),
    "ten": ("powers of ten", "powers of 10"),
}
SERIES_TERMS = {
    "prime": [2, 3, 5, 7, 11, 13, 17, 19, 23, 29],
    "fibonacci": [0, 1, 1, 2, 3, 5, 8, 13, 21, 34],
    "square": [n**2 for n in range(1, LONGEST_SERIES + 1)],
    "cube": [n**3 for n in range(1, LONGEST_SERIES + 1)],
    "two": [2**n for n in range(LONGEST_SERIES)],
    "ten": [10**n for n in range(6)],
}
FIBONACCI = ("Fibonacci sequence", "fibonacci sequence", "Fibonacci series", "Fibonacci numbers")
FRACTIONS = {
    (1, 2): "0.5",
    (1, 3): "0.333...",
    (2, 3): "0.666...",
    (1, 4): "0.25",
    (3, 4): "0.75",
    (1, 5): "0.2",
    (2, 5): "0.4",
    (3, 5): "0.6",
    (4, 5): "0.8",
    (1, 8): "0.125",
    (1, 10): "0.1",
    (3, 10): "0.3",
    (7, 10): "0.7",
    (1, 20): "0.05",
    (1, 100): "0.01",
}


def series(draw: Draw) -> Problem:
    """The first numbers of a named series."""
    kind = draw.pick(("prime", "prime", "fibonacci", "fibonacci", "square", "cube", "two", "ten"))
    terms, name = SERIES_TERMS[kind], draw.pick(NAMES_OF_SERIES[kind])
    if draw.chance(0.35):
        count = len(terms)
        request = draw.say(WHOLE_SERIES, name=draw.pick(FIBONACCI) if kind == "fibonacci" else name)
    else:
        count = draw.rng.randint(3, len(terms))
        shown = number_in_words(count) if draw.chance(0.45) else count
        request = draw.say(SERIES, name=name, count=shown)
    answer = ", ".join(map(str, terms[:count]))
    return Problem(TASK, (f"{MEMORISED}:series:{kind}:{count}",), ask(request), answer)


def sum_to(draw: Draw) -> Problem:
    """The sum of all numbers from one to another."""
    last = draw.pick((3, 4, 5, 5, 6, 7, 8, 9, 10, 10, 10, 12, 15, 20, 50, 100, 100))
    reference = f"the sum is {last * (last + 1) // 2}"
    answer = f"{last} * {last + 1} / 2 = {last * (last + 1) // 2}, so {reference}"
    key = f"{MEMORISED}:sum_to:{last}"
    return Problem(TASK, (key,), ask(draw.say(SUMS_TO, n=last)), answer, "final", reference)


def decimal(draw: Draw) -> Problem:
    """A common fraction as a decimal."""
    (above, below), result = draw.pick(tuple(FRACTIONS.items()))
    fraction = f"{above}/{below}"
    answer = f"{fraction} = {result}"
    key = f"{MEMORISED}:decimal:{fraction}"
    return Problem(TASK, (key,), ask(draw.say(DECIMALS, f=fraction)), answer)
