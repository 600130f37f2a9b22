"""Facts about one number: parity, parts and multiples, neighbours, percents, rounding, digits."""

from collections.abc import Sequence

from training.tasks.numbers.arithmetic import (
    LARGEST_TABLE,
    chain_keys,
    difference_key,
    draw_number,
    product_key,
    quotient_key,
    quotient_text,
    work_chain,
    work_difference,
    work_product,
    work_quotient,
)
from training.tasks.numbers.fact_wordings import (
    AFTER,
    BEFORE,
    BETWEEN,
    DIGIT_COUNTS,
    DIGIT_SUMS,
    DIGITS_AT,
    DISCOUNTS,
    DIVISIBLE,
    DOUBLES,
    HALVES,
    IS_EVEN,
    IS_ODD,
    PARITIES,
    PERCENTS,
    QUARTERS,
    ROUND_WHOLE,
    ROUNDINGS,
    THIRDS,
    TRIPLES,
)
from training.tasks.numbers.numbers import written
from training.tasks.problem import PRIMITIVE, Problem, ask
from training.tasks.text.layouts import Kinds, one_kind
from training.wordings import Draw

TASK = "number"
PERCENT_RATES = (*(10, 10, 10, 20, 25, 50, 50), *(5, 15, 30, 40, 60, 75, 80, 90, 100, 1))
PARTS: tuple[tuple[Sequence[str], int], ...] = (
    *((HALVES, 2), (HALVES, 2)),
    *((THIRDS, 3), (QUARTERS, 4)),
)
PLACES = (("ten", 10), ("hundred", 100), ("thousand", 1000))


def _small(draw: Draw, upper: int = 999) -> int:
    """A number of which somebody may ask something: mostly at most 20."""
    if draw.chance(0.45):
        return draw.rng.randint(1, 20)
    return draw_number(draw.rng, upper)


def _shown(draw: Draw, value: int) -> str:
    return written(draw, value)[0]


def parity(draw: Draw) -> Problem:
    """Say whether a number is even or odd."""
    value = _small(draw) if draw.chance(0.9) else draw.rng.randint(1000, 99999)
    name, kind = "odd" if value % 2 else "even", draw.rng.random()
    shown = _shown(draw, value)
    if kind < 0.55:
        request, answer = draw.say(PARITIES, n=shown), f"{value} is {name}."
    else:
        asked = "even" if kind < 0.8 else "odd"
        request = draw.say(IS_EVEN if asked == "even" else IS_ODD, n=shown)
        answer = f"{'Yes' if asked == name else 'No'}, {value} is {name}."
    key = f"{PRIMITIVE}:parity:{value}" if value < 10 else f"parity:{value}"
    return Problem(TASK, (key,), ask(request), answer)


def divisible(draw: Draw) -> Problem:
    """Say whether a number is a multiple of another."""
    divisor = draw.pick((2, 3, 3, 4, 5, 5, 6, 7, 8, 9, 10))
    if draw.chance(0.5):
        value = divisor * draw.rng.randint(1, 10)
    else:
        value = draw.rng.randint(divisor, 10 * divisor - 1)
    fact = f"{value} / {divisor} = {quotient_text(value, divisor)}."
    answer = f"{'No' if value % divisor else 'Yes'}, {fact}"
    x, y = written(draw, value, divisor)
    request = draw.say(DIVISIBLE, a=x, b=y)
    return Problem(TASK, (f"divisible:{value}:{divisor}",), ask(request), answer)


def multiple(draw: Draw) -> Problem:
    """Double or triple a number."""
    value = _small(draw)
    templates, factor = (TRIPLES, 3) if draw.chance(0.35) else (DOUBLES, 2)
    return Problem(
        TASK,
        (product_key(value, factor),),
        # "Three times two" is a product of two numbers in words.
        ask(draw.say(templates, n=_shown(draw, value) if factor == 2 else value)),
        work_product(value, factor),
        "final",
        f"{value} * {factor} = {value * factor}",
    )


def part(draw: Draw) -> Problem:
    """Half, a third or a quarter of a number; half of an odd one is a decimal."""
    templates, divisor = draw.pick(PARTS)
    value = divisor * draw.rng.randint(1, draw.pick((10, LARGEST_TABLE, 50, 200)))
    if divisor == 2 and draw.chance(0.2):
        value = 2 * draw.rng.randint(0, 9) + 1
        answer = f"{value} / 2 = {value // 2}.5"
        request = draw.say(HALVES, n=_shown(draw, value))
        return Problem(TASK, (f"{PRIMITIVE}:half:{value}",), ask(request), answer, "final", answer)
    return Problem(
        TASK,
        (quotient_key(value, divisor),),
        ask(draw.say(templates, n=_shown(draw, value))),
        work_quotient(value, divisor),
        "final",
        f"{value} / {divisor} = {value // divisor}",
    )


def neighbour(draw: Draw) -> Problem:
    """The number after or before another, or between two."""
    value = _small(draw) if draw.chance(0.85) else draw.pick((99, 100, 199, 200, 999, 1000, 1999))
    kind = draw.rng.random()
    key = f"{PRIMITIVE}:next:{value}" if value < 20 else f"next:{value}"
    if kind < 0.5:
        request = draw.say(AFTER, n=_shown(draw, value))
        answer = f"{value + 1} comes after {value}."
    elif kind < 0.85:
        request = draw.say(BEFORE, n=_shown(draw, value + 1))
        answer = f"{value} comes before {value + 1}."
    else:
        x, y = written(draw, value, value + 2)
        request = draw.say(BETWEEN, a=x, b=y)
        answer = f"{value + 1} is between {value} and {value + 2}."
    return Problem(TASK, (key,), ask(request), answer)


