"""Sums, products, comparisons and the column-by-column working that precedes a result."""

from random import Random

from training.tasks.problem import PRIMITIVE, Problem, ask

POWERS_OF_TEN = (10, 100, 1000)
UNITS = (
    ("km", "m", 1000),
    ("m", "cm", 100),
    ("cm", "mm", 10),
    ("kg", "g", 1000),
    ("hours", "minutes", 60),
    ("minutes", "seconds", 60),
    ("days", "hours", 24),
    ("weeks", "days", 7),
    ("dollars", "cents", 100),
    ("years", "months", 12),
    ("l", "ml", 1000),
    ("dozen", "items", 12),
)


def draw_number(rng: Random, upper: int = 999) -> int:
    """Draw a number of one to three digits, every length often enough."""
    return rng.randint(0, min(upper, rng.choice([9, 99, 99, 999])))


def sum_key(a: int, b: int) -> str:
    """Name the sum of two numbers; one-digit sums are the tables that others are built from."""
    low, high = sorted((a, b))
    return f"{PRIMITIVE}:add:{low}:{high}" if high < 10 else f"add:{low}:{high}"


def difference_key(a: int, b: int) -> str:
    """Name the difference `a - b`."""
    return f"{PRIMITIVE}:sub:{a}:{b}" if a < 10 else f"sub:{a}:{b}"


def product_key(a: int, b: int) -> str:
    """Name the product of two numbers; the one-digit tables are primitive."""
    low, high = sorted((a, b))
    return f"{PRIMITIVE}:mul:{low}:{high}" if high < 10 else f"mul:{low}:{high}"


def _columns(a: int, b: int, sign: str) -> str:
    width = max(len(str(a)), len(str(b)))
    pairs = zip(f"{a:0{width}d}", f"{b:0{width}d}", strict=True)
    value = {"+": lambda x, y: x + y, "-": lambda x, y: x - y}[sign]
    return ", ".join(f"{x}{sign}{y}={value(int(x), int(y))}" for x, y in pairs)


def work_sum(a: int, b: int) -> str:
    """Write `a + b = c` after its column sums."""
    result = f"{a} + {b} = {a + b}"
    return result if max(a, b) < 10 else f"{_columns(a, b, '+')}, so {result}"


def work_difference(a: int, b: int) -> str:
    """Write `a - b = c` after its column differences."""
    result = f"{a} - {b} = {a - b}"
    return result if a < 10 else f"{_columns(a, b, '-')}, so {result}"


def work_product(a: int, b: int) -> str:
    """Write `a * b = c` after the products of the digits of the longer factor."""
    result = f"{a} * {b} = {a * b}"
    if max(a, b) < 10:
        return result
    long, digit = (a, b) if a >= b else (b, a)
    return ", ".join(f"{x}*{digit}={int(x) * digit}" for x in str(long)) + f", so {result}"


def addition(rng: Random) -> Problem:
    """Add two numbers of up to three digits."""
    a, b = draw_number(rng), draw_number(rng)
    question = rng.choice(
        [
            "What is {} + {}?",
            "Calculate {} + {}.",
            "{} + {} = ?",
            "Compute {} + {}",
            "Add {} and {}.",
        ]
    )
    return Problem(
        "add",
        (sum_key(a, b),),
        ask(question.format(a, b)),
        work_sum(a, b),
        "final",
        f"{a} + {b} = {a + b}",
        (f"{a} + {b} =", f" {a + b}"),
    )


def subtraction(rng: Random) -> Problem:
    """Subtract a number from one that is not smaller, up to three digits."""
    b, a = sorted((draw_number(rng), draw_number(rng)))
    question = rng.choice(
        ["What is {} - {}?", "Calculate {} - {}.", "{} - {} = ?", "Compute {} - {}"]
    )
    return Problem(
        "sub",
        (difference_key(a, b),),
        ask(question.format(a, b)),
        work_difference(a, b),
        "final",
        f"{a} - {b} = {a - b}",
        (f"{a} - {b} =", f" {a - b}"),
    )


def multiplication(rng: Random) -> Problem:
    """Multiply a number of up to three digits by one digit."""
    a = rng.randint(*rng.choice([(2, 12), (2, 12), (10, 99), (10, 99), (100, 999)]))
    b = rng.randint(2, 9)
    if rng.random() < 0.5:
        a, b = b, a
    question = rng.choice(["What is {} * {}?", "Calculate {} * {}.", "Multiply {} by {}."])
    return Problem(
        "mul",
        (product_key(a, b),),
        ask(question.format(a, b)),
        work_product(a, b),
        "final",
        f"{a} * {b} = {a * b}",
        (f"{a} * {b} =", f" {a * b}") if max(a, b) < 13 else None,
    )


def comparison(rng: Random) -> Problem:
    """Say which of two numbers is larger or smaller."""
    a, b = draw_number(rng), draw_number(rng)
    while a == b:
        b = draw_number(rng)
    low, high = sorted((a, b))
    if rng.random() < 0.5:
        question, answer = f"Which is larger, {a} or {b}?", f"{high} is larger than {low}."
    else:
        question, answer = f"Which is smaller, {a} or {b}?", f"{low} is smaller than {high}."
    return Problem("cmp", (f"cmp:{low}:{high}",), ask(question), answer)


def _conversion_work(count: int, factor: int) -> str:
    if factor in POWERS_OF_TEN:
        return ""
    if factor == 60:
        return work_product(count, 6) + ", so "
    if factor < 10:
        return work_product(count, factor) + ", so "
    tens, ones = factor // 10 * 10, factor % 10
    return (
        f"{count} * {tens} = {count * tens}, {count} * {ones} = {count * ones}, "
        f"{count * tens} + {count * ones} = {count * factor}, so "
    )


def conversion(rng: Random) -> Problem:
    """Convert a quantity between two units, in either direction."""
    large, small, factor = rng.choice(UNITS)
    count = rng.randint(1, rng.choice([99, 999]) if factor in POWERS_OF_TEN else 40)
    work = _conversion_work(count, factor)
    if rng.random() < 0.35:
        question = f"Convert {count * factor} {small} to {large}."
        reference = f"{count * factor} {small} = {count} {large}"
    else:
        question = rng.choice(
            [f"Convert {count} {large} to {small}.", f"How many {small} are in {count} {large}?"]
        )
        reference = f"{count} {large} = {count * factor} {small}"
    return Problem(
        "unit",
        (f"unit:{large}:{small}:{count}",),
        ask(question),
        work + reference,
        "final",
        reference,
    )
