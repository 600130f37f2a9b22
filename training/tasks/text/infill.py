"""Blanks in the middle of sequences, sentences and code, filled in from both sides."""

from training.tasks.numbers.arithmetic import difference_key, sum_key, work_difference, work_sum
from training.tasks.problem import PRIMITIVE, Problem, ask
from training.tasks.text.infill_texts import (
    CODE,
    ENDS,
    FAMILIAR_SENTENCES,
    IN_NAMES,
    IN_NUMBERS,
    IN_TEXT,
    OPEN_SENTENCES,
    SEVERAL,
)
from training.tasks.text.layouts import Kinds, one_kind, set_off
from training.tasks.words import (
    ANIMALS,
    COLORS,
    DAYS,
    FRUITS,
    ITEMS,
    LETTERS,
    MONTHS,
    NAMES,
    THINGS,
    with_article,
)
from training.wordings import Draw

HOLE = "\0"
BLANKS = (
    *("___", "___", "___", "___", "____", "_____", "__", "_", "...", "…", "[blank]", "[blank]"),
    *(
        "<blank>",
        "(blank)",
        "[BLANK]",
        "{blank}",
        "?",
        "[ ]",
        "[MASK]",
        "<mask>",
        "[mask]",
        "[...]",
    ),
    *("( )", "(...)", "(?)", "BLANK", "-----", "____", "??", "<missing>", "[missing]", "_____"),
)
WORD_BLANKS = tuple(blank for blank in BLANKS if blank not in ("?", "??", "_"))
CODE_BLANKS = ("___", "___", "____", "<blank>", "[blank]", "...", "<mask>", "??", "<FILL>", "_____")
ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth".split()
CARDINALS = "one two three four five six seven eight nine ten eleven twelve".split()
CYCLES: tuple[tuple[str, ...], ...] = (tuple(DAYS), tuple(MONTHS))
LINES: tuple[tuple[str, ...], ...] = (
    tuple(LETTERS),
    tuple(CARDINALS),
    tuple(ORDINALS),
    tuple(f"{n}{'st nd rd'.split()[n - 1] if n < 4 else 'th'}" for n in range(1, 13)),
)
SEPARATORS = (", ", ", ", ", ", ", ", " ", " ", ",", " - ", " -> ")


def _shown(draw: Draw, full: str, at: int, hidden: str, blanks: tuple[str, ...]) -> str:
    """The text with a blank in place of its hidden part."""
    return full[:at] + draw.slot(blanks) + full[at + len(hidden) :]


def _request(draw: Draw, templates: tuple[str, ...], shown: str) -> str:
    """A request on a text with a blank, on lines of its own if it has several."""
    before, after = draw.say(templates, text=HOLE).split(HOLE)
    is_sentence = templates is IN_TEXT
    if "\n" in shown:
        before = before.rstrip() + "\n" if before else ""
        after = "\n" + after.lstrip(" .,:;-\n") if after.strip(" .?!") else ""
    elif before.strip() and (after.strip(" .?!") or not before.rstrip().endswith(":")):
        shown = set_off(draw, shown) if is_sentence else shown
    elif draw.chance(0.12) and before.strip():
        before = before.rstrip() + "\n"
    elif draw.chance(0.1) and is_sentence:
        shown = set_off(draw, shown)
    if shown[-1] in ".?!" and after in (".", "?"):
        after = ""
    return before + shown + after


def _problem(draw: Draw, key: str, templates: tuple[str, ...], shown: str, full: str) -> Problem:
    return Problem("infill", (key,), ask(_request(draw, templates, shown)), full)


def _several(draw: Draw, items: list[str], key: str) -> Problem:
    """A row with two or three blanks, answered by the whole row."""
    holes = set(draw.rng.sample(range(1, len(items)), 3 if len(items) > 7 else 2))
    blank, separator = draw.slot(BLANKS), draw.pick(SEPARATORS)
    shown = separator.join(blank if i in holes else item for i, item in enumerate(items))
    return _problem(draw, f"infill:{key}", SEVERAL, shown, ", ".join(items))


def _listed(draw: Draw, items: list[str], hidden: int, key: str) -> Problem:
    blank = draw.slot(BLANKS)
    items_shown = [blank if i == hidden else item for i, item in enumerate(items)]
    separator = draw.pick(SEPARATORS)
    shown = separator.join(items_shown)
    if draw.chance(0.06):
        shown = f"[{shown}]"
    templates: tuple[str, ...] = IN_NAMES
    at_end = hidden == len(items) - 1
    if at_end and draw.chance(0.6):
        templates = ENDS
        shown = separator.join(items[:-1])
        if draw.chance(0.5):
            shown += separator.rstrip() + draw.pick((" ...", " ___", " ?", " …"))
    return _problem(draw, f"infill:{key}", templates, shown, ", ".join(items))


