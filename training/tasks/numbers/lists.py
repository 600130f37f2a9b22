"""Lists of numbers: the largest, the smallest, averages, counting, and what comes next."""

from collections.abc import Sequence

from training.tasks.numbers.arithmetic import (
    chain_keys,
    chain_steps,
    difference_key,
    draw_number,
    product_key,
    quotient_key,
    sum_key,
    work_difference,
    work_product,
    work_quotient,
    work_sum,
)
from training.tasks.numbers.list_wordings import (
    AVERAGES,
    COUNTDOWNS,
    COUNTS,
    COUNTS_BY_STEPS,
    COUNTS_DOWN,
    COUNTS_IN_WORDS,
    COUNTS_TO,
    FIRST_OF_PARITY,
    GAPS,
    LARGEST,
    MEDIANS,
    MULTIPLES,
    MULTIPLES_UP_TO,
    NEXTS,
    PARITY_RANGES,
    PARITY_UP_TO,
    SECONDS,
    SMALLEST,
)
from training.tasks.numbers.numbers import listed, spoken, written
from training.tasks.numbers.numerals import number_in_words
from training.tasks.problem import PRIMITIVE, Problem, ask
from training.tasks.text.layouts import Kinds, one_kind
from training.wordings import Draw

LARGEST_SQUARES = 10
GAP_MARKS = ("_", "_", "?", "__", "...", "___", "x")
STEP_WORDS = {2: "twos", 3: "threes", 4: "fours", 5: "fives", 10: "tens", 100: "hundreds"}
MORE = ("", "", "", ", ...", ", ?", ", _", "...", ",", ", __", ", ...?")


