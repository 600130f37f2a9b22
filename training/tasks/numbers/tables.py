"""Closed sets about numbers: times tables, powers, square roots, primes and factorials."""

from math import isqrt, prod

from training.tasks.numbers.numerals import number_in_words
from training.tasks.numbers.series import TASK, decimal, series, sum_to
from training.tasks.numbers.table_wordings import (
    CUBES,
    FACTORIALS,
    FACTORIZATIONS,
    FACTORS,
    IS_PRIME,
    POWERS,
    PRIMES,
    ROOTS,
    SQUARES,
    TIMES_TABLES,
)
from training.tasks.problem import MEMORISED, Problem, ask
from training.tasks.text.layouts import Kinds, one_kind
from training.wordings import Draw

LARGEST_EXPONENTS = {1: 5, 2: 10, 3: 5, 4: 4, 5: 4, 6: 3, 7: 3, 8: 3, 9: 3, 10: 6}
LARGEST_ROOT = 20
LARGEST_PRIME = 100
SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"


def _shown(draw: Draw, value: int) -> str:
    return number_in_words(value) if value <= 20 and draw.chance(0.1) else str(value)


def times_table(draw: Draw) -> Problem:
    """The first ten multiples of a number, a line each."""
    base = draw.rng.randint(1, 12)
    lines = [f"{base} * {i} = {base * i}" for i in range(1, 11)]
    request = draw.say(TIMES_TABLES, n=_shown(draw, base))
    return Problem(TASK, (f"{MEMORISED}:table:{base}",), ask(request), "\n".join(lines))


def power(draw: Draw) -> Problem:
    """A square, a cube, or a small power."""
    kind = draw.rng.random()
    if kind < 0.4:
        base, exponent = draw.rng.randint(0, draw.pick((10, 12, LARGEST_ROOT))), 2
        request = draw.say(SQUARES, n=_shown(draw, base))
    elif kind < 0.52:
        base, exponent = draw.rng.randint(1, 10), 3
        request = draw.say(CUBES, n=_shown(draw, base))
    else:
        base = draw.pick((2, 2, 2, 3, 10, draw.rng.randint(1, 10)))
        exponent = draw.rng.randint(0 if draw.chance(0.1) else 1, LARGEST_EXPONENTS[base])
        if draw.chance(0.25):
            base, exponent = draw.rng.randint(1, LARGEST_ROOT), 2
        raised = f"{base}{''.join(SUPERSCRIPTS[int(digit)] for digit in str(exponent))}"
        request = draw.say(POWERS, a=base, b=exponent, raised=raised)
    key = f"{MEMORISED}:power:{base}:{exponent}"
    answer = f"{base}^{exponent} = {base**exponent}"
    return Problem(TASK, (key,), ask(request), answer, "final", answer)


def square_root(draw: Draw) -> Problem:
    """The square root of a square number."""
    root = draw.rng.randint(1, draw.pick((10, 12, LARGEST_ROOT)))
    request = draw.say(ROOTS, n=_shown(draw, root**2))
    answer = f"The square root of {root**2} is {root}."
    return Problem(TASK, (f"{MEMORISED}:root:{root}",), ask(request), answer)


def is_prime(draw: Draw) -> Problem:
    """Say whether a number is prime, with a pair of factors if it is not."""
    value = draw.rng.randint(1, draw.pick((20, 50, LARGEST_PRIME)))
    request = draw.say(IS_PRIME, n=_shown(draw, value))
    factor = next((n for n in range(2, isqrt(value) + 1) if value % n == 0), None)
    answer = f"Yes, {value} is prime."
    if factor:
        answer = f"No, {value} is not prime: {factor} * {value // factor} = {value}."
    elif value == 1:
        answer = "No, 1 is not prime."
    return Problem(TASK, (f"{MEMORISED}:prime:{value}",), ask(request), answer)


def primes(draw: Draw) -> Problem:
    """The prime numbers up to a number."""
    upper = draw.pick((10, 10, 20, 20, 30, 40, 50))
    found = [n for n in range(2, upper) if all(n % d for d in range(2, isqrt(n) + 1))]
    answer = ", ".join(map(str, found))
    return Problem(TASK, (f"{MEMORISED}:primes:{upper}",), ask(draw.say(PRIMES, n=upper)), answer)


def factorial(draw: Draw) -> Problem:
    """The factorial of a number up to eight."""
    value = draw.rng.randint(1, draw.pick((5, 6, 8)))
    factors = range(value, 0, -1)
    answer = f"{value}! = {' * '.join(map(str, factors))} = {prod(factors)}"
    if value == 1:
        answer = "1! = 1"
    request = draw.say(FACTORIALS, n=value, f=f"{value}!")
    key = f"{MEMORISED}:factorial:{value}"
    return Problem(TASK, (key,), ask(request), answer, "final", f"= {prod(factors)}")


def factors(draw: Draw) -> Problem:
    """All factors of a number up to fifty, or its prime factors."""
    value = draw.rng.randint(2, draw.pick((12, 20, 30, 50)))
    if draw.chance(0.6):
        answer = ", ".join(str(n) for n in range(1, value + 1) if value % n == 0)
        request = draw.say(FACTORS, n=value)
        return Problem(TASK, (f"{MEMORISED}:factors:{value}",), ask(request), answer)
    rest = value
    found: list[str] = []
    for n in range(2, value + 1):
        while rest % n == 0:
            found.append(str(n))
            rest //= n
    answer = f"{value} = {' * '.join(found)}" if len(found) > 1 else f"{value} is prime."
    request = draw.say(FACTORIZATIONS, n=value)
    return Problem(TASK, (f"{MEMORISED}:prime_factors:{value}",), ask(request), answer)


KINDS: Kinds = (
    (times_table, 1.0),
    (power, 2.0),
    (square_root, 1.0),
    (is_prime, 1.2),
    (primes, 0.4),
    (factorial, 0.5),
    (factors, 0.8),
    (series, 0.8),
    (sum_to, 0.3),
    (decimal, 0.4),
)


def number_table(draw: Draw) -> Problem:
    """A number fact that can only be known by heart."""
    return one_kind(draw, KINDS)
