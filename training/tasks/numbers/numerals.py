"""Numbers as words, as Roman numerals and in binary, both ways."""

from training.tasks.numbers.numerals_wordings import (
    FROM_BINARY,
    FROM_ROMAN,
    FROM_WORDS,
    TO_BINARY,
    TO_ROMAN,
    TO_WORDS,
)
from training.tasks.problem import MEMORISED, PRIMITIVE, Problem, ask
from training.wordings import Draw

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
LARGEST_BINARY = 63


def number_in_words(value: int) -> str:
    """Spell a number from 0 to 999,999 in English."""
    if value < 20:
        return ONES[value]
    if value < 100:
        return TENS[value // 10] + (f"-{ONES[value % 10]}" if value % 10 else "")
    unit, name = (1000, "thousand") if value >= 1000 else (100, "hundred")
    head = f"{number_in_words(value // unit)} {name}"
    rest = value % unit
    if not rest:
        return head
    return head + (" and " if rest < 100 else " ") + number_in_words(rest)


def roman_parts(value: int) -> list[tuple[int, str]]:
    """Split a number from 1 to 3999 into its places, each with its Roman letters."""
    parts = []
    for place, digit in reversed(list(enumerate(reversed(str(value))))):
        if digit != "0":
            pattern = ROMAN_PATTERNS[int(digit)]
            letters = "".join(ROMAN_DIGITS[place][int(p) - 1] for p in pattern)
            parts.append((int(digit) * 10**place, letters))
    return parts


def _number_to_spell(draw: Draw) -> int:
    kind = draw.rng.random()
    if kind < 0.3:
        return draw.rng.randint(0, 20)
    if kind < 0.65:
        return draw.rng.randint(1, 99)
    if kind < 0.85:
        return draw.rng.randint(100, 999)
    if kind < 0.92:
        return draw.pick((100, 1000)) * draw.rng.randint(1, 20)
    return draw.rng.randint(1000, 9999)


def _spelled(draw: Draw, value: int) -> str:
    """A number in words as people spell it: with or without hyphens and "and"."""
    words = number_in_words(value)
    if draw.chance(0.3):
        words = words.replace("-", " ")
    if draw.chance(0.25):
        words = words.replace(" and ", " ")
    if words.startswith("one ") and draw.chance(0.15):
        words = f"a {words.removeprefix('one ')}"
    return words.capitalize() if draw.chance(0.1) else words


def number_words(draw: Draw) -> Problem:
    """Spell a number in words, or read one."""
    value = _number_to_spell(draw)
    # Below twenty there is nothing of which a name could be built.
    key = f"{PRIMITIVE}:num:{value}" if value < 20 else f"num:{value}"
    if draw.chance(0.5):
        shown = f"{value:,}" if value > 999 and draw.chance(0.3) else str(value)
        return Problem("num", (key,), ask(draw.say(TO_WORDS, n=shown)), number_in_words(value))
    words = _spelled(draw, value)
    if draw.chance(0.25):
        words = draw.pick(('"{}"', "'{}'", "“{}”")).format(words)
    return Problem("num", (key,), ask(draw.say(FROM_WORDS, w=words)), str(value))


def roman_numeral(draw: Draw) -> Problem:
    """Write a number in Roman numerals, or read one, place by place."""
    kind = draw.rng.random()
    if kind < 0.06:
        value = draw.pick((50, 100, 500, 1000, 1500, 2000, 400, 900, 1900, 3000))
    elif kind < 0.16:
        value = draw.rng.randint(1900, 2030)
    else:
        value = draw.rng.randint(1, draw.pick((12, 20, 50, 100, 100, 199, 399, 999, 1999, 3999)))
    parts = roman_parts(value)
    letters = "".join(part for _, part in parts)
    if draw.chance(0.55):
        request = draw.say(TO_ROMAN, n=number_in_words(value) if draw.chance(0.1) else value)
        steps = [f"{number} = {part}" for number, part in parts]
        reference = f"{value} = {letters}"
    else:
        forms = (letters,) * 6 + (letters.lower(), f'"{letters}"', f"'{letters}'")
        request = draw.say(FROM_ROMAN, r=draw.pick(forms))
        steps = [f"{part} = {number}" for number, part in parts]
        reference = f"{letters} = {value}"
    answer = reference if len(parts) == 1 else f"{', '.join(steps)}, so {reference}"
    key = f"{PRIMITIVE}:roman:{value}" if len(parts) == 1 else f"roman:{value}"
    return Problem("roman", (key,), ask(request), answer, "final", reference)


def binary_number(draw: Draw) -> Problem:
    """Write a small number in binary, or read one, as a sum of powers of two."""
    value = draw.rng.randint(0, draw.pick((8, 16, 32, LARGEST_BINARY)))
    digits = f"{value:b}"
    powers = [str(1 << i) for i in reversed(range(len(digits))) if value >> i & 1]
    if draw.chance(0.6):
        request = draw.say(TO_BINARY, n=number_in_words(value) if draw.chance(0.1) else value)
        work = f"{value} = {' + '.join(powers)}, so "
        reference = f"{value} in binary is {digits}"
    else:
        shown = draw.pick((digits, digits, digits, f"0b{digits}", f"0{digits}"))
        request = draw.say(FROM_BINARY, b=shown)
        work = f"{' + '.join(powers)} = {value}, so "
        reference = f"{digits} in decimal is {value}"
    if len(powers) < 2:
        work = ""
    key = f"{MEMORISED}:binary:{value}"
    return Problem("binary", (key,), ask(request), f"{work}{reference}", "final", reference)
