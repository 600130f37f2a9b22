"""Numbers within bounds, and multiples, as digits."""

from dataclasses import dataclass
from decimal import Decimal

from unmask.decoding.automata.expressions import (
    NOTHING,
    Edge,
    Expression,
    Graph,
    Intersection,
    concatenation,
    literal,
    one_of,
    optional,
    repetition,
    union,
)
from unmask.decoding.automata.json_text import INTEGER, NONZERO, NUMBER, digits

MIN_PLACES = 6  # decimal places that a number within bounds may have, or as many as its bounds
MAX_MULTIPLE = 1_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """Interval of numbers; None without a bound."""

    low: Decimal | None = None
    high: Decimal | None = None
    excludes_low: bool = False
    excludes_high: bool = False

    @property
    def is_whole(self) -> bool:
        return self.low is None and self.high is None

    def __contains__(self, number: Decimal) -> bool:
        low, high = self.low, self.high
        is_above = low is None or number > low or (number == low and not self.excludes_low)
        is_below = high is None or number < high or (number == high and not self.excludes_high)
        return is_above and is_below

    def negated(self) -> "Bounds":
        return Bounds(
            None if self.high is None else -self.high,
            None if self.low is None else -self.low,
            self.excludes_high,
            self.excludes_low,
        )

    def above(self, least: Decimal, *, excludes: bool) -> "Bounds":
        """The part of an interval that is `least` or more."""
        if self.low is not None and (self.low, self.excludes_low) >= (least, excludes):
            return self
        return Bounds(least, self.high, excludes, self.excludes_high)


def integers(bounds: Bounds, multiple: int = 1) -> Expression:
    """Integers within bounds that are multiples of a number."""
    if bounds.is_whole:
        return INTEGER if multiple == 1 else multiples(multiple)
    low, high = _whole(bounds)
    if multiple > 1:
        return _few_multiples(low, high, multiple)
    parts = []
    if low is None or low < 0:
        least = 1 if high is None or high >= 0 else -high
        parts.append(concatenation(literal("-"), _natural(least, None if low is None else -low)))
    if high is None or high >= 0:
        parts.append(_natural(max(low or 0, 0), high))
    return union(parts)


def _whole(bounds: Bounds) -> tuple[int | None, int | None]:
    """Least and largest integer of an interval."""
    low, high = bounds.low, bounds.high
    least = None if low is None else int(low.to_integral_value("ROUND_CEILING"))
    most = None if high is None else int(high.to_integral_value("ROUND_FLOOR"))
    if least is not None and bounds.excludes_low and least == low:
        least += 1
    if most is not None and bounds.excludes_high and most == high:
        most -= 1
    return least, most


