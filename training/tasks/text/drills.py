"""Drills of copying and looking up, whose long answers teach both sooner than short ones do.

They are trained on and never counted: most tasks copy a word or two of their request, which says
little of how to.
"""

from collections.abc import Callable

from training.tasks.problem import PRIMITIVE, Problem, ask
from training.tasks.text.copying import COPIES
from training.tasks.text.letter_drills import invented
from training.wordings import Draw

MOST_WORDS = 24
SEPARATORS = (" ", " ", ", ", ", ", "; ", " - ", "\n", " / ", " | ")
CASES: tuple[Callable[[str], str], ...] = (str.lower, str.lower, str.capitalize, str.upper)
FORMS: dict[str, Callable[[list[str]], str]] = {
    "commas": ", ".join,
    "lines": "\n".join,
    "bullets": lambda items: "\n".join(f"- {item}" for item in items),
    "numbers": lambda items: "\n".join(f"{i}. {item}" for i, item in enumerate(items, 1)),
    "a JSON array": lambda items: "[" + ", ".join(f'"{item}"' for item in items) + "]",
    "words": " ".join,
    "semicolons": "; ".join,
    "quotes": lambda items: ", ".join(f'"{item}"' for item in items),
}
LAID_OUT = (
    "~[Write|Put|Give|Show] [this|these|the list|the items] [as|with|in] {form}: {items}",
    "{items}\n[As|With|In] {form}[:|.|, please.]",
    "[As|With] {form}: {items}",
    "~[Turn|Change|Convert] [this|these] [into|to] {form}:\n{items}",
)
KEYS_ASKED = (
    "{pairs}\n\n[What are|Give|Give me|Tell me|List] the values of {keys}[?|.|]",
    "~[Read|Look at] this and give the values of {keys}:\n{pairs}",
    "{pairs}\n\n{keys}[?|:|]",
    "[Values|The values|Value] of {keys} in:\n{pairs}",
)
REPLACED = (
    "~Replace {old} [with|by] {new}: {text}",
    "~Change [every |]{old} to {new} in: {text}",
    "{text}\n[Replace|Swap] {old} [with|for|by] {new}.",
    "~[Write|Repeat] this with {new} instead of {old}: {text}",
)
LEFT_OUT = (
    "~[Remove|Delete|Drop|Leave out] {old}: {text}",
    "{text}\n[Without|Remove|Leave out] {old}[.|]",
    "~[Write|Repeat] this without {old}: {text}",
)


def _items(draw: Draw, fewest: int, most: int) -> list[str]:
    """Different words, numbers, names and pairs of them."""
    change = draw.pick(CASES)
    found: dict[str, None] = {}
    count = draw.rng.randint(fewest, most)
    while len(found) < count:
        kind = draw.rng.random()
        if kind < 0.15:
            item = change(invented(draw))
        elif kind < 0.6:
            item = change(draw.word())
        elif kind < 0.75:
            item = draw.name()
        elif kind < 0.9:
            item = str(draw.rng.randrange(10 ** draw.rng.randint(1, 4)))
        else:
            item = f"{draw.word()} {draw.word()}"
        found[item] = None
    return list(found)


def _drill(request: str, answer: str) -> Problem:
    return Problem("drill", (f"{PRIMITIVE}:drill",), ask(request), answer)


def repeat_long(draw: Draw) -> Problem:
    """A long text of random words, said again."""
    text = draw.pick(SEPARATORS).join(_items(draw, 4, MOST_WORDS))
    return _drill(draw.say(COPIES, text=text), text)


def lay_out_long(draw: Draw) -> Problem:
    """A long list in another form."""
    items = _items(draw, 3, 12)
    given, form = draw.rng.sample(list(FORMS), 2)
    request = draw.say(LAID_OUT, form=form, items=FORMS[given](items))
    return _drill(request, FORMS[form](items))


def look_up(draw: Draw) -> Problem:
    """Values of several keys of a table."""
    items = _items(draw, 6, 16)
    keys, values = items[::2], items[1::2]
    pairs = list(zip(keys, values, strict=False))
    sign, joint = draw.pick((": ", " = ", " - ", " is ", " -> ")), draw.pick(("\n", ", ", "; "))
    asked = draw.rng.sample(pairs, draw.rng.randint(1, min(4, len(pairs))))
    request = draw.say(
        KEYS_ASKED,
        pairs=joint.join(f"{key}{sign}{value}" for key, value in pairs),
        keys=", ".join(key for key, _ in asked),
    )
    return _drill(request, "\n".join(f"{key}: {value}" for key, value in asked))


def edit_long(draw: Draw) -> Problem:
    """A long text with one word replaced or left out."""
    items, joint = _items(draw, 4, MOST_WORDS), draw.pick(SEPARATORS)
    old, text = draw.pick(items), joint.join(items)
    if draw.chance(0.4):
        answer = joint.join(item for item in items if item != old)
        return _drill(draw.say(LEFT_OUT, old=old, text=text), answer)
    new = draw.word()
    answer = joint.join(new if item == old else item for item in items)
    return _drill(draw.say(REPLACED, old=old, new=new, text=text), answer)
