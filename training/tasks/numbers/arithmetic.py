"""Sums, differences, products and quotients, after the column-by-column working of larger ones.

Results of tiny numbers are tables: they are given without working, and only trained on.
"""

from collections.abc import Sequence
from random import Random

from training.tasks.numbers.arithmetic_wordings import (
    ADDITIONS,
    DIFFERENCES,
    DIVISIONS,
    EXACT_DIVISIONS,
    MULTIPLICATIONS,
    REMAINDERS,
    SUBTRACTIONS,
    SUMS_OF_LISTS,
)
from training.tasks.numbers.numbers import listed, say_pair, written
from training.tasks.problem import PRIMITIVE, Problem, ask
from training.wordings import Draw

LARGEST_TINY = 19  # operand of a sum or a difference without working
LARGEST_TABLE = 12  # factor of a product without working
ROUND_NUMBERS = (10, 20, 25, 30, 40, 50, 60, 75, 80, 90, 100, 150, 200, 250, 300, 400, 500, 1000)
FRACTIONS = ((1, 2), (1, 4), (3, 4), (1, 5), (2, 5), (3, 5), (4, 5), (1, 10), (3, 10), (1, 8))
"""Quotients below one that are decimals of few digits."""


def draw_number(rng: Random, upper: int = 999) -> int:
    """Draw a number of one to three digits, every length often enough."""
    return rng.randint(0, min(upper, rng.choice([9, 99, 99, 999])))


def draw_operands(rng: Random) -> tuple[int, int]:
    """Two numbers that somebody may try a sum with, small ones most often."""
    kind = rng.random()
    if kind < 0.33:
        upper = rng.choice((9, LARGEST_TINY))
        return rng.randint(0, upper), rng.randint(1, upper)
    if kind < 0.6:
        return rng.randint(1, 99), rng.randint(1, 99)
    if kind < 0.72:
        pair = [
            rng.choice(ROUND_NUMBERS),
            rng.choice((rng.choice(ROUND_NUMBERS), draw_number(rng))),
        ]
        rng.shuffle(pair)
        return pair[0], pair[1]
    if kind < 0.93:
        return draw_number(rng), rng.randint(0, 999)
    return rng.randint(1000, 9999), rng.choice((draw_number(rng), rng.randint(1000, 9999)))


def sum_key(a: int, b: int) -> str:
    """Name the sum of two numbers; sums of tiny ones are the tables of which others are built."""
    low, high = sorted((a, b))
    return f"{PRIMITIVE}:add:{low}:{high}" if high <= LARGEST_TINY else f"add:{low}:{high}"


def difference_key(a: int, b: int) -> str:
    """Name the difference `a - b`."""
    return f"{PRIMITIVE}:sub:{a}:{b}" if max(a, b) <= LARGEST_TINY else f"sub:{a}:{b}"


def product_key(a: int, b: int) -> str:
    """Name the product of two numbers; the times tables are primitive."""
    low, high = sorted((a, b))
    return f"{PRIMITIVE}:mul:{low}:{high}" if high <= LARGEST_TABLE else f"mul:{low}:{high}"


def quotient_key(a: int, b: int) -> str:
    """Name the quotient of two numbers; those of one step are primitive."""
    return f"{PRIMITIVE}:div:{a}:{b}" if _is_one_step(a, b) else f"div:{a}:{b}"