def _few_multiples(low: int | None, high: int | None, multiple: int) -> Expression:
    if low is None or high is None or (high - low) // multiple > MAX_MULTIPLE:
        raise ValueError(
            f"with a bound it needs both of them, and at most {MAX_MULTIPLE} values between"
        )
    first = -(-low // multiple) * multiple
    return union(literal(str(value)) for value in range(first, high + 1, multiple))


def multiples(multiple: int) -> Expression:
    """All multiples, by the remainder of what is written: node 0 is the start, 1 a zero."""
    if not 0 < multiple <= MAX_MULTIPLE:
        raise ValueError(f"only whole numbers from 1 to {MAX_MULTIPLE} are supported")
    sign = Edge(0, literal("-"), 2)
    zero = [Edge(start, literal("0"), 1) for start in (0, 2)]
    edges = [sign, *zero]
    for digit in range(10):
        if digit:
            edges += [Edge(start, literal(str(digit)), 3 + digit % multiple) for start in (0, 2)]
        edges += [
            Edge(3 + rest, literal(str(digit)), 3 + (10 * rest + digit) % multiple)
            for rest in range(multiple)
        ]
    return Graph(multiple + 3, tuple(edges), frozenset((1, 3)))


def fractions(bounds: Bounds, step: Decimal) -> Expression:
    """Numbers within bounds that are multiples of a step, which divides 1."""
    places = -int(step.normalize().as_tuple().exponent)
    unit = int(step.scaleb(places))
    if unit == 1:
        shown = digits(1, places)
    elif (count := 10**places // unit) <= MAX_MULTIPLE:
        texts = {f"{i * unit:0{places}}".rstrip("0") or "0" for i in range(count)}
        shown = union(
            concatenation(literal(text), repetition(literal("0"), 0, places - len(text)))
            for text in sorted(texts)
        )
    else:
        raise ValueError(f"over {MAX_MULTIPLE} fractions are not supported")
    shape = concatenation(INTEGER, optional(concatenation(literal("."), shown)))
    return shape if bounds.is_whole else Intersection(decimals(bounds), shape)


# Of few digits, so that doubles have the fraction too.
BROKEN = concatenation(
    optional(literal("-")),
    union((literal("0"), concatenation(NONZERO, digits(0, 8)))),
    literal("."),
    digits(0, 5),
    NONZERO,
)
"""Numbers that are no integers."""


def _natural(low: int, high: int | None) -> Expression:
    """Integers from `low` >= 0 on, without leading zeros."""
    if high is None:
        size = len(str(low))
        longer = concatenation(NONZERO, digits(size))
        return union((_natural(low, 10**size - 1), longer))
    if high < low:
        return NOTHING
    parts = []
    while len(str(low)) < len(str(high)):
        end = 10 ** len(str(low)) - 1
        parts.append(_between(str(low), str(end)))
        low = end + 1
    parts.append(_between(str(low), str(high)))
    return union(parts)


def _between(low: str, high: str) -> Expression:
    """Strings of as many digits, from `low` to `high`."""
    if not low:
        return concatenation()
    first, last = int(low[0]), int(high[0])
    if first == last:
        return concatenation(literal(low[0]), _between(low[1:], high[1:]))
    rest = len(low) - 1
    parts = []
    if low[1:] != "0" * rest:
        parts.append(concatenation(literal(low[0]), _between(low[1:], "9" * rest)))
        first += 1
    if high[1:] != "9" * rest:
        parts.append(concatenation(literal(high[0]), _between("0" * rest, high[1:])))
        last -= 1
    if first <= last:
        middle = one_of(range(ord("0") + first, ord("0") + last + 1))
        parts.append(concatenation(middle, digits(rest, rest)))
    return union(parts)


def decimals(bounds: Bounds) -> Expression:
    """Numbers within bounds; with one, they have no exponent and few decimal places."""
    if bounds.is_whole:
        return NUMBER
    zero = Decimal(0)
    positive = _positive(bounds.above(zero, excludes=False))
    negative = _positive(bounds.negated().above(zero, excludes=True))
    return union((positive, concatenation(literal("-"), negative)))


def _positive(bounds: Bounds) -> Expression:
    low, high = bounds.low, bounds.high
    assert low is not None
    if high is not None and high < low:
        return NOTHING
    whole, fraction = _split(low)
    if high is None:
        return union(
            (
                concatenation(literal(str(whole)), _fraction(fraction, None, bounds)),
                concatenation(_natural(whole + 1, None), _fraction(None, None, bounds)),
            )
        )
    top, top_fraction = _split(high)
    if whole == top:
        return concatenation(literal(str(whole)), _fraction(fraction, top_fraction, bounds))
    return union(
        (
            concatenation(literal(str(whole)), _fraction(fraction, None, bounds)),
            concatenation(_natural(whole + 1, top - 1), _fraction(None, None, bounds)),
            concatenation(literal(str(top)), _fraction(None, top_fraction, bounds)),
        )
    )


def _split(number: Decimal) -> tuple[int, str]:
    """Whole part and decimal places of a number that is not negative."""
    whole, _, fraction = f"{number:f}".partition(".")
    return int(whole), fraction.rstrip("0")


def _fraction(low: str | None, high: str | None, bounds: Bounds) -> Expression:
    """A point and decimal places from `low` to `high`, or nothing if zero is among them."""
    places = max(MIN_PLACES, len(low or ""), len(high or ""))
    # Nodes: the start, the point, and how many places there are, tight to a bound so far or not.
    numbers: dict[tuple[int, bool, bool], int] = {}
    edges: list[Edge] = []
    ends: set[int] = set()

    def node(place: int, by_low: bool, by_high: bool) -> int:
        key = place, by_low, by_high
        if key in numbers:
            return numbers[key]
        number = numbers[key] = len(numbers) + 1
        rest_low = (low or "")[place:] if by_low else ""
        rest_high = (high or "")[place:] if by_high else ""
        above = not by_low or (not rest_low and not bounds.excludes_low)
        below = not by_high or bool(rest_high) or not bounds.excludes_high
        if above and below:
            ends.add(number)
        if place < places:
            least = int(rest_low[:1] or 0)
            most = int(rest_high[:1] or 0) if by_high else 9
            for digit in range(least, most + 1):
                after = node(place + 1, by_low and digit == least, by_high and digit == most)
                edges.append(Edge(number, literal(str(digit)), after))
        return number

    first = node(0, low is not None, high is not None)
    start_ends = first in ends
    ends.discard(first)  # a point needs a digit behind it
    edges.append(Edge(0, literal("."), first))
    if start_ends:
        ends.add(0)
    return Graph(len(numbers) + 1, tuple(edges), frozenset(ends))