def _joined(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def extreme(draw: Draw) -> Problem:
    """The largest or the smallest of three to six numbers."""
    count = draw.pick((3, 3, 3, 4, 4, 5, 6))
    upper = draw.pick((9, 20, 99, 99, 999))
    numbers = list({draw_number(draw.rng, upper) for _ in range(count)})
    if upper <= 20 or len(numbers) < 3:
        numbers = draw.rng.sample(range(upper + 1), count)
    if draw.chance(0.06):
        numbers = draw.rng.sample(range(-20, 10), count)
    draw.rng.shuffle(numbers)
    is_largest = draw.chance(0.58)
    name, result = ("largest", max(numbers)) if is_largest else ("smallest", min(numbers))
    shown = written(draw, *numbers) if min(numbers) >= 0 else list(map(str, numbers))
    request = draw.say(LARGEST if is_largest else SMALLEST, list=listed(draw, shown))
    key = f"extreme:{':'.join(map(str, sorted(numbers)))}"
    return Problem("number_list", (key,), ask(request), f"{result} is the {name}.")


def second(draw: Draw) -> Problem:
    """The second largest or second smallest of a few numbers, after those in order."""
    numbers = draw.rng.sample(range(1, draw.pick((10, 20, 100))), draw.pick((3, 4, 4, 5)))
    is_largest = draw.chance(0.6)
    in_order = sorted(numbers, reverse=is_largest)
    names = ("largest", "biggest", "highest") if is_largest else ("smallest", "lowest")
    request = draw.say(SECONDS, list=listed(draw, numbers), kind=draw.pick(names))
    key = f"second:{names[0]}:{':'.join(map(str, sorted(numbers)))}"
    reference = f"{in_order[1]} is the second {names[0]}"
    answer = f"{_joined(in_order)}, so {reference}"
    return Problem("number_list", (key,), ask(request), answer, "final", reference)


def average(draw: Draw) -> Problem:
    """The mean of two to five numbers that is a whole number."""
    count = draw.pick((2, 2, 3, 3, 3, 4, 4, 5))
    upper = draw.pick((10, 10, 20, 30)) if count < 4 else 10
    numbers = [draw.rng.randint(1, upper) for _ in range(count - 1)]
    last = -sum(numbers) % count
    numbers.append(last + count * draw.rng.randint(0 if last else 1, max(1, upper // count)))
    draw.rng.shuffle(numbers)
    if count < 4 and draw.chance(0.15):
        numbers = [10 * number for number in numbers]
    total = sum(numbers)
    request = draw.say(AVERAGES, list=listed(draw, written(draw, *numbers)))
    reference = f"the average is {total // count}"
    steps = [*chain_steps(numbers), work_quotient(total, count)]
    answer = f"{', '.join(steps)}, so {reference}"
    keys = (f"average:{':'.join(map(str, sorted(numbers)))}", *chain_keys(numbers))
    keys += (quotient_key(total, count),)
    return Problem("number_list", keys, ask(request), answer, "final", reference)


def median(draw: Draw) -> Problem:
    """The middle one of three or five numbers."""
    count = draw.pick((3, 3, 5))
    numbers = draw.rng.sample(range(1, draw.pick((10, 20, 100))), count)
    in_order = sorted(numbers)
    request = draw.say(MEDIANS, list=listed(draw, numbers))
    key = f"median:{':'.join(map(str, in_order))}"
    reference = f"the median is {in_order[count // 2]}"
    answer = f"{_joined(in_order)}, so {reference}"
    return Problem("number_list", (key,), ask(request), answer, "final", reference)


def counting(draw: Draw) -> Problem:
    """Count from one number to another, up or down."""
    if draw.chance(0.35):
        first, last = 1, draw.pick((3, 5, 5, 6, 7, 8, 9, 10, 10, 10, 12, 15, 20))
        is_down = draw.chance(0.35)
    else:
        first = draw.rng.randint(0, draw.pick((10, 20, 90, 200)))
        last = first + draw.rng.randint(2, draw.pick((5, 10, 14)))
        is_down = draw.chance(0.3)
    spells = first < 21 and draw.chance(0.12)
    x, y = (spoken(draw, n) if spells else str(n) for n in (first, last))
    numbers = list(range(first, last + 1))
    if is_down:
        numbers.reverse()
        if first == 1 and draw.chance(0.5):
            request = draw.say(COUNTDOWNS, a=y)
        else:
            request = draw.say(COUNTS_DOWN, a=y, b=x)
    elif first == 1 and draw.chance(0.5):
        request = draw.say(COUNTS_TO, b=y)
    else:
        request = draw.say(COUNTS, a=x, b=y)
    # What everybody counts first is a table.
    key = f"{'down' if is_down else 'count'}:{first}:{last}"
    key = f"{PRIMITIVE}:{key}" if first == 1 else key
    return Problem("counting", (key,), ask(request), _joined(numbers))


def counting_by_steps(draw: Draw) -> Problem:
    """Count in twos, fives, tens and so on."""
    step = draw.pick((2, 2, 5, 5, 10, 10, 3, 4, 100))
    first = draw.pick((0, step, step, 1 if step < 4 else step, step * draw.rng.randint(1, 10)))
    last = first + step * draw.rng.randint(3, 11)
    by = STEP_WORDS[step] if draw.chance(0.4) else str(step) + draw.pick(("", "", "s"))
    request = draw.say(COUNTS_BY_STEPS, step=by, a=first, b=last)
    key = f"steps:{step}:{first}:{last}"
    return Problem("counting", (key,), ask(request), _joined(range(first, last + 1, step)))


def counting_in_words(draw: Draw) -> Problem:
    """Count to a number of at most twenty in words."""
    last = draw.rng.randint(3, draw.pick((10, 12, 20)))
    request = draw.say(COUNTS_IN_WORDS, a=1, b=spoken(draw, last) if draw.chance(0.4) else last)
    answer = ", ".join(number_in_words(value) for value in range(1, last + 1))
    return Problem("counting", (f"{PRIMITIVE}:words:{last}",), ask(request), answer)


def multiples_up_to(draw: Draw) -> Problem:
    """The multiples of a number up to another."""
    step = draw.pick((2, 3, 3, 4, 5, 5, 6, 7, 8, 9, 10, 10))
    last = step * draw.rng.randint(3, 11)
    upper = last + (draw.rng.randint(0, step - 1) if draw.chance(0.4) else 0)
    request = draw.say(MULTIPLES_UP_TO, n=step, b=upper)
    key = f"steps:{step}:{step}:{last}"
    return Problem("counting", (key,), ask(request), _joined(range(step, last + 1, step)))


def parity_range(draw: Draw) -> Problem:
    """The even or the odd numbers of a range, or the first few."""
    first = draw.pick((1, 1, 1, draw.rng.randint(1, 20), draw.rng.randint(20, 90)))
    last = first + draw.rng.randint(4, 19)
    name = draw.pick(("even", "odd"))
    if draw.chance(0.25):
        num_wanted = draw.rng.randint(3, 12)
        shown = spoken(draw, num_wanted) if draw.chance(0.5) else num_wanted
        request = draw.say(FIRST_OF_PARITY, kind=name, count=shown)
        # Zero is left out: people begin with two.
        first, last = 1, 2 * num_wanted
    elif first == 1 and draw.chance(0.5):
        request = draw.say(PARITY_UP_TO, kind=name, b=last)
    else:
        request = draw.say(PARITY_RANGES, kind=name, a=first, b=last)
    numbers = [n for n in range(first, last + 1) if (n % 2 == 0) == (name == "even")]
    return Problem("counting", (f"{name}:{first}:{last}",), ask(request), _joined(numbers))


def multiples(draw: Draw) -> Problem:
    """The first few multiples of a number."""
    base, count = draw.rng.randint(2, draw.pick((9, 12, 20))), draw.rng.randint(3, 10)
    shown_count = spoken(draw, count) if draw.chance(0.5) else count
    request = draw.say(MULTIPLES, n=base, count=shown_count)
    numbers = [base * i for i in range(1, count + 1)]
    return Problem("counting", (f"multiples:{base}:{count}",), ask(request), _joined(numbers))


def _sequence(draw: Draw) -> tuple[list[int], str, tuple[str, ...]]:
    """A sequence that ends with its next number, the working for that, and keys of it."""
    rng, kind, count = draw.rng, draw.rng.random(), draw.pick((3, 4, 4, 4, 5, 5, 6))
    if kind < 0.55:
        step = draw.pick((1, 2, 2, 3, 3, 4, 5, 5, 6, 7, 8, 9, 10, 10, 11, 20, 25, 50, 100))
        first = draw.pick((0, 1, 2, step, step, rng.randint(1, 20), rng.randint(1, 60)))
        numbers = [first + step * i for i in range(count + 1)]
        return numbers, work_sum(numbers[-2], step), (sum_key(numbers[-2], step),)
    if kind < 0.72:
        step = draw.pick((1, 2, 2, 3, 5, 5, 10, 10, 4, 6))
        first = step * count + draw.pick((0, step, rng.randint(0, 40)))
        numbers = [first - step * i for i in range(count + 1)]
        key = difference_key(numbers[-2], step)
        return numbers, work_difference(numbers[-2], step), (key,)
    if kind < 0.88:
        factor = draw.pick((2, 2, 2, 3, 10))
        count = min(count, 4) if factor > 2 else count
        first = draw.pick((1, 1, 2, 2, 3, 4, 5, 6, 7))
        numbers = [first * factor**i for i in range(count + 1)]
        return numbers, work_product(numbers[-2], factor), (product_key(numbers[-2], factor),)
    if kind < 0.94:
        first = rng.randint(1, LARGEST_SQUARES - 5)
        numbers = [(first + i) ** 2 for i in range(max(count, 4) + 1)]
        root = first + len(numbers) - 1
        return numbers, work_product(root, root), ()
    numbers = draw.pick(([1, 1], [1, 2], [0, 1], [2, 3], [2, 5], [3, 4]))[:]
    while len(numbers) < max(count, 5) + 1:
        numbers.append(numbers[-2] + numbers[-1])
    return numbers, work_sum(numbers[-3], numbers[-2]), (sum_key(numbers[-3], numbers[-2]),)


def next_number(draw: Draw) -> Problem:
    """Continue a sequence: arithmetic, geometric, of squares, or of sums of two before."""
    numbers, work, keys = _sequence(draw)
    given = numbers[:-1]
    separator = draw.pick((", ", ", ", ", ", " ", ",", "; "))
    shown = separator.join(map(str, given))
    if ", " in separator:
        shown += draw.pick(MORE)
    elif draw.chance(0.3):
        shown += separator + draw.pick(("?", "...", "_"))
    reference = f"the next number is {numbers[-1]}"
    key = f"seq:{':'.join(map(str, given))}"
    return Problem(
        "sequence",
        (key, *keys),
        ask(draw.say(NEXTS, list=shown)),
        f"{work}, so {reference}",
        "final",
        reference,
    )


def missing_number(draw: Draw) -> Problem:
    """Fill a gap in an arithmetic or a doubling sequence."""
    count = draw.pick((4, 5, 5, 6))
    if draw.chance(0.85):
        step = draw.pick((1, 1, 2, 2, 3, 4, 5, 5, 10, 10))
        first = draw.pick((0, 1, step, draw.rng.randint(1, 40)))
        numbers = [first + step * i for i in range(count)]
    else:
        step, first = 0, draw.pick((1, 2, 3, 5))
        numbers = [first * 2**i for i in range(count)]
    at = draw.rng.randrange(1, count - 1)
    before, value = numbers[at - 1], numbers[at]
    shown: list[object] = list(numbers)
    shown[at] = draw.pick(GAP_MARKS)
    work = work_sum(before, step) if step else work_product(before, 2)
    inner = sum_key(before, step) if step else product_key(before, 2)
    reference = f"the missing number is {value}"
    request = draw.say(GAPS, list=draw.pick((", ", ", ", " ", ",")).join(map(str, shown)))
    key = f"gap:{at}:{':'.join(map(str, numbers))}"
    return Problem(
        "sequence", (key, inner), ask(request), f"{work}, so {reference}", "final", reference
    )


NUMBER_LISTS: Kinds = ((extreme, 2.2), (average, 1.2), (median, 0.5), (second, 0.4))
COUNTING: Kinds = (
    (counting, 2.0),
    (counting_by_steps, 0.9),
    (parity_range, 0.9),
    (multiples, 0.6),
    (multiples_up_to, 0.5),
    (counting_in_words, 0.3),
)
SEQUENCES: Kinds = ((next_number, 3.0), (missing_number, 1.0))


def number_list(draw: Draw) -> Problem:
    """A question about a list of numbers."""
    return one_kind(draw, NUMBER_LISTS)


def count(draw: Draw) -> Problem:
    """Numbers in a row."""
    return one_kind(draw, COUNTING)


def sequence(draw: Draw) -> Problem:
    """A sequence to continue or to complete."""
    return one_kind(draw, SEQUENCES)
