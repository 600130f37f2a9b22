"""Quantities in other units: lengths, weights, volumes, times, money, dozens, temperatures."""

from training.tasks.numbers.arithmetic import (
    is_power_of_ten,
    product_key,
    quotient_key,
    sum_key,
    work_product,
    work_quotient,
    work_sum,
)
from training.tasks.problem import MEMORISED, Problem, ask
from training.tasks.word_problems.cast import number_shown
from training.tasks.word_problems.units import (
    CENT,
    CM,
    DOLLAR,
    EURO,
    FACTS,
    FAR_PAIRS,
    HALVES,
    HOUR,
    KG,
    KM,
    MINUTE,
    MIXED,
    ML,
    MM,
    NEAR,
    NEAR_COUNTS,
    NICKEL,
    PAIRS,
    QUARTER,
    SECOND,
    G,
    L,
    M,
    Unit,
)
from training.wordings import Draw

CONVERSIONS = (
    "~[Convert|Change|Turn|Transform] {q} [to|into|in] {units}.",
    "How many {units} [are|are there|do I have|fit] in {q}?",
    "How many {units} [is|are|equal|make|make up|does it take for] {q}?",
    "How many {units} does {q} [have|equal|make|contain]?",
    "[What is|What's|How much is|whats] {q} in {units}?",
    "{q} [in|to|into] {units}[?|]",
    "{q} [is|equals|are|makes] how many {units}?",
    "{q} = [?|how many|_|___] {units}",
    "{q} [expressed in|written in|converted to|converted into|given in|shown in] {units}[?|]",
    "{q}[, how many {units}|: how many {units}| - how many {units}][?| is that?]",
    "How would you [write|express|give] {q} in {units}?",
    "{q} [is the same as|corresponds to|is equal to|comes to|amounts to] how many {units}?",
    "{q} = x {units}. [What is x?|Find x.|x = ?|Solve for x.]",
    "My [recipe|plan|list|book|note] says {q}. [How many {units} is that?|What is that in "
    "{units}?]",
    "[Fill in|Complete|Finish][:| this:] {q} = ___ {units}",
    "[I want|I'd like|I need] to [convert|change] {q} [to|into] {units}.",
    "[Help me|Please help me|Can you help me] [convert|change|turn] {q} [to|into] {units}.",
    "[Answer|Result|Amount|Value] in {units}[:| for] {q}",
    "{q} [makes|gives|is] [how much|what] in {units}?",
    "[Math|Maths|Homework|Physics][:| question:] {q} [to|in|into] {units}",
    "~[Express|Write|Give|Show] {q} in {units}.",
    "In {units}, [how much|what] is {q}?",
    "[I need|I want|Give me|gimme] {q} in {units}[.|]",
    "I have {q}. How many {units} is [that|this]?",
    "[Suppose it is|It is|Say it is] {q}. How many {units} is that?",
    "[Unit conversion|Conversion|Convert|Units]: {q} [to|->|in|into] {units}",
    "{q} -> {units}",
    "{q} [as|in terms of] {units}[?|]",
    "[Number of|The number of] {units} in {q}[?|]",
    "{units} in {q}[?|]",
    "~[Work out|Calculate|Find|Compute|Tell me] how many {units} [are in|make|are] {q}.",
    "How do I [convert|write|express] {q} [in|as] {units}?",
    "If [something is|I have] {q}, how many {units} [is that|do I have|are there]?",
    "[Do you know|Can you tell me] how many {units} [are in|make] {q}?",
    "What do you get when you convert {q} to {units}?",
    "[Same|Equal|Equivalent] in {units}: {q}",
    "convert({q}, {units})",
)
SINGLES = (
    "How many {units} [are|are there|do you have|fit] in {one}?",
    "How many {units} [is|equal|make|make up] {one}?",
    "How many {units} does {one} [have|equal|make|contain]?",
    "[What is|What's|How much is|whats] {one} in {units}?",
    "~[Convert|Change|Turn] {one} [to|into] {units}.",
    "{one} [in|to] {units}[?|]",
    "{one} [is|has|equals] how many {units}?",
    "{one} = [?|how many|_] {units}",
    "[Number of|The number of] {units} in {one}[?|]",
    "{units} in {one}[?|]",
    "[Do you know|Can you tell me] how many {units} [are in|make] {one}?",
    "~Tell me how many {units} [are in|make] {one}.",
    "how many {units} per {bare}",
    "{units} per {bare}[?|]",
    "{One} has how many {units}?",
    "In {one} there are how many {units}?",
    "What number of {units} [makes|is in] {one}?",
)
DOZENS = (
    "What number of {items} is {x} dozen?",
    "The recipe needs {x} dozen {items}. How many {items} is that?",
    "{x} dozen = ? {items}",
    "How many {items} [are|are there] in {x} dozen[ {items}|]?",
    "How many {items} is {x} dozen?",
    "{x} dozen {items} [is|are] how many[ {items}|]?",
    "I [have|bought|need] {x} dozen {items}. How many [{items} |]is that?",
    "How many {items} do I have if I have {x} dozen?",
    "[What is|What's] {x} dozen {items} as a number?",
    "If I buy {x} dozen {items}, how many do I have?",
    "~[Work out|Tell me|Calculate] how many {items} are in {x} dozen.",
    "{x} dozen {items}. How many?",
    "A box has {x} dozen {items}. How many {items} is that?",
    "[Number of|The number of] {items} in {x} dozen[?|]",
)
COUNTED = ("eggs", "roses", "donuts", "cookies", "apples", "pencils", "oranges", "rolls", "bagels")
TEMPERATURES = (
    "~[Convert|Change|Turn] {t} [to|into] {scale}.",
    "[What is|What's|How much is] {t} in {scale}?",
    "{t} [in|to] {scale}[?|]",
    "{t} is how many degrees {scale}?",
    "{t} = ? {scale}",
    "How many degrees {scale} is {t}?",
    "How [hot|warm|cold] is {t} in {scale}?",
    "~[Express|Give|Write] {t} in {scale}.",
    "[I need|I want] {t} in {scale}[.|]",
    "[Temperature|Temperature conversion|Convert]: {t} to {scale}",
    "It is {t} outside. What is that in {scale}?",
    "{scale} for {t}[?|]",
    "In {scale}, what is {t}?",
)
C, F = ("C", "Celsius"), ("F", "Fahrenheit")
LARGER_OF_TWO = (
    "[Which|What] is {longer}, {p} or {q}?",
    "Is {p} {longer} than {q}?",
    "{p} or {q}[:|,] [which|what] is {longer}?",
    "~[Compare|Say which is {longer}:] {p} [and|or] {q}.",
    "~Tell me which is {longer}, {p} or {q}.",
    "[What's|Whats] {longer}: {p} or {q}?",
    "Which one is {longer}, {p} or {q}?",
    "{longer}: {p} or {q}?",
    "I have {p} and {q}. Which is {longer}?",
    "Between {p} and {q}, which is {longer}?",
    "[Do you know|Can you tell me] which is {longer}, {p} or {q}?",
    "Of {p} and {q}, [which|which one] is {longer}?",
)
COMPARABLE = {
    "longer": [(KM, M, 1000), (M, CM, 100), (CM, MM, 10), (HOUR, MINUTE, 60), (MINUTE, SECOND, 60)],
    "heavier": [(KG, G, 1000)],
    "more": [(KG, G, 1000), (L, ML, 1000), (DOLLAR, CENT, 100), (HOUR, MINUTE, 60)],
}
FAHRENHEIT = (0, 60, 65, 70, 72, 75, 80, 85, 90, 100, 102, 350, 400)
CELSIUS = (*range(-10, 105, 5), 37, 21, 18, 200, 180)
LARGEST_COUNTS = (9, 9, 12, 20, 99, 500)  # of decimal units
LARGEST_FEW = (6, 10, 10, 12, 24)  # of hours, dozens and so on