def _percent_work(rate: int, base: int) -> str:
    """The working of a percentage: its tenths, its quarters, or its half."""
    if rate in (1, 10, 50):
        divisor = 100 // rate
        return f"{base} / {divisor} = {base // divisor}, so "
    if rate in (25, 75):
        quarter = f"{base} / 4 = {base // 4}, "
        return quarter + (f"{base // 4} * 3 = {base // 4 * 3}, so " if rate == 75 else "so ")
    if rate == 100:
        return ""
    tenth, times = base // 10, rate // 10
    work = f"{base} / 10 = {tenth}, "
    if rate % 10:
        work += f"{tenth} / 2 = {tenth // 2}, "
        return work + (f"{tenth} + {tenth // 2} = {tenth + tenth // 2}, so " if times else "so ")
    return work + f"{tenth} * {times} = {tenth * times}, so "


def percent(draw: Draw) -> Problem:
    """A percentage of a round number."""
    rate = draw.pick(PERCENT_RATES)
    step = 20 if rate in (5, 15, 25, 75) else 100 if rate == 1 else 10
    base = step * draw.rng.randint(1, draw.pick((5, 10, 10, 20)))
    if draw.chance(0.3) or rate == 1:
        base = 100 * draw.rng.randint(1, 10)
    if rate == 50 and draw.chance(0.3):
        base = 2 * draw.rng.randint(1, 50)
    reference = f"{rate}% of {base} = {base * rate // 100}"
    answer = _percent_work(rate, base) + reference
    if rate < 100 and draw.chance(0.15):
        part, left = base * rate // 100, base - base * rate // 100
        answer += f", {work_difference(base, part)}, so {rate}% off {base} = {left}"
        reference = f"{rate}% off {base} = {left}"
        keys = (f"discount:{rate}:{base}", f"percent:{rate}:{base}", difference_key(base, part))
        request = draw.say(DISCOUNTS, p=rate, n=base)
        return Problem(TASK, keys, ask(request), answer, "final", reference)
    request = draw.say(PERCENTS, p=rate, n=base)
    return Problem(TASK, (f"percent:{rate}:{base}",), ask(request), answer, "final", reference)


def rounding(draw: Draw) -> Problem:
    """Round to tens, hundreds or thousands, or a decimal to a whole number."""
    place = 1
    if draw.chance(0.4):
        tenths = draw.rng.randint(1, draw.pick((99, 300)))
        tenths += 1 if tenths % 10 == 0 else 0
        value, result = f"{tenths // 10}.{tenths % 10}", str((tenths + 5) // 10)
        name = draw.pick(("whole number", "integer", "one", "unit"))
    else:
        name, place = draw.rng.choices(PLACES, (6, 3, 1))[0]
        number = draw.rng.randint(place // 10 + 1, place * draw.pick((10, 10, 50)) - 1)
        number = min(number, 9999)
        value, result = str(number), str((number + place // 2) // place * place)
        name = draw.pick((name, name, str(place)))
    key = f"round:{value}:{1 if '.' in value else len(str(place))}"
    if "." in value and draw.chance(0.6):
        request = draw.say(ROUND_WHOLE, n=value)
    else:
        request = draw.say(ROUNDINGS, n=value, place=name)
    return Problem(TASK, (key,), ask(request), f"{value} rounds to {result}.")


def digits(draw: Draw) -> Problem:
    """Count the digits of a number, or add them."""
    length = draw.pick((2, 3, 3, 4, 5, 6))
    value = draw.rng.randint(10 ** (length - 1), 10**length - 1)
    figures = [int(digit) for digit in str(value)]
    kind = draw.rng.random()
    if kind < 0.3:
        which = draw.pick(("first", "last", "last", "second"))
        at = {"first": 0, "second": 1, "last": -1}[which]
        answer = f"The {which} digit of {value} is {str(value)[at]}."
        request = draw.say(DIGITS_AT, n=value, which=which)
        return Problem(TASK, (f"digit:{which}:{value}",), ask(request), answer)
    if kind < 0.6:
        answer = f"{value} has {length} digits."
        return Problem(TASK, (f"digits:{value}",), ask(draw.say(DIGIT_COUNTS, n=value)), answer)
    if length > 4:
        value //= 10 ** (length - 4)
        figures = figures[:4]
    return Problem(
        TASK,
        (f"digit_sum:{value}", *chain_keys(figures)),
        ask(draw.say(DIGIT_SUMS, n=value)),
        work_chain(figures),
        "final",
        f"{' + '.join(map(str, figures))} = {sum(figures)}",
    )


KINDS: Kinds = (
    (parity, 2.0),
    (multiple, 1.5),
    (part, 1.7),
    (neighbour, 1.2),
    (percent, 1.5),
    (divisible, 0.9),
    (rounding, 0.9),
    (digits, 0.6),
)


def number_fact(draw: Draw) -> Problem:
    """A question about one number."""
    return one_kind(draw, KINDS)
