"""Numbers as words and as Roman numerals."""

from random import Random

from training.tasks.problem import Problem, ask

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
ROMAN_DIGITS = (
    ("I", "V", "X"),
    ("X", "L", "C"),
    ("C", "D", "M"),
    ("M", "", ""),
)
ROMAN_PATTERNS = ("", "1", "11", "111", "12", "2", "21", "211", "2111", "13")


def number_in_words(value: int) -> str:
    """Spell a number from 0 to 9999 in English."""
    if value < 20:
        return ONES[value]
    if value < 100:
        return TENS[value // 10] + (f"-{ONES[value % 10]}" if value % 10 else "")
    unit, name = (1000, "thousand") if value >= 1000 else (100, "hundred")
    head = f"{ONES[value // unit]} {name}"
    rest = value % unit
    if not rest:
        return head
    return head + (" and " if rest < 100 else " ") + number_in_words(rest)


def roman_parts(value: int) -> list[tuple[int, str]]:
    """Split a number from 1 to 3999 into its places, each with its spaced Roman letters."""
    parts = []
    for place, digit in reversed(list(enumerate(reversed(str(value))))):
        if digit != "0":
            pattern = ROMAN_PATTERNS[int(digit)]
            letters = " ".join(ROMAN_DIGITS[place][int(p) - 1] for p in pattern)
            parts.append((int(digit) * 10**place, letters))
    return parts


def number_words(rng: Random) -> Problem:
    """Spell a number in words, or read one."""
    value = rng.randint(0, rng.choice([999, 999, 9999]))
    words = number_in_words(value)
    if rng.random() < 0.5:
        question = rng.choice([f"Write {value} in words.", f"Spell the number {value}."])
        return Problem("num", (f"num:{value}",), ask(question), words)
    return Problem(
        "num", (f"num:{value}",), ask(f"Write this number with digits: {words}"), str(value)
    )


def roman_numeral(rng: Random) -> Problem:
    """Write a number in Roman numerals, or read one, place by place."""
    value = rng.randint(1, rng.choice([199, 999, 1999]))
    parts = roman_parts(value)
    letters = " ".join(part for _, part in parts)
    if rng.random() < 0.6:
        question = rng.choice(
            [f"Write {value} in Roman numerals.", f"What is {value} in Roman numerals?"]
        )
        work = ", ".join(f"{number} = {part}" for number, part in parts)
        reference = letters
    else:
        question = f"What number is {letters} in Roman numerals?"
        work = ", ".join(f"{part} = {number}" for number, part in parts)
        reference = str(value)
    return Problem(
        "roman",
        (f"roman:{value}",),
        ask(question),
        f"{work}, so the answer is {reference}",
        "final",
        f"the answer is {reference}",
    )