def _is_one_step(a: int, b: int) -> bool:
    if b > LARGEST_TABLE:
        return False
    return a < 10 * b or (a % b == 0 and a // b <= LARGEST_TABLE)


def _columns(a: int, b: int, sign: str) -> str:
    width = max(len(str(a)), len(str(b)))
    pairs = zip(f"{a:0{width}d}", f"{b:0{width}d}", strict=True)
    factor = -1 if sign == "-" else 1
    return ", ".join(f"{x}{sign}{y}={int(x) + factor * int(y)}" for x, y in pairs)


def work_sum(a: int, b: int) -> str:
    """Write `a + b = c` after its column sums."""
    result = f"{a} + {b} = {a + b}"
    return result if max(a, b) <= LARGEST_TINY else f"{_columns(a, b, '+')}, so {result}"


def work_difference(a: int, b: int) -> str:
    """Write `a - b = c` after its column differences, or after `b - a` if it is negative."""
    result = f"{a} - {b} = {a - b}"
    if a < b:
        return f"{work_difference(b, a)}, so {result}"
    return result if a <= LARGEST_TINY else f"{_columns(a, b, '-')}, so {result}"


def work_product(a: int, b: int) -> str:
    """Write `a * b = c` after the products of the digits of the longer factor.

    Two factors of several digits are multiplied by the places of the second.
    """
    result = f"{a} * {b} = {a * b}"
    long, short = (a, b) if a >= b else (b, a)
    if long <= LARGEST_TABLE or short < 2 or is_power_of_ten(long) or is_power_of_ten(short):
        return result
    if short < 10:
        return ", ".join(f"{x}*{short}={int(x) * short}" for x in str(long)) + f", so {result}"
    places = [int(x) * 10**i for i, x in reversed(list(enumerate(reversed(str(b))))) if x != "0"]
    work = [f"{a} * {place} = {a * place}" for place in places]
    if len(places) > 1:
        work.append(f"{' + '.join(str(a * place) for place in places)} = {a * b}")
    elif b == places[0]:
        work = [f"{a} * {int(str(b)[0])} = {a * int(str(b)[0])}"]
    return f"{', '.join(work)}, so {result}"


def is_power_of_ten(value: int) -> bool:
    """True for 10, 100, 1000 and so on."""
    return value >= 10 and int(str(value)[1:]) == 0 and str(value)[0] == "1"


def work_quotient(a: int, b: int, *, shows_zero: bool = False) -> str:
    """Write `a / b = q`, with its remainder if there is one, after the steps of long division."""
    steps: list[str] = []
    rest = 0
    for digit in str(a):
        rest = rest * 10 + int(digit)
        if rest < b and not steps:
            continue
        quotient, left = divmod(rest, b)
        steps.append(f"{rest}/{b}={quotient}" + (f" r {left}" if left else ""))
        rest = left
    result = f"{a} / {b} = {quotient_text(a, b, shows_zero=shows_zero)}"
    is_direct = len(steps) < 2 or _is_one_step(a, b) or b == 1
    if is_direct or (is_power_of_ten(b) and a % b == 0):
        return result
    return f"{', '.join(steps)}, so {result}"


def quotient_text(a: int, b: int, *, shows_zero: bool = False) -> str:
    """A quotient with its remainder, if there is one."""
    quotient, left = divmod(a, b)
    return f"{quotient} remainder {left}" if left or shows_zero else str(quotient)


def work_chain(numbers: Sequence[int]) -> str:
    """Write the sum of several numbers after the sums of pairs."""
    if len(numbers) == 2:
        return work_sum(*numbers)
    result = f"{' + '.join(map(str, numbers))} = {sum(numbers)}"
    return f"{', '.join(chain_steps(numbers))}, so {result}"


def chain_steps(numbers: Sequence[int]) -> list[str]:
    """The sums of pairs of which the sum of several numbers is made."""
    steps, total = [], numbers[0]
    for number in numbers[1:]:
        steps.append(work_sum(total, number))
        total += number
    return steps


def chain_keys(numbers: Sequence[int]) -> list[str]:
    """Names of the sums of pairs that the sum of several numbers contains."""
    totals = [sum(numbers[:count]) for count in range(1, len(numbers))]
    return [sum_key(*pair) for pair in zip(totals, numbers[1:], strict=True)]


def _decimal_shown(tenths: int) -> str:
    return f"{tenths // 10}.{tenths % 10}".removesuffix(".0")


def addition(draw: Draw) -> Problem:
    """Add two numbers of up to four digits, with one decimal, or one of them negative."""
    a, b = draw_operands(draw.rng)
    if draw.chance(0.02):
        pair = [-draw.rng.randint(1, 20), draw.rng.randint(1, 20)]
        draw.rng.shuffle(pair)
        a, b = pair
        answer = f"{a} + {b} = {a + b}"
        request = draw.say(ADDITIONS, a=a, b=b)
        return Problem("add", (f"{PRIMITIVE}:add:{a}:{b}",), ask(request), answer, "final", answer)
    if draw.chance(0.04):
        a, b = a % 200, b % 200
        a += 5 if a % 10 == 0 else 0
        x, y = _decimal_shown(a), _decimal_shown(b)
        reference = f"{x} + {y} = {_decimal_shown(a + b)}"
        work = f"{work_sum(a, b)}, so {reference}"
        keys = (f"add:{':'.join(sorted((x, y)))}", sum_key(a, b))
        return Problem("add", keys, ask(draw.say(ADDITIONS, a=x, b=y)), work, "final", reference)
    return Problem(
        "add",
        (sum_key(a, b),),
        ask(say_pair(draw, ADDITIONS, a, b)),
        work_sum(a, b),
        "final",
        f"{a} + {b} = {a + b}",
        (f"{a} + {b} =", f" {a + b}"),
    )


def sum_of_list(draw: Draw) -> Problem:
    """Add three to five numbers, pair by pair."""
    count = draw.pick((3, 3, 3, 4, 4, 5))
    upper = draw.pick((9, 20, 99)) if count == 3 else draw.pick((9, 9, 20))
    numbers = [draw.rng.randint(1, upper) for _ in range(count)]
    if draw.chance(0.1):
        numbers = [number * 10 for number in draw.rng.sample(range(1, 10), 3)]
    elif draw.chance(0.06):
        numbers = list(range(numbers[0], numbers[0] + count))
    shown = written(draw, *numbers)
    chain = draw.pick((" + ", " + ", "+", " plus ")).join(shown)
    request = draw.say(SUMS_OF_LISTS, chain=chain, list=listed(draw, shown))
    keys = (f"sum_list:{':'.join(map(str, sorted(numbers)))}", *chain_keys(numbers))
    reference = f"{' + '.join(map(str, numbers))} = {sum(numbers)}"
    return Problem("sum_list", keys, ask(request), work_chain(numbers), "final", reference)


def subtraction(draw: Draw) -> Problem:
    """Subtract a number of up to four digits; some small results are negative."""
    b, a = sorted(draw_operands(draw.rng))
    if draw.chance(0.03):
        b, a = b % 200, max(a % 200, b % 200 + 1)
        a += 5 if a % 10 == 0 else 0
        x, y = _decimal_shown(a), _decimal_shown(b)
        reference = f"{x} - {y} = {_decimal_shown(a - b)}"
        work = f"{work_difference(a, b)}, so {reference}"
        request = draw.say(SUBTRACTIONS, a=x, b=y)
        return Problem(
            "sub", (f"sub:{x}:{y}", difference_key(a, b)), ask(request), work, "final", reference
        )
    if draw.chance(0.1):
        a, b = sorted(draw.rng.sample(range(draw.pick((10, 21, 101))), 2))
    templates: Sequence[str] = DIFFERENCES if a > b and draw.chance(0.25) else SUBTRACTIONS
    keys: tuple[str, ...] = (difference_key(a, b),)
    if a < b:
        keys += (difference_key(b, a),)
    return Problem(
        "sub",
        keys,
        ask(say_pair(draw, templates, a, b)),
        work_difference(a, b),
        "final",
        f"{a} - {b} = {a - b}",
        (f"{a} - {b} =", f" {a - b}"),
    )


def _draw_factors(draw: Draw) -> tuple[int, int]:
    rng, kind = draw.rng, draw.rng.random()
    if kind < 0.45:
        pair = [rng.randint(2, LARGEST_TABLE), rng.randint(2, draw.pick((9, LARGEST_TABLE)))]
    elif kind < 0.8:
        pair = [rng.randint(*draw.pick([(10, 99), (10, 99), (100, 999)])), rng.randint(2, 9)]
    elif kind < 0.87:
        pair = [rng.randint(1, 99), draw.pick((0, 1, 10, 10, 100, 1000))]
    else:
        pair = [rng.randint(10, draw.pick((15, 20, 30, 99))) for _ in range(2)]
        if draw.chance(0.2):
            pair[1] = pair[0]
        elif draw.chance(0.2):
            pair[1] = pair[1] // 10 * 10
    if draw.chance(0.5):
        pair.reverse()
    return pair[0], pair[1]


def multiplication(draw: Draw) -> Problem:
    """Multiply by one digit, by a power of ten, or two numbers of two digits."""
    a, b = _draw_factors(draw)
    keys: tuple[str, ...] = ()
    if min(a, b) > 10 and max(a, b) > LARGEST_TABLE and b % 10:
        tens, ones = b // 10 * 10, b % 10
        keys = (product_key(a, ones), sum_key(a * tens, a * ones))
    return Problem(
        "mul",
        (product_key(a, b), *keys),
        ask(say_pair(draw, MULTIPLICATIONS, a, b)),
        work_product(a, b),
        "final",
        f"{a} * {b} = {a * b}",
        (f"{a} * {b} =", f" {a * b}") if max(a, b) < 13 else None,
    )


def _draw_division(draw: Draw) -> tuple[int, int]:
    rng, kind = draw.rng, draw.rng.random()
    if kind < 0.42:
        b = rng.randint(2, LARGEST_TABLE)
        return b * rng.randint(1, draw.pick((10, LARGEST_TABLE))), b
    if kind < 0.55:
        b = rng.randint(2, draw.pick((5, 10)))
        return rng.randint(b, 10 * b - 1), b
    if kind < 0.78:
        b = rng.randint(2, draw.pick((5, 9)))
        return b * rng.randint(11, draw.pick((30, 99))), b
    if kind < 0.86:
        return rng.randint(20, draw.pick((99, 999))), rng.randint(2, 9)
    if kind < 0.93:
        b = draw.pick((10, 10, 100, 20, 25, 50, 15, 30))
        return b * rng.randint(2, 20), b
    if kind < 0.95:
        b = rng.randint(1, 99)
        return draw.pick(((0, b), (b, 1), (b, b)))
    b = rng.randint(11, 25)
    return b * rng.randint(2, 30), b


def division(draw: Draw) -> Problem:
    """Divide with or without a remainder; also by zero, and a few fractions as decimals."""
    kind = draw.rng.random()
    if kind < 0.015:
        a = draw.rng.randint(0, draw.pick((10, 100)))
        key, request = f"{PRIMITIVE}:div:{a}:0", draw.say(DIVISIONS, a=a, b=0)
        return Problem("div", (key,), ask(request), f"{a} cannot be divided by 0.")
    if kind < 0.03:
        a, b = draw.pick(FRACTIONS)
        answer = f"{a} / {b} = {a / b:g}"
        request = draw.say(DIVISIONS, a=a, b=b)
        return Problem("div", (f"{PRIMITIVE}:div:{a}:{b}",), ask(request), answer, "final", answer)
    a, b = _draw_division(draw)
    shows_zero = draw.chance(0.3 if a % b else 0.06)
    answer = work_quotient(a, b, shows_zero=shows_zero)
    templates: Sequence[str] = REMAINDERS
    is_plain = a % b or a == 0 or b == 1 or draw.chance(0.85)
    if not shows_zero:
        templates = DIVISIONS if is_plain else EXACT_DIVISIONS
    return Problem(
        "div",
        (quotient_key(a, b),),
        ask(say_pair(draw, templates, a, b)),
        answer,
        "final",
        f"{a} / {b} = {quotient_text(a, b, shows_zero=shows_zero)}",
        (f"{a} / {b} =", f" {a // b}") if a % b == 0 and _is_one_step(a, b) else None,
    )
