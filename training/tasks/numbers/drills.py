"""Drills of several ranges to count and several equations to check: trained on, never counted.

One range or equation is a short answer, which says little of where to stop and what a yes is for.
"""

from training.tasks.numbers.expressions import LARGEST_TABLE, LARGEST_TINY, OPERATIONS
from training.tasks.problem import PRIMITIVE, Problem, ask
from training.wordings import Draw

COUNTED = (
    "~Count [each|each range|each of these|all of these]: {items}",
    "~Write out [the numbers of|the numbers in] [each range|these ranges]: {items}",
    "[Ranges|Count these|Number rows]: {items}",
    "{items}\n[Count each of them.|Write all the numbers.|Number by number, please.]",
    "~[List|Give me] the numbers of [each|every] range: {items}",
    "[Which|What] numbers are in {items}?",
)
CHECKED = (
    "[Which|Which of these] are right: {items}",
    "~[Check|Verify|Test] [each|each of these|all of these|these equations]: {items}",
    "{items}\n[Right or wrong?|Which are right?|Check them all.]",
    "~Correct [my homework|these|each of these]: {items}",
    "[Right or wrong|Yes or no], [one by one|each]: {items}",
    "[My homework|I wrote]: {items}. Is [each|every one] right?",
)
JOINTS = ("; ", ", ", "\n")


def ranges(draw: Draw) -> Problem:
    """Two to five ranges, up or down, each counted on a line."""
    keys, shown, lines = [], [], []
    joint, link = draw.pick(JOINTS), draw.pick((" to ", "-", " - ", ".."))
    for _ in range(draw.rng.randint(2, 5)):
        low = draw.rng.randint(0, draw.pick((9, 20, 99, 200)))
        high = low + draw.rng.randint(1, 12)
        numbers = list(range(low, high + 1))
        is_down = draw.chance(0.35)
        if is_down:
            numbers.reverse()
        keys.append(f"{'down' if is_down else 'count'}:{low}:{high}")
        shown.append(f"{numbers[0]}{link}{numbers[-1]}")
        lines.append(", ".join(map(str, numbers)))
    request = draw.say(COUNTED, items=joint.join(shown))
    return Problem("drill", (f"{PRIMITIVE}:drill", *keys), ask(request), "\n".join(lines))


def checks(draw: Draw) -> Problem:
    """Two to five equations, each with its right result and whether it was right."""
    keys, shown, lines = [], [], []
    joint, equals = draw.pick(JOINTS), draw.pick((" = ", "=", " is "))
    for _ in range(draw.rng.randint(2, 5)):
        sign = draw.pick("++-**")
        upper = LARGEST_TABLE if sign == "*" else LARGEST_TINY
        a, b = draw.rng.randint(1, upper), draw.rng.randint(1, upper)
        if sign == "-":
            a, b = max(a, b), min(a, b)
        work, value, key = OPERATIONS[sign](a, b)
        claimed = value
        if draw.chance(0.5):
            claimed = max(0, value + draw.pick((-10, -3, -2, -1, -1, 1, 1, 2, 3, 10)))
        keys += [f"check:{a}{sign}{b}={claimed}", key]
        shown.append(f"{a} {sign} {b}{equals}{claimed}")
        lines.append(f"{work}: {'yes' if claimed == value else 'no'}")
    request = draw.say(CHECKED, items=joint.join(shown))
    return Problem("drill", (f"{PRIMITIVE}:drill", *keys), ask(request), "\n".join(lines))