def _quantity(draw: Draw, count: object, unit: Unit) -> str:
    """A quantity as people write it: `3 m`, `3m`, `three meters`, `$3`."""
    if unit is DOLLAR and draw.chance(0.35):
        return f"${count}"
    if unit is EURO and draw.chance(0.3):
        return f"€{count}"
    one, many = unit.spelled(draw)
    name = one if str(count) == "1" else many
    shown = number_shown(draw, count)[0] if isinstance(count, int) else str(count)
    is_short = len(name) <= 2 and shown[-1].isdigit()
    return f"{shown}{'' if is_short and draw.chance(0.35) else ' '}{name}"


def _answered(key: str, keys: list[str], request: str, work: str, reference: str) -> Problem:
    answer = f"{work}. {reference}" if work else reference
    return Problem("unit", (key, *keys), ask(request), answer, "final", reference)


def decimal_text(value: int, places: int) -> str:
    """The number `value / 10**places`, without zeros at its end."""
    digits = f"{value:0{places + 1}d}"
    whole, part = digits[: len(digits) - places], digits[len(digits) - places :].rstrip("0")
    return f"{whole}.{part}" if part else whole


def _pair(draw: Draw) -> tuple[Unit, Unit, int]:
    (found,) = draw.rng.choices(PAIRS, [pair[3] for pair in PAIRS])
    return found[:3]