def _in_numbers(draw: Draw) -> Problem:
    """A row of numbers with the same step, answered by its one number after the working."""
    step = draw.pick((1, 1, 1, 2, 2, 2, 3, 4, 5, 5, 10, 10, draw.rng.randint(1, 12), 20, 100))
    length = draw.pick((4, 4, 5, 5, 6, 7))
    start = draw.pick((step, step, 1, 0, draw.rng.randint(0, 99), draw.rng.randint(0, 20)))
    numbers = [start + step * i for i in range(length)]
    hidden = draw.rng.randrange(1, length - 1)
    if length > 4 and draw.chance(0.15):
        return _several(draw, list(map(str, numbers)), f"numbers:{start}:{step}")
    if draw.chance(0.2):
        numbers.reverse()
        work = work_difference(numbers[hidden - 1], step)
        inner = difference_key(numbers[hidden - 1], step)
    else:
        work = work_sum(numbers[hidden - 1], step)
        inner = sum_key(numbers[hidden - 1], step)
    blank = draw.slot(BLANKS)
    separator = draw.pick(SEPARATORS)
    shown = separator.join(blank if i == hidden else str(n) for i, n in enumerate(numbers))
    if draw.chance(0.06):
        shown = f"[{shown}]"
    result = f"the missing number is {numbers[hidden]}"
    keys = (f"gap:{hidden}:{':'.join(map(str, numbers))}", inner)
    request = _request(draw, IN_NUMBERS, shown)
    return Problem("infill", keys, ask(request), f"{work}, so {result}", "final", result)


def _in_names(draw: Draw) -> Problem:
    if draw.chance(0.5):
        cycle = draw.pick(CYCLES)
        start, length = draw.rng.randrange(len(cycle)), draw.pick((3, 3, 4, 5, 6, 7))
        items = [cycle[(start + i) % len(cycle)] for i in range(length)]
    else:
        line = draw.pick((LINES[0], LINES[0], LINES[0], *LINES))
        length = draw.pick((3, 4, 4, 5, 5, 6, 7))
        start = draw.rng.randrange(len(line) - length + 1)
        step = draw.pick((1, 1, 1, 2)) if length > 3 and start + 2 * length < len(line) else 1
        items = [line[start + step * i] for i in range(length)]
    if draw.chance(0.12):
        items.reverse()
    if draw.chance(0.15):
        items = [item.lower() if item[0].isupper() else item.upper() for item in items]
    hidden = len(items) - 1 if draw.chance(0.2) else draw.rng.randrange(1, len(items) - 1)
    key = f"names:{' '.join(items).lower()}"
    if len(items) > 4 and draw.chance(0.25):
        return _several(draw, items, key)
    return _listed(draw, items, hidden, key)


def _in_pattern(draw: Draw) -> Problem:
    kind = draw.pick(("words", "letters", "colors", "animals"))
    count = draw.pick((2, 2, 3))
    items = {
        "words": draw.distinct(count),
        "letters": draw.rng.sample(LETTERS.upper() if draw.chance(0.4) else LETTERS, count),
        "colors": draw.slots(COLORS, count),
        "animals": draw.slots(ANIMALS, count),
    }[kind]
    full = items * (4 if count == 2 and draw.chance(0.4) else 3)
    hidden = draw.rng.randrange(count, len(full))
    return _listed(draw, full, hidden, f"pattern:{':'.join(items)}")


def _in_sentence(draw: Draw) -> Problem:
    """A sentence whose hidden word is said elsewhere in it, or follows from it."""
    color, thing = draw.slot(COLORS), draw.pick(THINGS)
    name, other = draw.slot(NAMES), draw.slot(NAMES)
    start = draw.rng.randint(1, 8)
    day = draw.rng.randrange(7)
    month = draw.rng.randrange(12)
    is_open = draw.chance(0.6)
    pattern = draw.slot(OPEN_SENTENCES) if is_open else draw.pick(FAMILIAR_SENTENCES)
    animal, fruit = draw.slot(ANIMALS), draw.slot(FRUITS)
    text = pattern.format(
        name=name,
        other=other if other != name else f"{other} Ann",
        color=color,
        a_color=with_article(color),
        thing=thing,
        animal=animal,
        an_animal=with_article(animal),
        fruit=fruit,
        a_fruit=with_article(fruit),
        items=draw.slot(ITEMS),
        a=start,
        b=start + 1,
        c=start + 2,
        day=DAYS[day],
        next_day=DAYS[(day + 1) % 7],
        last_day=DAYS[(day + 6) % 7],
        month=MONTHS[month],
        next_month=MONTHS[(month + 1) % 12],
    )
    start_of, _, rest = text.partition("<")
    hidden, _, end = rest.partition(">")
    full = start_of + hidden + end
    shown = start_of + draw.slot(WORD_BLANKS) + end
    key = f"infill:sentence:{full.lower()}"
    key = key if is_open else f"{PRIMITIVE}:{key}"
    return _problem(draw, key, IN_TEXT, shown, full)


def _in_code(draw: Draw) -> Problem:
    template, parts = draw.pick(CODE)
    word = draw.word()
    names = {"n": str(draw.rng.randint(1, 99)), "w": word, "v": draw.pick("xnaysk")}
    names["o"] = draw.pick([letter for letter in "bcdijm" if letter != names["v"]])
    text = template
    for slot, name in names.items():
        text = text.replace(f"${slot}", name)
    hidden = draw.pick(parts)
    for slot, name in names.items():
        hidden = hidden.replace(f"${slot}", name)
    at = text.rindex(hidden)
    inner = hidden.strip()
    shown = _shown(draw, text, at + hidden.index(inner), inner, CODE_BLANKS)
    return _problem(draw, f"infill:code:{text}", IN_TEXT, shown, text)


KINDS: Kinds = (
    (_in_numbers, 3),
    (_in_names, 2),
    (_in_pattern, 1.2),
    (_in_sentence, 3),
    (_in_code, 1.5),
)


def fill_blank(draw: Draw) -> Problem:
    """Write a sequence, a sentence or code with its blank filled in."""
    return one_kind(draw, KINDS)
