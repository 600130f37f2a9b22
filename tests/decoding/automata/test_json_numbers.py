"""Numbers within bounds, against comparison."""

from decimal import Decimal
from random import Random

import pytest

from tests.support.automata import language
from unmask.decoding.automata.json_numbers import Bounds, decimals, integers


def random_bounds(random: Random) -> Bounds:
    low = Decimal(random.randint(-300, 300)) / random.choice([1, 1, 10, 100])
    high = low + Decimal(random.randint(0, 2000)) / random.choice([1, 10, 100])
    excludes = [random.random() < 0.4 for _ in range(2)]
    match random.randrange(5):
        case 0:
            return Bounds(None, high, False, excludes[1])
        case 1:
            return Bounds(low, None, excludes[0], False)
    return Bounds(low, high, *excludes)


def is_within(bounds: Bounds, value: Decimal) -> bool:
    low, high = bounds.low, bounds.high
    above = low is None or value > low or (value == low and not bounds.excludes_low)
    below = high is None or value < high or (value == high and not bounds.excludes_high)
    return above and below


@pytest.mark.parametrize("seed", range(40))
def test_integers_are_those_within_the_bounds(seed: int) -> None:
    bounds = random_bounds(Random(seed))
    found = language(integers(bounds))
    for value in range(-2500, 2500):
        assert found.matches(str(value).encode()) == is_within(bounds, Decimal(value)), value
    assert not found.matches(b"007")
    assert not found.matches(b"-")


@pytest.mark.parametrize("seed", range(40))
def test_decimals_are_those_within_the_bounds(seed: int) -> None:
    random = Random(seed)
    bounds = random_bounds(random)
    found = language(decimals(bounds))
    near = [end for end in (bounds.low, bounds.high, Decimal(0)) if end is not None]
    for _ in range(2000):
        value = random.choice(near) + Decimal(random.randint(-150, 150)) / 10 ** random.randint(
            0, 4
        )
        text = f"{value:f}"
        if not text.startswith("-0") or value:
            assert found.matches(text.encode()) == is_within(bounds, value), (bounds, text)
    assert not found.matches(b"1.")
    assert not found.matches(b".5")


@pytest.mark.parametrize("multiple", [2, 3, 7, 10, 25])
def test_multiples_are_found_by_their_digits(multiple: int) -> None:
    found = language(integers(Bounds(), multiple))
    for value in range(-300, 300):
        assert found.matches(str(value).encode()) == (value % multiple == 0)
    few = language(integers(Bounds(Decimal(-10), Decimal(40)), multiple))
    for value in range(-60, 60):
        is_one = value % multiple == 0 and -10 <= value <= 40
        assert few.matches(str(value).encode()) == is_one


def test_multiples_of_large_numbers_or_of_long_intervals_are_refused() -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        integers(Bounds(), 10**6)
    with pytest.raises(ValueError, match="values between"):
        integers(Bounds(Decimal(0), Decimal(10**9)), 3)