def _count(draw: Draw, factor: int) -> int:
    return draw.rng.randint(
        2, draw.pick(LARGEST_COUNTS if is_power_of_ten(factor) else LARGEST_FEW)
    )


def to_smaller(draw: Draw) -> Problem:
    """Convert to a smaller unit, by a product."""
    large, small, factor = _pair(draw)
    count, units = _count(draw, factor), small.spelled(draw)[1]
    key = f"unit:{large.many}:{small.many}:{count}"
    if is_power_of_ten(factor):
        places = len(str(factor)) - 1
        shown = str(count)
        if draw.chance(0.25) and large is not DOLLAR:
            count = draw.pick((5, 15, 25, draw.rng.randint(1, 99)))
            shown, count, places = decimal_text(count, 1), count, places - 1
            key = f"unit:{large.many}:{small.many}:{shown}"
        request = draw.say(CONVERSIONS, q=_quantity(draw, shown, large), units=units)
        reference = f"{large.of(shown)} = {small.of(count * 10**places)}"
        return _answered(key, [], request, "", reference)
    request = draw.say(CONVERSIONS, q=_quantity(draw, count, large), units=units)
    reference = f"{large.of(count)} = {small.of(count * factor)}"
    keys = [product_key(count, factor)]
    return _answered(key, keys, request, work_product(count, factor), reference)


def to_larger(draw: Draw) -> Problem:
    """Convert to a larger unit, to a whole or decimal number, or with a rest in the smaller."""
    large, small, factor = _pair(draw)
    count, units = _count(draw, factor), large.spelled(draw)[1]
    total, rest = count * factor, 0
    if is_power_of_ten(factor):
        places = len(str(factor)) - 1
        if draw.chance(0.4):
            total = draw.pick((factor // 2, total + factor // 2, draw.rng.randint(1, 99) * 10))
            total = total or 50
        result, work, keys = large.of(decimal_text(total, places)), "", []
    else:
        if draw.chance(0.25) and small is not QUARTER and small is not NICKEL:
            count = draw.rng.randint(1, 6)
            rest = draw.pick((factor // 2, draw.rng.randint(1, factor - 1)))
            total = count * factor + rest
        result, work = large.of(count), work_quotient(total, factor)
        result += f" {small.of(rest)}" if rest else ""
        keys = [quotient_key(total, factor)]
    request = draw.say(CONVERSIONS, q=_quantity(draw, total, small), units=units)
    key = f"unit:{small.many}:{large.many}:{total}"
    return _answered(key, keys, request, work, f"{small.of(total)} = {result}")


def from_mixed(draw: Draw) -> Problem:
    """Convert hours with minutes, or meters with centimeters, to the smaller unit."""
    large, small, factor = draw.pick(MIXED)
    count = draw.rng.randint(1, draw.pick((3, 5, 9)))
    rest = draw.rng.randint(1, factor - 1)
    if factor > 20 and draw.chance(0.7):
        rest = draw.pick((5, 10, 15, 20, 30, 45, 50) if factor < 1000 else (50, 100, 200, 250, 500))
        rest = min(rest, factor - 1)
    if draw.chance(0.3) and large is HOUR:
        q = f"{count}h {rest}min"
    else:
        link = draw.pick((" ", " and "))
        q = f"{_quantity(draw, count, large)}{link}{_quantity(draw, rest, small)}"
    whole, keys, work = count * factor, [sum_key(count * factor, rest)], ""
    if not is_power_of_ten(factor):
        keys.append(product_key(count, factor))
        work = work_product(count, factor) + ". "
    work += work_sum(whole, rest)
    reference = f"{large.of(count)} {small.of(rest)} = {small.of(whole + rest)}"
    request = draw.say(CONVERSIONS, q=q, units=small.spelled(draw)[1])
    key = f"unit:{large.many}:{small.many}:{count}:{rest}"
    return _answered(key, keys, request, work, reference)


def fact_of_units(draw: Draw) -> Problem:
    """Say how much one unit is in another, or a half of one."""
    if draw.chance(0.2):
        phrase, number, small = draw.pick(HALVES)
        reference = f"{phrase[0].upper()}{phrase[1:]} = {small.of(number)}"
        request = draw.say(CONVERSIONS, q=phrase, units=small.spelled(draw)[1])
        return _answered(f"{MEMORISED}:unit:{phrase}", [], request, "", reference)
    large, small, count = draw.pick(FACTS)
    bare = large.spelled(draw)[0]
    is_vowel = bare[0] in "aio" or bare in ("hour", "hr", "h", "l", "L", "m", "mm", "ft")
    one = draw.pick((f"{'an' if is_vowel else 'a'} {bare}",) * 2 + (f"1 {bare}", f"one {bare}"))
    slots = {"one": one, "One": one[0].upper() + one[1:], "bare": bare}
    request = draw.say(SINGLES, units=small.spelled(draw)[1], **slots)
    reference = f"{large.of(1)} = {small.of(count)}"
    if large.is_word and small.is_word:
        article = "An" if large.one[0] in "aio" or large is HOUR else "A"
        reference = f"{article} {large.one} has {small.of(count)}."
    return _answered(f"{MEMORISED}:unit:{large.one}:{small.one}", [], request, "", reference)


def far_units(draw: Draw) -> Problem:
    """Convert a few of a unit to a much smaller one."""
    large, small, factor = draw.pick(FAR_PAIRS)
    count = draw.rng.randint(2, draw.pick((3, 5, 9)))
    units = small.spelled(draw)[1]
    request = draw.say(CONVERSIONS, q=_quantity(draw, count, large), units=units)
    work = "" if is_power_of_ten(factor) else work_product(count, factor)
    reference = f"{large.of(count)} = {small.of(count * factor)}"
    keys = [product_key(count, factor)]
    return _answered(f"unit:{large.many}:{small.many}:{count}", keys, request, work, reference)


def near_units(draw: Draw) -> Problem:
    """Convert miles to kilometers and the like, to one decimal, by heart."""
    large, small, factor = draw.pick(NEAR)
    count = draw.pick((1, 1, *NEAR_COUNTS))
    units = small.spelled(draw)[1]
    request = draw.say(CONVERSIONS, q=_quantity(draw, count, large), units=units)
    reference = f"{large.of(count)} is about {small.of(f'{round(count * factor, 1):g}')}"
    key = f"{MEMORISED}:unit:{large.many}:{small.many}:{count}"
    return _answered(key, [], request, "", reference)


def larger_of_two(draw: Draw) -> Problem:
    """Say which of two quantities in different units is longer, heavier or more."""
    longer, pairs = draw.pick(list(COMPARABLE.items()))
    large, small, factor = draw.pick(pairs)
    count = draw.rng.randint(1, draw.pick((3, 9)))
    whole = count * factor
    step = max(1, factor // 20)
    other = max(step, whole + step * draw.pick((*range(-10, 0), *range(1, 11))))
    p, q = draw.rng.sample((_quantity(draw, count, large), _quantity(draw, other, small)), 2)
    request = draw.say(LARGER_OF_TWO, p=p, q=q, longer=longer)
    first, second = large.of(count), small.of(other)
    product = "" if is_power_of_ten(factor) else work_product(count, factor) + ". "
    if whole < other:
        first, second = second, first
    are = "is" if first.startswith("1 ") or len(first.split()[1]) < 3 else "are"
    reference = f"{first} {are} {longer} than {second}."
    work = f"{product}{large.of(count)} = {small.of(whole)}"
    keys = [] if is_power_of_ten(factor) else [product_key(count, factor)]
    key = f"unit_larger:{large.many}:{small.many}:{count}:{other}"
    return _answered(key, keys, request, work, reference)


def dozens(draw: Draw) -> Problem:
    """Count eggs or roses by dozens."""
    count, items = draw.rng.randint(2, draw.pick((5, 10, 12))), draw.slot(COUNTED)
    (shown,) = number_shown(draw, count)
    request = draw.say(DOZENS, x=shown, items=items)
    reference = f"{count} dozen {items} = {12 * count} {items}"
    keys = [product_key(count, 12)]
    return _answered(f"unit:dozen:{count}", keys, request, work_product(count, 12), reference)


def temperature(draw: Draw) -> Problem:
    """Convert a common temperature between Celsius and Fahrenheit."""
    celsius = draw.pick(CELSIUS)
    fahrenheit = f"{celsius * 9 / 5 + 32:g}"
    values = (str(celsius), fahrenheit)
    scales = [(C, F), (C, F), (F, C)]
    if draw.chance(0.2):
        scales = [(F, C)]
        fahrenheit = str(draw.pick(FAHRENHEIT))
        values = (f"{round((int(fahrenheit) - 32) * 5 / 9, 1):g}", fahrenheit)
    (short, long), (other, wanted) = draw.pick(scales)
    value, result = values if short == "C" else values[::-1]
    forms = (f" {short}", f"°{short}", f" °{short}", f" degrees {long}", f" {long.lower()}")
    shown = value + draw.pick((*forms, f" degrees {short}", f" {long}"))
    scale = draw.pick((wanted, wanted, wanted, other, f"°{other}"))
    reference = f"{value} °{short} = {result} °{other}"
    key = f"{MEMORISED}:temperature:{short}:{value}"
    above = f"{float(values[1]) - 32:g}"  # zero Celsius, in degrees Fahrenheit
    work = f"{value} * 1.8 = {above}" if short == "C" else f"{above} / 1.8 = {result}"
    return _answered(key, [], draw.say(TEMPERATURES, t=shown, scale=scale), work, reference)


KINDS = {
    to_smaller: 10.0,
    to_larger: 5.0,
    from_mixed: 1.8,
    fact_of_units: 3.5,
    far_units: 0.5,
    near_units: 1.2,
    larger_of_two: 0.8,
    dozens: 1.0,
    temperature: 1.2,
}


def conversion(draw: Draw) -> Problem:
    """Convert a quantity between two units."""
    (kind,) = draw.rng.choices(list(KINDS), list(KINDS.values()))
    return kind(draw)
